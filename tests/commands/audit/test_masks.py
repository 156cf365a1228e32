"""``membrane-xai audit``: outlines of people and tissue in place of the stain."""

import json
import zipfile

import numpy as np
import pytest
from audit_files import NAMES, assert_scores, audit, save_image, save_npy, table, unmatched
from shapely import LineString, box

from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.cli import main
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


def test_files_of_other_viewers_are_masks(root, cams):
    folder = root / "outlines"
    folder.mkdir()
    corners = '<{0} X="0" Y="0"/><{0} X="10" Y="0"/><{0} X="10" Y="128"/><{0} X="0" Y="128"/>'
    shape = '<Region Type="{}" NegativeROA="0"><Vertices>{}</Vertices></Region>'
    layer = '<Annotations><Annotation Name="Membrane"><Regions>{}</Regions></Annotation>\n'
    layer += "</Annotations>"
    (folder / "one.xml").write_text(layer.format(shape.format("0", corners.format("Vertex"))))
    (folder / "two.annotations").write_text(
        layer.format(shape.format("Polygon", corners.format("V")))
    )
    area = Annotation(box(0, 0, 10, 128), "Membrane")
    geojson = write_geojson(root / "a.geojson", area)
    with zipfile.ZipFile(folder / "three.zip", "w") as archive:
        archive.write(geojson, "three.geojson")
    assert audit(root, "--annotations", folder) == 0
    mask = np.zeros((128, 128), bool)
    mask[:, :10] = True
    for row in table(root):
        assert_scores(row, alignment(cams[row["id"]], mask))
    (folder / "one.geojson").write_bytes(geojson.read_bytes())
    assert audit(root, "--annotations", folder) == 1  # two files for one image


@pytest.mark.parametrize(
    "names", [("one", "two"), ("one.svs", "two.png"), ("/data/one.tif", "two")]
)
def test_one_table_has_the_outlines_of_all_images(root, cams, names):
    path = root / "cytomine.csv"
    boxes = {"one": box(0, 0, 10, 128), "two": box(0, 0, 128, 20)}
    lines = [
        f"{i};{name};[Membrane];{shape.wkt}"
        for i, (name, shape) in enumerate(zip(names, boxes.values(), strict=True))
    ]
    path.write_text("\n".join(["ID;Image;Term;WKT", *lines, "9;stray;[Membrane];POINT (1 1)"]))
    for options in ([], ["--annotation-class", "Membrane"]):
        assert audit(root, "--annotations", path, *options) == 0
        rows = {row["id"]: row for row in table(root)}
        masks = dict(zip(("one", "two"), np.zeros((2, 128, 128), bool), strict=True))
        masks["one"][:, :10] = True
        masks["two"][108:] = True  # Cytomine counts from the lower edge
        assert rows.keys() == masks.keys()
        for name, mask in masks.items():
            assert_scores(rows[name], alignment(cams[name], mask))
        assert unmatched(root) == [
            "annotations without an image: stray",
            "image without annotations: three",
        ]


def test_a_table_of_several_images_named_like_one_gives_that_ones_rows(root, cams):
    folder = root / "outlines"
    folder.mkdir()
    left, top = "POLYGON ((0 0, 10 0, 10 128, 0 128, 0 0))", "POLYGON ((0 0, 9 0, 9 9, 0 0))"
    (folder / "one.csv").write_text(f"Image;WKT\none.png;{left}\nother.png;{top}\n")
    (folder / "two.csv").write_text(f"Image;WKT\n7;{left}\n7;{left}\n")  # one image, by its id
    (folder / "three.csv").write_text(f"Image;WKT\n7;{left}\n8;{left}\n")
    assert audit(root, "--annotations", folder) == 1
    rows = {row["id"]: row for row in table(root)}
    mask = np.zeros((128, 128), bool)
    mask[:, :10] = True
    for name in ("one", "two"):
        assert_scores(rows[name], alignment(cams[name], mask))
    assert (
        "image is 'three', of which there is no row; the table has '7', '8'"
        in (rows["three"]["error"])
    )


def test_a_file_in_place_of_a_folder(tmp_path, capsys):
    path = tmp_path / "a.png"
    path.touch()
    for folders in ((path, tmp_path), (tmp_path, path)):
        images, cams = folders
        options = [f"--images={images}", f"--cams={cams}"]
        assert main(["audit", *options, "--mpp=0.5", f"--out={tmp_path / 'out'}"]) == 1
        assert f"{path}: is a file; it takes a folder" in capsys.readouterr().err


def test_an_object_of_nothing_does_not_fail_its_image(root, cams, capsys):
    shape = box(0, 0, 10, 128)
    options = outlines(root, {name: [shape] for name in NAMES})
    path = root / "outlines" / "one.geojson"
    document = json.loads(path.read_text())
    empty = {"type": "Polygon", "coordinates": [[]]}
    document["features"].append(document["features"][0] | {"geometry": empty})
    path.write_text(json.dumps(document))
    assert audit(root, *options) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert said == [f"warning: {path}: left out 1 of 2 objects: features[1] has no coordinates"]
    mask = np.zeros((128, 128), bool)
    mask[:, :10] = True
    for row in table(root):
        assert_scores(row, alignment(cams[row["id"]], mask))
        assert row["flags"] == ("objects_left_out" if row["id"] == "one" else "")


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
