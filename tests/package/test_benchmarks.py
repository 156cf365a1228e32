"""Benchmarks start, say how they are called, and write what they measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich")
pytest.importorskip("threadpoolctl")
ROOT = Path(__file__).parents[2]
ENTRIES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "benchmarks").rglob("*.py")
    if "def main()" in path.read_text()
)


@pytest.fixture
def harness(monkeypatch, tmp_path):
    """Import the harness from the root of the repository; it writes below tmp_path."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.harness import publish

    monkeypatch.setattr(publish, "RESULTS", tmp_path / "results")
    return publish


def test_there_is_an_entry_for_every_command_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    told_which_run = ["benchmarks.study.audit", "benchmarks.study.skill"]
    assert [name for name in ENTRIES if f"/python -m {name}\n" not in makefile] == told_which_run
    for name in told_which_run:
        assert f"-m {name} .benchmarks/her2" in makefile


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_starts_under_its_name(name):
    said = subprocess.run(
        [sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(f"usage: python -m {name} ")


def test_rows_are_printed_and_written_with_what_they_were_measured_on(harness, capsys):
    from benchmarks.harness.images import of_images
    from benchmarks.harness.rows import Goal, Row

    rows = [
        Row("time", "s", [3.0, 1.0, 2.0], Goal("<=", 2)),
        of_images("  IoU", "", {"a": 0.5, "b": 0.9}, Goal(">=", 0.8)),
    ]
    harness.publish(rows, "name", ["no-such-package"], {"a": [1, 2]}, seed=7)
    printed = capsys.readouterr().out
    assert "not reached on 1 of 2" in printed
    assert printed.endswith("not reached: IoU >= 0.8: a 0.5\n")
    written = json.loads((harness.RESULTS / "name.json").read_text())
    time, iou = written["rows"]
    assert (time["median"], time["verdict"], time["cases"]) == (2, "reached", [])
    assert (iou["values"], iou["verdict"], iou["cases"]) == ([0.5, 0.9], "not reached", ["a", "b"])
    provenance = written["provenance"]
    assert provenance["parameters"] == {"seed": 7}
    assert provenance["versions"]["no-such-package"] is None
    assert list(provenance["inputs"]) == ["a"]
    assert provenance["machine"]["cores"] >= 1


def test_a_part_runs_in_a_process_of_its_own(harness, tmp_path):
    from benchmarks.harness.processes import run_apart

    part = tmp_path / "part.json"
    part.write_text('{"seconds": 1.5}')
    # json.tool prints what it reads, and stands for a part of a benchmark.
    assert run_apart("json.tool", part) == {"seconds": 1.5}
    part.write_text("no numbers")
    with pytest.raises(subprocess.CalledProcessError):
        run_apart("json.tool", part)
