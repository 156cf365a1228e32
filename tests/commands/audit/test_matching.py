"""``membrane-xai audit``: what belongs together, and what is left over."""

import json
import os
import shutil
import sys
import unicodedata

import numpy as np
import pytest
from audit_files import NAMES, audit, document, save_image, save_npy, table, unmatched, write_groups
from shapely import box

from membrane_xai.annotations import Annotation, write_geojson


def test_folders_below_match_too(root, fields, cams):
    save_image(root / "images" / "case 1" / "deep" / "é <script>.tiff", fields["one"])
    save_npy(root / "cams" / "grad" / "case 1" / "deep" / "é <script>.npy", cams["one"])
    assert audit(root, report=True) == 0
    rows = {row["id"]: row for row in table(root)}
    assert rows["case 1/deep/é <script>"]["map"] == rows["one"]["map"]
    page = (root / "out" / "report.html").read_text(encoding="utf-8")
    assert "é &lt;script&gt;" in page
    assert "é <script>" not in page


@pytest.mark.parametrize("name", ["sub\\one", "sub\\one.png", "sub/one.png"])
def test_rows_of_a_table_written_on_windows(root, fields, cams, name):
    save_image(root / "images" / "sub" / "one.png", fields["one"])
    save_npy(root / "cams" / "grad" / "sub" / "one.npy", cams["one"])
    write_groups(root, ["name,group", f"{name},S7"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    assert {row["id"]: row["group"] for row in table(root)}["sub/one"] == "S7"


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


def test_annotations_of_no_image_are_not_called_cams(root, cams, capsys):
    outlines = root / "outlines"
    outlines.mkdir()
    (outlines / "one.jpg").write_bytes(b"x")  # of a kind that is not read
    write_geojson(outlines / "one_tile.geojson", [Annotation(box(0, 0, 9, 9), "Membrane")])
    assert audit(root, "--annotations", outlines) == 1
    said = capsys.readouterr().err
    assert "outlines: no file of outlines or of a mask is named like an image with a CAM" in said
    assert "images are 'one', 'three', 'two', files without one are 'one_tile'" in said
    assert "no CAM" not in said


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


def test_a_file_is_no_folder_of_results(root, cams, capsys):
    (root / "taken").write_bytes(b"x")
    assert audit(root, "--out", root / "taken") == 1
    assert "taken: is a file; it takes a folder" in capsys.readouterr().err
