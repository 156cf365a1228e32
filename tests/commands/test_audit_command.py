"""``membrane-xai audit``: files of any tool in; scores, tables, a page, and what is left over."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata

import numpy as np
import PIL.Image
import pytest
import tifffile
from shapely import LineString, box

from membrane_xai import alignment, ec_score, extract_membrane_mask, summarize
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2
from membrane_xai.study import read_study, read_view

NAMES = ("one", "two", "three")
SCORES = ("map", "chance", "ceiling", "relative", "enrichment", "skill", "coverage")


@pytest.fixture(scope="module")
def fields():
    return {
        name: synthetic_her2(score, size=128, mpp=0.5, seed=seed).rgb
        for seed, (name, score) in enumerate(zip(NAMES, ("3+", "3+", "3+"), strict=True))
    }


@pytest.fixture
def cams(rng):
    return {name: rng.random((4, 5)).astype(np.float32) for name in NAMES}


@pytest.fixture
def root(tmp_path, fields, cams):
    """Three images, and a CAM for each by one method."""
    for name in NAMES:
        save_image(tmp_path / "images" / f"{name}.png", fields[name])
        save_npy(tmp_path / "cams" / "grad" / f"{name}.npy", cams[name])
    return tmp_path


def save_image(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(rgb).save(path)


def save_npy(path, cam):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, cam)


def audit(root, *options, mpp=0.5, report=False):
    more = [] if mpp is None else ["--mpp", str(mpp)]
    more += [] if report else ["--no-report"]
    folders = ["--images", str(root / "images"), "--cams", str(root / "cams")]
    return main(["audit", *folders, "--out", str(root / "out"), "--draws", "200", *more,
                 *map(str, options)])  # fmt: skip


def table(root, name="results.csv"):
    with (root / "out" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def document(root, name):
    return json.loads((root / "out" / name).read_text(encoding="utf-8"))


def unmatched(root):
    return (root / "out" / "unmatched.txt").read_text(encoding="utf-8").splitlines()


def assert_scores(row, found):
    for name, value in found.to_dict().items():
        if name in SCORES:
            assert float(row[name] or "nan") == pytest.approx(value, nan_ok=True, abs=1e-12)
    assert row["status"] == found.status


# what it computes


def test_scores_are_those_of_the_arrays(root, fields, cams, capsys):
    assert audit(root) == 0
    rows = {row["id"]: row for row in table(root)}
    assert set(rows) == set(NAMES)
    for name in NAMES:
        mask = extract_membrane_mask(fields[name], mpp=0.5).mask
        assert mask.any()
        assert rows[name]["method"] == "grad"
        assert_scores(rows[name], alignment(cams[name], mask))
    shown = capsys.readouterr()
    assert "grad: 3 of 3 images scored, MAP 0." in shown.out
    assert "0 unmatched" in shown.out
    assert not shown.err
    assert unmatched(root) == []


def test_a_table_by_hand(tmp_path):
    """Outlines: left column, upper row; CAMs: left half, and one of four corners."""
    for name, shape in (("a", box(0, 0, 1, 4)), ("b", box(0, 0, 4, 1))):
        save_image(tmp_path / "images" / f"{name}.png", np.full((4, 4, 3), 200, np.uint8))
        (tmp_path / "outlines").mkdir(exist_ok=True)
        write_geojson(tmp_path / "outlines" / f"{name}.geojson", Annotation(shape))
    save_npy(tmp_path / "cams" / "a.npy", [[1, 1, 0, 0]] * 4)
    save_npy(tmp_path / "cams" / "b.npy", [[0, 0], [1, 0]])
    assert audit(tmp_path, "--annotations", tmp_path / "outlines", mpp=None) == 0
    first, second = table(tmp_path)
    assert (first["id"], first["method"], first["status"]) == ("a", "cams", "ok")
    assert [float(first[name]) for name in ("map", "chance", "ceiling")] == [0.5, 0.25, 1]
    assert float(first["relative"]) == pytest.approx(1 / 3)
    assert float(first["coverage"]) == 1
    assert float(second["chance"]) == 0.25
    assert float(second["map"]) == 0  # bilinear weights of the lower left reach the second row
    assert float(second["mask_share"]) == 0.25


def test_summary_is_the_mean_with_its_interval(root):
    write_groups(root, ["name,group,score", "one,A,3+", "two,A,2+", "three,B,3+"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    rows = table(root)
    summary = document(root, "summary.json")["rows"]
    by = {(row["by"], row["value"]): row for row in summary}
    assert set(by) == {
        ("all", ""), ("score", "3+"), ("score", "2+"), ("group", "A"), ("group", "B")
    }  # fmt: skip
    for name in ("map", "chance", "relative"):
        expected = summarize(
            [float(row[name]) for row in rows], [row["group"] for row in rows], draws=200
        )
        found = by["all", ""]
        assert found[name] == pytest.approx(expected.mean)
        assert np.isnan([expected.low, expected.high]).all()  # of two groups there is no interval
        assert found[f"{name}_low"] is found[f"{name}_high"] is None
        assert found[f"{name}_note"] == expected.note == "few_groups"
    assert (by["all", ""]["rows"], by["all", ""]["groups"]) == (3, 2)
    of_a = [float(row["map"]) for row in rows if row["group"] == "A"]
    assert by["group", "A"]["map"] == pytest.approx(np.mean(of_a))
    assert by["group", "A"]["map_low"] is None
    assert by["score", "3+"]["rows"] == 2
    assert list(by["all", ""])[:10] == [
        "method", "by", "value", "rows", "groups", "scored", "no_activation", "empty_mask",
        "empty_region", "non_finite",
    ]  # fmt: skip


def write_groups(root, lines, encoding="utf-8"):
    (root / "groups.csv").write_text("\n".join(lines) + "\n", encoding=encoding)


def test_ec_is_that_of_the_cams_of_each_part(root, cams):
    write_groups(root, ["name,group,class", "one,A,3+", "two,A,2+", "three,B,3+"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    found = {(row["by"], row["value"]): row for row in table(root, "ec.csv")}
    everything = ec_score(np.stack([cams[name] for name in NAMES]))
    assert float(found["all", ""]["ec"]) == pytest.approx(everything)
    assert (found["all", ""]["pairs"], found["all", ""]["cams"]) == ("3", "3")
    alike = ec_score(np.stack([cams["one"], cams["three"]]))
    assert float(found["class", "3+"]["ec"]) == pytest.approx(alike)
    group = ec_score(np.stack([cams["one"], cams["two"]]))
    assert float(found["group", "A"]["ec"]) == pytest.approx(group)
    assert found["class", "2+"]["status"] == "too_few_maps"
    assert [row["class"] for row in table(root)].count("3+") == 2


def test_ec_compares_maps_of_one_grid_only(root, cams, rng):
    odd = rng.random((7, 7))
    save_npy(root / "cams" / "grad" / "two.npy", odd)
    assert audit(root, "--similarity", "cosine") == 0
    rows = {row["grid"]: row for row in table(root, "ec.csv")}
    expected = ec_score(np.stack([cams["one"], cams["three"]]), similarity="cosine")
    assert float(rows["4x5"]["ec"]) == pytest.approx(expected)
    assert (rows["4x5"]["cams"], rows["7x7"]["cams"]) == ("2", "1")


def test_several_methods(root, cams):
    for name in NAMES:
        save_npy(root / "cams" / "other" / f"{name}.npy", 2 - cams[name])
    assert audit(root) == 0
    rows = table(root)
    assert [row["method"] for row in rows] == ["grad", "other"] * 3
    assert {row["method"] for row in document(root, "summary.json")["rows"]} == {"grad", "other"}


SAVERS = {
    "npy": np.save,
    "npz": lambda path, cam: np.savez(path, cam=cam),
    "tif": tifffile.imwrite,
    "zarr": lambda path, cam: pytest.importorskip("zarr").create_array(path, data=cam),
}


@pytest.mark.parametrize("suffix", SAVERS)
def test_every_format_gives_the_same_numbers(suffix, root, fields, cams):
    shutil.rmtree(root / "cams")
    (root / "cams").mkdir()
    for name in NAMES:
        SAVERS[suffix](root / "cams" / f"{name}.{suffix}", cams[name])
    assert audit(root, "--method", "mine") == 0
    rows = table(root)
    assert [row["method"] for row in rows] == ["mine"] * 3
    for row in rows:
        mask = extract_membrane_mask(fields[row["id"]], mpp=0.5).mask
        assert_scores(row, alignment(cams[row["id"]], mask))


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_pictures_give_the_numbers_of_their_values(bits, root, fields, rng):
    shutil.rmtree(root / "cams")
    grey = {name: rng.integers(0, 2**bits, (4, 5)).astype(f"u{bits // 8}") for name in NAMES}
    for name, values in grey.items():
        save_image(root / "cams" / f"{name}.png", values)
    assert audit(root) == 0
    for row in table(root):
        mask = extract_membrane_mask(fields[row["id"]], mpp=0.5).mask
        assert_scores(row, alignment(grey[row["id"]].astype(float), mask))


def test_views_and_study_are_kept(root, fields, cams):
    assert audit(root) == 0
    [row, *_] = read_study(root / "out").rows
    view = read_view(root / "out", row["key"])
    assert (view.rgb == fields[row["id"]]).all()
    assert (view.maps["grad"][None] == cams[row["id"]]).all()


def test_provenance(root):
    import hashlib

    assert audit(root) == 0
    record = document(root, "results.json")["provenance"]
    assert record["command"].startswith("membrane-xai audit --images ")
    assert record["parameters"]["mpp"] == 0.5
    path = root / "cams" / "grad" / "two.npy"
    assert record["inputs"][str(path)] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert str(root / "images" / "two.png") in record["inputs"]


# what belongs together


def test_folders_below_match_too(root, fields, cams):
    save_image(root / "images" / "case 1" / "deep" / "é <script>.tiff", fields["one"])
    save_npy(root / "cams" / "grad" / "case 1" / "deep" / "é <script>.npy", cams["one"])
    assert audit(root, report=True) == 0
    rows = {row["id"]: row for row in table(root)}
    assert rows["case 1/deep/é <script>"]["map"] == rows["one"]["map"]
    page = (root / "out" / "report.html").read_text(encoding="utf-8")
    assert "é &lt;script&gt;" in page
    assert "é <script>" not in page


def test_one_method_may_have_folders_below(root, fields, cams):
    shutil.rmtree(root / "cams")
    save_image(root / "images" / "sub" / "one.png", fields["two"])
    for name in ("one", "sub/one"):
        save_npy(root / "cams" / f"{name}.npy", cams["one"])
    assert audit(root) == 0
    assert [row["id"] for row in table(root)] == ["one", "sub/one"]
    assert sorted(unmatched(root)) == [f"image without a CAM: {name}" for name in ("three", "two")]


def test_which_folder_is_a_method_is_not_guessed(root, fields, cams, capsys):
    save_image(root / "images" / "grad" / "one.png", fields["one"])
    (root / "cams" / "grad" / "two.npy").unlink()
    (root / "cams" / "grad" / "three.npy").unlink()
    assert audit(root) == 1
    said = capsys.readouterr().err
    assert "one.npy is the CAM of an image of its whole name, but" in said
    assert "that of 'one' by a method 'grad'" in said
    shutil.move(root / "cams" / "grad", root / "cams" / "m" / "grad")
    assert audit(root) == 0
    assert [(row["id"], row["method"]) for row in table(root)] == [("grad/one", "m")]


def test_the_reading_that_takes_in_more_cams_is_right(root, fields):
    save_image(root / "images" / "grad" / "one.png", fields["one"])
    assert audit(root) == 0
    assert [(row["id"], row["method"]) for row in table(root)] == [
        (name, "grad") for name in sorted(NAMES)
    ]
    assert unmatched(root) == ["image without a CAM: grad/one"]


def test_names_in_other_unicode_forms_match(root, fields, cams):
    save_image(root / "images" / (unicodedata.normalize("NFD", "é") + ".png"), fields["one"])
    save_npy(root / "cams" / "grad" / (unicodedata.normalize("NFC", "é") + ".npy"), cams["one"])
    write_groups(root, ["name,group", unicodedata.normalize("NFD", "é") + ",A"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    rows = {row["id"]: row for row in table(root)}
    assert rows["é"]["group"] == "A"


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no UTF-8")
def test_a_name_that_is_no_utf8_breaks_nothing(root, fields, cams, capsys):
    name = os.fsdecode(b"\xff")
    save_image(root / "images" / f"{name}.png", fields["one"])
    save_npy(root / "cams" / "grad" / f"{name}.npy", cams["one"])
    save_npy(root / "cams" / "grad" / f"{name}2.npy", cams["one"])
    assert audit(root, "--json") == 0
    assert any("udcff" in row["id"] for row in table(root))
    assert "udcff2" in unmatched(root)[0]
    json.loads(capsys.readouterr().out)


def test_everything_without_a_counterpart_is_listed(root, fields, cams, capsys):
    save_image(root / "images" / "alone.png", fields["one"])
    save_npy(root / "cams" / "grad" / "stray.npy", cams["one"])
    save_npy(root / "cams" / "other" / "one.npy", cams["one"])
    save_npy(root / "cams" / "nothing" / "x.npy", cams["one"])
    write_groups(root, ["name,group", "one,A", "two,A", "nobody,B", "alone,B"])
    options = ("--groups", root / "groups.csv", "--json")
    expected = [
        "CAM without an image: grad/stray",
        "CAM without an image: nothing/x",
        "row of the table without an image: nobody",
        "image without a CAM: alone",
        "image without a CAM of other: three",
        "image without a row in the table: three",
        "image without a CAM of other: two",
    ]
    assert audit(root, *options) == 0
    assert unmatched(root) == expected
    shown = capsys.readouterr()
    assert [one.removeprefix("unmatched: ") for one in shown.err.splitlines()] == expected
    told = [f"{one['what']}: {one['name']}" for one in json.loads(shown.out)["unmatched"]]
    assert told == expected
    record = document(root, "results.json")["provenance"]
    assert len(record["unmatched"]) == len(expected)
    rows = [(row["id"], row["method"], row["group"]) for row in table(root)]
    assert rows == [
        ("one", "grad", "A"),
        ("one", "other", "A"),
        ("three", "grad", ""),
        ("two", "grad", "A"),
    ]
    assert audit(root, *options, "--strict") == 1


def test_two_images_or_two_cams_of_one_name_are_an_error(root, fields, cams, capsys):
    save_image(root / "images" / "one.tif", fields["one"])
    assert audit(root) == 1
    said = capsys.readouterr().err
    assert "one.png" in said
    assert "one.tif are both images of the name 'one'; it takes one" in said
    (root / "images" / "one.tif").unlink()
    np.savez(root / "cams" / "grad" / "one.npz", cams["one"])
    assert audit(root) == 1
    said = capsys.readouterr().err
    assert "one.npy" in said
    assert "one.npz are both CAMs of the name 'grad/one'" in said
    assert not (root / "out").exists()


def test_nothing_that_matches_shows_both_sides(root, cams, capsys):
    shutil.rmtree(root / "cams")
    save_npy(root / "cams" / "grad" / "one_cam.npy", cams["one"])
    assert audit(root) == 1
    said = capsys.readouterr().err
    assert "no CAM is named like an image" in said
    assert "images are 'one', 'three', 'two', CAMs without one are 'grad/one_cam'" in said
    assert audit(root, "--images", root / "nowhere") == 1
    assert "nowhere: there is no such folder" in capsys.readouterr().err


def test_cams_may_lie_beside_the_images(root, cams):
    for name in NAMES:
        save_npy(root / "images" / f"{name}.npy", cams[name])
    assert audit(root, "--cams", root / "images") == 0
    assert [row["method"] for row in table(root)] == ["images"] * 3


def test_cams_and_results_below_the_images_are_no_images(root, cams):
    for name in NAMES:
        (root / "cams" / "grad" / f"{name}.npy").unlink()
        picture = (cams[name] * 255).astype(np.uint8)
        save_image(root / "cams" / "grad" / f"{name}.png", picture)
    for _ in range(2):
        assert audit(root, "--images", root, "--cams", root / "cams", "--method", "x") == 1
        shutil.move(root / "cams" / "grad", root / "cams" / "images")  # named like the images
        assert audit(root, "--images", root, "--cams", root / "cams") == 0
        assert [row["id"] for row in table(root)] == [f"images/{name}" for name in sorted(NAMES)]
        assert unmatched(root) == []
        shutil.move(root / "cams" / "images", root / "cams" / "grad")


def test_links_to_folders_are_followed_once(root):
    (root / "cams" / "linked").symlink_to(root / "cams" / "grad")
    (root / "cams" / "grad" / "round").symlink_to(root / "cams")
    (root / "images" / "round").symlink_to(root / "images")
    assert audit(root) == 0
    assert {row["method"] for row in table(root)} == {"grad", "linked"}
    assert len(table(root)) == 6


def test_hidden_files_are_passed_over(root, fields):
    save_image(root / "images" / ".trash" / "one.png", fields["one"])
    save_image(root / "images" / ".hidden.png", fields["one"])
    assert audit(root) == 0
    assert unmatched(root) == []


# annotations and tissue


def outlines(root, shapes):
    (root / "outlines").mkdir(exist_ok=True)
    for name, found in shapes.items():
        write_geojson(root / "outlines" / f"{name}.geojson", found)
    return ("--annotations", root / "outlines")


def test_outlines_are_masks_and_classes_choose(root, cams, capsys):
    membrane, other = box(0, 0, 10, 128), box(20, 0, 128, 128)
    given = outlines(
        root,
        {
            "one": [Annotation(membrane, "Membrane"), Annotation(other, "Stroma")],
            "two": [Annotation(other, "Stroma")],
            "stray": [Annotation(other, "Stroma")],
        },
    )
    assert audit(root, *given, "--annotation-class", "Membrane", mpp=None) == 0
    rows = {row["id"]: row for row in table(root)}
    mask = np.zeros((128, 128), bool)
    mask[:, :10] = True
    assert_scores(rows["one"], alignment(cams["one"], mask))
    assert rows["two"]["status"] == "empty_mask"
    assert "three" not in rows
    assert unmatched(root) == [
        "annotations without an image: stray",
        "image without annotations: three",
    ]
    capsys.readouterr()
    out = ("--out", root / "all")
    assert audit(root, *given, *out, mpp=None) == 0
    new = ("--out", root / "new")
    assert audit(root, *given, *new, "--annotation-class", "Tumour", mpp=None) == 1
    assert not (root / "new").exists()
    said = capsys.readouterr().err
    assert "'Tumour', which no annotation has; there are 'Membrane', 'Stroma'" in said


def test_lines_have_a_width_and_wkt_is_read(root, cams):
    options = outlines(root, {"one": [Annotation(LineString([(0, 10), (128, 10)]), "Membrane")]})
    (root / "outlines" / "two.wkt").write_text("POLYGON ((0 128, 10 128, 10 0, 0 0, 0 128))\n")
    assert audit(root, *options, "--line-width", 2) == 0
    rows = {row["id"]: row for row in table(root)}
    line, left = np.zeros((2, 128, 128), bool)
    line[8:12] = True
    left[:, :10] = True
    assert_scores(rows["one"], alignment(cams["one"], line))
    assert_scores(rows["two"], alignment(cams["two"], left))


def test_annotations_that_cannot_be_read_fail_their_image_alone(root, capsys):
    given = outlines(root, dict.fromkeys(NAMES, Annotation(box(0, 0, 10, 128), "Membrane")))
    (root / "outlines" / "two.geojson").write_text("{broken")
    assert audit(root, *given, "--annotation-class", "Membrane") == 1
    rows = {row["id"]: row for row in table(root)}
    assert [rows[name]["status"] for name in NAMES] == ["ok", "error", "ok"]
    assert "two.geojson: the annotations are not JSON" in rows["two"]["error"]
    assert "1 of 3 rows failed" in capsys.readouterr().err


@pytest.mark.parametrize("drawn", [False, True])
def test_tissue_alone_counts(drawn, root, fields, cams):
    given = outlines(root, dict.fromkeys(NAMES, Annotation(box(0, 0, 10, 128)))) if drawn else ()
    assert audit(root, *given, "--regions", "tissue") == 0
    for row in table(root):
        found = extract_membrane_mask(fields[row["id"]], mpp=0.5)
        mask = np.zeros((128, 128), bool)
        mask[:, :10] = True
        chosen = mask if drawn else found.mask
        assert_scores(row, alignment(cams[row["id"]], chosen, region=found.tissue))


def test_options_that_need_annotations(root, capsys):
    assert audit(root, "--annotation-class", "Membrane") == 1
    assert "go with --annotations" in capsys.readouterr().err


# the table of groups


def test_groups_as_spreadsheets_write_them(root):
    lines = ["name;group;score;magnification", "one.png;A;3+;40", "two;B;2+;", "three;A;;20"]
    write_groups(root, lines, encoding="utf-8-sig")
    assert audit(root, "--groups", root / "groups.csv") == 0
    rows = {row["id"]: row for row in table(root)}
    assert [rows[name]["group"] for name in NAMES] == ["A", "B", "A"]
    assert [rows[name]["score"] for name in NAMES] == ["3+", "2+", ""]
    assert rows["one"]["magnification"] == "40"
    by = {(row["by"], row["value"]) for row in document(root, "summary.json")["rows"]}
    assert ("score", "3+") in by
    assert not any(value is None for _, value in by)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["file,group", "one,A"], "has columns ['file', 'group']; it takes 'name' and others"),
        (["name", "one"], "it takes 'name' and others"),
        (["name,group", "one,A", "one,B"], "lines 2 and 3 are both of 'one'"),
        (["name,group", "one,A", "one.png,B"], "two rows of the image 'one'"),
        (["name,group", "one"], "line 2 has 1 cells; it takes 2, one for each column"),
        (["name,group", "one,A,B"], "line 2 has 3 cells; it takes 2"),
        (["name,group", ",A"], "line 2 has no name"),
        (["name,map", "one,A"], "has a column 'map', as the results have already"),
        (["name,ec_x", "one,A"], "has a column 'ec_x', as the results have already"),
        (["name,z", "one,A"], "has a column 'z', as the results have already"),
        (["name,group,group", "one,A,B"], "two columns 'group'; it takes different names"),
        (["name,group,", "one,A,B"], "has columns ['name', 'group', '']; each takes a name"),
        ([], "has columns []"),
    ],
)
def test_tables_that_say_nothing_sensible(lines, said, root, capsys):
    write_groups(root, lines)
    assert audit(root, "--groups", root / "groups.csv") == 1
    assert said in capsys.readouterr().err
    assert not (root / "out").exists()


def test_a_table_that_is_no_text(root, capsys):
    (root / "groups.csv").write_bytes(b"name,group\n\xff,A\n")
    assert audit(root, "--groups", root / "groups.csv") == 1
    assert "groups.csv: is not UTF-8 text" in capsys.readouterr().err


def test_columns_of_many_values_do_not_part_images(root, monkeypatch, capsys):
    monkeypatch.setattr("membrane_xai.study._summary.MOST_VALUES", 2)
    write_groups(root, ["name,age,score", "one,61,3+", "two,62,2+", "three,63,3+"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    assert "note: age has too many values" in capsys.readouterr().err
    assert {row["by"] for row in document(root, "summary.json")["rows"]} == {"all", "score"}
    assert [row["age"] for row in table(root)] == ["61", "63", "62"]


# errors, going on, other outputs


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
