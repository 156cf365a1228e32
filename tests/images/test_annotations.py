"""Annotations to masks and back: counted by hand, against others' results, and round trips."""

import dataclasses
import gzip
import json
import re
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from membrane_xai import map_score
from membrane_xai.annotations import (
    Annotation,
    consensus,
    rasterize,
    read_annotations,
    vectorize,
    write_geojson,
)
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
ISLAND = [[1.5, 1.5], [2.5, 1.5], [2, 2.5], [1.5, 1.5]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, **properties):
    return {"type": "Feature", "id": "a1", "geometry": geometry, "properties": properties}


# As QuPath 0.5 writes them: an annotation with a child, a cell with a measurement that is NaN.
QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "6a9b1c0e-64a5-4f1c-8f3c-0a1b2c3d4e5f",
            "geometry": polygon(SQUARE, HOLE),
            "properties": {
                "objectType": "annotation",
                "name": "Region 1",
                "classification": {"names": ["Tumor", "Positive"], "color": [250, 62, 62]},
                "isLocked": True,
                "childObjects": [
                    feature({"type": "Point", "coordinates": [1.5, 2.5]}, objectType="detection")
                ],
            },
        },
        {
            "type": "Feature",
            "geometry": polygon([[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]),
            "nucleusGeometry": polygon([[12, 12], [14, 12], [14, 14], [12, 14], [12, 12]]),
            "properties": {
                "objectType": "cell",
                "classification": {"name": "Membrane", "color": [200, 0, 0]},
                "measurements": {"DAB: Mean": 0.25, "DAB: Min": float("nan")},
            },
        },
    ],
}


# --- reading ---------------------------------------------------------------------------------


def test_qupath_feature_collection():
    region, child, cell = read_annotations(QUPATH)
    assert region.classification == "Tumor: Positive"
    assert region.color == (250, 62, 62)
    assert region.name == "Region 1"
    assert region.id == "6a9b1c0e-64a5-4f1c-8f3c-0a1b2c3d4e5f"
    assert region.properties == {"objectType": "annotation", "isLocked": True}
    assert region.geometry.area == 12
    assert child.geometry == shapely.Point(1.5, 2.5)
    assert cell.classification == "Membrane"
    assert cell.nucleus.area == 4


