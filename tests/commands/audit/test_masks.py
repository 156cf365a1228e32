"""``membrane-xai audit``: outlines of people and tissue in place of the stain."""

import numpy as np
import pytest
from audit_files import NAMES, assert_scores, audit, save_image, save_npy, table, unmatched
from shapely import LineString, box

from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.datasets import synthetic_her2


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


def test_a_wrong_pixel_size_is_in_the_table(tmp_path, rng):
    rgb = synthetic_her2("2+", size=320, mpp=0.5, seed=7).rgb
    flags = []
    for mpp in (0.5, 1.0):
        root = tmp_path / str(mpp)
        save_image(root / "images" / "a.png", rgb)
        save_npy(root / "cams" / "grad" / "a.npy", rng.random((5, 5)))
        assert audit(root, mpp=mpp) == 0
        [row] = table(root)
        flags.append("pixel_size" in row["flags"].split(";"))
    assert flags == [False, True]
