"""The page of benchmarks says of each file what the file says."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    path = ROOT / "docs" / "_extensions" / "benchmark_tables.py"
    spec = importlib.util.spec_from_file_location("benchmark_tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(quantity, values, goal=None, verdict=None, cases=()):
    middle = sorted(values)[len(values) // 2]
    low, high = min(values), max(values)
    return {"quantity": quantity, "unit": "ms", "min": low, "median": middle, "max": high,
            "goal": goal, "verdict": verdict, "values": values, "cases": list(cases)}  # fmt: skip


AT_MOST_2 = {"sign": "<=", "bound": 2}
AT_LEAST_2 = {"sign": ">=", "bound": 2}


def plain(texts):
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts]


def test_a_line_with_a_goal(tables):
    line = tables.cells(row("time", [1.0, 1.23456, 2.5], AT_MOST_2, "reached"))
    assert plain(line) == ["time", "ms", "1.23", "1 to 2.5", "3", "≤ 2", "yes"]


def test_a_line_without_a_goal_that_belongs_to_another(tables):
    line = tables.cells(row("  of it", [1234567.8]))
    assert line == ["\N{EM SPACE}of it", "ms", "1,234,568", "", "1", "", ""]


def test_a_goal_that_is_missed(tables):
    assert tables.verdict(row("time", [3.0], AT_MOST_2, "not reached")) == "no"


@pytest.mark.parametrize(("goal", "said"), [(AT_MOST_2, "no, 1 of 3"), (AT_LEAST_2, "no, 1 of 3")])
def test_images_that_miss_a_goal_are_counted(tables, goal, said):
    values = [1.0, 2.0, 3.0]  # one on either side, and one that just reaches it
    assert tables.verdict(row("IoU", values, goal, "not reached", "abc")) == said


def test_missed_goals_are_named_with_the_line_above(tables):
    rows = [
        row("a", [1.0], AT_MOST_2, "reached"),
        row("b", [3.0], AT_MOST_2, "not reached"),
        row("c", [1.0]),
        row("  part", [1.0]),
        row("  rest", [3.0], AT_MOST_2, "not reached"),
    ]
    result = tables.Result("x", rows, {})
    assert list(tables.missed(result)) == ["b", "c: rest"]
    assert tables.summary(result) == ["5", "3", "1", "2"]


def test_files_are_read_and_an_unknown_one_is_called_by_its_name(tables, tmp_path):
    for name in ("metrics", "no_title_yet"):
        document = {"rows": [row("a", [1.0])], "provenance": {"versions": {}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    assert [result.title for result in tables.read(tmp_path)] == ["MAP and EC", "No title yet"]


def test_machine_and_versions(tables):
    machine = {"cpu": "CPU", "cores": 2, "memory_bytes": 24.6e9, "load_average": [1.26, 0, 0]}
    said = tables.measured_on({"versions": {"numpy": "2"}, "platform": "P", "machine": machine})
    assert said == "CPU, 2 cores, 25 GB, load 1.3 at the end; P. numpy 2."


def test_committed_files_are_shown(tables):
    for result in tables.read(ROOT / "benchmarks" / "results"):
        assert all(len(tables.cells(each)) == len(tables.COLUMNS) for each in result.rows)
        assert tables.measured_on(result.provenance)


def test_the_command_behind_a_file_is_found(tables):
    assert tables.script(tables.Result("metrics", [], {})) == "python -m benchmarks.metrics"
    full = tables.Result("score_cam_full", [], {})
    assert tables.script(full) == "python -m benchmarks.score_cam.full"
    assert tables.script(tables.Result("nowhere", [], {})) is None


def test_only_names_that_are_published_count(tables):
    code = """
        'a.json'
        write(rows, "b")
        publish(rows, "c", packages, seed=1)
        # publish(rows, "d")
        if slow: publish(measure(), "e")
    """
    assert tables.published(inspect.cleandoc(code)) == ["c", "e"]


def test_each_committed_file_has_one_command(tables):
    published = [
        name
        for path in (ROOT / "benchmarks").rglob("*.py")
        for name in tables.published(path.read_text())
    ]
    results = tables.read(ROOT / "benchmarks" / "results")
    assert sorted(published) == sorted({*published, *(result.name for result in results)})
