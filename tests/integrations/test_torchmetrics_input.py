"""What the TorchMetrics integration refuses, and in which words."""

import re

import numpy as np
import pytest

from membrane_xai import map_score
from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")

from torchmetrics.wrappers import BootStrapper  # noqa: E402

from membrane_xai.integrations.torchmetrics import (  # noqa: E402
    ExplanationConsistency,
    MembraneActivationPrecision,
)

GRID = (3, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "precision"}, "score is 'precision'; it takes one of 'map'"),
        ({"negative": "keep"}, "negative is 'keep'; it takes one of 'clip'"),
        ({"threshold": 2}, "threshold is 2; it takes numbers in [0, 1]"),
        ({"threshold": 0.5, "score": "skill"}, "threshold is 0.5; it is for score='map' alone"),
    ],
)
def test_bad_options_of_map(options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        MembraneActivationPrecision(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 7}, "grid is 7; it takes two positive integers"),
        ({"similarity": "ssim"}, "similarity is 'ssim'; it takes one of 'pearson', 'spearman'"),
        ({"num_groups": 0}, "num_groups is 0; it takes a positive integer"),
        ({"num_groups": 2.0}, "num_groups is 2.0; it takes a positive integer"),
    ],
)
def test_bad_options_of_ec(options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        ExplanationConsistency(**{"grid": GRID, **options})


@pytest.mark.parametrize(
    ("num_groups", "shape", "update", "message"),
    [
        (None, (2, 4, 4), {}, "cams has shape (2, 4, 4); it takes (N, 3, 4)"),
        (None, (3, 4), {}, "cams has shape (3, 4); it takes (N, 3, 4)"),
        (None, (2, 3, 4), {"groups": [0, 0]}, "groups: it takes none, as num_groups is None"),
        (2, (2, 3, 4), {}, "groups: it takes labels, as num_groups is 2"),
        (2, (2, 3, 4), {"groups": [0, 2]}, "groups has labels 0 to 2; it takes 0 to 1"),
        (2, (2, 3, 4), {"groups": [-1, 0]}, "groups has labels -1 to 0; it takes 0 to 1"),
        (2, (2, 3, 4), {"groups": [0]}, "groups is torch.int64 of shape (1,); it takes 2 integers"),
        (2, (2, 3, 4), {"groups": [0.0, 1.0]}, "groups is torch.float32 of shape (2,)"),
        (None, (2, 3, 4), {"weights": [1.0, -1.0]}, "weights is [1.0, -1.0]; it takes 2 finite"),
        (None, (2, 3, 4), {"weights": [1.0]}, "weights is [1.0]; it takes 2 finite numbers"),
    ],
)
def test_bad_updates_of_ec_leave_the_state_alone(num_groups, shape, update, message):
    metric = ExplanationConsistency(GRID, num_groups=num_groups)
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        metric.update(torch.ones(shape), **update)
    assert metric.counts.sum() == 0


# Within BootStrapper


def paired():
    """Maps on the membrane of their own mask, and beside that of any other."""
    cams, masks = torch.zeros(8, 7, 7), torch.zeros(8, 28, 28, dtype=torch.bool)
    for i in range(8):
        cams[i, :, i % 7] = 1
        masks[i, :, 4 * (i % 7) : 4 * (i % 7) + 4] = True
    return cams, masks


@pytest.mark.parametrize("strategy", ["multinomial", "poisson"])
def test_tensors_stay_pairs_when_they_are_resampled(strategy):
    torch.manual_seed(0)
    cams, masks = paired()
    alone = [map_score(cams[i], masks[i]).item() for i in range(8)]
    boot = BootStrapper(
        MembraneActivationPrecision(), num_bootstraps=20, sampling_strategy=strategy
    )
    boot.update(cams, masks, region=torch.ones(8, 28, 28))
    assert boot.compute()["mean"].item() == pytest.approx(float(np.mean(alone)), abs=0.05)
    shared = BootStrapper(MembraneActivationPrecision(), num_bootstraps=50)
    shared.update(cams, masks[0].numpy())  # what all share is not resampled
    mean = float(map_score(cams, masks[0]).mean())
    assert mean < 0.3
    assert shared.compute()["mean"].item() == pytest.approx(mean, abs=0.07)
    groups, weights = torch.tensor([0] * 4 + [1] * 4), torch.ones(8)
    ec = BootStrapper(
        ExplanationConsistency((7, 7), num_groups=2), num_bootstraps=3, sampling_strategy=strategy
    )
    ec.update(cams, groups=groups, weights=weights)
    assert ec.compute()["mean"].shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c, m: (c, m.numpy()), "masks is a ndarray, which BootStrapper does not resample"),
        (lambda c, m: (c, list(m)), "masks is a list, which BootStrapper does not resample"),
        (lambda c, m: (c, m, np.ones((8, 28, 28))), "region is a ndarray, which BootStrapper"),
        (lambda c, m: (c, m[0]), "masks is a tensor of 2 axes, whose rows BootStrapper resamples"),
        (
            lambda c, m: (c[0], m[0]),
            "cams is a tensor of 2 axes, whose rows BootStrapper resamples",
        ),
    ],
)
def test_what_would_no_longer_be_pairs_is_refused(make, message):
    given = make(*paired())
    MembraneActivationPrecision().update(*given)  # outside it all of them go together
    boot = BootStrapper(MembraneActivationPrecision(), sampling_strategy="multinomial")
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        boot.update(*given)


@pytest.mark.parametrize("name", ["groups", "weights"])
@pytest.mark.parametrize("kind", [list, np.asarray])
def test_groups_and_weights_that_stay_behind_are_refused(name, kind):
    cams, _ = paired()
    given = {"groups": torch.zeros(8, dtype=torch.int64), "weights": torch.ones(8)}
    given[name] = kind(given[name].tolist())
    metric = ExplanationConsistency((7, 7), num_groups=2)
    metric.update(cams, **given)
    with pytest.raises(InvalidInputError, match=f"{name} is a .*, which BootStrapper does not"):
        BootStrapper(metric).update(cams, **given)


# Precision


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_sums_stay_precise_when_the_precision_is_set(name):
    """A sum of halves stops at 2048: 3,000 maps wholly on the membrane have a mean of 1."""
    cams = torch.ones(3, 2, 2)
    masks, empty = torch.ones(3, 2, 2), torch.zeros(1, 2, 2)
    metric = MembraneActivationPrecision().set_dtype(getattr(torch, name))
    torch.nn.ModuleDict({"map": metric}).to(getattr(torch, name))  # as Lightning does
    for _ in range(1000):
        metric.update(cams, masks)
    assert metric.compute().item() == 1.0
    metric.update(torch.ones(1, 2, 2), empty)
    assert metric.status_counts()["ok"] == 3000
    whole = MembraneActivationPrecision().set_dtype(torch.float32)
    assert whole.total.dtype == torch.float32  # for devices without float64
    moved = MembraneActivationPrecision().to(torch.float32)
    assert moved.total.dtype == torch.float32
    ec = ExplanationConsistency((2, 2)).set_dtype(getattr(torch, name))
    assert ec.vector.dtype == torch.float64


def test_values_can_be_plotted():
    pytest.importorskip("matplotlib")
    metric = MembraneActivationPrecision()
    metric.update(torch.ones(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]))
    _, axes = metric.plot()
    assert axes.lines[0].get_ydata()[0] == pytest.approx(0.25)
