"""``her2 data``: what it prints, what it writes, and its exit status."""

import argparse
import json

import pytest
from data_sets import SCORE_FOLDERS, her2_40x_zip, image

from her2_models._commands import data as command
from her2_models.data import discover


def her2_data(*arguments):
    parser = argparse.ArgumentParser(prog="her2 data")
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def root(tmp_path):
    for number, folder in enumerate(SCORE_FOLDERS * 6):
        image(tmp_path / "data" / folder / f"S{number // 4}_{number}.png", number)
    return tmp_path / "data"


def test_check_says_0_or_1(root, tmp_path, capsys):
    table = tmp_path / "all.csv"
    assert her2_data("check", root, "--mpp", 0.5, "--csv", table, "--group-pattern", "(S.)_") == 0
    assert "patient-safe: no: there are images without a split" in capsys.readouterr().out
    assert {(r.mpp, r.group) for r in discover(table).records} == {(0.5, f"S{i}") for i in range(6)}
    (root / "class_0" / "cut.png").write_bytes(image(tmp_path / "x.png", 99).read_bytes()[:50])
    assert her2_data("check", root) == 1
    assert "problem: 1 unreadable image" in capsys.readouterr().out
    assert her2_data("check", root, "--quick") == 0


def test_check_json(root, capsys):
    assert her2_data("check", root, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"none": [6, 6, 6, 6]}
    assert report["patient_safe"] == "no: names carry no group"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "there is no such file or folder"),
        ((".", "--group-pattern", "("), "no images"),
    ],
)
def test_what_says_nothing_sensible_is_2(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert her2_data("check", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [(), ("split", "."), ("get", "her2", "--out", "x"), ("check",)]
)
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        her2_data(*arguments)
    assert stopped.value.code == 2


def test_warnings_are_told(root, capsys):
    image(root / "overview.png", 77)
    assert her2_data("check", root) == 0
    assert "warning: " in (told := capsys.readouterr().err)
    assert "1 images without a score are left out, like overview.png" in told


def test_zips_are_unpacked_on_demand(tmp_path, capsys):
    archive = her2_40x_zip(tmp_path)
    assert her2_data("check", archive) == 2
    assert "is not unpacked; unpack=True (--unpack) does that" in capsys.readouterr().err
    assert her2_data("check", archive, "--unpack") == 1
    assert "published are 758 / 538 / 226 / 678" in capsys.readouterr().out


def test_split(root, tmp_path, capsys):
    out = tmp_path / "run" / "splits.csv"
    options = ("--scheme", "kfold", "--group-pattern", "(S.)_", "--folds", 3, "--out", out)
    assert her2_data("split", root, *options) == 0
    assert "test: 8 (2 / 2 / 2 / 2)" in (told := capsys.readouterr().out)
    assert "split: by slide\nkfold 0 of 3, seed 0; table: " in told
    assert her2_data("check", out) == 0
    assert "patient-safe: yes" in capsys.readouterr().out
    assert her2_data("split", root, "--scheme", "kfold", "--out", out) == 2
    assert "without a group" in capsys.readouterr().err
    blocks = ("--scheme", "blocks", "--test", 0.5, "--validation", 0.3, "--seed", 2, "--out", out)
    assert her2_data("split", root, *blocks, "--label-level", "slide") == 0
    assert "split: unknown: names carry no slide\n" in capsys.readouterr().out
    assert {record.label_level for record in discover(out).records} == {"slide"}
    assert her2_data("check", out) == 0
    assert "note: 24 images bear the score of their slide; what one" in capsys.readouterr().out
    assert discover(out).counts() == {
        "train": (2, 2, 2, 2), "val": (1, 1, 1, 1), "test": (3, 3, 3, 3),
    }  # fmt: skip


def test_get(tmp_path, monkeypatch, capsys):
    archive = her2_40x_zip(tmp_path)
    asked = []
    monkeypatch.setattr(command, "get", lambda *a, **k: asked.append((a, k)) or archive)
    assert her2_data("get", "her2-ihc-40x-patch", "--out", tmp_path, "--unpack") == 0
    assert asked == [(("her2-ihc-40x-patch", tmp_path), {"md5": None})]
    assert capsys.readouterr().out.split() == [str(archive), str(archive.with_suffix(""))]
    assert len(discover(archive.with_suffix(""))) == 16


def test_get_something_damaged_is_1(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "a.zip"
    broken.write_bytes(b"no zip")
    monkeypatch.setattr(command, "get", lambda *a, **k: broken)
    assert her2_data("get", "http://a/a.zip", "--out", tmp_path, "--unpack") == 1
    assert "her2 data: " in capsys.readouterr().err
