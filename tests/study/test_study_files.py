"""Masks and regions that are files; words that are an option, and words that are none."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from shapely import LineString, box
from study_cases import darkness, same, unkeyed

from membrane_xai import evaluate
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

METHODS = {"darkness": darkness}
LEFT, TOP = box(0, 0, 3, 8), box(0, 0, 8, 4)


def pixels(shape):
    left, top, right, bottom = map(int, shape.bounds)
    mask = np.zeros((8, 8), bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def files(tmp_path, images):
    """A picture and outlines of the same masks, and the images as files."""
    for i, image in enumerate(images[:2]):
        PIL.Image.fromarray(image).save(tmp_path / f"{i}.png")
        PIL.Image.fromarray(pixels((LEFT, TOP)[i])).save(tmp_path / f"{i}.mask.png")
        shapes = [Annotation((LEFT, TOP)[i], "Membrane"), Annotation(box(0, 0, 8, 6), "Tissue")]
        write_geojson(tmp_path / f"{i}.geojson", shapes)
    return tmp_path


def rows(*args, **options):
    return unkeyed(evaluate(METHODS, *args, **options).rows)


GIVEN = {
    "str": lambda paths: [str(path) for path in paths],
    "Path": list,
    "tuple": tuple,
    "one by one": iter,
    "numpy": lambda paths: np.array([str(path) for path in paths]),
    "pandas": lambda paths: pd.Series([str(path) for path in paths]),
    "mixed": lambda paths: [str(paths[0]), paths[1]],
}


@pytest.mark.parametrize("how", GIVEN)
@pytest.mark.parametrize("suffix", [".mask.png", ".geojson"])
def test_paths_are_the_masks_that_they_hold(how, suffix, files, images):
    paths = [files / f"{i}{suffix}" for i in range(2)]
    expected = rows(images[:2], [pixels(LEFT), pixels(TOP)])
    same(rows(images[:2], GIVEN[how](paths)), expected)
    regions = [pixels(TOP), pixels(LEFT)]
    masks = np.ones((2, 8, 8), bool)
    if suffix == ".mask.png":
        expected = rows(images[:2], masks, regions=regions[::-1])
        same(rows(images[:2], masks, regions=GIVEN[how](paths)), expected)
        same(rows(images[:2], GIVEN[how](paths), regions=regions),
             rows(images[:2], [pixels(LEFT), pixels(TOP)], regions=regions))  # fmt: skip


def test_regions_of_outlines(files, images):
    paths = [files / f"{i}.geojson" for i in range(2)]
    masks = [pixels(LEFT), pixels(TOP)]
    tissue = [pixels(box(0, 0, 8, 6))] * 2
    same(rows(images[:2], paths, regions=paths), rows(images[:2], masks, regions=tissue))
    named = rows(images[:2], paths, regions=paths, region_classes="Membrane",
                 mask_classes=["Tissue"])  # fmt: skip
    same(named, rows(images[:2], tissue, regions=masks))
    some = rows(images[:2], paths, regions=[None, str(paths[1])])
    same(some, rows(images[:2], masks, regions=[None, tissue[1]]))


@pytest.mark.parametrize("what", ["masks", "regions"])
def test_missing_files_are_rows_of_errors(what, images, tmp_path):
    here = tmp_path / "here.png"
    PIL.Image.fromarray(pixels(LEFT)).save(here)
    given = {"masks": [pixels(TOP)] * 3, what: [str(here), "nosuch.png", tmp_path]}
    found = evaluate(METHODS, images[:3], **given).rows
    assert [row["status"] for row in found] == ["ok", "error", "error"]
    assert "No such file or directory: 'nosuch.png'" in found[1]["error"]
    assert "is a folder" in found[2]["error"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"masks": "auto"}, "masks is 'auto'; it takes 'extract' or one mask an image: a list"),
        ({"masks": "tissue"}, "masks is 'tissue'; it takes 'extract'"),
        ({"masks": "a.png"}, "masks is 'a.png'; it takes 'extract' or one mask an image: a list"),
        ({"masks": Path("a.png")}, r"masks is \w+Path\('a.png'\); it takes 'extract' or one mask"),
        ({"masks": {"a": 1}}, "masks is a dict; it takes 'extract' or one mask an image"),
        ({"masks": 3}, "masks is a int; it takes"),
        ({"masks": None}, "masks is None; it takes"),
        ({"regions": "extract"}, "regions is 'extract'; it takes 'tissue', 'tumour' or one region"),
        ({"regions": "Tissue"}, "regions is 'Tissue'; it takes 'tissue', 'tumour' or one region"),
        ({"regions": Path("a")}, r"regions is \w+Path\('a'\); it takes 'tissue', 'tumour' or one"),
        ({"regions": True}, "regions is a bool; it takes 'tissue', 'tumour' or one region an"),
        ({"mask_classes": "x"}, "mask_classes is 'x', but there are no paths of outlines"),
        ({"region_classes": ["x"]}, r"region_classes is \['x'\], but there are no paths of"),
        ({"mask_classes": [1], "masks": ["a"]}, r"mask_classes is \[1\]; it takes names of"),
    ],
)
def test_what_is_no_option_is_refused_with_the_remedy(given, words, images):
    with pytest.raises(InvalidInputError, match=words):
        evaluate(METHODS, images[:1], **{"masks": [pixels(LEFT)], **given})


def test_words_in_a_list_are_options_where_they_are_one(images):
    image = np.full((1, 64, 64, 3), 170, np.uint8)
    expected = rows(image, "extract", mpp=0.5, regions="tissue")
    assert expected[0]["error"] == ""
    same(rows(image, ["extract"], mpp=0.5, regions=["tissue"]), expected)
    [row] = evaluate(METHODS, image, ["tissue"], mpp=0.5).rows  # a path, of no file
    assert "No such file or directory: 'tissue'" in row["error"]


def test_classes_that_no_file_has_and_several_classes(files, images):
    paths = [files / f"{i}.geojson" for i in range(2)]
    words = "mask_classes is 'Tumour', which no annotation has; there are 'Membrane', 'Tissue'"
    with pytest.raises(InvalidInputError, match=words):
        evaluate(METHODS, images[:2], paths, mask_classes="Tumour")
    for path, name in zip(paths, ("Tumor", "Stroma"), strict=True):
        write_geojson(path, Annotation(LEFT, name))
    words = r"'Stroma', 'Tumor', and none of a class called membrane; name those to draw \(mask_cl"
    with pytest.raises(InvalidInputError, match=words):
        evaluate(METHODS, images[:2], paths)
    both = rows(images[:2], paths, mask_classes=["Tumor", "Stroma"])
    same(both, rows(images[:2], [pixels(LEFT)] * 2))
    # each has one class, and no other is known
    with pytest.warns(MembraneXAIWarning, match="0.geojson: outlines of 'Tumor' are taken|Stroma"):
        apart = evaluate(METHODS, images[:2], iter(paths)).rows
    assert [row["status"] for row in apart] == ["ok", "ok"]
    write_geojson(paths[0], [Annotation(LEFT, "Tumor"), Annotation(TOP, "Stroma")])
    with pytest.warns(MembraneXAIWarning, match="1.geojson: outlines of 'Stroma' are taken"):
        apart = evaluate(METHODS, images[:2], iter(paths)).rows
    assert [row["status"] for row in apart] == ["error", "ok"]
    assert "0.geojson: there are outlines of 'Stroma', 'Tumor'" in apart[0]["error"]


def test_what_else_is_not_drawn_is_said(tmp_path, images):
    shapes = [Annotation(LEFT, "Membrane"), Annotation(TOP, "Tumor"), Annotation(TOP)]
    write_geojson(tmp_path / "a.geojson", [*shapes, Annotation(TOP, "Tissue")])
    words = (
        r"not taken for membrane: Tumor \(1\), no class \(1\); mask_classes names those that are"
    )
    with pytest.warns(MembraneXAIWarning, match=words):
        [row] = rows(images[:1], [tmp_path / "a.geojson"])
    assert row["mask_share"] == pixels(LEFT).mean()
    write_geojson(tmp_path / "a.geojson", [shapes[0], Annotation(TOP, "Tumor")])
    [row] = rows(images[:1], [tmp_path / "a.geojson"], regions=[tmp_path / "a.geojson"],
                 region_classes="Tumor")  # fmt: skip
    assert row["mask_share"] == pixels(LEFT).mean()


def test_tiles_and_outlines_outside(tmp_path, images):
    name = "tile [d=2,x=400,y=200,w=16,h=16]"
    PIL.Image.fromarray(images[0]).save(tmp_path / f"{name}.png")
    write_geojson(tmp_path / "any.geojson", box(400, 200, 406, 216))  # 3 x 8 of the tile
    [row] = rows([tmp_path / f"{name}.png"], [tmp_path / "any.geojson"])
    assert (row["mask_share"], row["flags"]) == (3 / 8, "")
    (tmp_path / "any.geojson").rename(tmp_path / f"{name}.geojson")
    [row] = rows(images[:1], [tmp_path / f"{name}.geojson"])  # the file says it, too
    assert (row["mask_share"], row["flags"]) == (3 / 8, "")
    (tmp_path / f"{name}.geojson").rename(tmp_path / "any.geojson")
    with pytest.warns(MembraneXAIWarning, match=r"any\.geojson: outlines lie outside their image"):
        [row] = rows(images[:1], [tmp_path / "any.geojson"])  # pixels have no name
    assert (row["status"], row["flags"]) == ("empty_mask", "outlines_outside")
    with pytest.warns(MembraneXAIWarning, match="1 wholly of 1"):
        [row] = rows(images[:1], [pixels(LEFT)], regions=[tmp_path / "any.geojson"])
    assert (row["status"], row["flags"]) == ("empty_region", "outlines_outside")


def test_a_region_has_two_values(tmp_path, images):
    np.save(tmp_path / "a.npy", pixels(LEFT) * 0.5)
    [row] = rows(images[:1], [tmp_path / "a.npy"])
    assert row["mask_share"] == pixels(LEFT).mean() / 2
    [row] = rows(images[:1], [pixels(LEFT)], regions=[tmp_path / "a.npy"])
    assert "a.npy: has shares of pixels; a region takes 0 and 1" in row["error"]


def test_a_changed_mask_is_scored_anew(files, images, tmp_path):
    paths, out = [files / f"{i}.mask.png" for i in range(2)], tmp_path / "study"
    first = evaluate(METHODS, images[:2], paths, out=out).rows
    PIL.Image.fromarray(pixels(TOP)).save(paths[0])
    then = evaluate(METHODS, images[:2], paths, out=out).rows
    assert first[0]["map"] != then[0]["map"]
    assert first[1] == then[1]


def test_lines_say_what_they_lack(tmp_path, images):
    write_geojson(tmp_path / "a.geojson", Annotation(LineString([(0, 1), (8, 1)]), "Membrane"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [row] = rows(images[:1], [tmp_path / "a.geojson"])
    assert "is a line; line_width (micrometres) and mpp are needed" in row["error"]


@pytest.mark.parametrize("name", ["Stroma", "Tumor: Positive", "Nucleus"])
@pytest.mark.parametrize("how", [list, iter])
def test_a_class_that_is_taken_for_membrane_is_said(tmp_path, images, name, how):
    path = write_geojson(tmp_path / "a.geojson", [Annotation(LEFT, name)])
    with pytest.warns(MembraneXAIWarning, match=f"outlines of '{name}' are taken for membrane"):
        found = rows(images[:1], how([path]))
    same(found, rows(images[:1], [pixels(LEFT)]))


@pytest.mark.parametrize("name", [None, "Membrane", "membrane: 3+", "3+"])
def test_what_is_called_membrane_is_not_said(tmp_path, images, name):
    path = write_geojson(tmp_path / "a.geojson", [Annotation(LEFT, name)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(rows(images[:1], [path]), rows(images[:1], [pixels(LEFT)]))


def test_a_class_that_is_named_is_not_said(tmp_path, images):
    path = write_geojson(tmp_path / "a.geojson", [Annotation(LEFT, "Stroma")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows(images[:1], [path], mask_classes="Stroma")


def test_a_folder_is_no_mask_and_no_image(tmp_path, images):
    (tmp_path / "a.png").mkdir()
    [mask] = rows(images[:1], [tmp_path / "a.png"])
    assert "a.png: is a folder" in mask["error"]
    [image] = rows([tmp_path / "a.png"], [pixels(LEFT)])
    assert "a.png: is a folder" in image["error"]
