"""One table of means: printed, as JSON, as CSV and on the page it has the same digits."""

import csv
import json
import re

import numpy as np
import PIL.Image
import pytest
import report_studies
from parsed_page import Parsed
from shapely import box
from summary_tables import as_printed, assert_page, of_csv, p_of

from membrane_xai import summarize
from membrane_xai._backend.vocabulary import bounds_of
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.cli import main
from membrane_xai.html_report import write_html_report
from membrane_xai.metrics import SUMMARY_SCORES
from membrane_xai.study import read_study
from membrane_xai.tables import cells_text

pytest.importorskip("jinja2")

SCORES = (*SUMMARY_SCORES, "ec")
DRAWS, SEED = 250, 7


LINE = re.compile(
    r"(?P<method>\w+)(?:, (?P<by>\w+) (?P<value>.+?))?: (?P<scored>\d+) of (?P<rows>\d+) images "
    r"scored, toward ideal (?P<toward_ideal>.+) \(of sums (?P<toward_ideal_of_sums>.+)\), "
    r"MAP (?P<map>.+), chance (?P<chance>\S+), ideal (?P<ideal>\S+), "
    r"(?P<cells>\d+x\d+ cells of .+?)"
    r"(?:, p (?P<p>.+) of (?P<n>\d+) by (?P<null>\w+)(?: (?P<note>\w+))?)?(?:, EC .*)?"
)


def assert_printed(text, rows):
    """Each line but the last is a row of the table, those of single groups left out."""
    lines = [LINE.fullmatch(line) for line in text.splitlines()[:-1]]
    rows = [row for row in rows if row["by"] != "group"]
    for line, row in zip(lines, rows, strict=True):
        assert (line["method"], line["by"] or "all", line["value"] or "") == (
            row["method"], row["by"], row["value"],
        )  # fmt: skip
        assert (int(line["scored"]), int(line["rows"])) == (row["scored"], row["rows"])
        for name in ("map", "toward_ideal", "toward_ideal_of_sums"):
            assert line[name] == as_printed(row, name)
        assert line["cells"] == cells_text(row)
        for name in ("chance", "ideal"):
            assert line[name] == ("nan" if row[name] is None else f"{row[name]:.3f}")
        if "p_value" in row:
            assert (line["p"], int(line["n"])) == (p_of(row), row["p_value_n"])
            assert (line["null"], line["note"] or "") == (row["p_value_null"], row["p_value_note"])


# ---- Three audits: images of which some have no score; classes; magnifications -----------------


