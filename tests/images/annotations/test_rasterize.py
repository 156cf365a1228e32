"""Outlines to masks: counted by hand, and against the results of other libraries."""

import re

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from qupath_documents import HOLE, SQUARE, feature

from membrane_xai.annotations import Annotation, rasterize
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning


def test_square_with_hole_counted_by_hand():
    ring = shapely.Polygon(SQUARE, [HOLE])
    expected = np.ones((4, 4), bool)
    expected[1:3, 1:3] = False
    padded = np.pad(expected, ((0, 1), (0, 2)))
    assert (rasterize(ring, (5, 6)) == padded).all()
    assert (rasterize(ring, (5, 6), coverage=True) == padded).all()
    assert (rasterize(ring.reverse(), (5, 6)) == padded).all()  # orientation is of no account


def test_triangle_areas_counted_by_hand():
    # right angle at the origin, 3 wide and 1.5 high: y < 1.5 - x / 2
    triangle = shapely.Polygon([(0, 0), (3, 0), (0, 1.5)])
    expected = [[1, 0.75, 0.25], [0.25, 0, 0]]
    found = rasterize(triangle, (2, 3), coverage=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    assert rasterize(triangle, (2, 3)).tolist() == [[True, True, False], [False] * 3]


def test_centres_on_outlines_belong_to_one_of_two_neighbours():
    left, right = shapely.box(0, 0, 1.5, 2), shapely.box(1.5, 0, 4, 2)
    assert rasterize(left, (2, 4)).tolist() == [[True, False, False, False]] * 2
    assert rasterize(right, (2, 4)).tolist() == [[False, True, True, True]] * 2
    upper, lower = shapely.box(0, 0, 1, 0.5), shapely.box(0, 0.5, 1, 2)
    assert rasterize(upper, (2, 1)).tolist() == [[False], [False]]
    assert rasterize(lower, (2, 1)).tolist() == [[True], [True]]


def test_overlaps_count_once():
    boxes = [shapely.box(0, 0, 2.5, 2), shapely.box(0.5, 0, 3, 1), shapely.box(0.5, 0, 3, 1)]
    found = rasterize(boxes, (2, 3), coverage=True)
    np.testing.assert_allclose(found, [[1, 1, 1], [1, 1, 0.5]], atol=1e-15)
    assert rasterize(boxes, (2, 3)).tolist() == [[True] * 3, [True, True, False]]


@pytest.mark.filterwarnings("ignore:outlines lie outside the mask")
def test_blocks_give_the_same(monkeypatch, rng):
    shapes = [star(rng, 9, 30) for _ in range(4)]
    whole = [rasterize(shapes, (30, 30), coverage=coverage) for coverage in (False, True)]
    monkeypatch.setattr("membrane_xai.annotations._scanline._BLOCK", 7)
    assert (rasterize(shapes, (30, 30)) == whole[0]).all()
    np.testing.assert_allclose(rasterize(shapes, (30, 30), coverage=True), whole[1], atol=1e-12)


def star(rng, count, size):
    angle = np.sort(rng.random(count)) * 2 * np.pi
    radius = size * rng.uniform(0.1, 0.6, count)
    centre = rng.random(2) * size
    ring = centre + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)


@pytest.mark.filterwarnings("ignore:outlines lie outside the mask")
def test_centre_rule_against_scikit_image_and_matplotlib(rng):
    draw = pytest.importorskip("skimage.draw")
    path = pytest.importorskip("matplotlib.path")
    for _ in range(40):
        one = star(rng, 12, 30)
        while one.geom_type != "Polygon" or one.interiors:
            one = star(rng, 12, 30)
        ring = shapely.get_coordinates(one)
        found = rasterize(one, (31, 29))
        expected = draw.polygon2mask((31, 29), ring[:, ::-1] - 0.5)
        assert (found == expected).all()
        rows, columns = np.mgrid[:31, :29]
        centres = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
        assert (found.ravel() == path.Path(ring).contains_points(centres)).all()


