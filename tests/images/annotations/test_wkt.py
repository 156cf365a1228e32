"""Cytomine's tables and well-known text: y counts from the lower edge."""

import re

import numpy as np
import pytest
import shapely

from membrane_xai.annotations import rasterize, read_annotations
from membrane_xai.errors import InvalidInputError

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


def test_wkt_of_postgis_names_a_reference_system():
    [bare] = read_annotations("POINT (1 2)", height=5)
    for text in ("SRID=0;POINT (1 2)", "srid=-1; POINT (1 2)", "SRID=4326 ;POINT Z (1 2 3)"):
        [found] = read_annotations(text, height=5)
        assert found.geometry == bare.geometry
    [found] = read_annotations("id,wkt\n1,SRID=0;POINT (1 2)\n", height=5)
    assert found.geometry == bare.geometry


def test_long_wkt_in_a_table():
    angle = np.linspace(0, 2 * np.pi, 9000)[:-1]
    circle = shapely.Polygon(np.c_[50 + 40 * np.cos(angle), 50 + 40 * np.sin(angle)])
    assert len(circle.wkt) > 131072  # the csv module's limit
    [found] = read_annotations(f"WKT\tTerm\n{circle.wkt}\tMembrane\n", height=100)
    assert found.geometry.area == pytest.approx(circle.area)


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


def test_a_table_of_outlines_keeps_its_lines_and_must_hold_together():
    text = 'ID;Term;WKT;note\n7;Tumour;POINT (1 2);"two\nlines"\n'
    [found] = read_annotations(text, height=10)
    assert (found.id, found.classification, found.properties) == (
        "7",
        "Tumour",
        {"note": "two\nlines"},
    )
    with pytest.raises(InvalidInputError, match="line 2 has 3 cells; it takes 2"):
        read_annotations("WKT,note\nPOINT (1 2),x,y\n", format="csv", height=10)
    [found] = read_annotations("sep=;\nID;WKT\n7;POINT (1 2)\n", height=10)  # as Excel begins one
    assert found.id == "7"