def audit_files(root, rng, count=14):
    """Make images, outlines and CAMs of two methods; six images lack a score by one of them."""
    for name in ("images", "outlines", "cams/one", "cams/two"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        name = f"{i:02d}"
        PIL.Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(
            root / f"images/{name}.png"
        )
        shape = box(-9, -9, -5, -5) if i == 1 else box(2, i, 6 + i, i + 5)
        write_geojson(root / f"outlines/{name}.geojson", Annotation(shape))
        for method in ("one", "two"):
            cam = rng.random((6, 6)) ** 3
            if (method, i) == ("one", 2):
                cam[:] = 0  # no activation, but a chance
            if (method, i) == ("two", 3):
                cam[0, 0] = np.nan
            np.save(root / f"cams/{method}/{name}.npy", cam)
    (root / "cams/one/04.npy").write_bytes(b"cut")
    return root


def table_of(root, columns, count=14):
    lines = [",".join(["name", *columns])]
    lines += [",".join([f"{i:02d}", *(str(f(i)) for f in columns.values())]) for i in range(count)]
    (root / "groups.csv").write_text("\n".join(lines) + "\n")


STUDIES = {
    "undefined rows": ({"group": lambda i: f"p{i % 5}"}, ["--chance-test"]),
    "classes": (
        {"group": lambda i: f"p{i % 11}", "class": lambda i: "3+" if i > 11 else f"{i % 2}+"},
        [],
    ),
    "magnifications": (
        {"magnification": lambda i: f"{(10, 20, 40)[i % 3]}x", "grade": lambda i: i // 12},
        ["--chance-test", "shift"],
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("study", STUDIES)
def test_page_json_csv_and_terminal_have_the_same_digits(study, tmp_path, rng, capsys):
    columns, more = STUDIES[study]
    root = audit_files(tmp_path, rng)
    table_of(root, columns)
    command = ["audit", "--images", str(root / "images"), "--cams", str(root / "cams"),
               "--regions", "all", "--controls",
               "--annotations", str(root / "outlines"), "--groups", str(root / "groups.csv"),
               "--out", str(root / "out"), "--draws", str(DRAWS), "--seed", str(SEED)]  # fmt: skip
    command += more
    assert main(command) == 1  # of the CAM that is cut
    printed = capsys.readouterr().out
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["summary"]
    rows = json.loads((root / "out/summary.json").read_text())["rows"]
    assert told == rows == of_csv(root / "out/summary.csv")
    assert_printed(printed, rows)
    page = Parsed((root / "out/report.html").read_text("utf-8"))
    assert_page(page, {row["method"]: row for row in rows if row["by"] == "all"})
    settings = dict(page.rows("Settings of the study"))
    assert (settings["draws"], settings["seed"]) == (str(DRAWS), str(SEED))
    assert_by_hand(root / "out", rows, columns)


def assert_by_hand(out, rows, columns):
    """The numbers are those of single calls on the columns of results.csv."""
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {row["status"] for row in table} == {
        "ok", "empty_mask", "no_activation", "non_finite", "error"
    }  # fmt: skip
    assert {(row["by"]) for row in rows} == {"all", *columns}
    for row in rows:
        mine = [one for one in table if one["method"] == row["method"]
                and (row["by"] == "all" or one[row["by"]] == row["value"])]  # fmt: skip
        groups = [one["group"] for one in mine] if "group" in columns else None
        for name in SCORES:
            beside = name in ("chance", "ideal", "ceiling")
            counted = [one["status"] == "ok" or not beside for one in mine]
            values = [float(one[name] or "nan") for one in mine]
            values = np.where(counted, values, np.nan)
            want = summarize(values, groups, bounds=bounds_of(name))
            numbers = [None if x != x else x for x in (want.mean, want.low, want.high)]
            assert [row[f"{name}{end}"] for end in ("", "_low", "_high")] == numbers
            assert (row[f"{name}_n"], row[f"{name}_note"]) == (want.n, want.note)
            assert row[f"{name}_n_eff"] == want.n_eff
        known = [one for one in mine if one["toward_ideal"]]
        gain, room = (
            sum(float(one[name]) - float(one["chance"]) for one in known)
            for name in ("map", "ideal")
        )
        assert row["toward_ideal_of_sums_n"] == len(known)
        assert (row["toward_ideal_of_sums"] or 0) == pytest.approx(gain / room if known else 0)


def test_the_marks_stand_wherever_the_numbers_do(tmp_path, rng, capsys):
    """Two patients in one half of the images, five in all, eleven for the other method."""
    root = audit_files(tmp_path, rng, 13)
    for i in range(5, 13):
        (root / f"cams/one/{i:02d}.npy").unlink()  # it has 00 and 03 with a score: two patients
    table_of(root, {"group": lambda i: f"p{i}", "half": lambda i: i // 7}, 13)
    command = ["audit", "--images", str(root / "images"), "--cams", str(root / "cams"),
               "--regions", "all", "--controls",
               "--annotations", str(root / "outlines"), "--groups", str(root / "groups.csv"),
               "--out", str(root / "out"), "--draws", str(DRAWS)]  # fmt: skip
    main(command)
    one, *_ = lines = capsys.readouterr().out.splitlines()
    rows = {
        (row["method"], row["by"], row["value"]): row
        for row in json.loads((root / "out/summary.json").read_text())["rows"]
    }
    from_csv = {(row["method"], row["by"], row["value"]): row
                for row in of_csv(root / "out/summary.csv")}  # fmt: skip
    few, half, many = rows["one", "all", ""], rows["two", "half", "0"], rows["two", "all", ""]
    assert [row["map_n"] for row in (few, half, many)] == [2, 5, 11]
    assert [row["map_note"] for row in (few, half, many)] == ["few_groups", "small_sample", ""]
    assert from_csv["one", "all", ""]["map_note"] == "few_groups"
    assert from_csv["two", "half", "0"]["map_note"] == "small_sample"
    for row in (few, from_csv["one", "all", ""]):
        assert row["map_low"] is row["map_high"] is None
        assert row["map"] is not None
    assert f"MAP {few['map']:.3f} [few_groups], chance" in one
    [line] = [line for line in lines if line.startswith("two, half 0:")]
    assert line.count("] small_sample") == 3
    [line] = [line for line in lines if line.startswith("two: ")]
    assert "small_sample" not in line
    page = Parsed((root / "out/report.html").read_text("utf-8"))
    cells = {row[0]: row for row in page.rows("Means by method")}
    assert cells["one"][2] == f"{few['map']:.3f}few_groups"
    assert " to " in cells["two"][2]
    assert "small_sample" not in cells["two"][2]
    [body] = page.all("body")
    assert "few_groups: fewer than 3 groups have a score" in " ".join(body["text"].split())
    table_of(root, {"group": lambda i: f"p{i % 6}"}, 13)
    (root / "out/report.html").unlink()
    main([*command, "--out", str(root / "again")])
    page = Parsed((root / "again/report.html").read_text("utf-8"))
    assert {row[0]: row for row in page.rows("Means by method")}["two"][2].endswith("small_sample")


# ---- Explainers of several classes -------------------------------------------------------------


def test_classes_of_an_image_are_apart_on_the_page_as_in_the_summary(tmp_path):
    methods = {
        "both": lambda rgb: {"0": rgb[:, ::8, ::8, 0] * 1.0, "3+": rgb[:, ::8, ::8, 1] * 1.0},
        "noise": report_studies.METHODS["noise"],
    }
    report_studies.make(
        tmp_path / "s", 12, methods, groups=None, draws=DRAWS, seed=SEED, chance_test=True
    )
    study = read_study(tmp_path / "s")
    page = Parsed(write_html_report(tmp_path / "s", tmp_path / "r.html").read_text("utf-8"))
    rows = {}
    for row in study.summary(by=("method", "class")):
        label = "" if row["class"] is None else f", class {row['class']}"
        rows[f"{row['method']}{label}"] = {
            name: None if value != value else value for name, value in row.items()
        }
    assert set(rows) == {"both, class 0", "both, class 3+", "noise"}
    assert_page(page, rows)
    defaults = study.summary(by=("method", "class"), draws=10_000, seed=0)
    assert defaults[0]["map_low"] == study.summary(by=("method", "class"))[0]["map_low"]


def test_the_page_measures_nothing(tmp_path, monkeypatch):
    """It reads each image once, and moves no map."""
    report_studies.make(tmp_path / "s", 4, chance_test=True)
    read = []
    from membrane_xai.html_report import _gallery

    original = _gallery.read_view
    monkeypatch.setattr(
        _gallery, "read_view", lambda out, key: read.append(key) or original(out, key)
    )
    monkeypatch.setattr("membrane_xai.study._rows.shift_null", None)
    write_html_report(tmp_path / "s", tmp_path / "r.html")
    assert len(read) == len(set(read)) == 4
