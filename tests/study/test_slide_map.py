"""Slides: tiles against the mask of the whole, QuPath's file, stops."""

import json

import numpy as np
import pytest
import tifffile
from tiff_files import scanned_by_leica

from membrane_xai import CamGrid, alignment, extract_membrane_mask, read_annotations
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide
from membrane_xai.slide_map import slide_map

MPP, TILE = 0.5, 128
GLASS = 240


def darkness(rgb):
    return 255.0 - rgb[:, ::16, ::16].mean(axis=-1)


@pytest.fixture(scope="module")
def pixels():
    """Tissue on the left, glass on the right; the last row and column of tiles are cut."""
    whole = np.full((300, 600, 3), GLASS, np.uint8)
    whole[:256, :256] = synthetic_her2("3+", size=256, mpp=MPP, seed=3).rgb
    return whole


@pytest.fixture(scope="module")
def slide(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb")
    return path


def test_tiles_are_scored_against_the_mask_of_the_whole(slide, pixels):
    found = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP)
    background = np.full(3, GLASS)
    whole = extract_membrane_mask(pixels, mpp=MPP, background=background)
    assert found.dimensions == (600, 300)
    assert [(row["x"], row["y"]) for row in found.result.rows] == [
        (0, 0), (128, 0), (0, 128), (128, 128)]  # fmt: skip
    grid = found.grid("map")
    assert grid.shape == (3, 5)
    assert np.isnan(grid[2]).all()
    assert np.isnan(grid[:, 2:]).all()
    for row in found.result.rows:
        at = np.s_[row["y"] : row["y"] + TILE, row["x"] : row["x"] + TILE]
        expected = alignment(darkness(pixels[at][None])[0], whole.mask[at], region=whole.tissue[at])
        assert row["map"] == pytest.approx(expected.map, abs=0.01)
        assert row["mask_share"] == pytest.approx(whole.mask[at].mean(), abs=0.01)
        assert grid[row["y"] // TILE, row["x"] // TILE] == row["map"]


def test_tiles_of_a_slide_with_bounds_have_the_coordinates_of_qupath(pixels, tmp_path):
    pytest.importorskip("openslide")
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, pixels, tile=(128, 128), photometric="rgb")
    expected = slide_map(plain, {"dark": darkness}, tile=TILE, mpp=0.25)
    path = scanned_by_leica(tmp_path / "a.scn", pixels, corner=(800, 400))
    found = slide_map(path, {"dark": darkness}, tile=TILE)
    assert found.dimensions == (600, 300)
    assert np.array_equal(found.grid("map"), expected.grid("map"), equal_nan=True)
    squares = read_annotations(found.write_geojson(tmp_path / "a.geojson"))
    corners = [(row["x"], row["y"]) for row in expected.result.rows]
    assert (0, 0) in corners
    assert [one.geometry.bounds[:2] for one in squares] == corners


def test_tiles_are_scored_on_the_grid_that_is_given(slide):
    grid = CamGrid(16, 0, TILE)
    found = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP, grid=grid).result.rows
    plain = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP).result.rows
    assert {row["cam_grid"] for row in found} == {"16,0,128"}
    assert {row["cell_um"] for row in found} == {16 * MPP} == {row["cell_um"] for row in plain}
    assert all(abs(a["map"] - b["map"]) > 1e-3 for a, b in zip(found, plain, strict=True))


def test_only_tissue_counts(tmp_path):
    rgb = synthetic_her2("3+", size=256, mpp=MPP, seed=2).rgb  # half of its first tile is glass
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, rgb, tile=(128, 128), photometric="rgb")
    row = slide_map(path, {"dark": darkness}, tile=TILE, mpp=MPP).result.rows[0]
    whole = extract_membrane_mask(rgb, mpp=MPP)
    tissue = whole.tissue[:TILE, :TILE]
    assert 0.3 < tissue.mean() < 0.7
    assert row["chance"] == pytest.approx(whole.mask[:TILE, :TILE][tissue].mean(), rel=0.05)
    assert row["chance"] > 1.4 * row["mask_share"]


def test_tiles_at_the_ends_are_cut(slide, tmp_path):
    found = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP, min_tissue=0)
    sizes = {(row["x"], row["y"]): (row["width"], row["height"]) for row in found.result.rows}
    assert len(sizes) == 15
    assert sizes[512, 256] == (88, 44)
    assert sizes[0, 0] == (128, 128)
    last = read_annotations(found.write_geojson(tmp_path / "tiles.geojson"))[-1]
    assert last.geometry.bounds == (512, 256, 600, 300)


