"""GeoJSON, QuPath's above all, and shapely geometries: read, refused, written and read again."""

import dataclasses
import gzip
import json
import re

import numpy as np
import pytest
import shapely
from qupath_documents import HOLE, QUPATH, SQUARE, feature, polygon

from membrane_xai.annotations import Annotation, read_annotations, write_geojson
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

ISLAND = [[1.5, 1.5], [2.5, 1.5], [2, 2.5], [1.5, 1.5]]


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
        [feature({"type": "Polygon"})],
        "features[0] (id 'a1') has no coordinates",
    ),
    "several of nothing": (
        [feature({"type": "Polygon"}), feature(None)],
        "none of 2 objects can be used: features[0] (id 'a1') has no coordinates; "
        "features[1] (id 'a1') has no geometry",
    ),
    "geometry of text": (feature("Point"), "the document (id 'a1') has a geometry of str"),
    "ring of a triangle": (
        feature(polygon(SQUARE[:3])),
        "has a ring that is not closed: it starts at [0.0, 0.0] and ends at [4.0, 4.0]",
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
        [feature(polygon(SQUARE), childObjects=[feature({"type": "Circle"})])],
        "features[0].childObjects[0] (id 'a1') has geometry of type 'Circle'",
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


def test_files_that_are_no_text(tmp_path):
    bomb, cut, image = tmp_path / "bomb.gz", tmp_path / "cut.gz", tmp_path / "image.geojson"
    bomb.write_bytes(gzip.compress(b" " * 10**6))
    cut.write_bytes(gzip.compress(json.dumps(QUPATH).encode())[:-20])
    image.write_bytes(b"ID;WKT\nM\xe4rz;POINT (1 2)")  # Latin-1
    with pytest.raises(InvalidInputError, match="more than max_bytes"):
        read_annotations(bomb, max_bytes=1000)
    with pytest.raises(InvalidInputError, match=r"cut\.gz is damaged gzip"):
        read_annotations(cut)
    with pytest.raises(InvalidInputError, match=r"image\.geojson is not UTF-8 text"):
        read_annotations(image)
    with pytest.raises(FileNotFoundError):
        read_annotations(tmp_path / "absent.geojson")


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


@pytest.mark.parametrize("empty", [{"name": None}, {"name": ""}, {"names": []}, "", {}, None])
def test_a_class_without_a_name_is_none(empty):
    [found] = read_annotations(feature(polygon(SQUARE), classification=empty))
    assert found.classification is None
