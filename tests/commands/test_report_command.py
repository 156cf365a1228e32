"""``membrane-xai report``: a study in, a page out, and what it says."""

import json
import shlex
import sys

import pytest
import report_studies

from membrane_xai.cli import main

pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "a study"
    report_studies.make(folder, 3, {"noise": report_studies.METHODS["noise"]})
    return folder


def exit_status(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["report", *map(str, arguments)])
    return stopped.value.code


def test_a_page_is_written_and_its_size_told(study, tmp_path, capsys):
    path = tmp_path / "new" / "report.html"
    assert main(["report", str(study), "-o", str(path), "--title", "A <title>"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{path}: {path.stat().st_size / 1e6:.1f} MB\n"
    assert not shown.err
    assert "<title>A &lt;title&gt;</title>" in path.read_text("utf-8")


def test_json(study, tmp_path, capsys):
    path = tmp_path / "report.html"
    assert main(["report", str(study), "--out", str(path), "--most", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"report": str(path), "bytes": path.stat().st_size}
    assert "2 of 3 images; open one" in path.read_text("utf-8")


def test_the_page_has_the_command_that_makes_it_again(study, tmp_path):
    path, again = tmp_path / "report.html", tmp_path / "again.html"
    main(["report", str(study), "-o", str(path), "--title", "two words"])
    words = ["membrane-xai", "report", str(study), "-o", str(path), "--title", "two words"]
    command = shlex.join(words)
    assert command.replace("'", "&#39;") in path.read_text("utf-8")
    main(["report", str(study), "-o", str(again)])
    assert "--title" not in again.read_text("utf-8")


def test_failures(study, tmp_path, capsys, monkeypatch):
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 1
    assert "no study has been kept there" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(study), "-o", str(tmp_path / "r.html")]) == 2
    assert "membrane-xai[report]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(study, capsys):
    assert exit_status(study) == 2
    assert "the following arguments are required: -o/--out" in capsys.readouterr().err
    assert exit_status(study, "-o", "r.html", "--most", "-1") == 2
    assert exit_status(study, "-o", "r.html", "--most", "few") == 2
    assert "'few'; it takes a non-negative integer" in capsys.readouterr().err


def test_help(capsys):
    assert exit_status("--help") == 0
    shown = capsys.readouterr().out
    assert "Research use only" in shown
    assert "--most N" in shown
