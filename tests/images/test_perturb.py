"""Perturbations: what they do to images, and the CAM's way back."""

import io
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage
from skimage import filters, transform

from membrane_xai import ec_score, perturb
from membrane_xai.datasets import ihc_sample
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    Perturbation,
    blur,
    compose,
    horizontal_flip,
    illumination,
    illumination_jitter,
    jpeg,
    magnification,
    noise,
    rotation,
    stain_jitter,
    standard_perturbations,
    translation,
    vertical_flip,
    zoom,
)
from membrane_xai.stain import HDAB

PHOTOMETRIC = {
    "stain_jitter": stain_jitter(0.2, seed=5),
    "illumination": illumination(0.9, tint=(1.1, 1, 0.95)),
    "illumination_jitter": illumination_jitter(seed=5),
    "blur": blur(0.4, mpp=0.5),
    "noise": noise(4, photons=800, seed=5),
    "jpeg": jpeg(60),
    "magnification": magnification(from_mpp=0.25, to_mpp=0.6),
}
EXACT = {
    "horizontal_flip": horizontal_flip(),
    "vertical_flip": vertical_flip(),
    **{f"rotation{angle}": rotation(angle) for angle in (-450, -90, 0, 90, 180, 270, 360.0)},
}
WARPS = {
    "rotation17": rotation(17.5),
    "rotation-60": rotation(-60),
    "translation": translation(0.125, -0.3),
    "zoom": zoom(1.6),
}
COMPOSED = {
    "flip+rotation": compose(horizontal_flip(), rotation(30)),
    "turn+shift": compose(rotation(90), translation(0.25, 0.125)),
    "shift+turn": compose(translation(0.25, 0.125), rotation(90), blur(0.5, mpp=0.5)),
}
ALL = {**PHOTOMETRIC, **EXACT, **WARPS, **COMPOSED}

every = pytest.mark.parametrize("one", ALL.values(), ids=ALL)
exact = pytest.mark.parametrize("one", EXACT.values(), ids=EXACT)
warps = pytest.mark.parametrize("one", WARPS.values(), ids=WARPS)
images = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@pytest.fixture(scope="module")
def rgb():
    crop = ihc_sample().rgb[100:164, 200:296].copy()
    crop.flags.writeable = False
    return crop


# What all of them keep


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


# Stains


@pytest.mark.parametrize(("row", "stain"), [(0, "hematoxylin"), (1, "dab")])
def test_stain_jitter_multiplies_optical_density(row, stain):
    one = stain_jitter(0.3, seed=11)
    vector = HDAB[row] / np.linalg.norm(HDAB[row])
    rgb = np.full((20, 20, 3), 240, np.uint8)
    rgb[:10] = np.rint(240 * 10 ** (-0.4 * vector))
    expected = 240 * 10 ** (-0.4 * one.parameters[stain] * vector)
    np.testing.assert_allclose(one.apply(rgb)[:10], np.broadcast_to(expected, (10, 20, 3)), atol=1)
    assert (one.apply(rgb)[10:] == 240).all()


@pytest.mark.parametrize("seed", range(20))
def test_draws_stay_in_their_limits(seed):
    stains = stain_jitter(0.1, seed=seed).parameters
    light = illumination_jitter(0.05, tint=0.02, seed=seed).parameters
    assert all(abs(stains[name] - 1) <= 0.1 for name in ("hematoxylin", "dab"))
    assert abs(light["gain"] - 1) <= 0.05
    assert np.abs(np.array(light["tint"]) - 1).max() <= 0.02
    assert len({*light["tint"], light["gain"]}) == 4


# Light


def test_illumination_counted_by_hand():
    rgb = np.array([[[100, 200, 0], [255, 10, 3]]], np.uint8)
    changed = illumination(1.5, tint=(1, 0.5, 0.5)).apply(rgb)
    assert changed.tolist() == [[[150, 150, 0], [255, 8, 2]]]  # 7.5 to even, 2.25 down


def test_illumination_jitter_is_the_illumination_that_it_names(rgb):
    one = illumination_jitter(seed=8)
    same = illumination(one.parameters["gain"], tint=one.parameters["tint"])
    np.testing.assert_array_equal(one.apply(rgb), same.apply(rgb))


# Blur


@pytest.mark.parametrize(("sigma", "mpp"), [(0.5, 0.5), (0.5, 0.25), (2, 0.4)])
def test_blur_equals_scikit_image(rgb, sigma, mpp):
    expected = filters.gaussian(
        rgb.astype(float), sigma / mpp, mode="nearest", preserve_range=True, channel_axis=-1
    )
    np.testing.assert_array_equal(blur(sigma, mpp=mpp).apply(rgb), np.rint(expected))


