"""GeoJSON in a zip, as QuPath writes it."""

import json
import zipfile

import pytest
from qupath_documents import QUPATH

from membrane_xai.annotations import find_outlines, read_annotations
from membrane_xai.errors import InvalidInputError

TEXT = json.dumps(QUPATH)


def pack(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["slide.zip", "slide.geojson.zip", "slide.ZIP"])
def test_zip_of_qupath(tmp_path, name, method):
    others = ["__MACOSX/._slide.geojson", ".hidden.geojson", "read.me", "folder/"]
    path = pack(tmp_path / name, {"slide.geojson": TEXT} | dict.fromkeys(others, ""), method)
    found = read_annotations(path)
    assert [one.geometry for one in found] == [one.geometry for one in read_annotations(QUPATH)]
    assert find_outlines(tmp_path) == {"slide": path}
    assert sorted(tmp_path.iterdir()) == [path]  # nothing is unpacked


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.geojson": TEXT, "b/c.json": TEXT}, "holds 2 files of GeoJSON: a.geojson, b/c.json"),
        ({"a.qpdata": "x"}, "holds no .geojson, but a.qpdata; QuPath writes one"),
        ({"[Content_Types].xml": "x", "xl/a.xml": "x"}, "a file of an office suite; save a table"),
        ({"a.geojson": ""}, "is empty"),
        ({"a.geojson": "{"}, "the annotations are not JSON"),
        ({"../../a.geojson": "<html>"}, "is an HTML page"),
    ],
)
def test_zips_that_are_refused(tmp_path, members, message):
    path = pack(tmp_path / "a.zip", members)
    with pytest.raises(InvalidInputError) as refused:
        read_annotations(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_size_is_checked_before_anything_is_unpacked(tmp_path):
    path = pack(tmp_path / "bomb.zip", {"a.geojson": b" " * 10**7})
    assert path.stat().st_size < 20_000
    with pytest.raises(InvalidInputError, match=r"'a.geojson' of 10000000 bytes, more than max"):
        read_annotations(path, max_bytes=10**6)
    lying = bytearray(path.read_bytes())
    at = lying.index(b"PK\x01\x02")  # the size that the archive's directory says
    lying[at + 24 : at + 28] = (5).to_bytes(4, "little")
    path.write_bytes(lying)
    with pytest.raises(InvalidInputError):
        read_annotations(path, max_bytes=10**6)


def test_damaged_and_locked_zips(tmp_path):
    path = pack(tmp_path / "a.zip", {"a.geojson": TEXT})
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(InvalidInputError, match=r"a\.zip is a damaged zip"):
        read_annotations(path)
    locked = bytearray(whole)
    locked[6] |= 1  # the flag of encryption, in both headers
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(InvalidInputError, match=r"a\.zip cannot be unpacked: .* unzip it"):
        read_annotations(path)
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(InvalidInputError, match="is an empty zip archive"):
        read_annotations(path)
