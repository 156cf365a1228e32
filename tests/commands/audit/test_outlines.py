"""Outlines outside their image, of regions, of tiles of a slide; masks as pictures."""

import json

import numpy as np
import PIL.Image
import pytest
import tifffile
from audit_files import assert_scores, audit, document, save_image, save_npy, table, unmatched
from shapely import affinity, box

from membrane_xai import alignment
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2
from membrane_xai.io import write_mask

CAM = np.random.default_rng(5).random((8, 8))
GREY = np.full((64, 64, 3), 170, np.uint8)


def prepare(root, *names, rgb=GREY):
    for name in names:
        save_image(root / "images" / f"{name}.png", rgb)
        save_npy(root / "cams" / f"{name}.npy", CAM)


def outline(root, name, *shapes):
    write_geojson(root / "outlines" / f"{name}.geojson", shapes)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "outlines").mkdir()
    return tmp_path


def drawn(root, *options):
    return audit(root, "--annotations", root / "outlines", *options, mpp=None)


def rows_of(root):
    return {row["id"]: row for row in table(root)}


def pixels(shape, size=64):
    left, top, right, bottom = map(int, shape.bounds)
    mask = np.zeros((size, size), bool)
    mask[max(top, 0) : bottom, max(left, 0) : right] = True
    return mask


def test_outlines_outside_are_warned_of_and_flagged(folder, capsys):
    prepare(folder, "slide", "half", "inside", "by hand")
    outline(folder, "slide", box(4010, 4010, 4030, 4030))
    outline(folder, "half", box(-10, 10, 10, 30), box(40, 40, 50, 50))
    outline(folder, "inside", box(10, 10, 30, 30))
    outline(folder, "by hand", box(-3, 10, 30, 66))
    assert drawn(folder) == 0
    rows = rows_of(folder)
    assert {name: row["flags"] for name, row in rows.items()} == {
        "slide": "outlines_outside", "half": "outlines_outside", "inside": "", "by hand": ""
    }  # fmt: skip
    assert rows["slide"]["status"] == "empty_mask"
    assert_scores(
        rows["half"], alignment(CAM, pixels(box(0, 10, 10, 30)) | pixels(box(40, 40, 50, 50)))
    )
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    where = "outlines lie outside their image of 64 x 64 pixels"
    assert sorted(said) == [
        f"warning: {folder}/outlines/half.geojson: {where}: 1 partly of 2 (40.0% of their area)",
        f"warning: {folder}/outlines/slide.geojson: {where}: 1 wholly of 1 (100.0% of their area)",
    ]


MEMBRANE, OTHER = box(10, 10, 14, 14), box(30, 30, 50, 50)


def test_regions_are_no_membrane(folder, capsys):
    prepare(folder, "a", "b")
    core = Annotation(box(0, 0, 64, 64), properties={"objectType": "tmaCore"})
    outline(folder, "a", Annotation(MEMBRANE, "Membrane"), Annotation(box(0, 0, 64, 64), "Tissue"),
            Annotation(OTHER, "Ignore*"), core)  # fmt: skip
    outline(folder, "b", Annotation(OTHER, "Tissue"))
    assert drawn(folder) == 0
    rows = rows_of(folder)
    assert_scores(rows["a"], alignment(CAM, pixels(MEMBRANE)))
    assert rows["b"]["status"] == "empty_mask"
    said = capsys.readouterr().err
    assert "note: outlines not taken for membrane: Tissue (2), Ignore* (1), (TMA core) (1)" in said


def test_cores_are_no_membrane_where_nothing_has_a_class(folder):
    prepare(folder, "a")
    core = Annotation(box(0, 0, 64, 64), properties={"objectType": "tmaCore", "isMissing": False})
    outline(folder, "a", core, MEMBRANE)
    assert drawn(folder) == 0
    assert_scores(rows_of(folder)["a"], alignment(CAM, pixels(MEMBRANE)))


def test_classes_are_chosen_by_all_files_together(folder):
    prepare(folder, "a", "b")
    outline(folder, "a", Annotation(MEMBRANE, "Membrane"), Annotation(OTHER))
    outline(folder, "b", Annotation(OTHER, "Tumor"))
    assert drawn(folder) == 0
    assert_scores(rows_of(folder)["a"], alignment(CAM, pixels(MEMBRANE)))
    assert rows_of(folder)["b"]["status"] == "empty_mask"


