"""EC between magnifications: mosaics by hand and pixel by pixel, what is undefined or refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_maps import luminance

from membrane_xai import CamGrid, magnification_consistency
from membrane_xai.errors import InvalidInputError, UndefinedScoreError
from membrane_xai.explanation_consistency._fields import (
    Placed,
    Side,
    Tiled,
    cell_edges,
    field_edges,
    mosaic,
    tiled,
)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 24, 40, 3), np.uint8)


# Counted by hand

ROW = Side(um=1.0, pixels=1, window=1, starts=(0,))


def test_a_mosaic_of_two_tiles():
    # Tiles of 4 pixels on 6 start at 0 and 2. Distances to their borders are 0.5, 1.5, 1.5, 0.5, so
    # of pixels 2 and 3, which both show, the first tile has 3/4 and 1/4. Cells are 2 pixels.
    side = Side(um=6.0, pixels=6, window=4, starts=(0, 2))
    first, second = np.array([[1.0, 10.0]]), np.array([[20.0, 7.0]])
    three = mosaic([first, second], Tiled(ROW, side, []), (1, 3))
    np.testing.assert_allclose(three, [[1, (10 + 20) / 2, 7]])
    two = mosaic([first, second], Tiled(ROW, side, []), (1, 2))
    np.testing.assert_allclose(two, [[(1 + 1 + 7.5 + 5) / 3, (2.5 + 15 + 7 + 7) / 3]])
    turned = mosaic([first.T, second.T], Tiled(side, ROW, []), (3, 1))
    np.testing.assert_allclose(turned, three.T)


def test_tiles_overlap_by_a_quarter_from_border_to_border():
    # 1024 pixels of 0.25 um are 256 um: at 10x 256 pixels in tiles of 224, at 20x 512, at 40x 1024.
    image = np.zeros((1024, 512, 3), np.uint8)
    ten, twenty, forty = (tiled(image, 0.25, m, 224) for m in (10, 20, 40))
    assert ten is None  # 128 pixels wide
    assert twenty.rows.starts == (0, 144, 288)
    assert twenty.columns.starts == (0, 32)
    assert forty.rows.starts == (0, 160, 320, 480, 640, 800)
    assert (forty.rows.um_per_pixel, twenty.rows.um_per_pixel) == (0.25, 0.5)
    assert twenty.rows.cell_um(7) == 16
    assert {tile.shape for tile in twenty.tiles} == {(224, 224, 3)}
    assert len(twenty.tiles) == 6


def test_cells_of_a_tile_fill_it():
    np.testing.assert_allclose(cell_edges(7, 224), np.arange(8) * 32)
    np.testing.assert_allclose(cell_edges(1, 5), [0, 5])
    np.testing.assert_allclose(cell_edges(4, 6), [0, 1.5, 3, 4.5, 6])


def test_registered_cells_reach_half_way_to_their_neighbours():
    # A ResNet's cells on 224 pixels are centred on pixels 0, 32, ..., 192, half a pixel after the
    # borders of these; half-way are 16.5, 48.5, ..., and the last cell goes on to 224.
    found = cell_edges(7, 224, Placed(32, 0))
    np.testing.assert_allclose(found, [0, 16.5, 48.5, 80.5, 112.5, 144.5, 176.5, 224])
    np.testing.assert_allclose(cell_edges(7, 224, Placed(32, 15.5)), np.arange(8) * 32)
    np.testing.assert_allclose(cell_edges(3, 6, Placed(2, 1.5)), [0, 3, 5, 6])
    np.testing.assert_allclose(cell_edges(1, 5, Placed(4, 0)), [0, 5])
    # They go on over a field of 260 pixels: 9 cells, the last on pixel 256.
    side = Side(um=260.0, pixels=260, window=224, starts=(0, 36))
    edges = field_edges(side, Placed(32, 0)) * 260
    np.testing.assert_allclose(edges, [0, *(16.5 + 32 * np.arange(8)), 260])


def test_a_mosaic_of_two_registered_tiles():
    # The tiles of above, with cells centred on pixels 0 and 2 of each: borders lie at 1.5, and for
    # the second tile at 3.5. Pixel 1 is half of each of the first's cells; of pixel 2 it has 3/4.
    side = Side(um=6.0, pixels=6, window=4, starts=(0, 2))
    seen = Tiled(ROW, side, [], CamGrid((1, 2), (0, 0), (1, 4)))
    first, second = np.array([[1.0, 10.0]]), np.array([[20.0, 7.0]])
    pixels = [1, 5.5, (3 * 10 + 20) / 4, (10 + 3 * (20 + 7) / 2) / 4, 7, 7]
    np.testing.assert_allclose(mosaic([first, second], seen, (1, 6)), [pixels])
    # On cells of the field with borders at 1.5 and 3.5
    edges = np.array([0, 1.5, 3.5, 6]) / 6
    inside = [1, (10 / 2 + pixels[2] + (10 + 3 * 20) / 8) / 2, ((10 + 3 * 7) / 8 + 14) / 2.5]
    np.testing.assert_allclose(mosaic([first, second], seen, (1, edges)), [inside])


def test_mosaics_are_compared_in_micrometres():
    # 10 um at 0.5, input 10 pixels: at 20x 3 x 3 tiles (5 um each), at 10x one of 10 um. Cells are
    # 1 pixel; so 10 x 10 cells of 1 um are compared, each of 2 x 2 pixels at 20x.
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), np.uint8)
    low = np.random.default_rng(1).random((10, 10))
    high = np.random.default_rng(2).random((20, 20))
    at = [(y, x) for y in (0, 5, 10) for x in (0, 5, 10)]
    answers = iter([low[None], np.stack([high[y : y + 10, x : x + 10] for y, x in at])])
    found = magnification_consistency(
        lambda rgb: next(answers), image, mpp=0.5, magnifications=(10, 20), window=10
    )
    expected = np.corrcoef(low.ravel(), high.reshape(10, 2, 10, 2).mean(axis=(1, 3)).ravel())[0, 1]
    assert found.similarity.item() == pytest.approx(expected)
    assert found.cells.tolist() == [[[10, 10]]]
    assert found.tiles.tolist() == [[[1, 1], [3, 3]]]
    assert found.input_um_per_pixel.tolist() == [[1.0, 0.5]]
    assert found.field_um.tolist() == [[10, 10]]
    assert (found.n_pairs.item(), found.n_undefined.item()) == (1, 0)


# Against the definition, pixel by pixel


def of_pixel(y, x, cam, rows, columns):
    """Return the cell of which a tile's pixel is a part."""
    return y * cam.shape[0] // rows.window, x * cam.shape[1] // columns.window