def test_blur_has_the_width_it_says():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    profile = blur(0.75, mpp=0.5).apply(point)[..., 0].sum(axis=0).astype(float)
    variance = (profile * (np.arange(41) - 20) ** 2).sum() / profile.sum()
    assert math.sqrt(variance) * 0.5 == pytest.approx(0.75, rel=0.05)


# Noise


def test_noise_has_the_size_it_says():
    grey = np.full((200, 200, 3), 100, np.uint8)
    noisy = noise(6, seed=2).apply(grey).astype(float) - 100
    assert noisy.mean() == pytest.approx(0, abs=0.1)
    assert noisy.std() == pytest.approx(math.sqrt(36 + 1 / 12), rel=0.02)  # 1/12: rounding
    assert abs(np.corrcoef(noisy.reshape(-1, 3).T)[0, 1]) < 0.02


@pytest.mark.parametrize("value", [30, 120, 200])
def test_photon_noise_is_that_of_poisson_counts(value, rng):
    grey = np.full((200, 200, 3), value, np.uint8)
    noisy = noise(0, photons=1000, seed=2).apply(grey).astype(float)
    counted = np.rint(rng.poisson(value / 255 * 1000, grey.shape) * 255 / 1000)
    assert noisy.mean() == pytest.approx(counted.mean(), abs=0.1)
    assert noisy.std() == pytest.approx(counted.std(), rel=0.02)


def test_noise_depends_on_seed_and_shape_only():
    one = noise(5, seed=9)
    dark, light = (np.full((30, 20, 3), value, np.uint8) for value in (90, 150))
    assert (one.apply(light) - one.apply(dark) == 60).all()
    assert (one.apply(dark) != noise(5, seed=10).apply(dark)).any()
    assert (one.apply(dark).reshape(20, 30, 3) == one.apply(dark.reshape(20, 30, 3))).all()


def test_noise_is_clipped_not_wrapped():
    ends = np.zeros((50, 50, 3), np.uint8)
    ends[25:] = 255
    noisy = noise(10, seed=1).apply(ends)
    assert noisy[:25].max() < 100
    assert noisy[25:].min() > 150


# JPEG


@pytest.mark.parametrize("quality", [1, 50, 95, 100])
def test_jpeg_equals_pillow(rgb, quality):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="jpeg", quality=quality, subsampling=2)  # 2: 4:2:0
    expected = np.asarray(Image.open(file))
    np.testing.assert_array_equal(jpeg(quality).apply(rgb), expected)


def test_lower_quality_changes_more(rgb):
    errors = [np.square(jpeg(q).apply(rgb).astype(float) - rgb).mean() for q in (95, 70, 30, 5)]
    assert errors == sorted(errors)
    assert errors[0] > 0


# Magnification


def test_coarse_pixels_are_means_of_their_area():
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:2, :2] = [[[40], [80]], [[120], [160]]]  # mean 100
    coarse = magnification(from_mpp=0.5, to_mpp=2).apply(rgb)
    assert (coarse == 25).all()  # one pixel is left
    halved = magnification(from_mpp=0.5, to_mpp=1).apply(rgb)
    small = Image.fromarray(np.array([[100, 0], [0, 0]], np.uint8))
    expected = np.asarray(small.resize((4, 4), Image.Resampling.BICUBIC))
    assert (halved == expected[..., None]).all()