def test_outlines_that_someone_forgot_to_class_fail_their_image(folder):
    prepare(folder, "a", "b", "c")
    outline(folder, "a", Annotation(MEMBRANE, "Membrane"))
    outline(folder, "b", Annotation(OTHER))
    (folder / "outlines" / "c.wkt").write_text("POLYGON ((30 34, 50 34, 50 14, 30 14, 30 34))")
    assert drawn(folder) == 1
    rows = rows_of(folder)
    assert (
        "its outlines have no class, and those of other files have 'Membrane'" in rows["b"]["error"]
    )
    assert_scores(rows["c"], alignment(CAM, pixels(OTHER)))  # well-known text has none to give


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("Tumor", "Stroma"), "outlines of 'Stroma', 'Tumor', and none of a class called membrane"),
        (("Tissue", "Ignore*"), r"outlines of 'Ignore*', 'Tissue' only, which are regions"),
        ((None, "Tumor"), "outlines of 'Tumor', no class, and none of a class called membrane"),
    ],
)
def test_what_is_membrane_has_to_be_said_where_nothing_says_it(folder, names, words, capsys):
    prepare(folder, "a", "b")
    outline(folder, "a", Annotation(MEMBRANE, names[0]))
    outline(folder, "b", Annotation(OTHER, names[1]))
    assert drawn(folder) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "--annotation-class" in said
    assert not (folder / "out").exists()
    assert drawn(folder, "--annotation-class", names[1]) == 0
    assert_scores(rows_of(folder)["b"], alignment(CAM, pixels(OTHER)))


def test_outlines_of_the_region_alone_are_no_membrane(folder, capsys):
    prepare(folder, "a")
    outline(folder, "a", Annotation(OTHER, "Tumor"))
    assert drawn(folder, "--regions", "tumour", "--controls", "--region-class", "Tumor") == 1
    assert "there are outlines of 'Tumor' only, which are regions" in capsys.readouterr().err


def test_outlines_of_one_class_are_membrane_whatever_it_is(folder):
    prepare(folder, "a")
    outline(folder, "a", Annotation(MEMBRANE, "Score 3+"), Annotation(OTHER, "Region*"))
    assert drawn(folder) == 0
    assert_scores(rows_of(folder)["a"], alignment(CAM, pixels(MEMBRANE)))


def test_a_class_that_is_taken_for_membrane_is_said(folder, capsys):
    prepare(folder, "a")
    outline(folder, "a", Annotation(MEMBRANE, "Stroma"))
    assert drawn(folder) == 0
    said = "outlines of 'Stroma' are taken for membrane, as no class is called so"
    assert said in capsys.readouterr().err
    assert drawn(folder, "--annotation-class", "Stroma") == 0
    assert said not in capsys.readouterr().err


def test_the_tissue_by_outlines(folder):
    prepare(folder, "a")
    tissue = box(0, 0, 32, 64)
    outline(folder, "a", Annotation(MEMBRANE, "Membrane"), Annotation(tissue, "Tissue"))
    given = ["--regions", "tissue", "--controls", "--tissue-class", "Tissue"]
    assert drawn(folder, *given) == 0
    expected = alignment(CAM, pixels(MEMBRANE), region=pixels(tissue))
    assert_scores(rows_of(folder)["a"], expected)
    assert document(folder, "results.json")["provenance"]["parameters"]["tissue_classes"] == [
        "Tissue"
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ["--tissue-class", "Tissue"],
            "--tissue-class goes with --annotations and --regions tissue",
        ),
        (
            ["--regions", "tissue", "--controls", "--tissue-class", "Gewebe"],
            "--tissue-class is 'Gewebe', which no",
        ),
    ],
)
def test_a_tissue_class_that_does_not_go(folder, given, words, capsys):
    prepare(folder, "a")
    outline(folder, "a", Annotation(MEMBRANE, "Membrane"))
    assert drawn(folder, *given) == 1
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.parametrize("scale", [1, 2, 1.5])
@pytest.mark.parametrize("on_slide", [False, True])
def test_tiles_of_a_slide(scale, on_slide, folder):
    side = round(64 * scale)
    down = "" if scale == 1 else f"d={scale},"
    name = f"s1 [{down}x=4000,y=2000,w={side},h={side}]"
    prepare(folder, name)
    shape = affinity.scale(MEMBRANE, scale, scale, origin=(0, 0)) if on_slide else MEMBRANE
    outline(folder, name, affinity.translate(shape, 4000, 2000) if on_slide else shape)
    assert drawn(folder) == 0
    [row] = table(folder)
    assert row["flags"] == ""
    assert_scores(row, alignment(CAM, pixels(MEMBRANE)))


