"""Tables and provenance: what the files hold, and that they are written whole or not at all."""

import csv
import hashlib
import json
import math
import platform
import re
from importlib import metadata

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

import membrane_xai
from membrane_xai.datasets import ihc_sample
from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import (
    array_hash,
    cells_text,
    provenance,
    write_csv,
    write_json,
    write_markdown,
)

ROWS = [
    {"method": "GradCAM", "map": 0.1 + 0.2, "ec": float("nan"), "n": 3},
    {"method": 'a, "b"\nc µ', "map": np.float64(1e-9), "ec": np.float32("nan"), "n": np.int64(4)},
]


def test_csv_holds_the_rows(tmp_path):
    path = write_csv(tmp_path / "new" / "folder" / "scores.csv", ROWS)
    assert path == tmp_path / "new" / "folder" / "scores.csv"
    raw = path.read_bytes()
    assert raw.startswith(b"method,map,ec,n\nGradCAM,0.30000000000000004,,3\n")
    assert b"\r" not in raw
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [row["method"] for row in ROWS]
    assert [float(row["map"]) for row in rows] == [row["map"] for row in ROWS]  # every digit
    assert [row["ec"] for row in rows] == ["", ""]


def test_json_holds_rows_and_provenance(tmp_path):
    record = {"grid": (4, 4), "matrix": np.eye(2), 1: np.inf, "share": np.float32(0.5)}
    path = write_json(str(tmp_path / "scores.json"), ROWS, record)
    text = path.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert not re.search("NaN|Infinity", text)
    found = json.loads(text)
    assert found["provenance"] == {
        "grid": [4, 4],
        "matrix": [[1, 0], [0, 1]],
        "1": None,
        "share": 0.5,
    }
    assert found["rows"] == [
        {"method": "GradCAM", "map": 0.1 + 0.2, "ec": None, "n": 3},
        {"method": 'a, "b"\nc µ', "map": 1e-9, "ec": None, "n": 4},
    ]


def test_markdown_by_hand(tmp_path):
    tables = {"One": [{"a|b": 1, "c": "x\ny"}], "Two": [{"d": np.nan}, {"d": 0.5}]}
    path = write_markdown(tmp_path / "new" / "tables.md", tables)
    assert path.read_text() == (
        "## One\n\n| a\\|b | c |\n| --- | --- |\n| 1 | x y |\n"
        "\n## Two\n\n| d |\n| --- |\n|  |\n| 0.5 |\n"
    )
    with pytest.raises(InvalidInputError, match="rows is empty"):
        write_markdown(path, {"Three": []})
    assert path.read_text().startswith("## One")  # the file before is still whole


def test_the_caller_s_rows_are_not_altered(tmp_path):
    rows = [{"map": float("nan"), "grid": (1, 2)}]
    write_csv(tmp_path / "a.csv", rows)
    write_json(tmp_path / "a.json", rows, {})
    assert rows[0]["map"] != rows[0]["map"]
    assert rows[0]["grid"] == (1, 2)


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("old and longer than what replaces it\n" * 9)
    write_csv(path, [{"map": 1}])
    assert path.read_text() == "map\n1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]
    assert path.stat().st_mode & 0o777 == 0o644


UNWRITABLE = [{"map": "\ud800"}]  # not to be encoded as UTF-8, so it fails in the midst of writing


@pytest.mark.parametrize("old", [None, "old\n"])
def test_a_failing_write_leaves_what_was_there(tmp_path, old):
    path = tmp_path / "scores.csv"
    if old is not None:
        path.write_text(old)
    with pytest.raises(UnicodeEncodeError):
        write_csv(path, UNWRITABLE)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == (
        {} if old is None else {"scores.csv": old}
    )


