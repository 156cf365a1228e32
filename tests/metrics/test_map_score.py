"""MAP itself: counted by hand, against other implementations, and its properties."""

import numpy as np
import pytest
from grids import fits
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import map_score as reference_map
from reference import quantus_scores, upsample

from membrane_xai import alignment, map_ceiling, map_score

SIDES = st.integers(1, 9)


@st.composite
def cam_and_mask(draw, min_value=0.0):
    h, w, rows, columns = (draw(SIDES) for _ in range(4))
    assume(fits((h, w), (rows, columns)))
    values = st.floats(min_value, 1e3, allow_subnormal=False).map(lambda v: round(v, 6))
    cam = draw(arrays(float, (h, w), elements=values))
    mask = draw(arrays(bool, (rows, columns)))
    return cam, mask


def test_counted_by_hand():
    cam = np.array([[1.0, 2.0, 0.0], [4.0, 1.0, 2.0]])
    mask = np.array([[1, 0, 1], [1, 0, 0]], bool)
    assert map_score(cam, mask) == 5 / 10


def test_counted_by_hand_when_the_mask_is_finer():
    # Two CAM pixels over four mask columns: U = [[1, 0], [3/4, 1/4], [1/4, 3/4], [0, 1]].
    cam = np.array([[1.0, 0.0]])
    mask = np.array([[False, True, True, False]])
    assert map_score(cam, mask) == (0.75 + 0.25) / (1 + 0.75 + 0.25)


def test_region_and_fractional_mask_counted_by_hand():
    cam = np.array([[1.0, 2.0], [3.0, 4.0]])
    mask = np.array([[0.5, 1.0], [0.0, 1.0]])
    region = np.array([[True, True], [True, False]])
    assert map_score(cam, mask, region=region) == (0.5 + 2) / (1 + 2 + 3)


def test_threshold_counted_by_hand():
    cam = np.array([[4.0, 2.0], [1.9, 0.0]])
    mask = np.array([[False, True], [True, True]])
    assert map_score(cam, mask, threshold=0.5) == 1 / 2
    assert map_score(cam, mask, threshold=0) == 3 / 4


@pytest.mark.parametrize(
    ("negative", "expected"), [("clip", 2 / 3), ("abs", (2 + 3) / (2 + 1 + 3))]
)
def test_negative_activation(negative, expected):
    cam = np.array([[2.0, 1.0, -3.0]])
    mask = np.array([[True, False, True]])
    assert map_score(cam, mask, negative=negative) == expected


SHAPES = [((7, 7), (224, 224)), ((7, 5), (23, 31)), ((14, 9), (15, 9)), ((12, 16), (5, 7))]


@pytest.mark.parametrize(("grid", "size"), [*SHAPES, ((1, 1), (6, 4)), ((3, 4), (3, 4))])
@pytest.mark.parametrize("with_region", [False, True])
def test_equals_map_of_the_cam_upsampled_by_torch(grid, size, with_region, rng):
    torch = pytest.importorskip("torch")
    cam = rng.random((4, *grid)) - 0.2 * (max(grid) > 1)
    mask = rng.random((4, *size))
    region = rng.random((4, *size)) < 0.7 if with_region else None
    up = torch.nn.functional.interpolate(
        torch.tensor(np.maximum(cam, 0))[:, None], size, mode="bilinear", align_corners=False
    )[:, 0].numpy()
    weight = np.ones(size) if region is None else region
    expected = (up * mask * weight).sum((1, 2)) / (up * weight).sum((1, 2))
    np.testing.assert_allclose(map_score(cam, mask, region=region), expected, rtol=0, atol=1e-12)


def test_equals_quantus_relevance_mass_accuracy(rng):
    cam, mask = rng.random((6, 19, 17)), rng.random((6, 19, 17)) < 0.3
    expected = quantus_scores("RelevanceMassAccuracy", cam, mask)
    np.testing.assert_allclose(map_score(cam, mask), expected, rtol=0, atol=1e-9)


def test_equals_quantus_attribution_localisation(rng):
    cam, mask = rng.normal(size=(6, 19, 17)), rng.random((6, 19, 17)) < 0.3
    expected = quantus_scores("AttributionLocalisation", cam, mask)
    scores = map_score(cam, mask, negative="abs")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)


@given(cam_and_mask(min_value=-1e3))
def test_equals_the_definition(pair):
    cam, mask = pair
    if mask.any() and upsample(np.maximum(cam, 0), mask.shape).any():
        assert map_score(cam, mask) == pytest.approx(reference_map(cam, mask), abs=1e-12)
    else:
        assert np.isnan(map_score(cam, mask))


@given(cam_and_mask(), st.floats(0, 1))
def test_threshold_equals_the_definition(pair, threshold):
    cam, mask = pair
    up = upsample(cam, mask.shape)
    near = np.abs(up - threshold * up.max()) < 1e-9 * max(up.max(), 1)
    if mask.any() and up.any() and not near[up != up.max()].any():  # rounding may decide there
        expected = reference_map(cam, mask, threshold=threshold)
        assert map_score(cam, mask, threshold=threshold) == pytest.approx(expected, abs=1e-12)