def test_magnification_agrees_with_scikit_image(rgb):
    means = transform.downscale_local_mean(rgb.astype(float), (4, 4, 1))
    back = transform.resize(means, rgb.shape, order=1, mode="edge")
    coarse = magnification(from_mpp=0.25, to_mpp=1).apply(rgb).astype(float)
    assert np.corrcoef(coarse.ravel(), back.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("to_mpp", [0.5, 0.83, 2, 100])
def test_magnification_keeps_field_and_shape(to_mpp):
    ramp = np.broadcast_to(np.linspace(10, 250, 96)[None, :, None], (64, 96, 3)).astype(np.uint8)
    coarse = magnification(from_mpp=0.25, to_mpp=to_mpp).apply(ramp)
    assert coarse.shape == ramp.shape
    assert coarse.mean() == pytest.approx(ramp.mean(), abs=1)
    if to_mpp < 1:  # nothing has moved
        middle = slice(8, -8)
        np.testing.assert_allclose(coarse[:, middle].astype(int), ramp[:, middle], atol=2)


# Flips and quarter turns


@exact
@given(images)
def test_exact_ones_undo_themselves(one, image):
    np.testing.assert_array_equal(one.restore(one.apply(image)[..., 1]), image[..., 1])
    valid = one.valid(one.apply(image).shape[:2])
    assert valid.shape == image.shape[:2]
    assert valid.all()


def test_rotation_is_counter_clockwise():
    rgb = np.repeat(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None], 3, axis=2)
    assert rotation(90).apply(rgb)[..., 0].tolist() == [[3, 6], [2, 5], [1, 4]]
    assert rotation(180).apply(rgb)[..., 0].tolist() == [[6, 5, 4], [3, 2, 1]]
    assert rotation(-90).apply(rgb)[..., 0].tolist() == [[4, 1], [5, 2], [6, 3]]
    assert rotation(90).restore([[3, 6], [2, 5], [1, 4]]).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_nearly_a_quarter_turn_is_nearly_exact(angle, rng):
    image = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    cam = rng.random((9, 9))
    exactly, nearly = rotation(angle), rotation(angle + 1e-7)
    np.testing.assert_array_equal(nearly.apply(image), exactly.apply(image))
    np.testing.assert_allclose(nearly.restore(cam), exactly.restore(cam), atol=1e-6)


# Warps


@pytest.mark.parametrize("angle", [17.5, -60, 133])
def test_rotation_of_images_equals_scipy(rgb, angle):
    # SciPy turns counter-clockwise in (row, column) seen with rows going down, as we do.
    options = {"reshape": False, "order": 3, "mode": "nearest", "output": float}
    expected = np.clip(np.rint(ndimage.rotate(rgb, angle, axes=(1, 0), **options)), 0, 255)
    shown = _lands_inside(rgb.shape[:2], _turn_by(-angle))
    turned = rotation(angle).apply(rgb)
    np.testing.assert_allclose(turned[shown], expected[shown], atol=1)
    assert (turned[shown] == expected[shown]).mean() > 0.999


@pytest.mark.parametrize("angle", [17.5, -60, 133])
def test_rotation_of_cams_equals_scikit_image(angle, rng):
    cam = rng.random((12, 12))
    one = rotation(angle)
    expected = transform.rotate(cam, -angle, order=1, mode="edge")
    valid = one.valid(cam.shape)
    np.testing.assert_allclose(one.restore(cam)[valid], expected[valid], atol=1e-9)


@warps
def test_cams_are_interpolated_as_scipy_does(one, rng):
    cam = rng.random((7, 7))
    positions = {
        "rotation (17.5 degrees)": _turn_by(17.5),
        "rotation (-60 degrees)": _turn_by(-60),
        "translation (0.125 down, -0.3 right)": lambda r, c: (r + 0.125 * 7, c - 0.3 * 7),
        "zoom (x1.6)": lambda r, c: (1.6 * r, 1.6 * c),
    }[one.name]
    rows, columns = np.mgrid[:7, :7] - 3.0
    at = np.array(positions(rows, columns)) + 3.0
    expected = ndimage.map_coordinates(cam, at, order=1, mode="nearest")
    valid = one.valid((7, 7))
    np.testing.assert_allclose(one.restore(cam)[valid], expected[valid], atol=1e-8)


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (5, 8), (16, 9)])
@pytest.mark.parametrize("angle", [17.5, -60, 45, 170])
def test_valid_region_by_brute_force(grid, angle):
    expected = _lands_inside(grid, _turn_by(angle))
    np.testing.assert_array_equal(rotation(angle).valid(grid), expected)


@pytest.mark.parametrize(
    ("one", "moved"),
    [
        (translation(0.5, 0), lambda r, c, h, w: (r + 0.5 * h, c)),
        (translation(-0.3, 0.26), lambda r, c, h, w: (r - 0.3 * h, c + 0.26 * w)),
        (zoom(1.6), lambda r, c, h, w: (1.6 * r, 1.6 * c)),
        (zoom(3), lambda r, c, h, w: (3 * r, 3 * c)),
    ],
)
@pytest.mark.parametrize("grid", [(4, 4), (5, 8), (16, 9)])
def test_valid_region_of_shift_and_zoom_by_brute_force(one, moved, grid):
    expected = _lands_inside(grid, lambda r, c: moved(r, c, *grid))
    np.testing.assert_array_equal(one.valid(grid), expected)