def test_a_failing_json_leaves_what_was_there(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old\n")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, [{"map": object()}], {})
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old\n"]


def test_an_interrupted_replacement_leaves_no_temporary_file(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "scores.csv", [{"map": 1}])

    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_csv(path, [{"map": 2}])
    assert [p.read_text() for p in tmp_path.iterdir()] == ["map\n1\n"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows is empty; it takes at least one row"),
        ([{"a": 1}, {"b": 1}], "rows[1] has keys ['b']; the first row has ['a']"),
        ([{"a": 1, "b": 2}, {"a": 1}], "rows[1] has keys ['a']; the first row has ['a', 'b']"),
    ],
)
def test_bad_rows(tmp_path, rows, message):
    for write in (write_csv, lambda path, rows: write_json(path, rows, {})):
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            write(tmp_path / "scores", rows)
    assert not list(tmp_path.iterdir())


def test_provenance_names_parameters_versions_and_inputs():
    image = np.arange(12, dtype=np.uint8)
    record = provenance({"mpp": 0.5}, packages=["pytest", "no-such"], inputs={"rgb": image})
    assert record["parameters"] == {"mpp": 0.5}
    assert record["versions"] == {
        "python": platform.python_version(),
        "membrane-xai": metadata.version("membrane-xai"),
        "numpy": np.__version__,
        "scipy": metadata.version("scipy"),
        "pytest": pytest.__version__,
        "no-such": None,
    }
    assert metadata.version("membrane-xai") == membrane_xai.__version__
    assert record["inputs"] == {"rgb": array_hash(image)}
    assert record["platform"]


def test_hash_counted_by_hand():
    expected = hashlib.sha256(b"(1, 3) |u1 \x01\x02\xff").hexdigest()
    assert array_hash(np.array([[1, 2, 255]], np.uint8)) == f"sha256:{expected}"


def test_hash_tells_shape_dtype_and_values_apart():
    image = np.arange(6, dtype=np.int32).reshape(2, 3)
    others = [image.T, image.ravel(), image.view(np.uint32), image + 1, image[::-1]]
    hashes = {array_hash(x) for x in [image, *others, image.astype(np.int64), image[:0]]}
    assert len(hashes) == 8


@given(arrays(np.uint16, (3, 4, 2)))
def test_hash_does_not_see_memory_order(image):
    strided = np.repeat(image, 2, axis=1)[:, ::2]
    assert array_hash(image) == array_hash(np.asfortranarray(image)) == array_hash(strided)


def test_sample_is_the_image_of_scikit_image():
    sample = ihc_sample()
    assert (sample.rgb.shape, sample.rgb.dtype) == ((512, 512, 3), np.uint8)
    assert (sample.mpp, sample.mpp_is_assumed) == (0.5, True)
    assert "skimage.data.immunohistochemistry" in sample.source
    sample.rgb[:] = 0
    assert ihc_sample().rgb.any()


@pytest.mark.parametrize(
    ("grid", "cam_grid", "side", "words"),
    [
        ("4x4", "several", 4.0, "cells of several grids"),
        ("", "32,0,224", math.nan, "no map"),
        ("7x7", "", None, "7x7 cells of unknown size"),  # as JSON has it
        ("7x7", "", 4.94, "7x7 cells of 4.9 um"),
        ("7x7", "", 9.49, "7x7 cells of 9.5 um"),
        ("7x7", "", 9.6, "7x7 cells of 10 um"),
        ("7x7", "32,31,224", 37, "7x7 cells of 37 um, 0.48 of a cell down and right of"),
        ("7x7", "32,15.5x7.5,224", 37, " and 0.25 left of half-pixel centres"),
        ("6x7", "32,23.5x19.5,192x224", 9, "6x7 cells of 9.0 um, 0.25 of a cell down and 0.12 r"),
    ],
)
def test_cells_in_words(grid, cam_grid, side, words):
    """Of 32 px: 15.5 px more are 0.48 of a cell, 8 px 0.25, 4 px 0.125."""
    assert words in cells_text({"grid": grid, "cam_grid": cam_grid, "cell_um": side})