def test_qupath_reads_the_tiles(slide, tmp_path):
    found = slide_map(slide, {"a": darkness, "b": lambda rgb: -darkness(rgb)}, tile=TILE, mpp=MPP)
    path = found.write_geojson(tmp_path / "tiles.geojson", method="b")
    features = json.loads(path.read_text())["features"]
    assert len(features) == 4
    first = features[0]["properties"]
    assert first["objectType"] == "tile"
    assert first["classification"]["name"] == "CAM no_activation"
    assert set(first["measurements"]) == {"chance", "ideal", "ceiling", "mask_share"}
    boxes = [one.geometry.bounds for one in read_annotations(path)]
    assert boxes == [(0, 0, 128, 128), (128, 0, 256, 128), (0, 128, 128, 256), (128, 128, 256, 256)]
    with pytest.raises(InvalidInputError, match=r"method is None; it takes one of \['a', 'b'\]"):
        found.grid()
    with pytest.raises(InvalidInputError, match="method is 'c'; it takes one of"):
        found.write_geojson(tmp_path / "x.geojson", method="c")
    with pytest.raises(InvalidInputError, match="score is 'heat'; it takes one of"):
        found.grid("heat", method="a")


def test_a_stopped_map_goes_on(slide, tmp_path):
    calls = []

    def stopping(rgb):
        calls.append(len(rgb))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return darkness(rgb)

    options = {"tile": TILE, "mpp": MPP, "batch_size": 1, "out": tmp_path / "out"}
    with pytest.raises(KeyboardInterrupt):
        slide_map(slide, {"dark": stopping}, **options)
    found = slide_map(slide, {"dark": stopping}, **options)
    assert len(calls) == 5  # two, the one that stopped, and the two that were missing
    whole = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP)
    np.testing.assert_array_equal(found.grid(), whole.grid())


def test_a_slide_that_is_open_stays_open(slide):
    from contextlib import closing

    with closing(open_slide(slide, mpp=MPP)) as opened:
        slide_map(opened, {"dark": darkness}, tile=TILE)
        assert opened.read_region(0, 0, 1, 1).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 0}, "tile is 0; it takes a positive integer"),
        ({"tile": 2.5}, "tile is 2.5; it takes a positive integer"),
        ({"min_tissue": 1.5}, "min_tissue is 1.5"),
        ({"mpp": None}, "mpp is None, and the slide does not say"),
    ],
)
def test_bad_options(slide, options, words):
    with pytest.raises(InvalidInputError, match=words):
        slide_map(slide, {"dark": darkness}, **{"tile": TILE, "mpp": MPP, **options})


@pytest.mark.parametrize("explainers", [{}, {"maps": [np.ones((2, 2))] * 4}, [darkness]])
def test_explainers_are_callables_by_name(slide, explainers):
    with pytest.raises(InvalidInputError, match=r"explainers (has|is) (?s:.*); it takes "):
        slide_map(slide, explainers, tile=TILE, mpp=MPP)


def test_a_slide_of_glass(tmp_path):
    path = tmp_path / "glass.tif"
    tifffile.imwrite(path, np.full((256, 256, 3), GLASS, np.uint8), tile=(128, 128),
                     photometric="rgb")  # fmt: skip
    with pytest.raises(InvalidInputError, match="the slide has no tile with enough tissue"):
        slide_map(path, {"dark": darkness}, tile=TILE, mpp=MPP)


def test_bits_of_the_camera(pixels, slide, tmp_path):
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, pixels.astype(np.uint16) << 4, tile=(128, 128), photometric="rgb")
    with pytest.raises(InvalidInputError, match="of which at most 12 are used"):
        slide_map(deep, {"dark": darkness}, tile=TILE, mpp=MPP)
    found = slide_map(deep, {"dark": darkness}, tile=TILE, mpp=MPP, bits=12).grid("mask_share")
    expected = slide_map(slide, {"dark": darkness}, tile=TILE, mpp=MPP).grid("mask_share")
    np.testing.assert_allclose(found, expected, atol=0.01)  # white of 255 << 4 is not quite 4095
