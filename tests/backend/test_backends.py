"""Every metric on every array library gives NumPy's numbers, in that library."""

import numpy as np
import pytest

import membrane_xai as mx

FUNCTIONS = {
    "map_score": lambda c, m, r: mx.map_score(c, m, region=r),
    "map_score_threshold": lambda c, m, r: mx.map_score(c, m, region=r, threshold=0.4),
    "map_score_abs": lambda c, m, r: mx.map_score(c, m, negative="abs"),
    "alignment_relative": lambda c, m, r: mx.alignment(c, m, region=r).relative,
    "alignment_coverage": lambda c, m, r: mx.alignment(c, m, region=r).coverage,
    "map_ceiling": lambda c, m, r: mx.map_ceiling(m, (5, 4), region=r),
    "map_curve": lambda c, m, r: mx.map_curve(c, m, thresholds=[0.2, 0.7]).map,
    "pool_mask": lambda c, m, r: mx.pool_mask(m, (5, 4), region=r).mask,
    "pool_mask_region": lambda c, m, r: mx.pool_mask(m, (5, 4)).region,
    "rank_accuracy": lambda c, m, r: mx.rank_accuracy(c, m, region=r),
    "topk_intersection": lambda c, m, r: mx.topk_intersection(c, m, region=r, k=9),
    "pointing_game": lambda c, m, r: mx.pointing_game(c, m, region=r),
    "pointing_game_tolerant": lambda c, m, r: mx.pointing_game(c, m, tolerance=2),
    "pixel_auc": lambda c, m, r: mx.pixel_auc(c, m, region=r),
    "ec_pearson": lambda c, m, r: mx.ec_score(c),
    "ec_spearman": lambda c, m, r: mx.ec_score(c, similarity="spearman"),
    "ec_cosine": lambda c, m, r: mx.ec_score(c, similarity="cosine", weights=[1, 2, 0, 1, 1]),
    "ec_ssim": lambda c, m, r: mx.ec_score(c, similarity="ssim", reference=1),
    "ec_soft_iou": lambda c, m, r: mx.ec_score(c, similarity="soft_iou"),
    "ec_topk_iou": lambda c, m, r: mx.ec_score(c, similarity="topk_iou"),
    "ec_groups": lambda c, m, r: mx.ec_score(c, groups=[0, 1, 0, 1, 0])[0],
    "pairwise_similarity": lambda c, m, r: mx.pairwise_similarity(c),
    "pairwise_ssim": lambda c, m, r: mx.pairwise_similarity(c, similarity="ssim"),
    "n_undefined": lambda c, m, r: mx.consistency(c).n_undefined,
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


@pytest.fixture
def inputs(rng):
    """Five CAMs of 5x4, one with a NaN and one without activation; masks and regions of 13x11."""
    cam = rng.integers(-3, 9, (5, 5, 4)) / 4
    cam[1, 0, 0], cam[3] = np.nan, 0
    return cam, rng.random((5, 13, 11)) < 0.4, rng.random((5, 13, 11)) < 0.8


@every_function
def test_equals_numpy_and_stays_in_its_library(name, backend, inputs):
    expected = np.asarray(FUNCTIONS[name](*inputs))
    result = FUNCTIONS[name](*(backend.asarray(x) for x in inputs))
    if not isinstance(result, float | int):
        assert backend.is_own(result), type(result)
        result = backend.to_numpy(result)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@every_function
def test_never_alters_its_input(name, backend, inputs):
    arrays = [backend.asarray(x.copy()) for x in inputs]
    FUNCTIONS[name](*arrays)
    for array, original in zip(arrays, inputs, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), original)


@every_function
def test_works_on_read_only_arrays_and_on_any_strides(name, inputs):
    expected = FUNCTIONS[name](*inputs)
    read_only = [np.asfortranarray(x) for x in inputs]
    for x in read_only:
        x.flags.writeable = False
    np.testing.assert_allclose(FUNCTIONS[name](*read_only), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["map_score", "rank_accuracy", "pixel_auc", "ec_pearson"])
def test_short_floats_score_close_to_float64(name, dtype, backend, inputs):
    if dtype == "float16" and backend.name == "array-api-strict":
        pytest.skip("the array API standard has no float16")
    cam, mask, region = inputs
    expected = np.asarray(FUNCTIONS[name](cam, mask, region))  # quarters are exact in float16
    result = FUNCTIONS[name](*(backend.asarray(x) for x in (cam.astype(dtype), mask, region)))
    result = result if isinstance(result, float) else backend.to_numpy(result)
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


def test_statuses_on_every_library(backend, inputs):
    cam, mask, region = (backend.asarray(x) for x in inputs)
    status = mx.alignment(cam, mask, region=region).status
    assert np.asarray(status).tolist() == ["ok", "non_finite", "ok", "no_activation", "ok"]
    assert np.asarray(mx.consistency(cam).status).item() == "ok"


def test_single_pairs_give_scalars(backend, inputs):
    cam, mask, _ = (backend.asarray(x[0]) for x in inputs)
    for score in (mx.map_score(cam, mask), mx.alignment(cam, mask).chance):
        if backend.name == "numpy":
            assert type(score) is float
        else:
            assert backend.is_own(score)
            assert score.ndim == 0


def test_numpy_masks_follow_the_cam(backend, inputs):
    cam, mask, region = inputs
    expected = mx.map_score(cam, mask, region=region)
    mask.flags.writeable = False
    result = mx.map_score(backend.asarray(cam), mask, region=region)
    assert backend.is_own(result)
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=0, atol=1e-12)


def test_jax_without_float64_gives_float32(inputs):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(False):
        cam, mask, _ = (jax.numpy.asarray(x) for x in inputs)
        result = mx.map_score(cam, mask)
        assert result.dtype == jax.numpy.float32
        np.testing.assert_allclose(result, mx.map_score(*inputs[:2]), rtol=0, atol=1e-6)


def test_torch_gradients_and_bfloat16(inputs):
    torch = pytest.importorskip("torch")
    cam, mask = torch.tensor(inputs[0][::2], requires_grad=True), torch.tensor(inputs[1][::2])
    result = mx.alignment(cam, mask)
    assert result.status.tolist() == ["ok"] * 3
    result.map.sum().backward()
    assert torch.isfinite(cam.grad).all()
    short = mx.map_score(cam.detach().to(torch.bfloat16), mask)
    np.testing.assert_allclose(short, result.map.detach(), atol=1e-6)
