"""Masks to outlines: round trips, and what QuPath asks of a file."""

import json
import re
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from qupath_documents import polygon

from membrane_xai.annotations import rasterize, read_annotations, vectorize
from membrane_xai.errors import InvalidInputError


def every_ring(outlines):
    for item in outlines["features"]:
        geometry = item["geometry"]
        polygons = geometry["coordinates"]
        yield from [polygons] if geometry["type"] == "Polygon" else polygons


def check_outlines(outlines):
    json.dumps(outlines, allow_nan=False)
    for shell, *holes in every_ring(outlines):
        assert all(ring[0] == ring[-1] and len(ring) >= 5 for ring in (shell, *holes))
        assert shapely.is_ccw(shapely.LinearRing(shell))  # RFC 7946
        assert not any(shapely.is_ccw(shapely.LinearRing(hole)) for hole in holes)
    for item in outlines["features"]:
        assert shapely.is_valid(shapely.geometry.shape(item["geometry"]))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
@settings(max_examples=200, deadline=None)
def test_round_trip_is_exact(mask):
    outlines = vectorize(mask)
    check_outlines(outlines)
    found = read_annotations(outlines)  # a warning, of a shape that needs repair, is an error here
    assert (rasterize(found, mask.shape) == mask).all()
    np.testing.assert_allclose(rasterize(found, mask.shape, coverage=True), mask, atol=1e-12)


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 3))
)
@settings(max_examples=100, deadline=None)
def test_labels_round_trip_each_on_its_own(labels):
    outlines = vectorize(labels)
    check_outlines(outlines)
    values = [value for value in np.unique(labels) if value]
    for value, found in zip(values, read_annotations(outlines), strict=True):
        assert (rasterize(found, labels.shape) == (labels == value)).all()


def test_round_trip_on_a_large_membrane_like_mask(rng):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal((300, 400)), 3)
    mask = np.abs(noise) < 0.15 * noise.std()
    outlines = vectorize(mask, offset=(1000, 2000), downsample=3.7)
    check_outlines(outlines)
    found = read_annotations(outlines)
    assert (rasterize(found, mask.shape, offset=(1000, 2000), downsample=3.7) == mask).all()


def test_corners_make_parts_of_one_object():
    diagonal = vectorize(np.eye(3, dtype=bool))
    [item] = diagonal["features"]
    assert item["geometry"]["type"] == "MultiPolygon"
    assert len(item["geometry"]["coordinates"]) == 3
    # one ring of pixels that closes at a corner: the hole touches the outline there
    closed = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    [item] = vectorize(closed)["features"]
    assert item["geometry"]["type"] == "Polygon"
    assert len(item["geometry"]["coordinates"]) == 2


def test_what_qupath_needs():
    mask = np.zeros((6, 8), bool)
    mask[1:3, 1:4] = mask[4, 6] = True
    density = np.where(mask, 0.5, np.nan)
    density[1, 1] = 2.0
    outlines = vectorize(
        mask,
        classification="HER2",
        color=(1, 2, 3),
        object_type="detection",
        offset=(100, 200),
        downsample=2,
        measurements={"DAB": density, "mpp": 0.25, "none": np.nan},
    )
    first, second = outlines["features"]
    assert first["geometry"] == polygon(
        [[108, 202], [108, 206], [102, 206], [102, 202], [108, 202]]
    )
    assert first["properties"] == {
        "objectType": "detection",
        "classification": {"name": "HER2", "color": [1, 2, 3]},
        "measurements": {"DAB": 0.75, "mpp": 0.25},
    }
    assert second["properties"]["measurements"] == {"DAB": 0.5, "mpp": 0.25}
    assert uuid.UUID(first["id"]).version == 5
    again = vectorize(mask, classification="HER2", offset=(100, 200), downsample=2)["features"]
    assert [x["id"] for x in again] == [x["id"] for x in (first, second)]
    assert vectorize(mask)["features"][0]["id"] != first["id"]
    [large] = vectorize(mask, min_area=6)["features"]
    assert shapely.geometry.shape(large["geometry"]).area == 6


def test_fractions_and_the_threshold():
    mask = np.array([[0.2, 0.5, 0.9]])
    assert every_area(vectorize(mask)) == [2]
    assert every_area(vectorize(mask, threshold=0.9)) == [1]
    with pytest.raises(InvalidInputError, match=re.escape("threshold is 2")):
        vectorize(mask, threshold=2)


