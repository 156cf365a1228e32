"""A folder that keeps finished work: settings that are refused, what survives a stop."""

import json
import math
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError
from membrane_xai.results import (
    KeptRows,
    atomic_path,
    check_same,
    check_settings,
    read_arrays,
    read_settings,
    write_arrays,
)

SETTINGS = {"similarity": "pearson", "grid": (7, 7), "about": {"weights": "sha256:1", "more": {}}}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Settings


def test_settings_are_written_once_and_then_compared(tmp_path):
    check_settings(tmp_path / "run", SETTINGS)
    path = tmp_path / "run" / "manifest.json"
    plain = {**SETTINGS, "grid": [7, 7]}
    assert json.loads(path.read_text()) == read_settings(tmp_path / "run") == {"settings": plain}
    before = path.stat().st_mtime_ns, path.stat().st_ino
    check_settings(tmp_path / "run", SETTINGS)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"similarity": "cosine"}, "there similarity is 'pearson', now 'cosine'"),
        ({"grid": [7, 8]}, "there grid is [7, 7], now [7, 8]"),
        ({"about": {"weights": "sha256:2", "more": {}}}, "there about.weights is 'sha256:1', now"),
        ({"about": {"weights": "sha256:1"}}, "there about.more is {}, now None"),
        ({"new": 1}, "there new is None, now 1"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, changed, words):
    check_settings(tmp_path, SETTINGS, what="rows")
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(InvalidInputError) as raised:
        check_settings(tmp_path, SETTINGS | changed, what="rows")
    said = str(raised.value)
    assert said.startswith(f"out has rows of other settings: {words}")
    assert said.endswith(f"take another folder, or the settings in {tmp_path / 'manifest.json'}")
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_three_differences_are_named():
    there, now = dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2) | {"b": 1}
    with pytest.raises(InvalidInputError, match=r"now 2, there c is .*there d is") as e:
        check_same(there, now, what="a run", where="config.yaml")
    assert "there a is 1, now 2" in str(e.value)
    assert "there e is" not in str(e.value)
    check_same(there, dict(there), what="a run", where="config.yaml")


def test_what_may_differ_is_that_of_the_last_run(tmp_path):
    check_settings(tmp_path, SETTINGS, more={"draws": 100, "seed": 1})
    check_settings(tmp_path, SETTINGS, more={"draws": 200})
    manifest = read_settings(tmp_path)
    assert (manifest["draws"], manifest["seed"]) == (200, 1)
    with pytest.raises(InvalidInputError, match="other settings"):
        check_settings(tmp_path, {**SETTINGS, "grid": None}, more={"draws": 300})
    assert read_settings(tmp_path) == manifest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": []}', '{"settings": 1}'])
def test_a_damaged_manifest_is_no_new_folder(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"its manifest\.json is damaged"):
        check_settings(tmp_path, SETTINGS)
    assert (tmp_path / "manifest.json").read_text() == text


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(InvalidInputError, match="no rows have been kept there"):
        read_settings(tmp_path, what="rows")


# Rows


def test_kept_rows_survive_a_cut(tmp_path):
    path = tmp_path / "rows" / "kept.jsonl"
    first = KeptRows(path, ["id", "method"])
    first.add([{"id": 1, "method": "a", "ec": 0.5}, {"id": 2, "method": "a", "ec": float("nan")}])
    assert first.get(1, "a") == {"id": 1, "method": "a", "ec": 0.5}
    whole = path.read_text()
    path.write_text(whole + '{"id": 3, "met')
    again = KeptRows(path, ["id", "method"])
    assert path.read_text() == whole + '{"id": 3, "met'  # another process may be writing it
    assert again.get(3, "a") is None
    assert np.isnan(again.get(2, "a")["ec"])
    again.add([{"id": 3, "method": "a", "ec": 1.0}])
    assert path.read_text() == whole + '{"id": 3, "method": "a", "ec": 1.0}\n'
    assert KeptRows(path, ["id", "method"]).get(3, "a")["ec"] == 1.0


def test_a_file_cut_at_any_byte_gives_the_whole_lines_and_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"id": i, "name": "ü" * i, "ec": i / 4} for i in range(4)]
    KeptRows(path, ["id"]).add(rows)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        kept = KeptRows(path, ["id"])
        done = whole[:end].count(b"\n")
        assert list(kept) == rows[:done]
        kept.add(rows[done:])
        assert path.read_bytes() == whole


