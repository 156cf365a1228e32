"""Cells, detections and their measurements as QuPath 0.2 to 0.6 write them, read and written again.

What QuPath makes of a feature is written out from its PathObjectTypeAdapters: it goes by
objectType, then object_type, then type, then by an id that is the name of a class.
"""

import json

import pytest
import shapely
from qupath_documents import SQUARE, feature, polygon

from membrane_xai.annotations import Annotation, read_annotations, write_geojson

NUCLEUS = polygon([[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]])
CLASSES = {
    "PathCellObject": "cell",
    "PathDetectionObject": "detection",
    "PathAnnotationObject": "annotation",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
}


def written(tmp_path, annotations):
    path = write_geojson(tmp_path / "out.geojson", annotations)
    return json.loads(path.read_text())["features"]


def as_qupath_reads(one):
    for key in ("objectType", "object_type", "type"):
        if key in one["properties"]:
            return one["properties"][key]
    return CLASSES.get(one.get("id"), "annotation")


@pytest.mark.parametrize("kind", CLASSES.values())
@pytest.mark.parametrize("key", ["objectType", "object_type", "type"])
def test_the_kind_that_properties_say(tmp_path, kind, key):
    one = feature(polygon(SQUARE), **{key: kind, "isLocked": True})
    [found] = read_annotations(one)
    assert found.properties == {"objectType": kind, "isLocked": True}
    [again] = written(tmp_path, found)
    assert (as_qupath_reads(again), again["id"]) == (kind, "a1")


@pytest.mark.parametrize("legacy", CLASSES)
def test_the_kind_that_the_id_of_0_2_says(tmp_path, legacy):
    [found] = read_annotations(feature(polygon(SQUARE)) | {"id": legacy})
    assert (found.id, found.properties) == (None, {"objectType": CLASSES[legacy]})
    [again] = written(tmp_path, found)
    assert as_qupath_reads(again) == CLASSES[legacy]
    assert "id" not in again


def test_cells_keep_their_nucleus_whoever_says_that_they_are_cells(tmp_path):
    bare = feature(polygon(SQUARE)) | {"nucleusGeometry": NUCLEUS}
    cells = [bare | {"id": "PathCellObject"}, feature(polygon(SQUARE), object_type="cell") | {
        "nucleusGeometry": NUCLEUS}, bare, Annotation(shapely.box(0, 0, 4, 4), nucleus=shapely.box(
            1, 1, 2, 2))]  # fmt: skip
    found = [*read_annotations(cells[:3]), cells[3]]
    for one in written(tmp_path, found):
        assert as_qupath_reads(one) == "cell"
        assert shapely.geometry.shape(one["nucleusGeometry"]).area == 1


def test_what_objecttype_says_goes_first_and_other_types_stay(tmp_path):
    one = feature(polygon(SQUARE), objectType="annotation", object_type="cell", type="tile")
    assert read_annotations(one)[0].properties == {"objectType": "annotation"}
    one = feature(polygon(SQUARE), type="of a gland")
    [again] = written(tmp_path, read_annotations(one))
    assert again["properties"] == {"objectType": "annotation", "type": "of a gland"}


@pytest.mark.parametrize(
    "root",
    [
        feature(None, objectType="root"),
        feature(None, object_type="root"),
        feature(None, type="root"),
        feature(None) | {"id": "PathRootObject"},
    ],
)
def test_a_root_has_no_place_in_any_version(root):
    assert len(read_annotations([root, feature(polygon(SQUARE))])) == 1


VALUES = {
    "Area": 4.0, "Text": "n/a", "Null": None, "NaN": float("nan"), "List": [1], "Words": "NaN",
    "Huge": 10**400, "Number in text": "2.5",
}  # fmt: skip


@pytest.mark.parametrize(
    "measurements",
    [VALUES, [{"name": name, "value": value} for name, value in VALUES.items()]],
    ids=["dict of 0.4", "list of 0.2"],
)
def test_measurements_without_a_number_are_left_out(tmp_path, measurements):
    document = {"type": "FeatureCollection",
                "features": [feature(polygon(SQUARE), measurements=measurements)]}  # fmt: skip
    for source in (read_annotations(document), document, document["features"][0]):
        out = json.loads(write_geojson(tmp_path / "a.geojson", source).read_text())
        one = out["features"][0] if "features" in out else out
        assert one["properties"]["measurements"] == {"Area": 4.0, "Number in text": 2.5}


@pytest.mark.parametrize("measurements", [None, "none", 3, [1], [{"value": 1}], [{"name": "a"}]])
def test_measurements_that_are_none(tmp_path, measurements):
    [found] = read_annotations(feature(polygon(SQUARE), measurements=measurements))
    [one] = written(tmp_path, found)
    assert one["properties"]["measurements"] == {}