def every_area(outlines):
    return [shapely.geometry.shape(x["geometry"]).area for x in outlines["features"]]


def test_simplify_drops_corners_and_stays_valid():
    rows, columns = np.mgrid[:60, :60]
    radius = np.hypot(rows - 29.5, columns - 29.5)
    ring = (radius < 25) & (radius > 15)
    exact, simple = vectorize(ring), vectorize(ring, simplify=1.0)
    few, many = (sum(len(r) for p in every_ring(x) for r in p) for x in (simple, exact))
    assert few < many / 2
    assert every_area(simple)[0] == pytest.approx(ring.sum(), rel=0.05)
    assert shapely.is_valid(shapely.geometry.shape(simple["features"][0]["geometry"]))
    shell, hole = next(every_ring(simple))
    assert shapely.is_ccw(shapely.LinearRing(shell))
    assert not shapely.is_ccw(shapely.LinearRing(hole))


def test_a_part_that_ends_inside_another_after_simplifying():
    rows = (
        "....#.....|...##.#...|..##...###|###.###.#.|#...#...#.|#...#...##|###.##...#|..#..#...#|"
        "..####..##|.....####."
    )
    mask = np.array([[one == "#" for one in row] for row in rows.split("|")])
    [item] = vectorize(mask, simplify=5)["features"]
    found = shapely.geometry.shape(item["geometry"])
    assert found.is_valid
    assert found.area == pytest.approx(mask.sum(), rel=0.25)


@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=24)),
    st.sampled_from([0.1, 0.5, 1, 2, 5, 20, 1000]),
    st.sampled_from([(0, 0), (100_000.25, 3.7)]),
    st.sampled_from([1.0, 3.7]),
)
@settings(max_examples=150, deadline=None)
def test_simplified_outlines_are_valid_and_near(mask, pixels, offset, downsample):
    grid = {"offset": offset, "downsample": downsample}
    tolerance = pixels * downsample
    exact, simple = vectorize(mask, **grid), vectorize(mask, simplify=tolerance, **grid)
    check_valid(simple)
    assert len(simple["features"]) == len(exact["features"])
    for before, after in zip(exact["features"], simple["features"], strict=True):
        one, other = (shapely.geometry.shape(x["geometry"]) for x in (before, after))
        assert other.area > 0
        # what was taken away or added lies within the tolerance of the outline
        assert one.symmetric_difference(other).difference(
            one.boundary.buffer(tolerance * (1 + 1e-6) + 1e-6)
        ).area == pytest.approx(0, abs=1e-6)


def check_valid(outlines):
    for item in outlines["features"]:
        shape = shapely.geometry.shape(item["geometry"])
        assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
    for shell, *holes in every_ring(outlines):
        assert shapely.is_ccw(shapely.LinearRing(shell))
        assert not any(shapely.is_ccw(shapely.LinearRing(hole)) for hole in holes)


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        ([[np.nan, 1.0]], {}, "mask has NaN or infinity; it takes bool, labels or"),
        ([[255.0, 1.0]], {}, "mask has values from 1 to 255"),
        ([[-1, 1]], {}, "mask has label -1; labels are not negative"),
        (np.ones((1, 2, 2), bool), {}, "mask has shape (1, 2, 2); it takes (H, W)"),
        ([["a"]], {}, "mask has dtype <U1"),
        ([[1]], {"measurements": {"DAB": [1, 2]}}, "measurements['DAB'] has shape (2,)"),
        ([[1]], {"object_type": "cell"}, "object_type is 'cell'; it takes one of 'annotation'"),
        ([[1]], {"simplify": -1}, "simplify is -1"),
        ([[1]], {"min_area": "2"}, "min_area is '2'"),
    ],
)
def test_vectorize_refuses(mask, options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        vectorize(np.asarray(mask), **options)


@pytest.mark.parametrize("color", ["red", (1, 2), (1, 2, 300), (1, 2, -1), (0.5, 0, 0), None, 3])
def test_what_is_no_color(color):
    with pytest.raises(InvalidInputError, match=r"color is .*; it takes red, green and blue"):
        vectorize(np.ones((2, 2), bool), color=color)


def test_what_are_no_measurements():
    with pytest.raises(InvalidInputError, match="measurements is list; it takes a mapping"):
        vectorize(np.ones((2, 2), bool), measurements=[1.0])
