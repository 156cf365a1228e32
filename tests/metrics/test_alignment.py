"""The fields of AlignmentResult, the ceiling, the curve and pooled masks."""

import json

import numpy as np
import pytest
from grids import fits
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import ceiling as reference_ceiling
from reference import upsample as reference_upsample

from membrane_xai import alignment, map_ceiling, map_curve, map_score, pool_mask
from membrane_xai.metrics import SCORES

SIDES = st.integers(1, 6)


@st.composite
def grid_and_mask(draw):
    grid = (draw(SIDES), draw(SIDES))
    size = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    assume(fits(grid, size))
    return grid, draw(arrays(bool, size))


def test_every_field_counted_by_hand():
    cam = np.array([[3.0, 1.0], [0.0, 0.0]])
    mask = np.array([[True, False], [False, False]])
    result = alignment(cam, mask)
    assert result.map == 3 / 4
    assert result.chance == 1 / 4
    assert result.enrichment == 3
    assert result.skill == 2 / 3
    assert result.ideal == 1
    assert result.toward_ideal == 2 / 3
    assert result.ceiling == 1
    assert result.relative == 2 / 3
    assert result.coverage == 1
    assert result.status == "ok"
    assert (result.cam_min, result.cam_max) == (0, 3)
    assert (result.grid, result.negative) == ((2, 2), "clip")


def test_coverage_refers_to_the_maximum_of_the_upsampled_cam(rng):
    cam, mask = rng.random((5, 7)), rng.random((16, 12)) < 0.3
    up = reference_upsample(cam, mask.shape)
    expected = (up / up.max() * mask).sum() / mask.sum()
    assert alignment(cam, mask).coverage == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("cam", "mask", "region", "status", "chance"),
    [
        ([[0, 0]], [[1, 0]], None, "no_activation", 0.5),
        ([[-1, -2]], [[1, 0]], None, "no_activation", 0.5),
        ([[0, 1]], [[1, 0]], [[1, 0]], "no_activation", 1.0),
        ([[1, 1]], [[0, 0]], None, "empty_mask", np.nan),
        ([[1, 1]], [[1, 0]], [[0, 1]], "empty_mask", np.nan),
        ([[1, 1]], [[1, 1]], [[0, 0]], "empty_region", np.nan),
        ([[np.nan, 1]], [[1, 0]], None, "non_finite", 0.5),
        ([[np.inf, 1]], [[1, 0]], None, "non_finite", 0.5),
        ([[-np.inf, 1]], [[1, 0]], None, "non_finite", 0.5),
        ([[1, 1]], [[np.nan, 0]], None, "non_finite", np.nan),
        ([[1, 1]], [[1, 0]], [[np.nan, 0]], "non_finite", np.nan),
        ([[np.nan, 1]], [[0, 0]], None, "non_finite", np.nan),
        ([[0, 0]], [[0, 0]], None, "empty_mask", np.nan),
    ],
)
def test_undefined_cases(cam, mask, region, status, chance):
    arguments = [np.array(x, float) for x in (cam, mask)]
    region = None if region is None else np.array(region, float)
    result = alignment(*arguments, region=region)
    assert result.status == status
    np.testing.assert_equal(result.chance, chance)
    for name in ("map", "enrichment", "skill", "relative", "coverage"):
        assert np.isnan(getattr(result, name)), name
    assert np.isnan(map_score(*arguments, region=region))


def test_no_room_to_measure_in():
    full = alignment(np.array([[1.0, 2.0]]), np.ones((1, 2), bool))
    assert (full.map, full.chance, full.status) == (1, 1, "ok")
    assert np.isnan(full.skill)
    assert np.isnan(full.relative)
    single = alignment(np.array([[2.0]]), np.array([[True, False, False]]))
    assert single.map == pytest.approx(1 / 3)
    assert np.isnan(single.relative)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_a_mask_alike_everywhere_leaves_no_room_whatever_the_rounding(share, rng):
    for size in [(13, 11), (29, 31), (57, 50)]:
        result = alignment(rng.random((5, 4)), np.full(size, share))
        assert result.map == pytest.approx(share)
        assert np.isnan(result.relative)


