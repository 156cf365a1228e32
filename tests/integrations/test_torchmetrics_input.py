"""What the TorchMetrics integration refuses, and in which words."""

import re

import pytest

from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")

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