@pytest.mark.parametrize(
    ("classification", "name", "color"),
    [
        ({"name": "Membrane", "color": [1, 2, 3]}, "Membrane", (1, 2, 3)),
        ({"name": "Membrane", "colorRGB": -3670016}, "Membrane", (200, 0, 0)),  # before 0.4
        ({"name": "Positive", "parentClass": {"name": "Tumor"}}, "Tumor: Positive", None),
        ({"names": ["Tumor", "1+"], "color": [0, 0, 0, 128]}, "Tumor: 1+", (0, 0, 0)),
        ("Membrane", "Membrane", None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_qupath_classifications(classification, name, color):
    [found] = read_annotations(feature(polygon(SQUARE), classification=classification))
    assert (found.classification, found.color) == (name, color)


def test_every_geometry_and_container():
    geometries = [
        {"type": "Point", "coordinates": [1, 2, 9]},  # z is dropped
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "LineString", "coordinates": [[0, 0], [3, 4]]},
        {"type": "MultiLineString", "coordinates": [[[0, 0], [3, 4]], [[0, 0], [0, 1]]]},
        polygon(SQUARE, HOLE),
        {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [ISLAND]]},
        {"type": "GeometryCollection", "geometries": [polygon(SQUARE)]},
    ]
    found = read_annotations(geometries)
    assert [x.geometry.geom_type for x in found] == [g["type"] for g in geometries]
    assert [shapely.force_2d(shapely.geometry.shape(g)) for g in geometries] == [
        x.geometry for x in found
    ]
    assert read_annotations(geometries[4])[0].geometry == found[4].geometry
    assert read_annotations([feature(geometries[4])])[0].geometry == found[4].geometry
    assert read_annotations({"type": "FeatureCollection", "features": []}) == []


def test_qupath_root_has_no_place_but_its_children_have():
    root = feature(None, objectType="root", childObjects=[feature(polygon(SQUARE))])
    assert [x.geometry.area for x in read_annotations(root)] == [16]


@pytest.mark.parametrize("suffix", ["geojson", "geojson.gz", "json"])
def test_files_text_and_documents_are_one(tmp_path, suffix):
    text = json.dumps(QUPATH)
    path = tmp_path / f"slide.{suffix}"
    data = ("\ufeff" + text).encode()  # with a byte order mark
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    expected = [x.geometry for x in read_annotations(QUPATH)]
    for source in (path, str(path), text):
        assert [x.geometry for x in read_annotations(source)] == expected


CYTOMINE = (  # as Cytomine's Python client is used to write it
    "ID;Image;Project;Term;User;Area;Perimeter;WKT \n"
    "58;7;1;[1486];2;6.0;10.0;POLYGON ((1 7, 4 7, 4 9, 1 9, 1 7))\n"
    "59;7;1;[];2;0;0;LINESTRING (0 10, 2 8)\n"
)


def test_cytomine_counts_y_from_the_lower_edge():
    # image of 10 rows: the box from y 7 to 9 above the lower edge is rows 1 and 2 from the top
    membrane, line = read_annotations(CYTOMINE, height=10)
    expected = np.zeros((10, 6), bool)
    expected[1:3, 1:4] = True
    assert (rasterize(membrane, (10, 6)) == expected).all()
    assert (membrane.id, membrane.classification) == ("58", "1486")
    assert membrane.properties["User"] == "2"
    assert line.classification is None
    assert line.geometry == shapely.LineString([(0, 0), (2, 2)])


def test_csv_of_commas_and_wkt_lines():
    wkt = "POLYGON ((1 7, 4 7, 4 9, 1 9, 1 7))"
    text = f'id,term,location\n5,"[\'Membrane\', 3]","{wkt}"\n'
    [from_csv] = read_annotations(text, height=10)
    assert from_csv.classification == "Membrane, 3"
    first, second = read_annotations(f"{wkt}\n\n  MULTIPOINT (1 2)\n", height=10)
    assert first.geometry == from_csv.geometry
    assert second.geometry == shapely.MultiPoint([(1, 8)])


def test_long_wkt_in_a_table():
    angle = np.linspace(0, 2 * np.pi, 9000)[:-1]
    circle = shapely.Polygon(np.c_[50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)])
    assert len(circle.wkt) > 131072  # the csv module's limit
    [found] = read_annotations(f"WKT\tTerm\n{circle.wkt}\tMembrane\n", height=100)
    assert found.geometry.area == pytest.approx(circle.area)


def test_shapely_geometries():
    box = shapely.box(0, 0, 1, 1)
    assert read_annotations(box) == [Annotation(box)]
    assert [x.geometry for x in read_annotations([box, shapely.Point(1, 2, 3)])] == [
        box,
        shapely.Point(1, 2),
    ]


def test_what_crosses_itself_is_repaired_with_a_warning():
    bow_tie = polygon([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]])
    with pytest.warns(MembraneXAIWarning, match=r"features\[1\] \(id 'a1'\): Self-intersection"):
        _, found = read_annotations([polygon(SQUARE), feature(bow_tie)])
    assert found.geometry.area == 2
    # a pen that goes around twice encloses the inner square as well, it does not cut it out
    twice = [[0, 0], [6, 0], [6, 6], [0, 6], [0, 2], [4, 2], [4, 4], [2, 4], [2, 0.5], [0, 0]]
    with pytest.warns(MembraneXAIWarning):
        [found] = read_annotations(polygon(twice))
    assert found.geometry.contains(shapely.Point(3, 3))


def nested(depth):
    return "[" * depth + "]" * depth