def test_a_tile_that_fits_both_goes_by_its_neighbours(folder, capsys):
    corner, far = "s [d=2,x=0,y=0,w=128,h=128]", "s [d=2,x=128,y=0,w=128,h=128]"
    for other, moved in ((box(140, 20, 150, 40), True), (box(5, 10, 10, 20), False)):
        prepare(folder, corner, far)
        outline(folder, corner, box(10, 10, 30, 30))
        outline(folder, far, other)
        assert drawn(folder) == 0
        row = rows_of(folder)[corner]
        assert_scores(
            row, alignment(CAM, pixels(box(*(x // (1 + moved) for x in (10, 10, 30, 30)))))
        )
        assert row["flags"] == ""
    (folder / "outlines" / f"{far}.geojson").unlink()
    assert drawn(folder, "--out", folder / "lone") == 0  # nobody says it: as it is, and flagged
    row = {row["id"]: row for row in table(folder, "../lone/results.csv")}[corner]
    assert_scores(row, alignment(CAM, pixels(box(10, 10, 30, 30))))
    assert row["flags"] == "coordinates_unclear"
    assert "may be in coordinates of the slide or of the tile" in capsys.readouterr().err


def test_the_outlines_of_a_slide_serve_its_tiles(folder, capsys):
    names = [f"s1 [x={x},y=0,w=64,h=64]" for x in (0, 64, 128)]
    prepare(folder, *names)
    shapes = [MEMBRANE, affinity.translate(OTHER, 64, 0)]
    outline(folder, "s1", *shapes, Annotation(box(0, 0, 192, 64), "Tissue"))
    assert drawn(folder, "--regions", "tissue", "--controls", "--tissue-class", "Tissue") == 0
    rows = rows_of(folder)
    for name, mask in zip(names, (pixels(MEMBRANE), pixels(OTHER)), strict=False):
        assert_scores(rows[name], alignment(CAM, mask, region=np.ones((64, 64), bool)))
        assert rows[name]["flags"] == ""
    assert rows[names[2]]["status"] == "empty_mask"
    assert unmatched(folder) == []
    assert "warning" not in capsys.readouterr().err


def test_a_tile_that_is_not_as_it_was_exported(folder):
    prepare(folder, "s1 [x=4000,y=2000,w=64,h=32]")
    outline(folder, "s1 [x=4000,y=2000,w=64,h=32]", box(4010, 2010, 4020, 2020))
    assert drawn(folder) == 1
    assert (
        "says that it is 64 x 32 pixels of the slide, and the image is 64 x 64"
        in (table(folder)[0]["error"])
    )


SAVERS = {
    "png": lambda path, mask: PIL.Image.fromarray(mask).save(path),
    "tif": lambda path, mask: tifffile.imwrite(path, mask * np.uint8(255)),
    "npy": np.save,
    "ome.tif": lambda path, mask: write_mask(path, mask),
}


@pytest.mark.parametrize("suffix", SAVERS)
def test_pictures_are_masks(suffix, folder):
    prepare(folder, "a", "b", "c")
    for name, mask in (("a", pixels(MEMBRANE)), ("b", pixels(OTHER)), ("stray", pixels(OTHER))):
        SAVERS[suffix](folder / "outlines" / f"{name}.{suffix}", mask)
    outline(folder, "c", Annotation(OTHER, "Membrane"))
    assert drawn(folder, "--annotation-class", "Membrane") == 0
    rows = rows_of(folder)
    assert_scores(rows["a"], alignment(CAM, pixels(MEMBRANE)))
    assert_scores(rows["b"], alignment(CAM, pixels(OTHER)))
    assert_scores(rows["c"], alignment(CAM, pixels(OTHER)))
    assert unmatched(folder) == ["annotations without an image: stray"]
    assert str(folder / "outlines" / f"a.{suffix}") in document(folder, "results.json")[
        "provenance"]["inputs"]  # fmt: skip


def test_pictures_of_another_size_or_of_shades_fail_their_image(folder):
    prepare(folder, "a", "b", "c")
    save_image(folder / "outlines" / "a.png", pixels(MEMBRANE)[:32])
    save_image(folder / "outlines" / "b.png", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    save_image(folder / "outlines" / "c.png", pixels(MEMBRANE))
    assert drawn(folder) == 1
    rows = rows_of(folder)
    assert "a.png: is 64 x 32 pixels, and its image 64 x 64" in rows["a"]["error"]
    assert "b.png: has the values 0, 1, 2, 3, 4, 5 and 250 more: shades" in rows["b"]["error"]
    assert_scores(rows["c"], alignment(CAM, pixels(MEMBRANE)))


def test_labels_of_a_picture_are_classes(folder):
    prepare(folder, "a")
    labels = pixels(MEMBRANE) * np.uint8(2) + pixels(box(0, 32, 64, 64)) * np.uint8(1)
    save_image(folder / "outlines" / "a.png", labels)
    given = ["--regions", "tissue", "--controls", "--annotation-class", 2]
    assert drawn(folder, *given, "--tissue-class", 1, "--tissue-class", 2) == 0
    region = pixels(MEMBRANE) | pixels(box(0, 32, 64, 64))
    assert_scores(table(folder)[0], alignment(CAM, pixels(MEMBRANE), region=region))
    assert drawn(folder, "--annotation-class", "Tumor", "--out", folder / "new") == 1


def test_a_slip_in_a_number_is_no_label_where_there_are_no_pictures(folder, capsys):
    prepare(folder, "a")
    outline(folder, "a", Annotation(MEMBRANE, "1486"))
    assert drawn(folder, "--annotation-class", 1487) == 1
    assert "--annotation-class is '1487', which no annotation has" in capsys.readouterr().err
    assert drawn(folder, "--annotation-class", 1486) == 0


def test_outlines_go_before_pictures_of_the_same_name(folder):
    prepare(folder, "a")
    outline(folder, "a", MEMBRANE)
    save_image(folder / "outlines" / "a.png", GREY)  # a picture of the outlines, say
    save_image(folder / "outlines" / "overview.png", GREY)
    assert drawn(folder, "--strict") == 0
    assert_scores(table(folder)[0], alignment(CAM, pixels(MEMBRANE)))


@pytest.mark.parametrize("formats", ["png,ome-tiff,geojson", "png", "ome-tiff", "geojson"])
@pytest.mark.parametrize("beside", [False, True])
def test_what_mask_writes_is_taken_as_it_is(formats, beside, tmp_path):
    for seed, name in enumerate(("case/one", "two")):
        prepare(tmp_path, name, rgb=synthetic_her2("3+", size=128, mpp=0.5, seed=seed).rgb)
    masks = tmp_path / ("images" if beside else "masks")
    made = ["mask", str(tmp_path / "images"), "--out", str(masks), "--mpp", "0.5"]
    assert main([*made, "--formats", formats]) == 0
    assert audit(tmp_path, "--out", tmp_path / "extracted") == 0
    assert audit(tmp_path, "--annotations", masks, "--strict", mpp=None) == 0
    rows = {row["id"]: row for row in table(tmp_path, "../extracted/results.csv")}
    assert len(rows) == 2
    for row in table(tmp_path):
        for name in ("mask_share", "map", "toward_ideal", "status"):
            assert row[name] == rows[row["id"]][name]
        assert float(row["mask_share"]) > 0


def test_cams_beside_outlines_are_no_masks(tmp_path):
    prepare(tmp_path, "a", "b")
    write_geojson(tmp_path / "cams" / "a.geojson", MEMBRANE)
    assert audit(tmp_path, "--annotations", tmp_path / "cams", mpp=None) == 0
    assert [row["id"] for row in table(tmp_path)] == ["a"]
    assert unmatched(tmp_path) == ["image without annotations: b"]


def test_copies_of_images_beside_outlines_are_no_masks(folder):
    prepare(folder, "a", "b")
    outline(folder, "a", MEMBRANE)
    save_image(folder / "outlines" / "a.png", GREY)
    save_image(folder / "outlines" / "b.png", GREY)
    assert drawn(folder) == 0
    assert [row["id"] for row in table(folder)] == ["a"]
    assert unmatched(folder) == ["image without annotations: b"]


def test_masks_below_the_folder_of_cams_are_no_cams(tmp_path):
    for name in ("a", "b"):
        save_image(tmp_path / "images" / f"{name}.png", GREY)
        save_npy(tmp_path / "cams" / "grad" / f"{name}.npy", CAM)
        save_npy(tmp_path / "cams" / "experts" / f"{name}.npy", pixels(MEMBRANE))
    assert audit(tmp_path, "--annotations", tmp_path / "cams" / "experts", mpp=None) == 0
    assert [(row["id"], row["method"]) for row in table(tmp_path)] == [("a", "grad"), ("b", "grad")]
    assert float(table(tmp_path)[0]["mask_share"]) == pixels(MEMBRANE).mean()


def test_the_case_of_bare_geometries(folder):
    prepare(folder, "tile [x=4000,y=4000,w=64,h=64]")
    ring = [[4010, 4010], [4030, 4010], [4030, 4030], [4010, 4030], [4010, 4010]]
    path = folder / "outlines" / "tile [x=4000,y=4000,w=64,h=64].geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert drawn(folder) == 0
    assert float(table(folder)[0]["mask_share"]) == 20 * 20 / 64**2
