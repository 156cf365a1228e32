"""Rows and files of an evaluation."""

import csv
import json
import re

import numpy as np
import pytest

from her2_models.metrics import (
    PER_CLASS,
    SINGLE,
    classification_metrics,
    cross_table,
    metrics_from_confusion,
    refer_to_ish,
    reliability,
    write_tables,
)
from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import array_hash, write_csv


@pytest.fixture
def data(rng):
    labels = rng.integers(0, 4, 80)
    return labels, rng.dirichlet(np.ones(4), 80)


def test_rows_hold_every_number(data):
    result = classification_metrics(*data, draws=100)
    rows = result.rows()
    numbers = ["value", "low", "high", "n_eff", "undefined_draws"]
    keys = ["quantity", "class", *numbers, "note", "reason"]
    assert all(list(row) == keys for row in rows)
    assert [row["quantity"] for row in rows[: len(SINGLE)]] == list(SINGLE)
    assert len(rows) == len(SINGLE) + 4 * len(PER_CLASS)
    row = result.row("recall", "2+")
    assert row in rows
    assert row["value"] == result.recall[2]
    assert (row["low"], row["high"]) == (
        result.intervals["recall"].low[2],
        result.intervals["recall"].high[2],
    )
    assert (row["reason"], row["n_eff"]) == ("", result.support[2])


def test_a_row_without_a_number_says_why():
    result = metrics_from_confusion([[5, 0], [1, 0]], names=["2+", "3+"])
    assert result.row("precision", "3+")["reason"] == "never predicted: 3+"
    assert result.row("precision", "2+")["reason"] == ""  # this one is defined
    assert np.isnan(result.row("precision", "2+")["low"])
    assert result.row("macro_auc")["reason"] == "needs probabilities"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recall",), "of is None; 'recall' takes one of ('0', '1+', '2+', '3+')"),
        (("recall", "4+"), "of is '4+'; 'recall' takes one of"),
        (("accuracy", "0"), "of is '0'; 'accuracy' takes no class"),
        (("confusion",), "quantity is 'confusion'; it takes one of ('accuracy', "),
    ],
)
def test_bad_row(arguments, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        metrics_from_confusion(np.eye(4, dtype=int)).row(*arguments)


def test_files_hold_the_numbers(tmp_path, data):
    labels = data[0]
    result = classification_metrics(*data, groups=np.arange(80) % 3, draws=100, seed=5)
    paths = write_tables(
        result,
        tmp_path / "new" / "folder",
        parameters={"weights": "a.safetensors"},
        inputs={"labels": labels},
    )
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == sorted(paths)
    with paths["metrics.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["quantity"] for row in rows] == [row["quantity"] for row in result.rows()]
    assert float(rows[0]["value"]) == result.accuracy  # every digit
    document = json.loads(paths["metrics.json"].read_text())
    assert document["rows"][0]["value"] == result.accuracy
    record = document["provenance"]
    assert record["parameters"] == {
        "ci": 0.95,
        "method": "jackknife",
        "draws": 100,
        "seed": 5,
        "clustered": True,
        "n_groups": 3,
        "weights": "a.safetensors",
    }
    assert record["inputs"] == {"labels": array_hash(labels)}
    assert record["confusion"]["rows_true"] == result.confusion.tolist()
    with paths["confusion.csv"].open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["true", "0", "1+", "2+", "3+"]
    assert [[int(x) for x in row[1:]] for row in rows[1:]] == result.confusion.tolist()


def test_markdown_is_for_reading(tmp_path, data):
    result = classification_metrics(*data, draws=100)
    text = write_tables(result, tmp_path)["metrics.md"].read_text()
    interval = result.intervals["accuracy"]
    assert "## All classes, 80 cases taken as independent, jackknife\n" in text
    assert "| quantity | value (95 % interval) |\n" in text
    assert (
        f"| accuracy | {result.accuracy:.4f} ({interval.low:.4f} to {interval.high:.4f}) |" in text
    )
    assert f"| 2+ | {result.support[2]} | {result.precision[2]:.4f} (" in text
    by_slide = classification_metrics(*data, groups=np.arange(80) % 9, draws=100)
    text = write_tables(by_slide, tmp_path)["metrics.md"].read_text()
    size = "80 cases in 9 groups (as 9.0 of one size)"
    assert f"## All classes, {size}, jackknife over groups, small_sample\n" in text
    plain = write_tables(metrics_from_confusion(np.eye(4, dtype=int)), tmp_path)
    assert "## All classes, 4 cases\n" in plain["metrics.md"].read_text()


def test_what_is_to_be_said_stands_with_every_table(tmp_path, data):
    result = classification_metrics(*data, draws=0)
    about = {"label_level": "slide", "caution": ""}
    paths = write_tables(result, tmp_path, about=about)
    text = paths["metrics.md"].read_text()
    assert text.startswith("## To be said with them\n")
    assert "| label level | slide |\n" in text
    assert "caution" not in text  # nothing to say
    document = json.loads(paths["metrics.json"].read_text())
    assert document["provenance"]["parameters"]["label_level"] == "slide"
    with paths["metrics.csv"].open(newline="") as file:
        assert {row["label_level"] for row in csv.DictReader(file)} == {"slide"}


def test_rows_of_the_other_summaries_are_tables_too(tmp_path, data):
    for rows in (refer_to_ish(*data).rows(), reliability(*data)):
        path = write_csv(tmp_path / "rows.csv", rows)
        assert len(path.read_text().splitlines()) == 1 + len(rows)


def test_cross_table(data, tmp_path):
    with_interval = classification_metrics(*data, groups=np.arange(80) % 7, draws=100)
    plain = metrics_from_confusion(np.eye(4, dtype=int))
    results = {("10x", "10x"): plain, ("40x", "20x"): with_interval}
    rows = cross_table(results, quantity="recall", of="3+")
    assert [(row["train"], row["test"]) for row in rows] == [
        ("10x", "10x"),
        ("10x", "20x"),
        ("40x", "10x"),
        ("40x", "20x"),
    ]
    assert [row["n"] for row in rows] == [4, 0, 0, 80]
    assert [row["clustered"] for row in rows] == [False, False, False, True]
    assert rows[0]["value"] == 1
    assert rows[3]["value"] == with_interval.recall[3]
    assert rows[3]["low"] == with_interval.intervals["recall"].low[3]
    assert np.isnan([rows[1]["value"], rows[1]["low"], rows[1]["high"]]).all()
    assert [row["reason"] for row in rows] == ["", "not evaluated", "not evaluated", ""]
    write_csv(tmp_path / "cross.csv", rows)  # all rows have the same keys


def test_cross_table_of_an_undefined_quantity_says_why():
    (row,) = cross_table(
        {("BCI", "BCI"): metrics_from_confusion(np.eye(4, dtype=int))}, quantity="macro_auc"
    )
    assert np.isnan(row["value"])
    assert row["reason"] == "needs probabilities"


def test_bad_cross_tables():
    with pytest.raises(InvalidInputError, match="results is empty"):
        cross_table({})
    results = {("a", "a"): metrics_from_confusion(np.eye(4, dtype=int))}
    with pytest.raises(InvalidInputError, match="quantity is 'acuracy'"):
        cross_table(results, quantity="acuracy")


def test_metrics_need_no_network_library():
    from interpreters import FRAMEWORKS, modules_after

    loaded = modules_after("import her2_models.metrics, her2_models.metrics")
    assert not loaded & (FRAMEWORKS - {"her2_models"} | {"sklearn", "matplotlib"})
