"""``membrane-xai audit``: scores, intervals and EC are those of the arrays."""

import shutil

import numpy as np
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
from shapely import box
from tiff_files import orientation_tag, write_tiff

from membrane_xai import CamGrid, alignment, ec_score, extract_membrane_mask, summarize
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.study import read_study, read_view


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
    assert "grad: 3 of 3 images scored, toward ideal 0." in shown.out
    assert "0 unmatched" in shown.out
    assert not shown.err
    assert unmatched(root) == []


def test_a_turned_tiff_is_the_upright_image(root, fields, cams):
    for name in NAMES:
        (root / "images" / f"{name}.png").unlink()
        turned = [orientation_tag(6)]  # a quarter to the right, to be seen
        write_tiff(root / "images" / f"{name}.tif", np.rot90(fields[name]), extratags=turned)
    assert audit(root) == 0
    for row in table(root):
        mask = extract_membrane_mask(fields[row["id"]], mpp=0.5).mask
        assert_scores(row, alignment(cams[row["id"]], mask))


def test_grids_of_all_methods_or_of_one(root, fields, cams, capsys):
    """Half a cell up and left, as a ResNet's; the other method has half-pixel centres."""
    grid = CamGrid((32, 25.6), 0, 128)
    for name, cam in cams.items():
        save_npy(root / "cams" / "other" / f"{name}.npy", cam)
    masks = {name: extract_membrane_mask(fields[name], mpp=0.5).mask for name in NAMES}
    assert audit(root, "--grid", f"grad={grid.to_text()}") == 0
    for row in table(root):
        placed = grid if row["method"] == "grad" else None
        assert_scores(row, alignment(cams[row["id"]], masks[row["id"]], grid=placed))
        assert row["cam_grid"] == ("" if placed is None else "32x25.6,0,128")
        assert float(row["cell_um"]) == pytest.approx(0.5 * (32 * 25.6) ** 0.5)
    lines = capsys.readouterr().out.splitlines()
    assert "4x5 cells of 14 um, 0.48 of a cell up and left of half-pixel centres" in lines[0]
    assert lines[1].count("4x5 cells of 14 um, EC") == 1
    recorded = document(root, "results.json")["provenance"]["parameters"]
    assert recorded["grids"] == {"grad": "32x25.6,0,128"}
    assert audit(root) == 1  # the folder has maps of another grid
    assert "there grid.grad is '32x25.6,0,128', now 'half-pixel'" in capsys.readouterr().err
    for options, message in (
        (["--grid", "32x25.6,0,128", "--grid", "32,0,128"], "--grid is given twice for one method"),
        (["--grid", "x=32x25.6,0,128"], "--grid is for 'x'; there are CAMs of 'grad', 'other'"),
    ):
        assert audit(root, *options) == 1
        assert message in capsys.readouterr().err
    (root / "out" / "manifest.json").unlink()
    (root / "out" / "rows.jsonl").unlink()
    assert audit(root, "--grid", "32x25.6,0,128", "--grid", "other=32x25.6,15.5x12.3,128") == 0
    assert {(row["method"], row["cam_grid"]) for row in table(root)} == {
        ("grad", "32x25.6,0,128"), ("other", "32x25.6,15.5x12.3,128")
    }  # fmt: skip
    recorded = document(root, "results.json")["provenance"]["parameters"]
    assert recorded["grids"] == {"all": "32x25.6,0,128", "other": "32x25.6,15.5x12.3,128"}


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
    for name in ("map", "chance", "ideal", "toward_ideal", "relative"):
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
