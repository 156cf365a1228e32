"""MAP and EC as TorchMetrics: equal to the functions, over batches, processes, devices, dtypes."""

import pickle

import numpy as np
import pytest
import reference
import two_processes
from two_processes import GRID, GROUPS, SIDE

import membrane_xai as mx

torch = pytest.importorskip("torch")
torchmetrics = pytest.importorskip("torchmetrics")

from membrane_xai.integrations.torchmetrics import (  # noqa: E402
    ExplanationConsistency,
    MembraneActivationPrecision,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``compute`` method of metric .* was called before the ``update`` method:UserWarning"
)


def all_in_one():
    """Return the batches joined: cams (N, h, w), masks, labels, weights."""
    return [np.concatenate(part) for part in zip(*two_processes.batches(), strict=True)]


def expected():
    """Return what the collection must give, from the functions."""
    cams, masks, labels, weights = all_in_one()
    cams, weights = cams.astype(np.float32), weights.astype(np.float32)
    by_group = {
        name: [
            mx.ec_score(cams[labels == g], weights=weights[labels == g], similarity=similarity)
            for g in range(GROUPS)
        ]
        for name, similarity in [("ec", "pearson"), ("rank", "spearman")]
    }
    return {
        "map": np.nanmean(mx.map_score(cams, masks)),
        "relative": np.nanmean(mx.alignment(cams, masks).relative),
        "bright": np.nanmean(mx.map_score(cams, masks, threshold=0.5)),
        **by_group,
    }


def check(found):
    for name, value in expected().items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def pearson(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_map_is_the_mean_of_the_function_and_of_the_definition():
    metric = MembraneActivationPrecision()
    by_hand = []
    for cams, masks, *_ in two_processes.batches():
        metric.update(torch.tensor(cams), torch.tensor(masks))
        for cam, mask in zip(cams, masks, strict=True):
            if mask.any() and cam.any() and np.isfinite(cam).all():
                by_hand.append(reference.map_score(cam, mask))
    assert len(by_hand) == 12
    found = metric.compute()
    assert (found.dtype, found.shape) == (torch.float64, ())
    assert found.item() == pytest.approx(np.mean(by_hand), rel=1e-12)
    counts = {"ok": 12, "no_activation": 1, "empty_mask": 1, "empty_region": 0, "non_finite": 1}
    assert metric.status_counts() == counts


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_cells_lie_where_the_grid_says(rng, threshold):
    cams, masks = rng.random((4, 3, 3)), rng.random((4, 12, 12)) < 0.3
    grid = mx.CamGrid(4, 0, 12)
    metric = MembraneActivationPrecision(grid=grid, threshold=threshold)
    metric.update(torch.tensor(cams), torch.tensor(masks))
    expected = mx.map_score(cams, masks, grid=grid, threshold=threshold).mean()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-12)
    assert expected != mx.map_score(cams, masks, threshold=threshold).mean()


@pytest.mark.parametrize("score", ["enrichment", "skill", "toward_ideal", "relative", "coverage"])
@pytest.mark.parametrize("negative", ["clip", "abs"])
def test_other_scores_with_a_region(rng, score, negative):
    cams, masks, *_ = all_in_one()
    region = rng.random((len(cams), SIDE, SIDE)) < 0.7
    metric = MembraneActivationPrecision(score=score, negative=negative)
    for i in (slice(0, 4), slice(4, None)):
        metric.update(torch.tensor(cams[i]), torch.tensor(masks[i]), torch.tensor(region[i]))
    result = mx.alignment(cams, masks, region=region, negative=negative)
    assert metric.compute().item() == pytest.approx(np.nanmean(getattr(result, score)))


def test_a_score_that_an_ok_sample_lacks_is_left_out():
    metric = MembraneActivationPrecision(score="skill")
    full, half = torch.ones(2, 2, dtype=torch.bool), torch.tensor([[1, 1], [0, 0]]).bool()
    metric.update(torch.tensor([[[1.0, 1], [0, 0]]] * 2), torch.stack([full, half]))
    assert metric.compute().item() == 1.0  # chance is 1 on the full mask: it has no skill
    assert metric.status_counts()["ok"] == 2


def test_single_pairs_and_shared_masks():
    cam, mask = torch.tensor([[3.0, 1.0]]), torch.tensor([[True, False]])
    metric = MembraneActivationPrecision()
    assert metric(cam, mask).item() == 0.75  # forward gives the batch's value
    assert metric(torch.stack([cam, cam.flip(1)])[:, None], mask.numpy()).item() == 0.5
    assert metric.compute().item() == pytest.approx((0.75 * 2 + 0.25) / 3)


