"""Scores of order: counted by hand, against Quantus and scikit-learn, with ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import quantus_scores, top_share, upsample

from membrane_xai import pixel_auc, pointing_game, rank_accuracy, topk_intersection
from membrane_xai.errors import UndefinedScoreError

METRICS = {
    "rank_accuracy": rank_accuracy,
    "topk_intersection": lambda cam, mask, **kw: topk_intersection(cam, mask, k=0.3, **kw),
    "pointing_game": pointing_game,
    "pointing_game_tolerant": lambda cam, mask, **kw: pointing_game(cam, mask, tolerance=1.5, **kw),
    "pixel_auc": pixel_auc,
}
every_metric = pytest.mark.parametrize("name", METRICS)


@st.composite
def tied_pair(draw):
    """A CAM of few distinct values on its own grid or a coarser one, and a mask."""
    h, w = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    cam = draw(arrays(float, (h, w), elements=st.sampled_from([-1.0, 0.0, 0.1, 0.3, 1.0])))
    factor = draw(st.integers(1, 3))
    mask = draw(arrays(bool, (h * factor, w * factor)))
    return cam, mask


@given(tied_pair())
def test_top_sets_equal_the_mean_over_all_ways_to_break_ties(pair):
    cam, mask = pair
    mask = mask[: cam.shape[0], : cam.shape[1]]
    if mask.any() and cam.any():
        k = int(mask.sum())
        expected = top_share(cam.ravel(), mask.ravel().astype(float), k) / k
        assert rank_accuracy(cam, mask) == pytest.approx(expected, abs=1e-12)
        assert topk_intersection(cam, mask, k=k) == pytest.approx(expected, abs=1e-12)


@every_metric
@given(pair=tied_pair(), turns=st.integers(0, 3), transpose=st.booleans())
def test_flips_and_transposition_change_nothing_to_the_last_bit(name, pair, turns, transpose):
    cam, mask = pair

    def turn(x):
        return np.rot90(x.T if transpose else x, turns)

    np.testing.assert_equal(METRICS[name](turn(cam), turn(mask)), METRICS[name](cam, mask))


@pytest.mark.parametrize(
    ("metric", "quantus_metric"),
    [(rank_accuracy, "RelevanceRankAccuracy"), (pointing_game, "PointingGame")],
)
def test_equals_quantus_without_ties(metric, quantus_metric, rng):
    cam, mask = rng.normal(size=(6, 19, 17)), rng.random((6, 19, 17)) < 0.3
    expected = np.asarray(quantus_scores(quantus_metric, cam, mask), float)
    np.testing.assert_allclose(metric(cam, mask), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 20, 19 * 17 - 1])
def test_topk_equals_quantus_without_ties(k, rng):
    cam, mask = rng.normal(size=(6, 19, 17)), rng.random((6, 19, 17)) < 0.3
    expected = quantus_scores("TopKIntersection", cam, mask, k=k)
    np.testing.assert_allclose(topk_intersection(cam, mask, k=k), expected, rtol=0, atol=1e-12)


@given(tied_pair())
def test_auc_equals_scikit_learn(pair):
    metrics = pytest.importorskip("sklearn.metrics")
    cam, mask = pair
    mask = mask[: cam.shape[0], : cam.shape[1]]
    if cam.any() and mask.any() and not mask.all():
        expected = metrics.roc_auc_score(mask.ravel(), cam.ravel())
        assert pixel_auc(cam, mask) == pytest.approx(expected, abs=1e-12)


def test_auc_of_upsampled_batch_equals_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    cam, mask = rng.normal(size=(3, 7, 5)), rng.random((3, 40, 33)) < 0.2
    region = rng.random((3, 40, 33)) < 0.7
    expected = [
        metrics.roc_auc_score(m[r], upsample(c, m.shape)[r])
        for c, m, r in zip(cam, mask, region, strict=True)
    ]
    np.testing.assert_allclose(pixel_auc(cam, mask, region=region), expected, atol=1e-12)


def test_auc_of_a_fractional_mask_equals_weighted_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    cam, mask = rng.integers(1, 5, (8, 8)).astype(float), rng.random((8, 8))
    weights = np.concatenate([mask.ravel(), 1 - mask.ravel()])
    expected = metrics.roc_auc_score(
        np.repeat([1, 0], 64), np.tile(cam.ravel(), 2), sample_weight=weights
    )
    assert pixel_auc(cam, mask) == pytest.approx(expected, abs=1e-12)


def test_counted_by_hand_with_a_region():
    cam = np.array([[9.0, 4.0, 3.0, 2.0]])
    mask = np.array([[False, True, False, True]])
    region = np.array([[False, True, True, True]])
    assert rank_accuracy(cam, mask, region=region) == 1 / 2
    assert topk_intersection(cam, mask, k=1, region=region) == 1
    assert pointing_game(cam, mask, region=region) == 1
    assert pixel_auc(cam, mask, region=region) == 1 / 2
    assert pointing_game(cam, mask) == 0


def test_a_fraction_of_the_pixels_need_not_be_a_whole_number():
    # The top 1.5 of 3 pixels: the first, and half of the second.
    cam, mask = np.array([[3.0, 2.0, 1.0]]), np.array([[False, True, False]])
    assert topk_intersection(cam, mask, k=0.5) == pytest.approx(0.5 / 1.5)


def test_pointing_at_a_fractional_mask_hits_from_one_half():
    cam = np.array([[0.0, 1.0]])
    assert pointing_game(cam, np.array([[1.0, 0.5]])) == 1
    assert pointing_game(cam, np.array([[1.0, 0.49]])) == 0


def test_a_perfect_ranking_is_one_and_its_reverse_is_zero(rng):
    mask = rng.random((12, 12)) < 0.3
    for metric in (rank_accuracy, pixel_auc, pointing_game):
        assert metric(mask + 0.1 * rng.random((12, 12)), mask) == 1
        assert metric(~mask + 0.1 * rng.random((12, 12)), mask) == 0


def test_a_flat_cam_scores_chance(rng):
    mask = rng.random((10, 10)) < 0.3
    flat = np.full((10, 10), 0.7)
    for name in ("rank_accuracy", "topk_intersection", "pointing_game"):
        assert METRICS[name](flat, mask) == pytest.approx(mask.mean(), abs=1e-12)
    assert pixel_auc(flat, mask) == 0.5


def test_pointing_tolerance_is_a_euclidean_distance():
    cam, mask = np.zeros((9, 9)), np.zeros((9, 9), bool)
    cam[4, 4], mask[7, 8] = 1, True
    assert pointing_game(cam, mask, tolerance=4.99) == 0
    assert pointing_game(cam, mask, tolerance=5) == 1


@every_metric
def test_undefined_samples_are_nan_and_leave_their_batch_mates_alone(name, rng):
    metric = METRICS[name]
    cam, mask = rng.random((6, 8, 8)), rng.random((6, 8, 8)) < 0.4
    region = np.ones((6, 8, 8), bool)
    cam[0, 0, 0], cam[1], mask[2], region[3] = np.nan, 0, False, False
    scores = metric(cam, mask, region=region)
    assert np.isnan(scores).tolist() == [True, True, True, True, False, False]
    assert scores[5] == metric(cam[5], mask[5])
    with pytest.raises(UndefinedScoreError, match=r"0 \(non_finite\), 1 \(no_activation\)"):
        metric(cam, mask, region=region, on_undefined="raise")


def test_reasons_of_single_metrics():
    cam = np.array([[1.0, 2.0]])
    with pytest.raises(UndefinedScoreError, match="full_mask"):
        pixel_auc(cam, np.ones((1, 2)), on_undefined="raise")
    with pytest.raises(UndefinedScoreError, match="empty_mask"):
        pointing_game(cam, np.array([[0.4, 0.2]]), on_undefined="raise")
    region = np.array([[1, 0]])
    assert np.isnan(topk_intersection(cam, np.ones((1, 2)), k=2, region=region))