@pytest.mark.parametrize("grid", [(1, 1), (7, 7), (30, 30)])
@warps
def test_a_flat_cam_stays_flat(one, grid):
    restored = one.restore(np.full(grid, 0.1))
    assert set(np.unique(restored[one.valid(grid)])) <= {0.1}


@pytest.mark.parametrize("one", [*WARPS.values(), COMPOSED["flip+rotation"]], ids=lambda x: x.name)
def test_a_smooth_cam_comes_back(one):
    """The image is a smooth field; its grey values, read as a CAM, must return to their places."""
    rows, columns = np.mgrid[:128, :128] / 128
    field = 128 + 60 * np.sin(5 * rows + 1) * np.cos(4 * columns)
    image = np.repeat(np.rint(field).astype(np.uint8)[..., None], 3, axis=2)
    back = one.restore(one.apply(image)[..., 0].astype(float))
    core = ndimage.binary_erosion(one.valid((128, 128)), iterations=2)  # apart from the filling
    core[[0, 1, -2, -1], :] = core[:, [0, 1, -2, -1]] = False
    assert core.mean() > 0.3
    np.testing.assert_allclose(back[core], field[core], atol=1.2)  # 2 x 0.5 of rounding


@pytest.mark.parametrize("one", WARPS.values(), ids=WARPS)
def test_a_coarse_cam_is_registered_with_its_image(one):
    """A field that is linear in position is met exactly on every grid, away from the border."""
    size, cells = 96, 12
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size
    image = np.repeat((60 + 80 * rows + 60 * columns)[..., None], 3, axis=2)
    shown = one.apply(np.rint(image).astype(np.uint8))[..., 0].astype(float)
    cam = shown.reshape(cells, 8, cells, 8).mean(axis=(1, 3))
    expected = image[..., 0].reshape(cells, 8, cells, 8).mean(axis=(1, 3))
    core = ndimage.binary_erosion(one.valid((cells, cells)), iterations=2)
    assert core.sum() >= 9
    np.testing.assert_allclose(one.restore(cam)[core], expected[core], atol=1)


def test_whole_pixels_are_moved_exactly(rng):
    image = rng.integers(0, 120, (7, 30, 3), dtype=np.uint8)
    image[:4, :8] = (200, 210, 205)  # glass
    one = translation(2 / 7, -11 / 30)
    moved = one.apply(image)
    np.testing.assert_array_equal(moved[2:, :19], image[:5, 11:])
    assert (moved[:2] == (200, 210, 205)).all()
    assert (moved[:, 19:] == (200, 210, 205)).all()
    cam = rng.random((7, 30))
    np.testing.assert_array_equal(one.restore(cam)[:5, 11:], cam[2:, :19])
    assert one.valid((7, 30)).sum() == 5 * 19


@pytest.mark.parametrize("side", [3, 7, 30, 49, 224])
def test_whole_cells_are_met_exactly_whatever_the_fraction_rounds_to(side, rng):
    cam = rng.random((1, side))
    for cells in range(1, side):
        one = translation(0, cells / side)
        np.testing.assert_array_equal(one.restore(cam)[:, : side - cells], cam[:, cells:])
        half = translation(0, (cells - 0.5) / side)  # a centre on the border is inside
        assert half.valid((1, side)).sum() == side - cells + 1


def test_a_rotation_is_filled_with_glass():
    image = np.full((40, 60, 3), (181, 179, 176), np.uint8)
    image[10:30, 10:50] = (120, 80, 40)
    corners = rotation(45).apply(image)[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == (181, 179, 176)).all()


def test_zoom_shows_the_centre():
    rows, columns = np.mgrid[:32, :24]
    image = np.stack([4 * rows, 4 * columns, 4 * columns], axis=-1).astype(np.uint8)
    enlarged = zoom(2).apply(image).astype(float)
    # A pixel centre at i + 0.5 shows what was at 8 + (i + 0.5) / 2 (columns: 6 + ...).
    np.testing.assert_allclose(enlarged[:, 0, 0], 4 * (7.5 + (np.arange(32) + 0.5) / 2), atol=0.6)
    np.testing.assert_allclose(enlarged[0, :, 1], 4 * (5.5 + (np.arange(24) + 0.5) / 2), atol=0.6)


def test_zoom_covers_the_central_cells():
    cam = np.arange(16.0).reshape(4, 4)
    restored = zoom(2).restore(cam)
    assert zoom(2).valid((4, 4)).astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 0],
    ]
    assert restored[1:3, 1:3].tolist() == [[2.5, 4.5], [10.5, 12.5]]  # means of 2 x 2


