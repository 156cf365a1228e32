"""One object that covers nothing is left out, counted and named; the others are read."""

import json
import warnings

import pytest
import shapely
from qupath_documents import HOLE, SQUARE, feature, polygon

from membrane_xai.annotations import rasterize, read_annotations, write_geojson
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

GOOD = feature(polygon(SQUARE))
SPECK = [[9, 9], [9.01, 9], [9, 9], [9, 9]]  # two decimals of QuPath make such

NOTHING = {
    "empty region of QuPath": (polygon([]), "has no coordinates"),
    "no rings": (polygon(), "has no coordinates"),
    "no list": ({"type": "Polygon"}, "has no coordinates"),
    "null": (None, "has no geometry"),
    "empty position": (polygon([[]]), "has no coordinates"),
    "speck": (polygon(SPECK), "it has no area"),
    "flat": (polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), "it has no area"),
    "two points": (polygon([[0, 0], [1, 1]]), "has a ring of 2 points"),
    "there and back": (polygon([[0, 0], [1, 1], [0, 0]]), "has a ring of 3 points"),
    "line of a point": ({"type": "LineString", "coordinates": [[0, 0]]}, "has a line of 1 points"),
    "line of equal points": (
        {"type": "LineString", "coordinates": [[1, 1], [1, 1]]},
        "it has no length",
    ),
    "no points": ({"type": "MultiPoint", "coordinates": []}, "has no coordinates"),
    "parts of nothing": ({"type": "MultiPolygon", "coordinates": [[[]], []]}, "has no coordinates"),
    "collection": ({"type": "GeometryCollection", "geometries": []}, "has no coordinates"),
    "collection of nothing": (
        {"type": "GeometryCollection", "geometries": [polygon([])]},
        "has no coordinates",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_an_object_of_nothing_is_left_out(case):
    geometry, reason = NOTHING[case]
    with pytest.warns(MembraneXAIWarning) as told:
        found = read_annotations([GOOD, feature(geometry), GOOD])
    assert [one.geometry.area for one in found] == [16, 16]
    [warning] = told
    assert str(warning.message).startswith("left out 1 of 3 objects: features[1] (id 'a1')")
    assert reason in str(warning.message)
    assert warning.filename == __file__
    with pytest.raises(InvalidInputError, match=reason):
        read_annotations([feature(geometry)])


def test_how_many_were_left_out_and_the_first_ones(tmp_path):
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps([GOOD, *[feature(polygon([]))] * 7, None]))
    with pytest.warns(MembraneXAIWarning) as told:
        assert len(read_annotations(path)) == 1
    text = str(told[0].message)
    assert text.startswith(f"{path}: left out 8 of 9 objects: features[1]")
    assert text.count("has no coordinates") == 5
    assert text.endswith(" and 3 more")


def test_children_of_what_is_left_out_stay():
    parent = feature(polygon([]), childObjects=[GOOD])
    with pytest.warns(MembraneXAIWarning, match=r"left out 1 of 2 objects"):
        [child] = read_annotations(parent)
    assert child.geometry.area == 16


@pytest.mark.parametrize(
    ("geometry", "area"),
    [
        (polygon(SQUARE, []), 16),
        (polygon(SQUARE, [[1, 1], [2, 2]]), 16),
        (polygon(SQUARE, [], HOLE), 12),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [[]]]}, 16),
        ({"type": "MultiPolygon", "coordinates": [[], [SQUARE, HOLE]]}, 12),
        ({"type": "GeometryCollection", "geometries": [polygon(SQUARE), polygon([])]}, 16),
    ],
)
def test_parts_of_nothing_are_left_out_of_an_object(geometry, area):
    with pytest.warns(MembraneXAIWarning, match=r"left out parts: the document \(id 'a1'\) has"):
        [found] = read_annotations(feature(geometry))
    assert found.geometry.area == area


def test_a_cell_keeps_its_place_where_its_nucleus_is_nothing():
    cell = GOOD | {"nucleusGeometry": polygon([])}
    with pytest.warns(MembraneXAIWarning, match=r"left out parts: nucleusGeometry of the document"):
        [found] = read_annotations(cell)
    assert (found.geometry.area, found.nucleus) == (16, None)


def test_rows_and_lines_of_nothing():
    wkt = "POLYGON ((0 0, 4 0, 4 4, 0 0))"
    nothing = ["POLYGON EMPTY", "POLYGON ((1 1, 1 1, 1 1, 1 1))", "LINESTRING (1 1)",
               "POLYGON ((1 1, 2 2))", "POLYGON ((1 1, 2 2, 1 1))",
               "SRID=0;POINT EMPTY"]  # fmt: skip
    for text in nothing:
        with pytest.warns(MembraneXAIWarning, match="left out 1 of 2 objects: line 2"):
            [found] = read_annotations(f"{wkt}\n{text}\n", height=4)
        assert found.geometry.area == 8
        with pytest.warns(MembraneXAIWarning, match=r"left out 1 of 2 objects: row 1 \(id '7'\)"):
            [found] = read_annotations(f"ID\tWKT\n7\t{text}\n8\t{wkt}\n", height=4)
        assert found.id == "8"
    with pytest.warns(MembraneXAIWarning, match=r"row 1 \(id '7'\) has no coordinates"):
        assert len(read_annotations(f"ID;WKT\n7;\n8;{wkt}\n", height=4)) == 1
    with pytest.raises(InvalidInputError, match="none of 2 objects can be used: line 1 has no"):
        read_annotations("POINT EMPTY\nPOINT EMPTY", height=4)


@pytest.mark.parametrize("text", ["POLYGON ((0 0, 4 0, 4 4))", "POINT (x y)", "POLYGON ((a b, c))"])
def test_what_may_cover_something_is_refused_still(text):
    with pytest.raises(InvalidInputError, match="line 2 is not well-known text"):
        read_annotations(f"POINT (1 1)\n{text}", height=4)


def test_shapely_geometries_of_nothing(tmp_path):
    box = shapely.box(0, 0, 2, 2)
    for use in (read_annotations, lambda x: rasterize(x, (3, 3)),
                lambda x: write_geojson(tmp_path / "a.geojson", x)):  # fmt: skip
        with pytest.warns(MembraneXAIWarning, match=r"left out 1 of 2 objects: annotations\[1\]"):
            use([box, shapely.Polygon()])
        with pytest.raises(InvalidInputError, match=r"annotations\[0\] has no coordinates"):
            use([shapely.Polygon()])


def test_lines_and_points_are_no_objects_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_annotations(
            [{"type": "Point", "coordinates": [1, 2]},
             {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}]
        )  # fmt: skip
    assert [one.geometry.geom_type for one in found] == ["Point", "LineString"]
