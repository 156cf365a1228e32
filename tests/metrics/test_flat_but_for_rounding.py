"""Maps that are flat but for rounding are flat: for EC, its sums, and scores of order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from similarities import INDEPENDENT

from membrane_xai import (
    EcAccumulator,
    consistency,
    ec_score,
    pairwise_similarity,
    perturbation_consistency,
    pixel_auc,
    pointing_game,
    rank_accuracy,
    topk_intersection,
)
from membrane_xai.metrics import UnitSums
from membrane_xai.perturb import horizontal_flip
from membrane_xai.statistics import summarize_consistency

RAMP = np.linspace(0, 1, 20).reshape(4, 5)
BY_ORDER = [name for name in INDEPENDENT if name not in ("cosine", "soft_iou")]
every_order = pytest.mark.parametrize("similarity", BY_ORDER)


def rounded(value=0.1, dtype=np.float64):
    """A flat map with a last digit that is off in two pixels."""
    flat = np.full((4, 5), value, dtype)
    flat[0, 0], flat[2, 3] = np.nextafter(flat[0, 0], dtype(9)), np.nextafter(flat[0, 0], dtype(-9))
    return flat


@every_order
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("value", [0.1, -1234.5, 1e-7])
def test_it_has_no_direction(similarity, dtype, value):
    if dtype is np.float16 and value == 1e-7:
        return  # a few of the smallest steps that the type has, not rounding
    maps = np.stack([RAMP.astype(dtype), rounded(value, dtype)])
    found = consistency(maps, similarity=similarity)
    assert (found.status, found.n_undefined) == ("no_defined_pair", 1)
    assert np.isnan(pairwise_similarity(maps, similarity=similarity)[1]).all()


def test_networks_round_in_float32_whatever_comes_of_it():
    maps = np.stack([RAMP, rounded(0.7, np.float32).astype(float)])
    assert math.isnan(ec_score(maps))
    assert math.isnan(ec_score(maps, reference=0))


@given(st.floats(2e-6, 1), st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3))
def test_what_differs_by_more_has_one(depth, value):
    dented = np.full((4, 5), value)
    dented[1, 1] -= depth * abs(value)
    assert ec_score(np.stack([dented, dented])) == pytest.approx(1, abs=1e-6)


def test_sums_and_intervals_leave_it_out():
    maps = np.stack([RAMP, RAMP.T.reshape(4, 5), RAMP, rounded()])
    assert UnitSums.of(maps, "spearman").counts.tolist() == [[3, 1, 0]]
    assert EcAccumulator().update(maps).undefined == {"flat": 1}
    assert summarize_consistency(maps, list("abca")).undefined == {"flat": 1}
    unlinear = summarize_consistency(maps, list("abca"), similarity="topk_iou")
    assert unlinear.undefined == {"flat": 1}


def test_of_an_explainer():
    image = np.zeros((1, 4, 5, 3), np.uint8)
    found = perturbation_consistency(lambda rgb: rounded()[None], image, [horizontal_flip()])
    assert found.status.tolist() == [["flat_map"]]


def test_scores_of_order_give_it_chance(rng):
    mask = rng.random((8, 10)) < 0.3
    region = rng.random((8, 10)) < 0.8
    inside = mask[region].mean()
    for cam in (rounded(), rounded(0.3, np.float32)):
        assert rank_accuracy(cam, mask) == pytest.approx(mask.mean(), abs=1e-12)
        assert topk_intersection(cam, mask, k=0.3) == pytest.approx(mask.mean(), abs=1e-12)
        assert pointing_game(cam, mask) == pytest.approx(mask.mean(), abs=1e-12)
        assert pixel_auc(cam, mask) == 0.5
        assert rank_accuracy(cam, mask, region=region) == pytest.approx(inside, abs=1e-12)
        assert pixel_auc(cam, mask, region=region) == 0.5
    assert math.isnan(pixel_auc(rounded(), mask, region=np.zeros((8, 10), bool)))