# Composition


def test_composition_applies_in_order_and_restores_in_reverse(rgb, rng):
    first, second = rotation(90), translation(0.25, 0.125)
    both = compose(first, second)
    np.testing.assert_array_equal(both.apply(rgb), second.apply(first.apply(rgb)))
    cam = rng.random((8, 12))
    valid = both.valid((8, 12))
    expected = first.restore(second.restore(cam))
    np.testing.assert_array_equal(both.restore(cam), np.where(valid, expected, 0))
    np.testing.assert_array_equal(valid, first.restore(second.valid((8, 12)).astype(int)) == 1)
    assert valid.shape == (12, 8)


def test_undefined_cells_do_not_leak_through_a_composition():
    both = compose(rotation(30), translation(0.25, 0))
    restored = both.restore(np.ones((16, 16)))
    valid = both.valid((16, 16))
    assert 0 < valid.sum() < rotation(30).valid((16, 16)).sum()
    assert (restored[valid] == 1).all()
    assert (restored[~valid] == 0).all()


def test_photometric_steps_change_no_cam(rng):
    cam = rng.random((5, 5))
    assert compose(blur(0.5, mpp=0.5), jpeg(50)).restore(cam) is cam


def test_composition_names_its_steps():
    both = compose(jpeg(50), horizontal_flip())
    assert both.name == "JPEG (quality 50), then horizontal flip"
    assert both.parameters["steps"] == [
        {"name": one.name, **one.parameters} for one in (jpeg(50), horizontal_flip())
    ]


@pytest.mark.parametrize("bad", [(), (jpeg,), (jpeg(50), "flip")])
def test_composition_of_something_else(bad):
    with pytest.raises(InvalidInputError, match="perturbations"):
        compose(*bad)


def test_own_perturbations_need_no_valid_region():
    own = Perturbation("original", lambda image: image, lambda cam: cam)
    assert own.valid((2, 3)).tolist() == [[True] * 3] * 2
    assert own.parameters == {}
    assert compose(own, horizontal_flip()).restore(np.array([[1, 2]])).tolist() == [[2, 1]]


# The standard set


def test_standard_set_is_what_it_documents():
    ones = standard_perturbations(mpp=0.25, seed=3)
    assert [one.parameters["perturbation"] for one in ones] == [
        "stain jitter",
        "stain jitter",
        "illumination jitter",
        "blur",
        "noise",
        "JPEG",
        "horizontal flip",
        "rotation",
    ]
    assert all(one.valid((7, 5)).all() for one in ones)
    assert ones[3].parameters == {"perturbation": "blur", "sigma_um": 0.5, "mpp": 0.25}


def test_standard_sets_of_two_seeds_share_no_draw(rgb):
    first, again, other = (standard_perturbations(mpp=0.5, seed=seed) for seed in (0, 0, 1))
    assert [one.parameters for one in first] == [one.parameters for one in again]
    seeds = [one.parameters["seed"] for one in (*first, *other) if "seed" in one.parameters]
    assert len(set(seeds)) == len(seeds) == 8
    assert len({one.name for one in first}) == 8
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.apply(rgb), same.apply(rgb))


def test_a_model_that_sees_the_stain_is_consistent(rgb):
    """The darkness of blocks, a stand-in for a CAM, survives the standard set."""

    def explain(image):
        blocks = 255.0 - image.mean(axis=2)
        return blocks.reshape(blocks.shape[0] // 8, 8, -1, 8).mean(axis=(1, 3))

    ones = standard_perturbations(mpp=0.5)
    cams = np.stack([explain(rgb), *(one.restore(explain(one.apply(rgb))) for one in ones)])
    assert ec_score(cams) > 0.98
    unrestored = np.stack([explain(rgb), explain(horizontal_flip().apply(rgb))])
    assert ec_score(unrestored) < 0.9


# Arguments


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


def _turn_by(angle):
    """Rotate (row, column) from the centre counter-clockwise: a column goes to minus a row."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return lambda r, c: (cosine * r - sine * c, sine * r + cosine * c)


def _lands_inside(grid, move):
    """Tell, cell by cell, whether its centre lands in the field."""
    height, width = grid
    found = np.zeros(grid, bool)
    for i in range(height):
        for j in range(width):
            row, column = move(i - (height - 1) / 2, j - (width - 1) / 2)
            found[i, j] = abs(row) <= height / 2 + 1e-6 and abs(column) <= width / 2 + 1e-6
    return found
