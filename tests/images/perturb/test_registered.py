"""The way back of maps whose cells do not lie at half-pixel centres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perturbations import EXACT, PHOTOMETRIC, WARPS

from membrane_xai import CamGrid
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    Perturbation,
    compose,
    horizontal_flip,
    restore_registered,
    rotation,
    translation,
    vertical_flip,
)

RESNET = CamGrid(32, 0, 224)


def ramp(grid, place):
    """Return a map whose cells hold a linear function of where `place` says that they look."""
    rows, columns = np.meshgrid(*(np.arange(n) for n in grid.cells), indexing="ij")
    down = grid.offset[0] + grid.spacing[0] * rows
    right = grid.offset[1] + grid.spacing[1] * columns
    down, right = place(down, right, grid.size)
    return 3.0 * down - 2.0 * right


def turned_back(down, right, size, degrees=10):
    """Return where places of a view, turned counter-clockwise, were before."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    y, x = down - (size[0] - 1) / 2, right - (size[1] - 1) / 2
    return cosine * y + sine * x + (size[0] - 1) / 2, cosine * x - sine * y + (size[1] - 1) / 2


def test_the_cells_of_a_flipped_resnet_lie_one_pixel_before_those_of_the_image():
    cam = np.random.default_rng(0).random((7, 7))
    back, valid = restore_registered(horizontal_flip(), cam, RESNET)
    # Cell i of the image, at 32 i, is at 223 - 32 i of the flipped one: 31/32 of the way from its
    # cell 6 - i to cell 7 - i.
    assert not valid[:, 0].any()
    assert valid[:, 1:].all()
    assert not back[:, 0].any()
    expected = (cam[:, 5::-1] + 31 * cam[:, 6:0:-1]) / 32
    np.testing.assert_allclose(back[:, 1:], expected, rtol=1e-12)
    # With cell i at 32 i + 31, the last one is 31/32 of a cell before the flipped image's first.
    _, valid = restore_registered(horizontal_flip(), cam, CamGrid(32, 31, 224))
    assert valid.all(axis=0).tolist() == [True] * 6 + [False]
    # At 32 i + 12.5, the first one is 3/16 of a cell beyond its last: that still counts.
    assert restore_registered(horizontal_flip(), cam, CamGrid(32, 12.5, 224))[1].all()


