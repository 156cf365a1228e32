"""``membrane-xai audit``: bad files, other outputs, and going on after a stop."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
from audit_files import (
    NAMES,
    SAVERS,
    assert_scores,
    audit,
    document,
    save_image,
    save_npy,
    table,
    unmatched,
    write_groups,
)

from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.datasets import synthetic_her2
from membrane_xai.io import read_image
from membrane_xai.io._cams import decode_cam
from membrane_xai.study import read_study


def test_a_cam_that_cannot_be_read_is_a_row(root, cams, capsys):
    whole = (root / "cams" / "grad" / "two.npy").read_bytes()
    (root / "cams" / "grad" / "two.npy").write_bytes(whole[:-8])
    save_image(root / "cams" / "grad" / "three.png", np.zeros((4, 5, 3), np.uint8))
    (root / "cams" / "grad" / "three.npy").unlink()
    assert audit(root, "--json") == 1
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert [one["id"] for one in told["failed"]] == ["three", "two"]
    assert "a picture of a heat map is not a CAM" in told["failed"][0]["error"]
    assert "two.npy: is truncated or damaged" in told["failed"][1]["error"]
    assert "2 of 3 rows failed" in shown.err
    rows = {row["id"]: row for row in table(root)}
    assert [rows[name]["status"] for name in NAMES] == ["ok", "error", "error"]
    assert [row["cams"] for row in table(root, "ec.csv")] == ["1"]
    save_npy(root / "cams" / "grad" / "two.npy", cams["two"])
    (root / "cams" / "grad" / "three.png").unlink()
    assert audit(root) == 0
    assert [row["id"] for row in read_study(root / "out").rows] == ["one", "two"]
    assert unmatched(root) == ["image without a CAM: three"]


def test_an_image_that_cannot_be_read_is_a_row(root, capsys):
    (root / "images" / "one.png").write_bytes(b"no image")
    assert audit(root) == 1
    rows = {row["id"]: row for row in table(root)}
    assert rows["one"]["status"] == "error"
    assert rows["two"]["status"] == "ok"
    assert "failed: one, grad: InvalidInputError" in capsys.readouterr().err


def test_no_cam_at_all_that_can_be_read(root):
    for path in (root / "cams" / "grad").iterdir():
        path.write_bytes(b"rubbish")
    assert audit(root, report=True) == 1
    assert {row["status"] for row in table(root)} == {"error"}
    assert not (root / "out" / "ec.csv").exists()


def test_flat_and_nan_maps_have_a_status(root):
    save_npy(root / "cams" / "grad" / "one.npy", np.zeros((4, 5)))
    save_npy(root / "cams" / "grad" / "two.npy", np.full((4, 5), np.nan))
    assert audit(root, "--json") == 0
    rows = {row["id"]: row["status"] for row in table(root)}
    assert rows == {"one": "no_activation", "two": "non_finite", "three": "ok"}
    [row] = table(root, "ec.csv")
    assert (row["ec"], row["undefined_pairs"]) == ("", "3")


def test_json_is_one_document_and_alone_on_stdout(root, capsys):
    save_npy(root / "cams" / "grad" / "stray.npy", np.ones((2, 2)))
    assert audit(root, "--json", report=True) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["images"], told["rows"], told["methods"]) == (3, 3, ["grad"])
    assert told["summary"][0]["by"] == "all"
    assert told["ec"][0]["pairs"] == 3
    assert told["report"] == str(root / "out" / "report.html")


def test_the_pixel_size_has_to_be_known(root, fields, capsys):
    assert audit(root, mpp=None) == 1
    assert "the file does not say its pixel size; give --mpp" in capsys.readouterr().err
    for name in NAMES:
        PIL.Image.fromarray(fields[name]).save(root / "images" / f"{name}.png", dpi=(50800, 50800))
    assert audit(root, mpp=None) == 0
    assert {row["status"] for row in table(root)} == {"ok"}


def test_a_warning_is_one_line(root, fields, capsys):
    PIL.Image.fromarray(fields["one"]).save(root / "images" / "one.png", dpi=(101600, 101600))
    assert audit(root) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ")
    assert "one.png" in line


@pytest.fixture
def counted(monkeypatch):
    """Count how many masks are found."""
    calls = []

    def count(rgb, **options):
        calls.append(1)
        return extract_membrane_mask(rgb, **options)

    monkeypatch.setattr("membrane_xai.study._entries.extract_membrane_mask", count)
    return calls


def test_only_what_has_changed_is_computed(root, cams, counted):
    assert audit(root) == 0
    before = table(root)
    assert len(counted) == 3
    assert audit(root) == 0
    assert len(counted) == 3
    assert table(root) == before
    save_npy(root / "cams" / "grad" / "two.npy", 1 - cams["two"])
    assert audit(root) == 0
    assert len(counted) == 4
    rows = read_study(root / "out").rows
    assert sorted(row["id"] for row in rows) == sorted(NAMES)  # none of the map that is gone
    keys = {row["key"] for row in rows}
    assert {path.name for path in (root / "out" / "views").iterdir()} == keys
    (root / "images" / "three.png").unlink()
    assert audit(root) == 0
    assert len(counted) == 4
    assert sorted(row["id"] for row in read_study(root / "out").rows) == ["one", "two"]


def test_other_settings_or_folders_take_another_folder(root, capsys):
    assert audit(root) == 0
    assert audit(root, mpp=0.25) == 1
    assert "there mpp is 0.5, now 0.25; take another folder" in capsys.readouterr().err
    shutil.copytree(root / "cams", root / "cams2")
    assert audit(root, "--cams", root / "cams2") == 1
    assert "take another folder" in capsys.readouterr().err
    assert len(table(root)) == 3


@pytest.mark.parametrize("module", ["jinja2", "zarr"])
def test_a_missing_extra_is_told_at_the_start(module, root, cams, monkeypatch, capsys):
    if module == "zarr":
        (root / "cams" / "grad" / "one.npy").unlink()
        SAVERS["zarr"](root / "cams" / "grad" / "one.zarr", cams["one"])
    monkeypatch.setitem(sys.modules, module, None)
    assert audit(root, report=module == "jinja2") == 2
    said = capsys.readouterr().err
    extra = {"jinja2": "report", "zarr": "dask"}[module]
    assert f'needs {module}: pip install "membrane-xai[{extra}]"' in said
    assert not (root / "out").exists()


def test_sigint_loses_nothing(tmp_path, fields, rng):
    names = [f"{i:02d}" for i in range(24)]
    field = synthetic_her2("3+", size=(320, 320), mpp=0.5, seed=1).rgb
    for i, name in enumerate(names):
        changed = field.copy()
        changed[0, 0] = i
        save_image(tmp_path / "images" / f"{name}.png", changed)
        save_npy(tmp_path / "cams" / f"{name}.npy", rng.random((4, 5)))
    code = "import sys; from membrane_xai.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "audit", "--images", "images", "--cams", "cams",
               "--mpp", "0.5", "--out", "out", "--no-report", "--draws", "200"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    kept = tmp_path / "out" / "rows.jsonl"
    while not kept.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "membrane-xai: interrupted; files that are there are complete\n"
    assert not out
    finished = read_study(tmp_path / "out").rows
    assert 0 < len(finished) < len(names)
    assert [row["id"] for row in table(tmp_path)] == [row["id"] for row in finished]
    before = kept.read_text()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in table(tmp_path)] == names
    assert {row["status"] for row in table(tmp_path)} == {"ok"}
    assert kept.read_text().startswith(before)
    assert len(kept.read_text().splitlines()) == len(names)  # none was computed twice
    assert not list((tmp_path / "out").glob(".*"))


OPENED = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0])) if event == "open" else None)


@pytest.mark.parametrize("suffix", [name for name in SAVERS if name != "zarr"])
def test_each_cam_file_is_read_once(suffix, root, cams):
    """For its hash in the key and in the provenance, for its scores and for EC of all parts."""
    shutil.rmtree(root / "cams")
    (root / "cams").mkdir()
    paths = [root / "cams" / f"{name}.{suffix}" for name in NAMES]
    for name, path in zip(NAMES, paths, strict=True):
        SAVERS[suffix](path, cams[name])
    write_groups(root, ["name,group,class", "one,A,x", "two,A,x", "three,B,y"])
    OPENED.clear()
    assert audit(root, "--method", "mine", "--groups", root / "groups.csv") == 0
    assert [OPENED.count(str(path)) for path in paths] == [1, 1, 1]


@pytest.mark.parametrize("held", [0, 2**22])
def test_the_hash_is_that_of_the_map_that_was_scored(held, root, cams, monkeypatch):
    """A file that another program replaces meanwhile; what is too large to hold is read again."""
    monkeypatch.setattr("membrane_xai.study._entries._LARGEST_HELD", held)
    path = root / "cams" / "grad" / "one.npy"
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    def replaced(given, data):
        if held and given == path:
            np.save(path, np.ones_like(cams["one"]))
        return decode_cam(given, data)

    monkeypatch.setattr("membrane_xai.study._entries.decode_cam", replaced)
    assert audit(root) == 0
    [row] = [row for row in table(root) if row["id"] == "one"]
    mask = extract_membrane_mask(read_image(root / "images" / "one.png", mpp=0.5).rgb, mpp=0.5).mask
    assert_scores(row, alignment(cams["one"], mask))
    assert document(root, "results.json")["provenance"]["inputs"][str(path)] == f"sha256:{before}"
