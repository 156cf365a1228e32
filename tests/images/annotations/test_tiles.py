"""Tiles whose names say where on the slide they lie."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, box

from membrane_xai.annotations import Annotation, find_outlines, rasterize
from membrane_xai.annotations._tiles import Tile, bare_name, in_tile, lies_on_slide, tile_of
from membrane_xai.errors import InvalidInputError


@pytest.mark.parametrize(
    ("name", "expected", "slide"),
    [
        ("name [x=4000,y=4000,w=64,h=64]", (4000, 4000, 64, 64), "name"),
        ("a b.svs [d=2,x=4000,y=2000,w=128,h=96]", (4000, 2000, 128, 96), "a b.svs"),
        ("n [d=1.98471,x=0,y=0,w=1016,h=1016]", (0, 0, 1016, 1016), "n"),
        ("n [d=1,98471,x=0,y=512,w=1016,h=1016]", (0, 512, 1016, 1016), "n"),
        ("n [x=5,y=6,w=7,h=8,z=1,t=2]", (5, 6, 7, 8), "n"),
        ("n [x=5,y=6,w=7,h=8]-labelled", (5, 6, 7, 8), "n-labelled"),
        ("n[x=5, y=6, w=7, h=8]", (5, 6, 7, 8), "n"),
        ("n [x=-5,y=6,w=7,h=8]", (-5, 6, 7, 8), "n"),
        ("n", None, "n"),
        ("n [copy]", None, "n [copy]"),
        ("n [x=5,y=6]", None, "n [x=5,y=6]"),
        ("n [x=5,y=6,w=0,h=8]", None, "n [x=5,y=6,w=0,h=8]"),
    ],
)
def test_names(name, expected, slide):
    assert tile_of(name) == (None if expected is None else Tile(*expected))
    assert bare_name(name) == slide


TILE = Tile(4000, 2000, 128, 128)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([box(4010, 2010, 4030, 2030)], True),
        ([box(10, 10, 30, 30)], False),
        ([LineString([(4010, 2010), (4030, 2010)])], True),
        ([LineString([(10, 10), (10, 30)])], False),
        ([box(0, 0, 20_000, 20_000), box(4010, 2010, 4030, 2030)], True),
        ([box(0, 0, 20_000, 20_000)], True),
        ([box(3000, 1000, 4064, 2064)], True),  # half of it
        ([box(-20, -20, 20, 20)], False),
        ([box(9000, 9000, 9010, 9010)], False),  # nowhere: those of the tile, and outside it
        ([], False),
    ],
)
def test_coordinates_of_the_slide_are_told_from_those_of_the_tile(shapes, expected):
    found = [Annotation(one) for one in shapes]
    assert lies_on_slide(found, TILE, (64, 64)) == expected


def test_at_the_corner_of_the_slide_both_may_hold_all():
    corner = Tile(0, 0, 128, 128)
    assert lies_on_slide([Annotation(box(10, 10, 30, 30))], corner, (64, 64)) is None
    assert lies_on_slide([Annotation(box(10, 10, 30, 30))], Tile(0, 0, 64, 64), (64, 64)) is False
    assert lies_on_slide([Annotation(box(70, 70, 100, 100))], corner, (64, 64))


def test_what_surrounds_the_whole_tile_is_of_the_slide():
    tile = Tile(4000, 2000, 64, 64)
    assert lies_on_slide([Annotation(box(0, 0, 20_000, 20_000))], tile, (64, 64))
    assert not lies_on_slide([Annotation(box(-2, -2, 66, 66))], Tile(2, 2, 64, 64), (64, 64))


def test_neighbours_that_overlap_are_told_by_where_more_lies():
    neighbour = Tile(32, 0, 64, 64)
    assert not lies_on_slide([Annotation(box(0, 0, 60, 60))], neighbour, (64, 64))
    assert lies_on_slide([Annotation(box(40, 0, 96, 60))], neighbour, (64, 64))


@given(st.integers(-5000, 5000), st.integers(0, 9000), st.sampled_from([1, 2, 4, 1.5]))
def test_moved_outlines_are_the_window_of_the_slide(x, y, scale):
    shapes = [Annotation(box(x + 6, y + 3, x + 18, y + 24), "Membrane", "n", {"a": 1}, "7")]
    tile = Tile(x, y, 24 * scale, 36 * scale)
    [moved] = in_tile(shapes, tile, (36, 24), "tile")
    expected = rasterize(shapes, (36, 24), offset=(x, y), downsample=scale)
    np.testing.assert_array_equal(rasterize(moved, (36, 24), offset=(0, 0)), expected)
    assert moved.geometry.bounds == pytest.approx([6 / scale, 3 / scale, 18 / scale, 24 / scale])
    assert (moved.classification, moved.name, moved.properties, moved.id) == (
        "Membrane", "n", {"a": 1}, "7")  # fmt: skip


def test_a_tile_that_was_cut_afterwards_is_refused():
    shapes = [Annotation(box(4010, 2010, 4030, 2030))]
    words = r"tile\.geojson says that it is 128 x 128 pixels of the slide, and the image is 64 x 32"
    with pytest.raises(InvalidInputError, match=words):
        in_tile(shapes, TILE, (32, 64), "tile.geojson")
    [moved] = in_tile(shapes, Tile(4000, 2000, 1001, 1003), (501, 501), "rounded")
    assert shapely.get_num_coordinates(moved.geometry) == 5


def test_outlines_of_a_slide_are_those_of_its_tiles(tmp_path):
    tiles = [f"case/slide [x={x},y=0,w=64,h=64]" for x in (0, 64, 128)]
    (tmp_path / "case").mkdir()
    for name in ("case/slide", tiles[1], "stray"):
        (tmp_path / f"{name}.geojson").touch()
    found = find_outlines(tmp_path, [*tiles, "other [x=0,y=0,w=64,h=64]"])
    names = {name: path.name for name, path in found.items()}
    assert names == {
        tiles[0]: "slide.geojson",
        tiles[1]: "slide [x=64,y=0,w=64,h=64].geojson",
        tiles[2]: "slide.geojson",
    }
