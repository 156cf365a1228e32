"""What each of two processes does to test metrics across them; apart, so that it can be spawned."""

import numpy as np

GRID, SIDE, GROUPS = (3, 4), 12, 2


def batches():
    """Return five uneven batches of (cams, masks, labels, weights), some samples undefined."""
    rng = np.random.default_rng(5)
    out = []
    for size in (3, 1, 4, 2, 5):
        cams = rng.normal(size=(size, *GRID)) + 1
        masks = rng.random((size, SIDE, SIDE)) < 0.3
        out.append([cams, masks, rng.integers(0, GROUPS, size), rng.random(size)])
    out[0][1][0] = False
    out[2][0][1] = 0
    out[4][0][2, 0, 0] = np.nan
    return out


def metrics():
    """Return the metrics under test."""
    from torchmetrics import MetricCollection

    from membrane_xai.integrations.torchmetrics import (
        ExplanationConsistency,
        MembraneActivationPrecision,
    )

    return MetricCollection(
        {
            "map": MembraneActivationPrecision(),
            "relative": MembraneActivationPrecision(score="relative"),
            "bright": MembraneActivationPrecision(threshold=0.5),
            "ec": ExplanationConsistency(GRID, num_groups=GROUPS),
            "rank": ExplanationConsistency(GRID, num_groups=GROUPS, similarity="spearman"),
        }
    )


def feed(collection, batch):
    """Update with one batch, as float32 tensors."""
    import torch

    cams, masks, labels, weights = batch
    cams, weights = (torch.tensor(x, dtype=torch.float32) for x in (cams, weights))
    masks, labels = torch.tensor(masks), torch.tensor(labels)
    collection.update(cams=cams, masks=masks, groups=labels, weights=weights)


def work(rank, folder):
    """Take every other batch; rank 1 gets fewer. Save what compute gives on this process."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    try:
        collection = metrics()
        for batch in batches()[rank::2]:
            feed(collection, batch)
        found = {name: value.tolist() for name, value in collection.compute().items()}
        found["statuses"] = collection["map"].status_counts()
        found["undefined"] = collection["ec"].undefined_maps().tolist()
        found["own"] = int(collection["map"].statuses.sum())  # not summed any more
        found["again"] = collection["map"].compute().item()
        torch.save(found, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def work_without_data(rank, folder):
    """As :func:`work`, but only rank 0 has data."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    try:
        collection = metrics()
        if rank == 0:
            for batch in batches():
                feed(collection, batch)
        values = [collection[name].compute().tolist() for name in ("map", "ec")]
        torch.save(values, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def accumulators():
    """Return empty accumulators."""
    from membrane_xai import EcAccumulator, MapAccumulator

    return {"map": MapAccumulator(), "ec": EcAccumulator()}


def accumulate(found, batch):
    """Update with one batch; every process has its own samples of each patient."""
    cams, masks, labels, _ = batch
    found["map"].update(cams, masks, groups=labels)
    found["ec"].update(cams, groups=labels)


def numbers(found):
    """Return what accumulators compute."""
    mean, ec = found["map"].compute(), found["ec"].compute()
    by_group = found["ec"].compute_groups()
    patients = sorted(zip(by_group.groups, by_group.ec.tolist(), strict=True))
    return [mean.map, mean.relative, mean.n, mean.status, ec.ec, ec.n_pairs, patients]


def work_with_accumulators(rank, folder):
    """Take every other batch, exchange states, and merge them in the order of the ranks."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    try:
        own = accumulators()
        for batch in batches()[rank::2]:
            accumulate(own, batch)
        states = [None, None]
        dist.all_gather_object(states, {name: one.state_dict() for name, one in own.items()})
        merged = accumulators()
        for state in states:
            for name, one in accumulators().items():
                merged[name].merge(one.load_state_dict(state[name]))
        torch.save(numbers(merged), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()