@pytest.mark.filterwarnings("ignore:outlines lie outside the mask")
def test_coverage_against_intersection_with_every_pixel(rng):
    rows, columns = np.mgrid[:14, :17]
    pixels = shapely.box(columns, rows, columns + 1, rows + 1)
    for count in (1, 2, 5):
        shapes = [star(rng, 9, 16) for _ in range(count)]
        shapes[0] = shapes[0].difference(shapely.box(4.3, 4.1, 7.7, 9.2))  # perhaps a hole
        whole = shapely.union_all(shapes)
        expected = shapely.area(shapely.intersection(pixels, whole))
        found = rasterize(shapes, (14, 17), coverage=True)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def stars_in_a_window(rng):
    """Return overlapping shapes, one perhaps with a hole, and a window that cuts through them."""
    shapes = [star(rng, 12, 30) for _ in range(3)]
    shapes[0] = shapes[0].difference(shapely.box(14.3, 14.1, 17.7, 19.2))
    return shapes, tuple(rng.uniform(-5, 15, 2).tolist()), float(rng.uniform(0.4, 1.5))


def test_centre_rule_against_gdal(rng):
    rasterio = pytest.importorskip("rasterio")
    features = pytest.importorskip("rasterio.features")
    for _ in range(40):
        shapes, (x, y), downsample = stars_in_a_window(rng)
        found = rasterize(shapes, (21, 23), offset=(x, y), downsample=downsample)
        to_slide = rasterio.Affine(downsample, 0, x, 0, downsample, y)
        expected = features.rasterize(shapes, out_shape=found.shape, transform=to_slide)
        assert (found == (expected == 1)).all()


def test_coverage_against_exactextract(rng):
    exactextract = pytest.importorskip("exactextract")
    for _ in range(40):
        shapes, (x, y), downsample = stars_in_a_window(rng)
        window = {"offset": (x, y), "downsample": downsample, "coverage": True}
        found = rasterize(shapes, (21, 23), **window)
        # exactextract takes y upwards, and one geometry at a time.
        united = shapely.transform(shapely.union_all(shapes), lambda points: points * (1, -1))
        raster = exactextract.raster.NumPyRasterSource(
            found,
            xmin=x,
            xmax=x + 23 * downsample,
            ymin=-y - 21 * downsample,
            ymax=-y,
        )
        [row] = exactextract.exact_extract(
            raster, feature(shapely.geometry.mapping(united)), ["cell_id", "coverage"]
        )
        expected = np.zeros(found.size)
        expected[row["properties"]["cell_id"]] = row["properties"]["coverage"]
        np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=1e-6)  # float32 there
        assert 0 < found.mean() < 1


@given(st.integers(0, 2**32), st.integers(-9, 20), st.integers(-9, 20), st.sampled_from([1, 2, 4]))
@settings(max_examples=40, deadline=None)
def test_a_window_is_a_crop_of_the_whole(seed, x, y, downsample):
    rng = np.random.default_rng(seed)
    shapes = [star(rng, 9, 30) for _ in range(3)]
    margin, side = 12, 60
    options = {"downsample": downsample}
    whole = (side * downsample, side * downsample)
    corner = (-margin * downsample,) * 2
    row, column = margin + y, margin + x
    offset = (x * downsample, y * downsample)
    for coverage, atol in ((False, 0), (True, 1e-12)):
        all_of_it = rasterize(
            shapes, (side, side), offset=corner, coverage=coverage, **options
        ).astype(float)
        window = rasterize(shapes, (11, 13), offset=offset, coverage=coverage, **options)
        np.testing.assert_allclose(
            window, all_of_it[row : row + 11, column : column + 13], rtol=0, atol=atol
        )
    # a pixel of a lower level covers the mean of those it is made of
    fine = rasterize(shapes, whole, offset=corner, coverage=True)
    blocks = fine.reshape(side, downsample, side, downsample).mean(axis=(1, 3))
    np.testing.assert_allclose(all_of_it, blocks, rtol=0, atol=1e-12)


def test_far_from_the_origin_of_a_slide():
    shape = shapely.Polygon([(0, 0), (3, 0), (0, 1.5)])
    x, y = 131_072.0, 98_304.0
    moved = shapely.transform(shape, lambda points: points + np.array([x, y]))
    for coverage in (False, True):
        here = rasterize(shape, (2, 3), coverage=coverage)
        there = rasterize(moved, (2, 3), offset=(x, y), coverage=coverage)
        np.testing.assert_allclose(here.astype(float), there, rtol=0, atol=1e-9)