@pytest.mark.parametrize("similarity", ["pearson", "spearman", "cosine"])
def test_ec_is_the_function_over_all_batches(similarity):
    metric = ExplanationConsistency(GRID, similarity=similarity)
    for cams, *_ in two_processes.batches():
        metric.update(torch.tensor(cams)[:, None])
    cams = all_in_one()[0]
    result = mx.consistency(cams, similarity=similarity)
    found = metric.compute()
    assert (found.dtype, found.shape) == (torch.float64, ())
    assert found.item() == pytest.approx(result.ec, rel=1e-10)
    left = len(cams) - metric.undefined_maps().item()
    assert (result.n_pairs, metric.undefined_maps().item()) == (left * (left - 1) // 2, 2)


def test_ec_pair_by_pair():
    cams = np.concatenate([two_processes.batches()[i][0] for i in (0, 1, 3)])
    metric = ExplanationConsistency(GRID)
    metric.update(torch.tensor(cams))
    by_hand = reference.mean_over_pairs(pearson, cams)
    assert metric.compute().item() == pytest.approx(by_hand, rel=1e-10)
    weights = np.array([0.5, 2, 0, 1, 3, 0.1])
    metric.reset()
    metric.update(torch.tensor(cams), weights=weights)
    by_hand = reference.mean_over_pairs(pearson, cams, weights)
    assert metric.compute().item() == pytest.approx(by_hand, rel=1e-10)
    assert metric.counts.sum().item() == 5  # weight 0 is not there


def test_groups_without_a_pair_are_nan():
    metric = ExplanationConsistency((1, 2), num_groups=4)
    assert metric.compute().isnan().all()
    ramp, flat = [[0.0, 1.0]], [[1.0, 1.0]]
    metric.update(torch.tensor([ramp, ramp, ramp, flat, ramp]), groups=[0, 0, 1, 1, 2])
    np.testing.assert_allclose(metric.compute(), [1, np.nan, np.nan, np.nan])
    assert metric.undefined_maps().tolist() == [0, 1, 0, 0]
    assert ExplanationConsistency((1, 2)).compute().isnan()


def test_identical_maps_do_not_pass_one():
    maps = torch.rand(7, 16, 16, generator=torch.Generator().manual_seed(0))[:1]
    metric = ExplanationConsistency((16, 16))
    metric.update(maps.expand(7, -1, -1))
    assert 1 - 1e-12 < metric.compute().item() <= 1


def test_a_collection_in_one_process():
    collection = two_processes.metrics()
    for batch in two_processes.batches():
        two_processes.feed(collection, batch)
    check(collection.compute())


@pytest.mark.parametrize("compute_groups", [True, False])
def test_metrics_of_a_collection_do_not_share_states_that_agree_by_chance(compute_groups):
    """On the first batch all scores are 1; TorchMetrics merges metrics whose states are equal."""
    collection = torchmetrics.MetricCollection(
        {
            "map": MembraneActivationPrecision(),
            "skill": MembraneActivationPrecision(score="skill"),
            "abs": MembraneActivationPrecision(negative="abs"),
            "top": MembraneActivationPrecision(threshold=1.0),
            "pearson": ExplanationConsistency((2, 2)),
            "cosine": ExplanationConsistency((2, 2), similarity="cosine"),
        },
        compute_groups=compute_groups,
    )
    mask = torch.tensor([[True, False], [True, False]])
    cam = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    second = torch.tensor([[[2.0, 1.0], [0.0, -1.0]]])
    for maps in (cam.clip(min=0), cam, second):
        collection.update(cams=maps, masks=mask)
    both = torch.cat([cam.clip(min=0), cam, second])
    found = collection.compute()
    assert found["map"].item() == pytest.approx(mx.map_score(both, mask).mean().item())
    assert found["skill"].item() == pytest.approx(mx.alignment(both, mask).skill.mean().item())
    absolute = mx.map_score(both, mask, negative="abs").mean().item()
    assert found["abs"].item() == pytest.approx(absolute)
    assert found["top"].item() == mx.map_score(both, mask, threshold=1.0).mean().item()
    assert found["pearson"].item() == pytest.approx(mx.ec_score(both).item())
    cosine = mx.ec_score(both, similarity="cosine").item()
    assert found["cosine"].item() == pytest.approx(cosine)


def test_metrics_of_equal_options_do_share_their_state():
    twins = {name: MembraneActivationPrecision() for name in ("one", "two")}
    collection = torchmetrics.MetricCollection(twins)
    cams, masks, *_ = two_processes.batches()[1]
    collection.update(cams=torch.tensor(cams), masks=torch.tensor(masks))
    assert collection.compute_groups == {0: ["one", "two"]}


def test_two_processes_give_what_one_does(tmp_path):
    torch.multiprocessing.spawn(two_processes.work, (str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for one in found:
        check(one)
        assert one["statuses"]["ok"] == 12
        assert sum(one["statuses"].values()) == 15
        assert sum(one["undefined"]) == 2
        assert one["again"] == one["map"]
    assert [one["own"] for one in found] == [12, 3]  # each has its own state back


def test_accumulators_across_processes_are_one_pass_and_torchmetrics(tmp_path):
    torch.multiprocessing.spawn(two_processes.work_with_accumulators, (str(tmp_path),), nprocs=2)
    alone = two_processes.accumulators()
    for batch in two_processes.batches():
        two_processes.accumulate(alone, batch)
    expected_numbers = two_processes.numbers(alone)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found[2:4] == expected_numbers[2:4]
        assert found[5] == expected_numbers[5]
        flat = [[*x[:2], x[4], *(ec for _, ec in x[6])] for x in (found, expected_numbers)]
        np.testing.assert_allclose(*flat, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[0], expected()["map"], rtol=1e-6)


def test_a_process_without_data(tmp_path):
    torch.multiprocessing.spawn(two_processes.work_without_data, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        value, ec = torch.load(tmp_path / f"{rank}.pt")
        np.testing.assert_allclose(value, expected()["map"])
        np.testing.assert_allclose(ec, expected()["ec"], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_of_maps(dtype):
    cams = torch.tensor(all_in_one()[0]).to(getattr(torch, dtype))
    masks = torch.tensor(all_in_one()[1])
    metric, ec = MembraneActivationPrecision(), ExplanationConsistency(GRID)
    metric.update(cams.requires_grad_(), masks)
    ec.update(cams)
    wide = cams.detach().double()
    assert metric.compute().item() == pytest.approx(mx.map_score(wide, masks).nanmean().item())
    assert ec.compute().item() == pytest.approx(mx.ec_score(wide).item())
    assert not metric.compute().requires_grad
    assert not ec.vector.requires_grad


@pytest.mark.parametrize("change", ["half", "float", "bfloat16"])
def test_the_state_stays_wide_when_a_model_is_cast(change):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.metric = MembraneActivationPrecision()

    model = getattr(Model(), change)()
    assert model.metric.total.dtype == torch.float64
    assert model.metric.statuses.dtype == torch.int64


@pytest.mark.parametrize(
    "make", [MembraneActivationPrecision, lambda: ExplanationConsistency(GRID)], ids=["map", "ec"]
)
def test_pickling_cloning_and_state_dicts(make):
    metric = make()
    cams, masks, *_ = two_processes.batches()[2]
    fits = metric._filter_kwargs(cams=torch.tensor(cams), masks=torch.tensor(masks))
    metric.update(**fits)
    value = metric.compute()
    assert not value.isnan()
    for other in (pickle.loads(pickle.dumps(metric)), metric.clone()):  # noqa: S301
        assert torch.equal(other.compute(), value)
        other.update(**fits)
    assert metric.state_dict() == {}  # as of every metric, until asked for
    metric.persistent(True)
    fresh = make()
    fresh.persistent(True)
    fresh.load_state_dict(metric.state_dict())
    assert torch.equal(fresh.compute(), value)
    fresh.reset()
    assert fresh.compute().isnan()


def test_the_device_follows():
    where = "cuda" if torch.cuda.is_available() else "cpu"
    cams, masks, labels, _ = all_in_one()
    metric = MembraneActivationPrecision().to(where)
    ec = ExplanationConsistency(GRID, num_groups=GROUPS).to(where)
    assert MembraneActivationPrecision().to("meta").total.device.type == "meta"
    metric.update(torch.tensor(cams, device=where), masks)
    ec.update(torch.tensor(cams), groups=labels)  # maps elsewhere are brought
    assert metric.compute().device.type == where
    assert metric.compute().item() == pytest.approx(np.nanmean(mx.map_score(cams, masks)))
    by_label = mx.ec_score(cams, groups=labels)
    np.testing.assert_allclose(ec.compute().cpu(), [by_label[g] for g in range(GROUPS)])


def test_flags():
    for metric in (MembraneActivationPrecision(), ExplanationConsistency(GRID)):
        assert metric.higher_is_better is True
        assert metric.full_state_update is False
        assert metric.is_differentiable is False
