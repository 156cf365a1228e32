"""Tests against chance: every move written out, exactness, and what random CAMs keep."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter

from membrane_xai import CamGrid, map_score, pool_mask, shift_null
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import combine_nulls, random_cam_null
from membrane_xai.statistics._surrogates import surrogates


def moves(cam):
    """Every shift of every rotation and flip, one by one, the CAM as it is first."""
    turned = [cam, cam[::-1], cam[:, ::-1], cam[::-1, ::-1]]
    turned += [x.T for x in turned] if cam.shape[0] == cam.shape[1] else []
    for x in turned:
        for dy in range(cam.shape[0]):
            for dx in range(cam.shape[1]):
                yield np.roll(x, (dy, dx), (0, 1))


def smooth(rng, count, side=7):
    """Return CAMs without edges: their law is that of every shift and turn of them."""
    noise = rng.normal(size=(count, side, side))
    maps = gaussian_filter(noise, (0, 1.2, 1.2), mode="wrap")
    return maps - maps.min(axis=(1, 2), keepdims=True)


@pytest.fixture
def rings(rng):
    """Return masks (40, 56, 56) with a few rings each."""
    y, x = np.mgrid[:56, :56]
    masks = np.zeros((40, 56, 56), bool)
    for mask in masks:
        for centre in rng.uniform(0, 56, (4, 2)):
            distance = np.hypot(y - centre[0], x - centre[1])
            mask |= (distance < 9) & (distance > 6)
    return masks


@pytest.mark.parametrize("shape", [(5, 5), (4, 6)])
@pytest.mark.parametrize("with_region", [False, True])
def test_equals_every_move_written_out(shape, with_region, rng):
    cam, mask = rng.normal(size=shape), rng.random((15, 18)) < 0.3
    region = np.arange(18) < np.full((15, 1), 9) if with_region else None
    scores = np.array([map_score(moved, mask, region=region) for moved in moves(cam)])
    null = scores[1:]
    result = shift_null(cam, mask, region=region)
    assert result.score == map_score(cam, mask, region=region)
    assert result.n_null == null.size
    assert result.p_value == (1 + np.sum(null >= scores[0] - 1e-12)) / (1 + null.size)
    assert result.null_mean == pytest.approx(null.mean(), abs=1e-12)
    assert result.z == pytest.approx((scores[0] - null.mean()) / null.std(), abs=1e-9)
    unturned = np.array([map_score(moved, mask, region=region) for moved in moves(cam)])
    unturned = unturned[1 : cam.size]
    alone = shift_null(cam, mask, region=region, rotations=False)
    assert (alone.n_null, alone.null_mean) == (cam.size - 1, pytest.approx(unturned.mean()))


def test_moves_out_of_the_region_do_not_count():
    cam, mask, region = np.zeros((3, 4, 4))
    cam[0, 0], region[:2], mask[0, :2] = 1, 1, 1
    result = shift_null(cam, mask, region=region)
    # 8 turns of a point by 16 shifts; half of these 128 leave the region, a quarter hit the mask.
    assert result.n_null == 63
    assert result.p_value == 16 / 64
    assert result.null_mean == pytest.approx(15 / 63)


def test_a_subset_of_the_moves(rng):
    cam, mask = smooth(rng, 1, 14)[0], rng.random((28, 28)) < 0.3
    whole, part = shift_null(cam, mask), shift_null(cam, mask, shifts=400, seed=3)
    assert (whole.n_null, part.n_null) == (8 * 196 - 1, 400)
    assert part.p_value == pytest.approx(whole.p_value, abs=0.08)
    assert part == shift_null(cam, mask, shifts=400, seed=3)
    assert part != shift_null(cam, mask, shifts=400, seed=4)


def test_the_p_value_is_exact_for_cams_without_edges(rng, rings):
    cams = smooth(rng, 400)
    result = shift_null(cams, np.concatenate([rings] * 10))
    assert stats.kstest(result.p_mid, "uniform").pvalue > 0.01
    assert 0.03 <= np.mean(result.p_value <= 0.05) <= 0.07
    assert abs(result.z.mean()) < 0.15


def test_the_p_values_of_one_cam_over_its_moves_are_all_ranks(rng):
    # A group: the p-values of all moved CAMs against one mask are 1/n, 2/n, ..., 1.
    cam, mask = rng.random((3, 4)), rng.random((3, 4)) < 0.4
    mask[0, 0] = True
    weights = mask + 1e-3 * rng.random((3, 4))  # no two moves tie
    found = [shift_null(moved, weights.clip(0, 1)).p_value for moved in moves(cam)]
    np.testing.assert_allclose(np.sort(found), np.arange(1, 49) / 48)


def test_a_cam_on_the_membrane_is_found(rng, rings):
    from membrane_xai import pool_mask

    planted = pool_mask(rings, (14, 14)).mask ** 3 + 0.02 * smooth(rng, 40, 14)
    for result in (shift_null(planted, rings), random_cam_null(planted, rings, draws=99)):
        assert np.all(result.p_value <= 0.01)
        assert np.all(result.z > 3)


@given(seed=st.integers(0, 999), factor=st.sampled_from([1e-3, 7.0, 1e4]))
@settings(max_examples=25)
def test_scaling_and_moving_both_change_nothing(seed, factor):
    rng = np.random.default_rng(seed)
    cam, mask = rng.random((5, 5)), rng.random((5, 5)) < 0.4
    result = shift_null(cam, mask)
    if result.status == "ok":
        scaled = shift_null(factor * cam, mask)
        turned = shift_null(np.rot90(cam), np.rot90(mask))
        shifted = shift_null(np.roll(cam, 2, 0), np.roll(mask, 2, 0))
        assert scaled.p_value == turned.p_value == shifted.p_value == result.p_value
        assert turned.z == pytest.approx(result.z, abs=1e-8, nan_ok=True)


@st.composite
def pairs_that_do_not_meet(draw):
    """A CAM of a few bright pixels and a mask of a few others."""
    shape = draw(st.tuples(st.integers(2, 14), st.integers(2, 14)))
    places = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))
    chosen = draw(st.lists(places, min_size=2, max_size=6, unique=True))
    split = draw(st.integers(1, len(chosen) - 1))
    cam, mask = np.zeros(shape), np.zeros(shape, bool)
    for place in chosen[:split]:
        cam[place] = draw(st.floats(1e-3, 1e3))
    for place in chosen[split:]:
        mask[place] = True
    return cam, mask


@given(
    pair=pairs_that_do_not_meet(),
    rotations=st.booleans(),
    shifts=st.sampled_from([None, 5]),
    narrow=st.booleans(),
    with_region=st.booleans(),
)
@settings(max_examples=150)
def test_a_cam_off_the_membrane_is_never_better_than_chance(
    pair, rotations, shifts, narrow, with_region
):
    cam, mask = pair
    region = (cam > 0) | mask if with_region else None
    cam = cam.astype(np.float32) if narrow else cam
    result = shift_null(cam, mask, region=region, rotations=rotations, shifts=shifts)
    if result.status == "ok" and result.n_null:
        assert result.score == 0
        assert result.p_value == 1
        assert 0.5 <= result.p_mid <= 1
        assert np.isnan(result.z) or result.z < 0


@given(seed=st.integers(0, 9999), weight=st.sampled_from([1e-12, 1e-9, 1e-6, 1.0]))
def test_ties_are_those_of_exact_arithmetic(seed, weight):
    """Whole numbers, so that float64 sums of the moves written out are exact."""
    rng = np.random.default_rng(seed)
    shape = (4, 4) if seed % 2 else (3, 5)
    cam = rng.integers(0, 3, shape) * 1.0
    cam.flat[0] = 2.0**30  # its share of everything else is as small as rounding
    mask = rng.random(shape) < 0.3
    mask.flat[1] = True
    scores = np.array([(moved * mask).sum() for moved in moves(cam)])
    result = shift_null(weight * cam, mask)
    assert result.p_value == np.mean(scores >= scores[0])
    assert result.p_mid == np.mean((scores > scores[0]) + 0.5 * (scores == scores[0]))


def test_where_no_move_meets_the_membrane_nothing_varies():
    cam, mask = np.zeros((2, 11, 11))
    cam[:2, :2], mask[8, 7] = [[0.1, 0.7], [0.3, 0.9]], 1
    result = shift_null(cam, mask, rotations=False, shifts=4, seed=1)
    assert (result.score, result.p_value, result.null_sd) == (0, 1, 0)
    assert np.isnan(result.z)


def test_surrogates_keep_values_and_spectrum(rng):
    cam = smooth(rng, 1, 16)[0] ** 2
    maps = surrogates(cam, 200, rng)
    np.testing.assert_array_equal(np.sort(maps.reshape(200, -1)), [np.sort(cam.ravel())] * 200)
    power = np.abs(np.fft.fft2(maps)) ** 2
    wanted = np.abs(np.fft.fft2(cam)) ** 2
    assert np.corrcoef(np.log(power.mean(0)).ravel(), np.log(wanted).ravel())[0, 1] > 0.9
    strong = wanted > 0.02 * wanted[wanted < wanted.max()].sum()
    np.testing.assert_allclose(power.mean(0)[strong], wanted[strong], rtol=0.25)
    shuffled = rng.permuted(maps.reshape(200, -1), axis=1).reshape(maps.shape)
    neighbours = [np.mean((x - np.roll(x, 1, -1)) ** 2) for x in (cam, maps, shuffled)]
    assert neighbours[1] == pytest.approx(neighbours[0], rel=0.1)
    assert neighbours[2] > 2 * neighbours[0]


def test_random_cams_are_right_as_often_as_they_say(rng, rings):
    result = random_cam_null(smooth(rng, 200), np.concatenate([rings] * 5), draws=99)
    assert stats.kstest(result.p_mid, "uniform").pvalue > 0.01
    assert 0.015 <= np.mean(result.p_value <= 0.05) <= 0.085


def test_random_cams_depend_on_the_cam_and_the_seed_alone(rng, rings):
    cams = smooth(rng, 3)
    batch = random_cam_null(cams, rings[:3], draws=50)
    turned = random_cam_null(cams[::-1], rings[2::-1], draws=50)
    np.testing.assert_array_equal(turned.null_mean, batch.null_mean[::-1])
    assert random_cam_null(cams[1], rings[1], draws=50).null_mean == batch.null_mean[1]
    assert random_cam_null(cams[1], rings[1], draws=50, seed=1).null_mean != batch.null_mean[1]
    # Nearly equal CAMs meet other random maps: p-values of a batch can be combined.
    near = random_cam_null(cams[1] * (1 + 1e-6 * rng.random((7, 7))), rings[1], draws=50)
    assert abs(near.null_mean - batch.null_mean[1]) > 0.01 * near.null_sd


@pytest.mark.parametrize("test", [shift_null, random_cam_null])
def test_undefined_samples_leave_their_batch_mates_alone(test, rng, rings):
    cams, masks = smooth(rng, 5), rings[:5].copy()
    cams[1], masks[2], cams[3, 0, 0], cams[4] = 0, False, np.nan, 1
    result = test(cams, masks)
    expected = ["ok", "no_activation", "empty_mask", "non_finite", "ok"]
    assert result.status.tolist() == expected
    assert np.isnan(result.p_value).tolist() == [False, True, True, True, False]
    assert (result.p_value[4], result.p_mid[4]) == (1, 0.5)  # flat
    assert np.isnan(result.z[4])
    alone = test(cams[0], masks[0])
    assert isinstance(alone.p_value, float)
    assert (alone.score, alone.p_value, alone.n_null) == (
        result.score[0], result.p_value[0], result.n_null[0],
    )  # fmt: skip


@pytest.mark.parametrize("test", [shift_null, random_cam_null])
def test_every_library_and_shared_maps(test, backend, rng, rings):
    cams = smooth(rng, 4)
    expected = test(cams, rings[0])
    result = test(backend.asarray(cams), backend.asarray(rings[0]))
    np.testing.assert_allclose(result.p_value, expected.p_value, atol=1e-12)
    one = test(cams[0], rings[:4])
    listed = test(list(cams), list(rings[:4]))
    assert one.p_value.shape == listed.p_value.shape == (4,)
    assert one.p_value[0] == listed.p_value[0] == expected.p_value[0]


# Combination.


def test_combination_equals_scipy_and_the_t_test(rng, rings):
    result = shift_null(smooth(rng, 12) + 0.1, rings[:12])
    for method in ("stouffer", "fisher"):
        combined = combine_nulls(result, method=method)
        expected = stats.combine_pvalues(result.p_mid, method=method)
        assert (combined.statistic, combined.p_value) == tuple(expected)
    codes = np.repeat(list("ABCD"), 3)
    scores = stats.norm.ppf(1 - result.p_mid).reshape(4, 3).mean(axis=1)
    clustered = combine_nulls(result, codes)
    expected = stats.ttest_1samp(scores, 0, alternative="greater")
    assert (clustered.statistic, clustered.p_value) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )
    assert (clustered.n, clustered.n_groups, clustered.clustered) == (12, 4, True)


def test_many_weak_signs_add_up_and_flat_cams_do_not_outvote_them(rng, rings):
    from membrane_xai import pool_mask

    cams = smooth(rng, 40) + 0.35 * pool_mask(rings, (7, 7)).mask
    cams[:5] = 1
    result = shift_null(cams, rings)
    assert np.median(result.p_value) > 0.01
    assert combine_nulls(result).p_value < 1e-3
    codes = np.arange(40) // 4
    assert combine_nulls(result, codes).p_value < 0.01
    nothing = combine_nulls(shift_null(cams[:2], rings[:2] & False))
    assert np.isnan(nothing.p_value)
    assert nothing.undefined == {"empty_mask": 2}


CAM, MASK = np.eye(4), np.eye(8) > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shift_null(CAM[0], MASK), "cam has shape (4,)"),
        (lambda: shift_null(CAM, MASK * 2.0), "mask has values from 0 to 2"),
        (lambda: shift_null(CAM, MASK, shifts=0), "shifts is 0; it takes a positive integer"),
        (lambda: shift_null(CAM, MASK, rotations=1), "rotations is 1; it takes a bool"),
        (lambda: shift_null(CAM, MASK, negative="drop"), "negative is 'drop'"),
        (lambda: shift_null(CAM, MASK, seed=0.5), "seed is 0.5"),
        (lambda: random_cam_null(CAM, MASK, draws=0), "draws is 0"),
        (lambda: combine_nulls(shift_null(CAM, MASK)), "result has p-values of shape ()"),
        (
            lambda: combine_nulls(shift_null(CAM[None], MASK), ["A"], method="fisher"),
            "method is 'fisher'; groups take 'stouffer'",
        ),
        (lambda: combine_nulls(shift_null(CAM[None], MASK), ["A", "B"]), "groups has 2 labels"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("null", [shift_null, random_cam_null])
def test_cells_that_lie_elsewhere(null, rng):
    """On a grid: as against the mask pooled onto it, and not as with half-pixel centres."""
    cams, masks = smooth(rng, 3), rng.random((3, 56, 56)) < 0.3
    region, grid = rng.random((56, 56)) < 0.8, CamGrid(8.0, 0.0, 56)
    found = null(cams, masks, region=region, grid=grid)
    pooled = pool_mask(masks, grid, region=np.broadcast_to(region, masks.shape))
    on_grid = null(cams, pooled.mask, region=pooled.region)
    np.testing.assert_allclose(found.score, map_score(cams, masks, region=region, grid=grid))
    np.testing.assert_allclose(found.score, on_grid.score)
    np.testing.assert_allclose(found.null_mean, on_grid.null_mean)
    assert np.abs(found.score - null(cams, masks, region=region).score).min() > 1e-6