def test_lines_have_length_times_width():
    line = shapely.LineString([(10, 10), (40, 50)])  # 50 pixels long
    area = rasterize(line, (80, 80), mpp=0.5, line_width=2, coverage=True).sum()
    assert area == pytest.approx(50 * 4)
    angle = np.linspace(0, 2 * np.pi, 400)
    membrane = shapely.LineString(
        np.column_stack([40 + 20 * np.cos(angle), 40 + 20 * np.sin(angle)])
    )
    area = rasterize(membrane, (80, 80), mpp=0.25, line_width=1, coverage=True).sum()
    assert area == pytest.approx(2 * np.pi * 20 * 4, rel=1e-3)
    # a closed line has no ends: the corner where it starts is filled like the others
    ring = shapely.LineString([(2, 2), (8, 2), (8, 8), (2, 8), (2, 2)])
    found = rasterize(ring, (10, 10), mpp=1, line_width=2, coverage=True)
    np.testing.assert_allclose(found[:5, :5], found[:5, :4:-1], atol=1e-9)
    assert found[1, 1] == pytest.approx(np.pi / 4, rel=0.01)


def test_collections_and_points():
    mixed = shapely.GeometryCollection(
        [
            shapely.GeometryCollection([shapely.box(0, 0, 1, 1)]),
            shapely.LineString([(0, 2), (3, 2)]),
        ]
    )
    found = rasterize(mixed, (4, 4), mpp=0.5, line_width=1)
    assert found.sum() == 1 + 6
    with pytest.warns(
        MembraneXAIWarning, match=r"1 points, the first in annotations\[1\], have no"
    ):
        assert rasterize([shapely.box(0, 0, 1, 1), shapely.Point(2, 2)], (4, 4)).sum() == 1
    assert not rasterize([], (2, 2)).any()
    assert not rasterize([], (2, 2), coverage=True).any()
    with pytest.warns(MembraneXAIWarning, match=r"1 wholly of 1 \(100.0% of their area\)"):
        assert not rasterize(shapely.box(9, 9, 10, 10), (2, 2), coverage=True).any()


def test_classes():
    shapes = [Annotation(shapely.box(i, 0, i + 1, 1), name) for i, name in enumerate("abc")]
    shapes.append(Annotation(shapely.box(3, 0, 4, 1)))
    assert rasterize(shapes, (1, 4)).tolist() == [[True] * 4]
    assert rasterize(shapes, (1, 4), classes="b").tolist() == [[False, True, False, False]]
    assert rasterize(shapes, (1, 4), classes=["a", "c"]).tolist() == [[True, False, True, False]]


LINE = Annotation(shapely.LineString([(0, 0), (1, 1)]), id="x")


@pytest.mark.parametrize(
    ("annotations", "shape", "options", "message"),
    [
        (LINE, (2, 2), {}, "annotations[0] (id 'x') is a line; line_width (micrometres) and mpp"),
        (LINE, (2, 2), {"line_width": 1}, "annotations[0] (id 'x') is a line"),
        (LINE, (2, 2), {"line_width": 0, "mpp": 1}, "line_width is 0; it takes a positive number"),
        (LINE, (2, 2), {"line_width": 1, "mpp": np.nan}, "mpp is nan"),
        ([Annotation(shapely.box(0, 0, 1, 1), "Membrane")], (2, 2), {"classes": "membrane"},
         "classes has 'membrane'; the annotations have classes: 'Membrane'"),
        ([], (2, 2), {"classes": ["Membrane"]}, "the annotations have classes: none"),
        ([], (2, 0), {}, "shape is (2, 0); it takes two positive integers (H, W)"),
        ([], (2, 2, 3), {}, "shape is (2, 2, 3)"),
        ([], (2, 2), {"offset": 3}, "offset is 3; it takes two finite numbers (x, y)"),
        ([], (2, 2), {"offset": (0, np.inf)}, "offset is (0, inf)"),
        ([], (2, 2), {"offset": (True, "1")}, "offset is (True, '1')"),
        ([], (2, 2), {"downsample": 0}, "downsample is 0; it takes a positive number"),
    ],
)  # fmt: skip
def test_rasterize_refuses(annotations, shape, options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        rasterize(annotations, shape, **options)
