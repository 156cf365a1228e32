"""The ideal of a grid, the way toward it, and slivers of region."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from membrane_xai import alignment, map_ceiling, pool_mask
from membrane_xai.datasets import synthetic_her2


def test_ideal_counted_by_hand():
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = mask[1, 0] = mask[0, 2] = True  # cells with 3, 1, 0 and 0 of 4 pixels
    pooled = np.array([[3, 1], [0, 0]]) / 4
    result = alignment(np.array([[1.0, 0.0], [0.0, 0.0]]), pooled)
    assert result.chance == 1 / 4
    assert result.ideal == (9 + 1) / 16 / (4 / 4)
    assert result.toward_ideal == (3 / 4 - 1 / 4) / (
        10 / 16 - 1 / 4
    )  # it lights the best cell alone
    assert result.ceiling == 3 / 4


@pytest.mark.parametrize("score", ["1+", "2+", "3+"])
@pytest.mark.parametrize("tumour_share", [0.4, 1.0])
def test_the_exact_follower_is_at_one_on_every_tissue_and_grid(score, tumour_share):
    mask = synthetic_her2(score, size=448, mpp=0.5, seed=3, tumour_share=tumour_share).membrane
    for side in (7, 14, 28, 56):
        follower = pool_mask(mask, (side, side)).mask
        assert alignment(follower, mask).toward_ideal == pytest.approx(1, abs=1e-9)
        assert alignment(np.ones((side, side)), mask).toward_ideal == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_ideal_lies_between_chance_and_the_best_cell(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(5, 20), 17)) < 0.4
    mask[0, 0] = True
    result = alignment(np.ones((5, 4)), mask)
    assert result.chance - 1e-12 <= result.ideal <= result.ceiling + 1e-12


def test_maps_that_know_nothing_have_zero_on_average():
    rng = np.random.default_rng(0)
    fields = [synthetic_her2("2+", size=224, mpp=1.0, seed=i).membrane for i in range(10)]
    masks = np.stack([pool_mask(field, (7, 7)).mask for field in fields])[np.arange(500) % 10]
    maps = np.exp(ndimage.gaussian_filter(rng.normal(size=(500, 7, 7)), (0, 1.2, 1.2), mode="wrap"))
    assert abs(np.mean(alignment(maps, masks).toward_ideal)) < 0.05


def test_slivers_of_region_change_nothing():
    mask = synthetic_her2("3+", size=224, mpp=1.0, seed=1).membrane
    region = np.zeros((224, 224), bool)
    region[:128, :128] = True
    with_sliver = region.copy()
    rows, columns = np.nonzero(mask & ~region)
    with_sliver[rows[-1], columns[-1]] = True  # one pixel of membrane, alone in its cells
    plain, other = (
        alignment(pool_mask(mask, (7, 7), region=shown).mask, mask, region=shown)
        for shown in (region, with_sliver)
    )
    assert other.ceiling == plain.ceiling < 0.9
    assert other.toward_ideal == pytest.approx(plain.toward_ideal, abs=1e-9)


def test_a_region_smaller_than_a_quarter_of_a_cell_still_has_a_ceiling():
    mask, region = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    region[10:14, 10:14] = mask[10:12, 10:14] = True
    assert map_ceiling(mask, (2, 2), region=region) == pytest.approx(0.5)


def test_a_cell_without_region_is_zero_in_a_pooled_mask_and_scores_stay():
    rng = np.random.default_rng(0)
    mask, region = rng.random((56, 56)) < 0.2, np.zeros((56, 56), bool)
    region[:20, :20] = True
    cam = rng.random((1, 7, 7))
    pooled = pool_mask(mask, (7, 7), region=region)
    assert np.isfinite(pooled.mask).all()
    assert pooled.mask[6, 6] == pooled.region[6, 6] == 0
    direct, via_pool = (
        alignment(cam, mask, region=region),
        alignment(cam, pooled.mask, region=pooled.region),
    )
    assert via_pool.status.tolist() == ["ok"]
    np.testing.assert_allclose(via_pool.map, direct.map)
