"""Files that are something else than outlines: the message says what they are."""

import gzip
import json

import pytest
from qupath_documents import QUPATH

from membrane_xai.annotations import read_annotations
from membrane_xai.errors import InvalidInputError

TEXT = json.dumps(QUPATH, indent=1)
GEOMETRIES = [one.geometry for one in read_annotations(QUPATH)]
CSV = "ID;Term;WKT\n1;Tumor;POINT (1 2)\n"

RIGHT = {
    "mark": ("\ufeff" + TEXT).encode(),
    "Windows' line ends": TEXT.replace("\n", "\r\n").encode(),
    "blanks before": b"\n\n  " + TEXT.encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16 without mark": TEXT.encode("utf-16-le"),
    "UTF-16 of the other order": TEXT.encode("utf-16-be"),
    "gzip": gzip.compress(TEXT.encode()),
    "gzip of UTF-16": gzip.compress(TEXT.encode("utf-16")),
}


@pytest.mark.parametrize("case", RIGHT)
def test_one_text_however_it_is_written(tmp_path, case):
    path = tmp_path / "a.geojson"
    path.write_bytes(RIGHT[case])
    assert [one.geometry for one in read_annotations(path)] == GEOMETRIES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_and_lines_however_they_are_written(tmp_path, encoding, end):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV.replace("\n", end).encode(encoding))
    [found] = read_annotations(path, height=5)
    assert (found.classification, found.geometry.y) == ("Tumor", 3)
    path.write_bytes(f"POINT (1 2){end}{end}POINT (2 2){end}".encode(encoding))
    assert len(read_annotations(path, height=5)) == 2


WRONG = {
    "empty": (b"", "{path} is empty; it takes GeoJSON"),
    "blank": (b" \n\t", "{path} is empty"),
    "mark alone": (b"\xef\xbb\xbf", "{path} is empty"),
    "empty gzip": (gzip.compress(b""), "{path} is empty"),
    "HTML": (b"\n<!doctype html><p>Not found", "{path} is an HTML page (servers send one"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid", "{path} is a pointer of Git LFS"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "{path} is a PNG image; outlines are read from GeoJSON"),
    "TIFF": (b"II*\0\x08\0\0\0", "{path} is a TIFF image"),
    "qpdata": (b"\xac\xed\0\x05t", "{path} is a data file of QuPath (.qpdata)"),
    "7z": (b"7z\xbc\xaf'\x1c", "{path} is a 7z archive"),
    "CSV": (b"x,y\n1,2\n", "{path}: the table has columns x, y; one of them must be wkt, loc"),
    "prose": (b"nothing here, as it is\nat all", "the table has columns nothing here, as it is"),
    "a line": (b"hello world\n", "{path} is no GeoJSON, XML, WKT or table with a column WKT; it "),
    "measurements": (
        "Image\tObject ID\tROI\tCentroid X µm\na\tb\tc\t1\n".encode(),
        "QuPath's measurements have no outlines: export GeoJSON",
    ),
    "Latin-1": ("ID;WKT\nMärz;POINT (1 2)".encode("latin-1"), "{path} is not UTF-8 text: invalid"),
    "zero bytes": (b"ID;WKT\n\0;POINT (1 2)", "{path} is not text: it has zero bytes"),
    "COCO": (
        b'{"images": [], "annotations": [], "categories": []}',
        "{path}: the document is a COCO data set; GeoJSON takes a FeatureCollection",
    ),
    "LabelMe": (b'{"version": "5", "shapes": [], "imagePath": "a.png"}', "is a file of LabelMe;"),
    "VIA": (b'{"a.png1": {"filename": "a.png", "regions": []}}', "is a file of the VGG Image Ann"),
    "HoVer-Net": (b'{"mag": 40, "nuc": {"1": {}}}', "the document is nuclei of HoVer-Net;"),
    "Cytomine": (b'[{"location": "POINT (1 1)", "project": 1}]', "an answer of Cytomine's API;"),
    "our record": (b'{"row": {}, "parameters": {}}', "the record of membrane-xai mask, whose out"),
    "cut": (b'{"type": "FeatureCollection", "features": [', "they end too early, the file may be"),
    "lines of JSON": (b'{"type": "Point"}\n{"type": "Point"}', "they go on after the end of a doc"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_wrong_file_is(tmp_path, case):
    data, message = WRONG[case]
    path = tmp_path / "a.geojson"
    path.write_bytes(data)
    for options in ({}, {"height": 10}):  # the height is no matter before there are outlines
        with pytest.raises(InvalidInputError) as refused:
            read_annotations(path, **options)
        assert message.format(path=path) in str(refused.value)
        assert str(refused.value).count(str(path)) == 1


def test_folders_and_text_of_nothing(tmp_path):
    with pytest.raises(InvalidInputError, match="is a folder; it takes a file of annotations"):
        read_annotations(tmp_path)
    for text in ("", " \n"):
        with pytest.raises(InvalidInputError, match="the text is empty"):
            read_annotations(text)
