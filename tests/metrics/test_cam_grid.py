"""Cells that lie elsewhere than at half-pixel centres: CamGrid and the scores that take one."""

import json
import pickle

import numpy as np
import pytest
from grids import fits
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import map_score as reference_map_score
from reference import upsample as reference_upsample

from membrane_xai import (
    CamGrid,
    MapAccumulator,
    alignment,
    map_ceiling,
    map_curve,
    map_score,
    pixel_auc,
    pointing_game,
    pool_mask,
    rank_accuracy,
    topk_intersection,
)
from membrane_xai._backend.resample import pool, pooled_ones, upsample, upsampled_max
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import SCORES

RESNET = CamGrid(32, 0, 224)


@st.composite
def placed_cells(draw):
    """Cells, a grid that they fit, and the size of a mask of the same field."""
    cells, spacing, offset, size = [], [], [], []
    for _ in range(2):
        count = draw(st.integers(1, 6))
        step = draw(st.floats(1, 9))
        side = max(int(np.ceil(count * step)), 2)
        room = side - 1 - step * (count - 1)
        low, high = max(-step / 2, room - 1.4 * step), min(step, room + step / 2)
        cells.append(count)
        spacing.append(step)
        offset.append(draw(st.floats(min(low, high), high)))
        size.append(side)
    mask = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    assume(fits(cells, mask))
    return tuple(cells), CamGrid(spacing, offset, size), mask


def test_positions_counted_by_hand():
    cam = np.array([[0.0, 4.0]])
    grid = CamGrid((1, 4), 0, (1, 8))  # cells on pixels 0 and 4
    assert upsample(cam, (1, 8), grid).tolist() == [[0, 1, 2, 3, 4, 4, 4, 4]]
    assert pool(np.ones((1, 8)), (1, 2), grid).tolist() == [[2.5, 5.5]]
    mask = np.array([[0, 0, 0, 1, 1, 0, 0, 0]], bool)
    assert map_score(cam, mask, grid=grid) == 7 / 22
    assert map_score(cam, mask) != 7 / 22


def test_the_mask_may_have_another_size_than_the_grid():
    cam, mask = np.arange(49.0).reshape(7, 7), np.eye(448, dtype=bool)
    assert map_score(cam, mask, grid=RESNET) == map_score(cam, mask, grid=RESNET.scaled((448, 448)))


@given(placed_cells(), st.integers(0, 2**32 - 1))
def test_upsampling_equals_the_definition_and_pooling_is_its_adjoint(case, seed):
    cells, grid, size = case
    rng = np.random.default_rng(seed)
    cam, mask = rng.random(cells), rng.random(size)
    up = upsample(cam, size, grid)
    np.testing.assert_allclose(up, reference_upsample(cam, size, grid), atol=1e-12)
    assert upsampled_max(cam, size, grid) == pytest.approx(up.max(), abs=1e-12)
    assert (up * mask).sum() == pytest.approx((cam * pool(mask, cells, grid)).sum(), rel=1e-12)
    ones = pooled_ones(mask, size, cells, grid)
    np.testing.assert_allclose(ones, pool(np.ones(size), cells, grid), atol=1e-12)


@given(placed_cells(), st.integers(0, 2**32 - 1))
def test_map_equals_the_definition(case, seed):
    cells, grid, size = case
    rng = np.random.default_rng(seed)
    cam, mask, region = rng.random(cells), rng.random(size) < 0.5, rng.random(size)
    if (region * mask).sum() == 0:
        return
    expected = reference_map_score(cam, mask, region, grid=grid)
    assert map_score(cam, mask, region=region, grid=grid) == pytest.approx(expected, rel=1e-9)


@given(placed_cells())
def test_half_pixel_cells_change_no_bit(case):
    cells, _, size = case
    rng = np.random.default_rng(0)
    cam, mask = rng.random(cells), rng.random(size) < 0.5
    grid = CamGrid.half_pixel(cells, (224, 160))
    assert grid.for_cells(cells) is None
    np.testing.assert_array_equal(map_score(cam, mask, grid=grid), map_score(cam, mask))