BAD = {
    "not json": ("{'type': 1}", "the annotations are not JSON: Expecting property name"),
    "too deep": (nested(200_000), "nested too deeply"),
    "type": ({"type": "Topology"}, "the document is type 'Topology'; GeoJSON takes a Feature"),
    "list of text": ('["a"]', "features[0] is str; GeoJSON takes"),
    "features": ({"type": "FeatureCollection"}, "the FeatureCollection has no list of features"),
    "no geometry": ([feature(None)], "features[0] (id 'a1') has no geometry"),
    "geometry type": (feature({"type": "Circle"}), "has geometry of type 'Circle'; it takes"),
    "no coordinates": (
        [polygon(SQUARE), feature({"type": "Polygon"})],
        "features[1] (id 'a1') has no coordinates",
    ),
    "empty": (feature(polygon()), "the document (id 'a1') has no coordinates"),
    "empty ring": (feature(polygon([])), "has no coordinates"),
    "empty collection": ({"type": "GeometryCollection", "geometries": []}, "has no coordinates"),
    "collection": ({"type": "GeometryCollection"}, "a GeometryCollection without geometries"),
    "open ring": (
        feature(polygon(SQUARE[:-1])),
        "has a ring that is not closed: it starts at [0.0, 0.0] and ends at [0.0, 4.0]",
    ),
    "short ring": (feature(polygon(SQUARE[:2])), "has a ring of 2 points; it takes 4 or more"),
    "short line": ({"type": "LineString", "coordinates": [[0, 0]]}, "has a line of 1 points"),
    "nan": (
        '{"type": "LineString", "coordinates": [[0, NaN], [1, 1]]}',
        "the document has coordinates that are NaN or infinite",
    ),
    "text": (
        {"type": "Point", "coordinates": ["1", "2"]},
        "has coordinates that are not a list of [x, y]",
    ),
    "ragged": ({"type": "LineString", "coordinates": [[0, 0], [1]]}, "not a list of [x, y]"),
    "no area": (
        feature(polygon([[0, 0], [1, 1], [2, 2], [0, 0]])),
        "the document (id 'a1'): Self-intersection[1 1]; it has no area",
    ),
    "class": (feature(polygon(SQUARE), classification={"a": 1}), "which has no name"),
    "properties": ({"type": "Feature", "properties": [1]}, "has properties of list"),
    "child": (
        [feature(polygon(SQUARE), childObjects=[feature(None)])],
        "features[0].childObjects[0] (id 'a1') has no geometry",
    ),
    "nucleus": (
        feature(polygon(SQUARE)) | {"nucleusGeometry": polygon(SQUARE[:-1])},
        "nucleusGeometry of the document (id 'a1') has a ring that is not closed",
    ),
    "shapely nan": ([shapely.Point(np.nan, 1)], "annotations[0] has coordinates that are NaN"),
    "shapely empty": ([shapely.Polygon()], "annotations[0] has no coordinates"),
    "object": ([1], "annotations[0] is int; it takes annotations"),
    "number": (1, "annotations is int; it takes annotations"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_geojson(case):
    source, message = BAD[case]
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        read_annotations(source)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("POINT (1 2)", {}, "height is None; WKT counts y from the lower edge"),
        (CYTOMINE, {}, "height is None; CSV counts y"),
        (CYTOMINE, {"height": -1}, "height is -1"),
        ("POINT (1 2)\nPOLYGON ((0 0, 1 1", {"height": 9}, "line 2 is not well-known text"),
        ("POLYGON EMPTY", {"height": 9}, "line 1 has no coordinates"),
        ("id,a\n1,2\n", {"height": 9}, "the table has columns id, a; one of them must be wkt"),
        ("ID;WKT\n4;POINT (1\n", {"height": 9}, "row 1 (id '4') is not well-known text"),
        ("{}", {"format": "kml"}, "format is 'kml'; it takes one of 'auto', 'geojson'"),
        ("{}\n" * 9, {"max_bytes": 20}, "more than max_bytes, 20 bytes"),
    ],
)
def test_malformed_text(text, options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        read_annotations(text, **options)


def test_files_that_are_no_text(tmp_path):
    bomb, cut, image = tmp_path / "bomb.gz", tmp_path / "cut.gz", tmp_path / "image.geojson"
    bomb.write_bytes(gzip.compress(b" " * 10**6))
    cut.write_bytes(gzip.compress(json.dumps(QUPATH).encode())[:-20])
    image.write_bytes(b"\x89PNG\xff")
    with pytest.raises(InvalidInputError, match="more than max_bytes"):
        read_annotations(bomb, max_bytes=1000)
    with pytest.raises(InvalidInputError, match=r"cut\.gz is damaged gzip"):
        read_annotations(cut)
    with pytest.raises(InvalidInputError, match=r"image\.geojson is not UTF-8 text"):
        read_annotations(image)
    with pytest.raises(FileNotFoundError):
        read_annotations(tmp_path / "absent.geojson")


# --- rasterize -------------------------------------------------------------------------------


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


# --- vectorize -------------------------------------------------------------------------------


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


# --- writing ---------------------------------------------------------------------------------


def test_what_is_read_can_be_written_and_read_again(tmp_path):
    found = read_annotations(QUPATH)
    path = write_geojson(tmp_path / "new" / "out.geojson.gz", found)
    document = json.loads(gzip.decompress(path.read_bytes()))
    cell = document["features"][2]
    assert cell["properties"]["measurements"] == {"DAB: Mean": 0.25}  # NaN is left out
    assert cell["properties"]["classification"] == {"name": "Membrane", "color": [200, 0, 0]}
    again = read_annotations(path)
    for before, after in zip(found, again, strict=True):
        assert after.geometry == before.geometry
        assert after.nucleus == before.nucleus
        names = ("classification", "name", "id", "color")
        assert [getattr(after, n) for n in names] == [getattr(before, n) for n in names]
    assert path.read_bytes()[4:8] == bytes(4)  # no time of writing: equal files for equal content
    renamed = dataclasses.replace(found[0], classification="Stroma")
    [after] = read_annotations(write_geojson(tmp_path / "one.geojson", renamed))
    assert after.classification == "Stroma"


def test_measurements_as_older_versions_listed_them(tmp_path):
    values = [{"name": "Area", "value": 4.0}, {"name": "DAB", "value": "NaN"}]
    [found] = read_annotations(feature(polygon(SQUARE), measurements=values))
    document = json.loads(write_geojson(tmp_path / "a.json", found).read_text())
    assert document["features"][0]["properties"]["measurements"] == {"Area": 4.0}


def test_what_json_cannot_hold_leaves_no_file(tmp_path):
    odd = Annotation(shapely.box(0, 0, 1, 1), properties={"score": np.inf})
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        write_geojson(tmp_path / "a.geojson", odd)
    assert list(tmp_path.iterdir()) == []


# --- consensus -------------------------------------------------------------------------------


def test_consensus_is_a_mask_for_map_score():
    three = [shapely.box(0, 0, 2, 1), shapely.box(0, 0, 1, 1), shapely.box(0, 0, 1, 1)]
    masks = [rasterize(one, (1, 4)) for one in three]
    looked = [rasterize(shapely.box(0, 0, x, 1), (1, 4)) for x in (3, 2, 1)]
    both = consensus(masks, regions=looked)
    assert both.annotators.tolist() == [[3, 2, 1, 0]]
    assert both.mask.tolist() == [[1, 0.5, 0, 0]]
    assert both.region.tolist() == [[True, True, True, False]]
    assert map_score(np.ones((1, 4)), both.mask, region=both.region) == pytest.approx(1.5 / 3)
    np.testing.assert_allclose(consensus(masks).mask, [[1, 1 / 3, 0, 0]])


@pytest.mark.parametrize(
    ("masks", "regions", "message"),
    [
        ([], None, "masks is empty; it takes one map for each annotator"),
        (
            [np.ones((2, 2)), np.ones((2, 3))],
            None,
            "masks[1] has shape (2, 3), masks[0] has (2, 2)",
        ),
        ([np.full((2, 2), 255)], None, "masks[0] has values from 255 to 255"),
        ([np.full((2, 2), np.nan)], None, "masks[0] has NaN"),
        ([np.ones((2, 2))], [np.ones((2, 2))] * 2, "regions has 2 of shape (2, 2); it takes 1"),
    ],
)
def test_consensus_refuses(masks, regions, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        consensus(masks, regions=regions)
