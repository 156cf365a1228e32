"""Flips, turns and warps of images, and the CAM's way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from perturbations import COMPOSED, WARPS, exact, lands_inside, turn_by, warps
from scipy import ndimage
from skimage import transform

from membrane_xai.perturb import rotation, translation, zoom

images = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


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


@pytest.mark.parametrize("angle", [17.5, -60, 133])
def test_rotation_of_images_equals_scipy(rgb, angle):
    # SciPy turns counter-clockwise in (row, column) seen with rows going down, as we do.
    options = {"reshape": False, "order": 3, "mode": "nearest", "output": float}
    expected = np.clip(np.rint(ndimage.rotate(rgb, angle, axes=(1, 0), **options)), 0, 255)
    shown = lands_inside(rgb.shape[:2], turn_by(-angle))
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
        "rotation (17.5 degrees)": turn_by(17.5),
        "rotation (-60 degrees)": turn_by(-60),
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
    expected = lands_inside(grid, turn_by(angle))
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
    expected = lands_inside(grid, lambda r, c: moved(r, c, *grid))
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