def test_pooled_masks_ceiling_and_curve_take_the_grid(rng):
    cam, mask = rng.random((3, 7, 7)), rng.random((3, 224, 224)) < 0.2
    region = np.zeros((3, 224, 224), bool)
    region[:, :150, 20:] = True
    direct = alignment(cam, mask, region=region, grid=RESNET)
    pooled = pool_mask(mask, RESNET, region=region)
    via_pool = alignment(cam, pooled.mask, region=pooled.region)
    for name in SCORES[:-1]:
        np.testing.assert_allclose(getattr(via_pool, name), getattr(direct, name), atol=1e-12)
    np.testing.assert_array_equal(map_ceiling(mask, RESNET, region=region), direct.ceiling)
    curve = map_curve(cam, mask, thresholds=[0.5], region=region, grid=RESNET)
    expected = map_score(cam, mask, region=region, threshold=0.5, grid=RESNET)
    np.testing.assert_array_equal(curve.map[:, 0], expected)
    up = upsample(cam, (224, 224), RESNET)
    coverage = (up / up.max((1, 2), keepdims=True) * region * mask).sum((1, 2))
    np.testing.assert_allclose(direct.coverage, coverage / (region * mask).sum((1, 2)))


@pytest.mark.parametrize("score", [rank_accuracy, topk_intersection, pointing_game, pixel_auc])
def test_scores_of_order_take_the_grid(score, rng):
    cam, mask = rng.random((7, 7)), rng.random((48, 48)) < 0.4
    up = reference_upsample(cam, (48, 48), RESNET)
    assert score(cam, mask, grid=RESNET) == pytest.approx(score(up, mask), abs=1e-12)


def test_accumulators_take_the_grid(rng):
    cam, mask = rng.random((3, 7, 7)), rng.random((3, 48, 48)) < 0.4
    streamed = MapAccumulator().update(cam, mask, grid=RESNET).compute()
    assert streamed.toward_ideal == pytest.approx(
        alignment(cam, mask, grid=RESNET).toward_ideal.mean(), abs=1e-12
    )


def test_the_map_that_follows_the_mask_is_ideal_on_its_grid_alone(rng):
    mask = np.kron(rng.random((14, 14)) < 0.3, np.ones((16, 16), bool))
    follower = pool_mask(mask, RESNET).mask
    assert alignment(follower, mask, grid=RESNET).toward_ideal == pytest.approx(1, abs=1e-12)
    assert alignment(follower, mask).toward_ideal < 0.9


def test_result_tells_the_grid(rng):
    result = alignment(rng.random((7, 7)), rng.random((224, 224)) < 0.5, grid=RESNET)
    assert result.cam_grid is RESNET
    told = json.loads(json.dumps(result.to_dict()))["cam_grid"]
    assert told == "32,0,224"
    assert CamGrid.from_text(told) == RESNET
    assert pickle.loads(pickle.dumps(RESNET)) == RESNET  # noqa: S301
    assert alignment(np.ones((7, 7)), np.eye(7, dtype=bool)).cam_grid is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 224), "spacing is 0; it takes positive numbers of pixels"),
        ((32, np.nan, 224), "offset is nan; it takes finite numbers of pixels"),
        ((32, (0, 1, 2), 224), r"offset is \(0, 1, 2\); it takes finite numbers"),
        ((32, 0, 0), "size is 0; it takes whole numbers of pixels"),
        ((32, 0, 224.5), "size is 224.5; it takes whole numbers of pixels"),
        ((32, -17, 224), "offset is -17; .* within half a cell of an image of size 224"),
        ((32, "near", 224), "offset is 'near'; it takes finite numbers"),
    ],
)
def test_bad_grids(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        CamGrid(*arguments)


@pytest.mark.parametrize("cells", [(14, 14), (7, 9), (4, 7)])
def test_a_cam_of_other_cells_is_refused(cells):
    with pytest.raises(InvalidInputError, match=f"7x7 cells .* the CAM has {cells[0]}x{cells[1]}"):
        map_score(np.ones(cells), np.eye(224, dtype=bool), grid=RESNET)


def test_what_is_no_grid_is_refused():
    with pytest.raises(
        InvalidInputError, match=r"grid is \(7, 7\); it takes a membrane_xai.CamGrid"
    ):
        map_score(np.ones((7, 7)), np.eye(224, dtype=bool), grid=(7, 7))
