"""What all perturbations keep: bytes, memory, names, dtypes; and the arguments they refuse."""

import pickle

import numpy as np
import pytest
from perturbations import COMPOSED, EXACT, WARPS, every, warps

from membrane_xai import perturb
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    blur,
    illumination,
    illumination_jitter,
    jpeg,
    magnification,
    noise,
    rotation,
    stain_jitter,
    standard_perturbations,
    translation,
    zoom,
)


@every
def test_same_bytes_each_time_in_memory_of_their_own(one, rgb):
    before = rgb.copy()
    first, second = one.apply(rgb), one.apply(rgb)
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    assert first.flags.writeable
    assert not np.shares_memory(first, rgb)
    np.testing.assert_array_equal(rgb, before)


@every
def test_memory_layout_does_not_matter(one, rgb):
    view = rgb[::-2, ::-1]
    np.testing.assert_array_equal(one.apply(view), one.apply(view.copy()))
    cam = np.arange(48.0).reshape(6, 8)[::-2, ::-2]
    np.testing.assert_array_equal(one.restore(cam), one.restore(cam.copy()))


@every
def test_survives_pickling(one, rgb):
    again = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    assert again.name == one.name
    assert again.parameters == one.parameters
    np.testing.assert_array_equal(again.apply(rgb), one.apply(rgb))
    np.testing.assert_array_equal(again.valid((3, 5)), one.valid((3, 5)))


@every
def test_parameters_are_plain(one):
    def plain(value):
        if isinstance(value, dict):
            return all(type(key) is str and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return type(value) in (str, int, float, type(None))

    assert one.parameters
    assert plain(one.parameters)
    assert hash(one) is not None


@every
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros((4, 4), np.uint8), r"rgb has shape \(4, 4\); it takes \(H, W, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"rgb has shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
        (np.zeros((4, 4, 3)), "dtype float64; it takes uint8; multiply values in"),
        (np.zeros((4, 4, 3), np.int16), "dtype int16; it takes uint8$"),
        (np.zeros((4, 4, 3), bool), "dtype bool; it takes uint8$"),
    ],
)
def test_other_images_are_refused(one, bad, words):
    with pytest.raises(InvalidInputError, match=words):
        one.apply(bad)


@every
def test_cam_is_not_altered(one, rng):
    cam = rng.random((2, 6, 9))
    before = cam.copy()
    cam.flags.writeable = False
    restored = one.restore(cam)
    np.testing.assert_array_equal(cam, before)
    assert restored.shape[-2:] == one.valid((6, 9)).shape
    assert (restored[:, ~one.valid((6, 9))] == 0).all()
    for batch, single in zip(restored, cam, strict=True):
        np.testing.assert_array_equal(batch, one.restore(single))