@given(cam_and_mask())
def test_bounded_by_ceiling_and_one(pair):
    cam, mask = pair
    score = map_score(cam, mask)
    ceiling = map_ceiling(mask, cam.shape)
    if not np.isnan(score):
        assert 0 <= score <= ceiling + 1e-12
        assert ceiling <= 1


@given(cam_and_mask(), st.sampled_from([1e-300, 1e-30, 0.3, 7.0, 1e30, 1e300]))
def test_scale_invariant(pair, scale):
    cam, mask = pair
    np.testing.assert_allclose(map_score(cam * scale, mask), map_score(cam, mask), atol=1e-12)


@given(cam_and_mask())
def test_complement_mask_gives_the_rest(pair):
    cam, mask = pair
    score, rest = map_score(cam, mask), map_score(cam, ~mask)
    if not (np.isnan(score) or np.isnan(rest)):
        assert score + rest == pytest.approx(1, abs=1e-12)


@given(cam_and_mask())
def test_flat_cam_scores_chance(pair):
    cam, mask = pair
    result = alignment(np.full(cam.shape, 0.3), mask)
    if mask.any():
        assert result.map == pytest.approx(mask.mean(), abs=1e-12)
        assert result.chance == pytest.approx(mask.mean(), abs=1e-15)


@given(cam_and_mask(), st.integers(0, 7))
def test_flips_and_transposition_change_nothing(pair, which):
    cam, mask = pair

    def turn(x):
        return np.rot90(x if which < 4 else x.T, which % 4)

    np.testing.assert_allclose(map_score(turn(cam), turn(mask)), map_score(cam, mask), atol=1e-12)


@pytest.mark.parametrize("grid", [(7, 5), (20, 30)])
def test_batch_equals_each_alone_also_beside_a_nan(grid, rng):
    cam = rng.random((6, *grid))
    mask = rng.random((6, 20, 30)) < 0.3
    cam[1, 2, 2], cam[2], mask[3], cam[4, 0, 0] = np.nan, 0, False, np.inf
    whole = alignment(cam, mask)
    assert whole.status.tolist() == [
        "ok", "non_finite", "no_activation", "empty_mask", "non_finite", "ok"
    ]  # fmt: skip
    for i in range(6):
        alone = alignment(cam[i], mask[i])
        assert alone.status == whole.status[i]
        for name in ("map", "chance", "ceiling", "relative", "coverage", "skill", "enrichment"):
            np.testing.assert_equal(getattr(whole, name)[i], getattr(alone, name))


def test_blocks_do_not_change_a_batch(rng, monkeypatch):
    cam, mask = rng.random((9, 6, 5)), rng.random((9, 6, 5)) < 0.4
    whole = map_score(cam, mask)
    monkeypatch.setattr("membrane_xai._backend.containers._NUMPY_BLOCK_BYTES", 2 * 8 * 30)
    assert map_score(cam, mask).tolist() == whole.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_sums_of_short_floats_neither_overflow_nor_drift(dtype, rng):
    cam = np.full((300, 300), 60000, dtype)
    mask = rng.random((300, 300)) < 0.2
    assert map_score(cam, mask) == pytest.approx(mask.mean(), rel=1e-7)
    cam = rng.random((1000, 1000)).astype(dtype)
    mask = rng.random((1000, 1000)) < 0.2
    exact = cam.astype(float)
    assert map_score(cam, mask) == pytest.approx((exact * mask).sum() / exact.sum(), rel=1e-6)


def test_the_largest_and_the_smallest_floats():
    mask = np.array([[True, False, False]])
    for dtype in (np.float32, np.float64):
        top, tiny = np.finfo(dtype).max, np.finfo(dtype).tiny
        assert map_score(np.array([[top, top, top]], dtype), mask) == pytest.approx(1 / 3)
        assert map_score(np.array([[tiny, tiny, 2 * tiny]], dtype), mask) == pytest.approx(1 / 4)


def test_subnormal_cams_lose_no_digits():
    mask = np.array([[0.25, 0.25]])
    for dtype in (np.float32, np.float64):
        least = np.finfo(dtype).smallest_subnormal
        assert map_score(np.full((1, 2), least, dtype), mask.astype(dtype)) == 0.25


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("side", [7, 100, 224])
def test_rounding_never_lifts_a_score_above_one(side, dtype, rounding, rng):
    cam = rng.random((20, side, side)).astype(dtype)
    scores = map_score(cam, np.ones((side, side), bool))
    assert (scores <= 1).all()
    assert (scores > 1 - rounding).all()


def test_integer_and_bool_cams(rng):
    cam = rng.integers(0, 256, (2, 5, 5), dtype=np.uint8)
    mask = rng.random((2, 5, 5)) < 0.5
    expected = (cam * mask).sum((1, 2)) / cam.sum((1, 2), dtype=float)
    np.testing.assert_allclose(map_score(cam, mask), expected, rtol=1e-12)
    assert map_score(mask[0], mask[0]) == 1.0


def test_a_shift_changes_the_score_and_the_result_says_what_was_scored():
    cam = np.array([[1.0, 2.0, 5.0]])
    mask = np.array([[False, False, True]])
    raw, shifted = alignment(cam, mask), alignment((cam - 1) / 4, mask)
    assert (raw.cam_min, raw.cam_max) == (1, 5)
    assert (shifted.cam_min, shifted.cam_max) == (0, 1)
    assert raw.map < shifted.map