def written_out(cams, rows, columns, grid, cell_of=of_pixel):
    """Mean over each cell of a grid whose cells are whole pixels."""
    total, weight = np.zeros((2, rows.pixels, columns.pixels))
    places = itertools.product(rows.starts, columns.starts)
    for (top, left), cam in zip(places, cams, strict=True):
        for y, x in itertools.product(range(rows.window), range(columns.window)):
            w = min(y + 0.5, rows.window - y - 0.5) * min(x + 0.5, columns.window - x - 0.5)
            value = cam[cell_of(y, x, cam, rows, columns)]
            total[top + y, left + x] += w * value
            weight[top + y, left + x] += w
    blended = total / weight
    height, width = rows.pixels // grid[0], columns.pixels // grid[1]
    return blended.reshape(grid[0], height, grid[1], width).mean(axis=(1, 3))


@given(
    cells=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    grid=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 99),
)
def test_equals_the_definition_pixel_by_pixel(cells, strides, grid, more, seed):
    rng = np.random.default_rng(seed)
    window = cells[0] * strides[0]
    cells = (cells[0], next(n for n in (cells[1], 1) if window % n == 0))
    shape = [-(-(window + extra) // n) * n for extra, n in zip(more, grid, strict=True)]
    view = tiled(np.zeros((*shape, 3), np.uint8), 1.0, 10, window)
    cams = rng.random((len(view.tiles), *cells))
    expected = written_out(cams, view.rows, view.columns, grid)
    np.testing.assert_allclose(mosaic(list(cams), view, grid), expected)


@given(
    cells=st.integers(2, 4),
    stride=st.integers(2, 5),
    shifts=st.tuples(st.integers(-1, 1), st.integers(-1, 1)),
    more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    zoom=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_registered_pixel_is_of_the_cell_whose_centre_is_next(
    cells, stride, shifts, more, zoom, seed
):
    # Half-pixel centres moved by whole pixels: the borders of the cells are those of pixels.
    tile = cells * stride
    offsets = [(stride - 1) / 2 + shift for shift in shifts]
    grid = CamGrid(stride, offsets, tile).scaled((zoom * tile, zoom * tile))
    image = np.zeros((tile + more[0], tile + more[1], 3), np.uint8)
    view = tiled(image, 1.0, 10, tile, grid)
    cams = np.random.default_rng(seed).random((len(view.tiles), cells, cells))

    def nearest(y, x, *_):
        centers = [offset + stride * np.arange(cells) for offset in offsets]
        return tuple(np.abs(c - at).argmin() for c, at in zip(centers, (y, x), strict=True))

    pixels = (view.rows.pixels, view.columns.pixels)
    expected = written_out(cams, view.rows, view.columns, pixels, nearest)
    np.testing.assert_allclose(mosaic(list(cams), view, pixels), expected)


# Properties


@given(
    shape=st.tuples(st.integers(8, 24), st.integers(8, 24)),
    window=st.integers(2, 8),
    objective=st.sampled_from((10, 8, 7)),
    seed=st.integers(0, 99),
)
def test_tiles_of_a_pointwise_map_are_the_map_of_the_whole_field(shape, window, objective, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    cut = tiled(image, 1.0, objective, min(window, *(int(side * objective / 10) for side in shape)))
    whole = tiled(image, 1.0, objective, None)
    assert len(whole.tiles) == 1
    pixels = (cut.rows.pixels, cut.columns.pixels)
    for grid in (pixels, (1, 1), (3, 5)):
        found = mosaic([luminance(tile) for tile in cut.tiles], cut, grid)
        expected = mosaic([luminance(whole.tiles[0])], whole, grid)
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(
        mosaic([luminance(tile) for tile in cut.tiles], cut, pixels),
        luminance(whole.tiles[0]),
    )


@pytest.mark.parametrize("magnifications", [(10, 20, 40), (40, 10, 20)])
def test_order_of_magnifications_does_not_matter(magnifications, rng):
    image = rng.integers(0, 256, (1, 50, 70, 3), np.uint8)
    options = {"mpp": 0.25, "window": 10}
    expected = magnification_consistency(lambda rgb: luminance(rgb) ** 2, image, **options)
    found = magnification_consistency(
        lambda rgb: luminance(rgb) ** 2, image, magnifications=magnifications, **options
    )
    np.testing.assert_allclose(found.ec, expected.ec, atol=1e-12)


def test_a_pointwise_explainer_agrees_at_every_magnification(rng):
    # Blocks are 2 um, whole pixels of every objective, so means over areas are exact.
    blocks = rng.integers(0, 256, (2, 6, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    for window in ("any", 12, 5):
        found = magnification_consistency(luminance, blocks, mpp=0.25, window=window)
        assert found.pairs == ("10x-20x", "10x-40x", "20x-40x")
        np.testing.assert_allclose(found.similarity, 1, atol=1e-12)
        assert found.cells.tolist() == [[[12, 16], [12, 16], [24, 32]]] * 2
        assert found.mean == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_tiles_are_explained_by_the_batch(images, size):
    seen = []

    def explain(rgb, targets):
        seen.append(list(targets))
        return luminance(rgb) * np.array(targets)[:, None, None]

    options = {"mpp": 0.5, "magnifications": (10, 20), "window": 12, "targets": [4, 5, 6]}
    found = magnification_consistency(explain, images, batch_size=size, **options)
    shown, seen = seen, []
    alone = magnification_consistency(explain, images[1:2], **options | {"targets": [5]})
    assert found.tiles[1].tolist() == [[1, 2], [3, 5]]  # 12 x 20 and 24 x 40 pixels
    np.testing.assert_array_equal(found.similarity[1], alone.similarity[0])
    assert max(map(len, shown)) == size
    assert sorted(itertools.chain(*shown)) == [4] * 17 + [5] * 17 + [6] * 17


def test_every_array_library(backend, images):
    options = {"mpp": 0.25, "magnifications": (20, 40), "window": 10}
    wanted = magnification_consistency(luminance, images, **options)
    got = magnification_consistency(lambda rgb: backend.asarray(luminance(rgb)), images, **options)
    np.testing.assert_allclose(got.ec, wanted.ec, atol=1e-6)


def test_images_are_not_altered(images):
    images.flags.writeable = False
    magnification_consistency(luminance, images, mpp=0.5, magnifications=(10, 20), window=8)


# What the explainer is shown


def test_ten_times_is_one_micrometre_per_pixel():
    seen = []

    def explain(rgb):
        seen.append(rgb.shape[:3])
        return luminance(rgb)

    image = np.zeros((1, 80, 160, 3), np.uint8)
    magnification_consistency(explain, image, mpp=0.25, window="any")
    assert seen == [(1, 20, 40), (1, 40, 80), (1, 80, 160)]
    seen.clear()
    magnification_consistency(explain, image, mpp=0.25, window=20)
    assert seen[0] == (3, 20, 20)  # starts 0, 10, 20
    assert {shape[1:] for shape in seen} == {(20, 20)}


def test_a_scan_slightly_coarser_than_its_name_is_shown_as_it_is(images):
    seen = []

    def explain(rgb):
        seen.append(rgb)
        return luminance(rgb)

    found = magnification_consistency(
        explain, images, mpp=0.2525, magnifications=(40, 20), window="any"
    )
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_allclose(found.input_um_per_pixel[0], [0.2525, 0.505])


# Undefined


def test_fewer_than_25_common_cells_are_not_compared():
    def four(rgb):
        return np.random.default_rng(len(rgb)).random((len(rgb), 4, 4))

    def five(rgb):
        return np.random.default_rng(len(rgb)).random((len(rgb), 5, 5))

    image = np.zeros((1, 64, 64, 3), np.uint8)
    options = {"mpp": 0.25, "magnifications": (10, 40), "window": 16}
    found = magnification_consistency(four, image, **options)
    assert found.cells.tolist() == [[[4, 4]]]
    assert found.status.tolist() == [["few_cells"]]
    assert np.isnan(found.ec).all()
    assert np.isnan(found.similarity).all()
    assert (found.n_pairs.item(), found.n_undefined.item()) == (0, 1)
    with pytest.raises(UndefinedScoreError, match=r"10x-40x \(few_cells\)"):
        magnification_consistency(four, image, on_undefined="raise", **options)
    assert magnification_consistency(five, image, **options).status.tolist() == [["ok"]]


def test_a_field_smaller_than_a_tile_is_not_compared_and_its_neighbours_are(images):
    seen = []

    def explain(rgb):
        seen.append(len(rgb))
        return luminance(rgb)

    small = images[0][:20]  # 5 um, of which 10x shows 5 pixels
    options = {"mpp": 0.25, "magnifications": (10, 20, 40), "window": 6}
    found = magnification_consistency(explain, [small, images[1], small[:10]], **options)
    words = ["small_field", "small_field", "ok"]
    assert found.status.tolist() == [words, ["ok"] * 3, ["small_field"] * 3]
    assert np.isnan(found.similarity).tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert found.n_pairs.tolist() == [1, 3, 0]
    assert found.n_undefined.tolist() == [2, 0, 3]
    assert found.ec[0] == found.similarity[0, 2]
    assert found.tiles[0].tolist() == [[0, 0], [2, 5], [5, 9]]
    assert found.tiles[2].tolist() == [[0, 0]] * 3  # 40x alone is nothing to compare
    assert sum(seen) == found.tiles.prod(axis=-1).sum()
    np.testing.assert_allclose(found.input_um_per_pixel, [[1, 0.5, 0.25]] * 3)


def test_flat_mosaics_have_a_status():
    image = np.zeros((1, 64, 64, 3), np.uint8)
    found = magnification_consistency(luminance, image, mpp=0.25, window=16)
    assert found.status.tolist() == [["flat_map"] * 3]
    bad = magnification_consistency(lambda rgb: luminance(rgb) * np.nan, image, mpp=0.25, window=16)
    assert bad.status.tolist() == [["non_finite"] * 3]


# Table and arguments


def test_magnification_table(images):
    options = {"mpp": 0.25, "magnifications": (10, 40), "window": 6}
    found = magnification_consistency(luminance, images, **options)
    row = found.table()[1]
    assert row == {
        "image": 1, "pair": "10x-40x", "similarity": found.ec[1], "cells": "6x10", "status": "ok",
        "field_rows_um": 6, "field_columns_um": 10, "first_um_per_pixel": 1,
        "second_um_per_pixel": 0.25, "first_tiles": "1x2", "second_tiles": "5x9", "ec": found.ec[1],
    }  # fmt: skip


IMAGE = np.zeros((1, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mpp": 0}, "mpp is 0; it takes a positive number"),
        ({"mpp": 0.5}, r"magnifications has 40, which is 0.25 um per pixel, .* up to 22"),
        ({"magnifications": (10,)}, r"\(10,\); it takes two or more different"),
        ({"magnifications": (10, 10)}, "two or more different"),
        ({"magnifications": (10, -1)}, "two or more different numbers above 0"),
        ({"magnifications": 10}, "magnifications is 10"),
        ({"magnifications": (10, 40, 44)}, "has 40 and 44, .* show at 0.25 um per pixel both"),
        ({"magnifications": (10, 10.1)}, "has 10 and 10.1, .* show at 0.99 um per pixel both"),
        ({"window": 0}, "window is 0; it takes a positive integer, pixels, or 'any'"),
        ({"window": "all"}, "window is 'all'; it takes a positive integer, pixels, or 'any'"),
        ({"window": True}, "window is True; it takes a positive integer"),
        ({"on_undefined": 1}, "on_undefined is 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"targets": [1, 2]}, "targets has 2 values for 1 images"),
    ],
)
def test_magnifications_that_do_not_fit(options, words):
    with pytest.raises(InvalidInputError, match=words):
        magnification_consistency(luminance, IMAGE, **{"mpp": 0.25, "window": 1, **options})