@pytest.mark.parametrize(
    ("step", "place"),
    [
        (horizontal_flip(), lambda y, x, size: (y, size[1] - 1 - x)),
        (vertical_flip(), lambda y, x, size: (size[0] - 1 - y, x)),
        # Counter-clockwise by a quarter: row y of the view was column W - 1 - y of the image.
        (rotation(90), lambda y, x, size: (x, size[1] - 1 - y)),
        (rotation(180), lambda y, x, size: (size[0] - 1 - y, size[1] - 1 - x)),
        (rotation(10), turned_back),
        (translation(0, 0.25), lambda y, x, size: (y, x - 0.25 * size[1])),
        (
            compose(horizontal_flip(), rotation(90)),
            lambda y, x, size: (x, y),
        ),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
@pytest.mark.parametrize("offset", [0, 12.5, 31])
def test_a_linear_map_comes_back_to_where_its_cells_lie(step, place, offset):
    grid = CamGrid(32, offset, 224)
    seen = ramp(grid, place)
    back, valid = restore_registered(step, seen, grid)
    places = np.arange(7) * 32 + offset
    # Beyond the outer cells' centres values go on unchanged; between them they are exact.
    inner = (
        valid
        & (places >= 32)[:, None]
        & (places >= 32)
        & (places <= 191)
        & (places[:, None] <= 191)
    )
    assert inner.sum() >= 12
    truth = ramp(grid, lambda y, x, _: (y, x))
    np.testing.assert_allclose(back[inner], truth[inner], atol=0.05)  # pixels times 3


@pytest.mark.parametrize("grid", [CamGrid(32, 0, 225), CamGrid(10 / 3, 1 / 3, 25)])
@pytest.mark.parametrize("step", EXACT.values(), ids=EXACT)
def test_on_a_symmetric_grid_flips_and_quarter_turns_are_exact(step, grid):
    cam = np.random.default_rng(0).random((2, 8, 8)).astype(np.float32)
    back, valid = restore_registered(step, cam, grid)
    assert valid.all()
    np.testing.assert_array_equal(back, step.restore(cam))


@pytest.mark.parametrize("step", [*EXACT.values(), *WARPS.values()], ids=[*EXACT, *WARPS])
def test_half_pixel_centres_change_no_bit(step):
    cam = np.random.default_rng(0).random((7, 7))
    back, valid = restore_registered(step, cam, CamGrid.half_pixel((7, 7), (224, 224)))
    np.testing.assert_array_equal(back, step.restore(cam))
    np.testing.assert_array_equal(valid, step.valid((7, 7)))


@pytest.mark.parametrize("step", PHOTOMETRIC.values(), ids=PHOTOMETRIC)
def test_what_moves_nothing_is_given_back_as_it_is(step):
    cam = np.random.default_rng(0).random((7, 7))
    cam[3, 3] = np.nan  # and its neighbours do not mix with it
    back, valid = restore_registered(step, cam, RESNET)
    np.testing.assert_array_equal(back, cam)
    assert valid.all()


def test_a_perturbation_of_ones_own_needs_nothing_more():
    mine = Perturbation("mirror", lambda rgb: rgb[:, ::-1].copy(), lambda cam: cam[..., ::-1])
    cam = np.random.default_rng(0).random((7, 7))
    for found, expected in zip(
        restore_registered(mine, cam, RESNET),
        restore_registered(horizontal_flip(), cam, RESNET),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_what_a_view_does_not_show_stays_invalid():
    there_and_back = compose(translation(0, 0.5), translation(0, -0.5))
    _, valid = restore_registered(there_and_back, np.ones((7, 7)), RESNET)
    assert valid[:, :4].all()  # up to pixel 111
    assert not valid[:, 4:].any()
    up_and_down = compose(translation(0.5, 0), translation(-0.5, 0))
    for step, axis in ((there_and_back, 0), (up_and_down, 1)):
        _, valid = restore_registered(step, np.ones((7, 7)), CamGrid(32, 15, 224))
        assert valid.all(axis=axis).tolist() == [True] * 4 + [False] * 3  # a cell on pixel 111


def test_a_view_that_moves_nothing_may_show_a_part():
    def left(shape):
        return np.broadcast_to(np.arange(shape[1]) < 0.4 * shape[1], shape)

    part = Perturbation("left", lambda rgb: rgb, lambda cam: cam, left)
    _, valid = restore_registered(part, np.ones((7, 7)), CamGrid(32, 31, 224))
    assert valid.all(axis=0).tolist() == [True] * 2 + [False] * 5  # cells on pixels 31 and 63 of 89


def test_a_cell_beyond_the_last_pixel_s_centre():
    grid = CamGrid(32, 31.4, 224)
    seen = ramp(grid, lambda y, x, size: (y, x + 0.25 * size[1]))
    back, valid = restore_registered(translation(0, -0.25), seen, grid)
    truth = ramp(grid, lambda y, x, _: (y, x))
    assert valid[:, 6].all()
    np.testing.assert_allclose(back[:, 6], truth[:, 6], atol=1e-6)


def test_quarter_turns_of_a_field_that_is_not_square():
    grid = CamGrid(32, 0, (97, 193))
    truth = ramp(grid, lambda y, x, _: (y, x))
    turned = np.rot90(truth)
    back, valid = restore_registered(rotation(90), turned, grid, cells=(4, 7))
    assert valid.all()
    np.testing.assert_array_equal(back, truth)


def test_rows_and_columns_have_spacings_and_offsets_of_their_own():
    grid = CamGrid((32, 16), (5, 14), (224, 112))
    truth = ramp(grid, lambda y, x, _: (y, x))
    for step, place, missing in (
        (horizontal_flip(), lambda y, x, size: (y, size[1] - 1 - x), np.s_[:, 6]),
        (vertical_flip(), lambda y, x, size: (size[0] - 1 - y, x), np.s_[0]),
    ):
        back, valid = restore_registered(step, ramp(grid, place), grid)
        np.testing.assert_allclose(back[1:-1, 1:-1], truth[1:-1, 1:-1], rtol=1e-12)
        expected = np.ones((7, 7), bool)
        expected[missing] = False
        np.testing.assert_array_equal(valid, expected)


def test_quarter_turns_for_a_network_of_one_size_keep_its_cells():
    grid = CamGrid((16, 32), 0, (97, 193))  # 7x7 cells of any field
    seen = ramp(grid.scaled((193, 97)), lambda y, x, size: (x, size[0] - 1 - y))
    back, _ = restore_registered(rotation(90), seen, grid)
    truth = ramp(grid, lambda y, x, _: (y, x))
    np.testing.assert_allclose(back[1:-1, 1:-1], truth[1:-1, 1:-1], atol=1e-6)


@given(shift=st.floats(-15.5, 15.5), seed=st.integers(0, 99))
def test_twice_back_is_the_map_where_both_saw_it(shift, seed):
    grid = CamGrid(32, 15.5 + shift, 224)
    cells = (7, 7)
    rows = np.linspace(0, 1, 7)
    cam = np.outer(rows, rows[::-1]) + seed  # smooth, so that interpolation is exact in each axis
    once, seen = restore_registered(horizontal_flip(), cam, grid, cells=cells)
    twice, again = restore_registered(horizontal_flip(), once, grid, cells=cells)
    inner = np.zeros(cells, bool)
    inner[:, 2:5] = True
    assert (seen & again)[inner].all()
    np.testing.assert_allclose(twice[inner], cam[inner], atol=1e-9)


def test_errors_name_the_argument():
    cam = np.ones((7, 7))
    with pytest.raises(InvalidInputError, match=r"grid is None; it takes a membrane_xai\.CamGrid"):
        restore_registered(horizontal_flip(), cam, None)
    with pytest.raises(InvalidInputError, match="perturbation is 'flip'; it takes a Perturbation"):
        restore_registered("flip", cam, RESNET)
    with pytest.raises(InvalidInputError, match="grid has room for 7x7 cells"):
        restore_registered(horizontal_flip(), np.ones((9, 9)), RESNET)
    half = CamGrid.half_pixel((4, 4), (64, 64))
    with pytest.raises(InvalidInputError, match="grid has room for 4x4 cells"):
        restore_registered(horizontal_flip(), np.ones((2, 2)), half, cells=(4, 4))