@given(grid_and_mask())
def test_ceiling_is_the_best_of_all_one_hot_cams(case):
    grid, mask = case
    ceiling = map_ceiling(mask, grid)
    if not mask.any():
        assert np.isnan(ceiling)
    else:
        assert ceiling == pytest.approx(reference_ceiling(mask, grid), abs=1e-12)
        assert alignment(np.ones(grid), mask).ceiling == ceiling


def test_ceiling_with_a_region(rng):
    mask, region = rng.random((20, 21)) < 0.3, rng.random((20, 21)) < 0.7
    expected = reference_ceiling(mask, (6, 5), region)
    assert map_ceiling(mask, (6, 5), region=region) == pytest.approx(expected, abs=1e-12)


def test_ceiling_of_a_ring_grows_with_the_grid():
    y, x = np.mgrid[:224, :224] - 111.5
    ring = np.abs(np.hypot(y, x) - 60) < 4
    ceilings = [map_ceiling(ring, (n, n)) for n in (7, 14, 28, 56, 224)]
    assert ceilings == sorted(ceilings)
    assert ceilings[0] < 0.4
    assert ceilings[-1] == 1


def test_curve_is_map_score_at_each_threshold(rng):
    cam, mask = rng.normal(size=(3, 5, 4)), rng.random((3, 9, 12)) < 0.4
    curve = map_curve(cam, mask, thresholds=[0, 0.2, 0.5, 1])
    assert curve.map.shape == curve.coverage.shape == (3, 4)
    for i, threshold in enumerate(curve.thresholds):
        scores = map_score(cam, mask, threshold=float(threshold))
        np.testing.assert_array_equal(curve.map[:, i], scores)
    np.testing.assert_allclose(curve.map[:, 0], mask.mean((1, 2)))
    np.testing.assert_array_equal(curve.coverage[:, 0], 1)
    assert (np.diff(curve.coverage, axis=1) <= 0).all()
    assert map_curve(cam, mask).thresholds.tolist() == np.linspace(0, 1, 21).tolist()


def test_curve_coverage_counted_by_hand():
    cam = np.array([[4.0, 3.0, 2.0, 1.0]])
    mask = np.array([[True, False, True, False]])
    curve = map_curve(cam, mask, thresholds=[0.25, 0.5, 0.75])
    assert curve.map.tolist() == [2 / 4, 2 / 3, 1 / 2]
    assert curve.coverage.tolist() == [1, 1, 0.5]


def test_curve_where_no_activated_pixel_is_in_the_region():
    cam = np.array([[4.0, 1.0]])
    curve = map_curve(
        cam, np.array([[True, True]]), region=np.array([[False, True]]), thresholds=[0.1, 0.9]
    )
    np.testing.assert_array_equal(curve.map, [1, np.nan])
    assert curve.status == "ok"


@pytest.mark.parametrize("with_region", [False, True])
def test_pooled_masks_give_the_same_scores(with_region, rng):
    cam, mask = rng.random((4, 7, 6)), rng.random((4, 50, 61)) < 0.2
    region = rng.random((4, 50, 61)) < 0.6 if with_region else None
    pooled = pool_mask(mask, (7, 6), region=region)
    assert pooled.mask.shape == (4, 7, 6)
    assert pooled.region.shape == ((4, 7, 6) if with_region else (7, 6))
    direct = alignment(cam, mask, region=region)
    via_pool = alignment(cam, pooled.mask, region=pooled.region)
    for name in SCORES[:-1]:
        np.testing.assert_allclose(getattr(via_pool, name), getattr(direct, name), atol=1e-12)


def test_pooling_keeps_an_invalid_sample_invalid():
    mask = np.zeros((2, 4, 4))
    mask[0, 0, 0], mask[1] = np.nan, 1
    pooled = pool_mask(mask, (2, 2))
    assert np.isnan(pooled.mask[0]).all()
    result = alignment(np.ones((2, 2, 2)), pooled.mask, region=pooled.region)
    assert result.status.tolist() == ["non_finite", "ok"]


def test_to_dict_is_plain_and_serialisable(rng):
    single = alignment(rng.random((3, 3)), rng.random((9, 9)) < 0.5).to_dict()
    batch = alignment(rng.random((2, 3, 3)), rng.random((2, 9, 9)) < 0.5).to_dict()
    assert json.loads(json.dumps(single)) == single
    assert json.loads(json.dumps(batch)) == batch
    assert isinstance(single["map"], float)
    assert len(batch["status"]) == 2
    assert batch["grid"] == [3, 3]
