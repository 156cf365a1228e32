"""Whatever happens to a file of outlines on its way, it is read or refused in our words."""

import io
import json
import warnings
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qupath_documents import HOLE, QUPATH, SQUARE, polygon

from membrane_xai.annotations import read_annotations, write_geojson
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.geojson", json.dumps(polygon(SQUARE, HOLE)))
    return packed.getvalue()


CORNERS = '<Vertices><V X="0" Y="0"/><V X="4" Y="0"/><V X="4" Y="4"/><V X="0" Y="4"/></Vertices>'
WHOLE = {
    "geojson": json.dumps(QUPATH).encode(),
    "xml": f'<Annotations><Annotation Name="A" LineColor="255"><Regions><Region Type="Polygon">'
    f'{CORNERS}</Region><Region Type="2" NegativeROA="1">{CORNERS}</Region></Regions></Annotation>'
    f"</Annotations>".encode(),
    "asap": b'<ASAP_Annotations><Annotations><Annotation Type="Spline" Color="#00ff00">'
    b'<Coordinates><Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="4" Y="0"/>'
    b'<Coordinate Order="2" X="4" Y="4"/></Coordinates></Annotation></Annotations>'
    b"</ASAP_Annotations>",
    "wkt": b"SRID=0;POLYGON ((0 0, 4 0, 4 4, 0 0), (1 1, 2 1, 2 2, 1 1))\nLINESTRING (0 0, 1 1)\n",
    "csv": b"ID;Image;Term;WKT\n1;7;[1];POLYGON ((0 0, 4 0, 4 4, 0 0))\n2;8;a;POINT (1 2)\n",
    "zip": zipped(),
}
VALUES = st.sampled_from([None, 1, "a", [], {}, True, [[]], [[[]]], {"type": {}}, 1e308, -1])


def check(path, out):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MembraneXAIWarning)
        try:
            found = read_annotations(path, height=10, image=7)
        except InvalidInputError:
            return  # in our words; any other error fails the test
        again = read_annotations(write_geojson(out, found)) if found else []
    assert [one.classification for one in again] == [one.classification for one in found]


@pytest.mark.parametrize("kind", WHOLE)
@given(data=st.data())
@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_damaged_bytes(tmp_path, kind, data):
    whole = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        length = data.draw(st.integers(0, min(20, len(whole) - at - 1)))
        whole[at : at + length] = data.draw(st.binary(max_size=8))
        whole = whole or bytearray(b" ")
    (tmp_path / "a").write_bytes(whole)
    check(tmp_path / "a", tmp_path / "out.geojson")


@given(data=st.data())
@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_values_of_another_kind(tmp_path, data):
    def changed(value):
        if data.draw(st.integers(0, 30)) == 0:
            return data.draw(VALUES)
        if isinstance(value, dict):
            return {key: changed(one) for key, one in value.items()}
        return [changed(one) for one in value] if isinstance(value, list) else value

    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(changed(QUPATH["features"][1])))
    check(path, tmp_path / "out.geojson")