WRITER = """
import sys
from membrane_xai.results import KeptRows
kept = KeptRows(sys.argv[1], ["id"])
start = len(list(kept))
print("ready", flush=True)
for i in range(start, 10**9):
    kept.add([{"id": i, "text": "x" * 100_000}])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_rows_survive_kills(tmp_path):
    path, counts = tmp_path / "rows.jsonl", [0]
    for pause in (0.05, 0.081, 0.12):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        counts.append(len(list(KeptRows(path, ["id"]))))
    assert counts == sorted(set(counts))  # more each time
    kept = list(KeptRows(path, ["id"]))
    assert [row["id"] for row in kept] == list(range(len(kept)))
    assert {len(row["text"]) for row in kept} == {100_000}


def test_later_rows_replace_earlier_ones_in_their_place(tmp_path):
    path = tmp_path / "rows.jsonl"
    kept = KeptRows(path, ["id"])
    kept.add([{"id": "a", "n": 1}, {"id": "b", "n": 1}])
    kept.add([{"id": "a", "n": 2}])
    expected = [{"id": "a", "n": 2}, {"id": "b", "n": 1}]
    assert list(kept) == list(KeptRows(path, ["id"])) == expected
    assert len(path.read_text().splitlines()) == 3


def test_null_is_nan_in_columns_of_numbers_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        {"id": None, "map": math.nan, "group": None, "rows": [{"map": math.nan, "group": None}]}
    ]
    KeptRows(path, ["id"]).add(rows)
    assert json.loads(path.read_text())["rows"] == [{"map": None, "group": None}]
    [row] = KeptRows(path, ["id"], numbers=["map"])
    assert math.isnan(row["map"])
    assert math.isnan(row["rows"][0]["map"])
    assert (row["id"], row["group"], row["rows"][0]["group"]) == (None, None, None)
    [row] = KeptRows(path, ["id"])
    assert row["id"] is None
    assert math.isnan(row["group"])
    assert math.isnan(row["rows"][0]["group"])


def test_keys_are_told_apart_as_json_does(tmp_path):
    path = tmp_path / "rows.jsonl"
    keys = [1, "1", True, None, "null", (1, 2), {"b": 1, "a": None}]
    KeptRows(path, ["key"]).add([{"key": key, "n": i} for i, key in enumerate(keys)])
    kept = KeptRows(path, ["key"])
    assert [kept.get(key)["n"] for key in keys] == list(range(len(keys)))
    assert kept.get([1, 2])["n"] == 5
    assert kept.get({"a": None, "b": 1})["n"] == 6
    assert kept.get(2) is None


def test_keep_only_replaces_the_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    kept = KeptRows(path, ["id", "method"])
    kept.add([{"id": i, "method": m} for i in range(3) for m in "ab"])
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            kept.keep_only([(0, "a")])
    assert path.read_bytes() == before
    assert names(tmp_path) == ["rows.jsonl"]
    kept.keep_only([(2, "b"), (0, "a"), (9, "z")])
    expected = [{"id": 0, "method": "a"}, {"id": 2, "method": "b"}]
    assert list(kept) == list(KeptRows(path, ["id", "method"])) == expected
    stamp = path.stat().st_ino
    kept.keep_only([(2, "b"), (0, "a")])
    assert path.stat().st_ino == stamp  # nothing to leave out


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    kept = KeptRows(path, ["id"])
    kept.add([{"id": 1}])
    whole = path.read_bytes()
    real = type(path).open

    def full(self, *args, **options):
        file = real(self, *args, **options)
        if self != path:
            return file
        file.write(b'{"id"')
        file.close()
        raise OSError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "open", full)
        with pytest.raises(OSError, match="full"):
            kept.add([{"id": 2}])
    assert path.read_bytes() == whole + b'{"id"'
    assert kept.get(2) is None
    kept.add([{"id": 3}])
    assert path.read_bytes() == whole + b'{"id": 3}\n'


@pytest.mark.parametrize("line", [b"{\n", b"[1]\n", b'{"other": 1}\n', b"\xff\n", b"\n"])
def test_a_damaged_line_is_told(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": 1}\n' + line)
    with pytest.raises(InvalidInputError, match=r"rows\.jsonl: has a damaged line at byte 10: "):
        KeptRows(path, ["id"])


def test_rows_in_memory_alone():
    kept = KeptRows(None, ["id"])
    kept.add([{"id": 1, "n": 2}])
    kept.add([])
    assert kept.get(1) == {"id": 1, "n": 2}
    kept.keep_only([])
    assert list(kept) == []


def test_no_rows_make_no_file(tmp_path):
    KeptRows(tmp_path / "a" / "rows.jsonl", ["id"]).add([])
    assert not (tmp_path / "a").exists()


# Files


def test_a_file_is_whole_or_as_before(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".txt"
        assert temporary.name.startswith(".")
        temporary.write_text("first")
        assert not path.exists()
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(UnicodeEncodeError), atomic_path(path) as temporary:
        temporary.write_text("second \ud800", encoding="utf-8")
    assert path.read_text() == "first"
    assert names(path.parent) == ["b.txt"]


def test_a_temporary_file_of_ones_own_name_is_written_over(tmp_path):
    path, part = tmp_path / "b.txt", tmp_path / "b.txt.part"
    part.write_text("left by a kill")
    with atomic_path(path, temporary=part) as temporary:
        assert temporary == part
        temporary.write_text("new")
    assert (path.read_text(), part.exists()) == ("new", False)


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back(tmp_path, compressed):
    path = tmp_path / "parts" / "0.npz"
    arrays = {"map 0": np.arange(6.0).reshape(2, 3), "about": np.array("text")}
    write_arrays(path, arrays, compressed=compressed)
    found = read_arrays(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert list(read_arrays(path, ["about"])) == ["about"]
    assert read_arrays(path, ["about", "map 1"]) is None
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert read_arrays(path) is None
    assert read_arrays(tmp_path / "none.npz") is None


def test_objects_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "0.npz"
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(path, {"a": np.array([{}])})
    assert names(tmp_path) == []
    np.savez(path, a=np.array([{}]))
    assert read_arrays(path) is None