@pytest.mark.parametrize("one", [*EXACT.values(), *WARPS.values(), *COMPOSED.values()])
def test_every_array_library(one, backend, rng):
    cam = rng.random((3, 4, 6)).astype(np.float32)
    restored = one.restore(backend.asarray(cam))
    assert backend.is_own(restored)
    np.testing.assert_allclose(backend.to_numpy(restored), one.restore(cam), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@every
def test_float_dtype_is_kept(one, dtype, rng):
    assert one.restore(rng.random((4, 4)).astype(dtype)).dtype == dtype


@warps
def test_integers_are_interpolated_as_floats(one):
    restored = one.restore([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert restored.dtype.kind == "f"
    np.testing.assert_allclose(restored, one.restore(np.arange(9.0).reshape(3, 3)), atol=1e-5)


@warps
def test_gradients_pass_through(one):
    torch = pytest.importorskip("torch")
    cam = torch.ones((3, 3), requires_grad=True)
    one.restore(cam).sum().backward()
    assert float(cam.grad.sum()) == pytest.approx(one.valid((3, 3)).sum(), abs=1e-5)


@pytest.mark.parametrize("one", [*EXACT.values(), *WARPS.values(), *COMPOSED.values()])
def test_a_cam_needs_two_axes(one):
    with pytest.raises(InvalidInputError, match=r"cam has shape \(3,\)"):
        one.restore(np.zeros(3))
    with pytest.raises(InvalidInputError, match="cam is empty"):
        one.restore(np.zeros((0, 3)))


@every
@pytest.mark.parametrize("grid", [(0, 3), (3,), 3, (2, 3, 4), (1.5, 2)])
def test_a_grid_is_two_positive_integers(one, grid):
    with pytest.raises(InvalidInputError, match="two positive integers"):
        one.valid(grid)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stain_jitter(0, seed=1), r"strength is 0; it takes a number in \(0, 1\)"),
        (lambda: stain_jitter(1.0, seed=1), "strength is 1.0"),
        (lambda: stain_jitter(np.nan, seed=1), "strength is nan"),
        (lambda: stain_jitter(seed=None), "seed is None; it takes a non-negative integer"),
        (lambda: stain_jitter(seed=-1), "seed is -1"),
        (lambda: stain_jitter(seed=True), "seed is True"),
        (lambda: noise(3, seed=1.5), "seed is 1.5"),
        (lambda: noise(-1, seed=1), "std is -1; it takes a non-negative number"),
        (lambda: noise(0, seed=1), "std is 0 and photons is None"),
        (
            lambda: noise(1, photons=10, seed=1),
            "photons is 10; it takes None or a number of at least 100",
        ),
        (lambda: illumination(0), "gain is 0; it takes a positive number"),
        (lambda: illumination("bright"), "gain is 'bright'"),
        (lambda: illumination(tint=(1, 1)), r"tint is \(1, 1\); it takes three positive numbers"),
        (lambda: illumination(tint="abc"), "tint is 'abc'"),
        (lambda: illumination(tint=1), "tint is 1"),
        (lambda: illumination(tint=(1, 0, 1)), "tint of green is 0"),
        (lambda: illumination_jitter(1, seed=1), r"gain is 1; it takes a number in \[0, 1\)"),
        (lambda: illumination_jitter(tint=-0.1, seed=1), "tint is -0.1"),
        (lambda: illumination_jitter(seed=None), "seed is None"),
        (lambda: blur(0, mpp=1), "sigma is 0; it takes a positive number, micrometres"),
        (lambda: blur(1, mpp=np.inf), "mpp is inf; .* micrometres per pixel"),
        (lambda: blur(1, mpp=True), "mpp is True"),
        (lambda: jpeg(0), r"quality is 0; it takes an integer in \[1, 100\]"),
        (lambda: jpeg(101), "quality is 101"),
        (lambda: jpeg(70.0), "quality is 70.0"),
        (lambda: magnification(from_mpp=0, to_mpp=1), "from_mpp is 0"),
        (lambda: magnification(from_mpp=1, to_mpp=1), r"to_mpp is 1; .* above from_mpp \(1\)"),
        (lambda: rotation(np.inf), "angle is inf; it takes a finite number, degrees"),
        (lambda: rotation(None), "angle is None"),
        (lambda: translation(1, 0), r"rows is 1; it takes a fraction .* \(-1, 1\)"),
        (lambda: translation(0, -3), "columns is -3"),
        (lambda: zoom(1), "factor is 1; it takes a finite number above 1"),
        (lambda: standard_perturbations(mpp=0), "mpp is 0"),
        (lambda: standard_perturbations(mpp=1, seed=-1), "seed is -1"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


def test_numpy_numbers_are_numbers():
    assert blur(np.float32(0.5), mpp=np.float64(0.5)).parameters["sigma_um"] == 0.5
    assert jpeg(np.int64(70)).parameters["quality"] == 70
    assert stain_jitter(seed=np.uint8(4)).parameters["seed"] == 4


def test_public_names():
    assert sorted(perturb.__all__) == perturb.__all__
    assert all(hasattr(perturb, name) for name in perturb.__all__)
