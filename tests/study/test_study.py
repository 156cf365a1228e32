"""Studies: the table by hand and against single calls, classes, masks, and errors of one image."""

import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_cases import EC_COLUMNS, KEYS, METHODS, STEPS, darkness, same, unkeyed

from membrane_xai import (
    alignment,
    evaluate,
    extract_membrane_mask,
    perturbation_consistency,
    vectorize,
    write_geojson,
)
from membrane_xai.datasets import synthetic_her2
from membrane_xai.metrics import SCORES
from membrane_xai.perturb import horizontal_flip


def test_one_image_counted_by_hand():
    image = np.zeros((1, 1, 4, 3), np.uint8)
    cam = np.array([[[3.0, 1, 0, 0]]])
    mask = np.array([[[True, False, False, False]]])
    result = evaluate({"spot": lambda rgb: cam}, image, mask, groups=["slide"], ids=["a"])
    [row] = result.rows
    assert list(row) == KEYS
    assert [row[k] for k in ("id", "group", "method", "class")] == ["a", "slide", "spot", None]
    assert (row["map"], row["chance"], row["ceiling"], row["relative"]) == (0.75, 0.25, 1, 2 / 3)
    assert (row["enrichment"], row["coverage"], row["mask_share"]) == (3, 1, 0.25)
    assert (row["status"], row["flags"], row["error"]) == ("ok", "", "")
    assert math.isnan(row["ec"])


def test_rows_equal_single_calls(images, masks, rng):
    regions = rng.random((5, 8, 8)) < 0.8
    result = evaluate(
        METHODS,
        images,
        masks,
        regions=regions,
        perturbations=STEPS,
        similarity="cosine",
        negative="abs",
        batch_size=2,
    )
    assert [(r["id"], r["method"]) for r in result.rows] == [
        (i, m) for i in range(5) for m in METHODS
    ]
    for row in result.rows:
        i, explain = row["id"], METHODS[row["method"]]
        single = alignment(
            explain(images[i : i + 1])[0], masks[i], region=regions[i], negative="abs"
        )
        for name in SCORES:
            assert row[name] == getattr(single, name)
        ec = perturbation_consistency(explain, images[i : i + 1], STEPS, similarity="cosine")
        assert row["ec"] == ec.ec[0]
        assert [row[name] for name in EC_COLUMNS] == ec.similarity[0].tolist()
        assert row["mask_share"] == masks[i].mean()


def test_negative_activation(images, masks):
    def signed(rgb):
        return darkness(rgb) - 128

    for negative in ("clip", "abs"):
        [row] = evaluate({"m": signed}, images[:1], masks[:1], negative=negative).rows
        expected = alignment(signed(images[:1])[0], masks[0], negative=negative)
        assert row["map"] == expected.map
    [row] = evaluate({"m": signed}, images[:1], masks[:1], negative="raise").rows
    assert row["status"] == "error"


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batch_size_does_not_matter(images, masks, size):
    one = evaluate(METHODS, images, masks, perturbations=STEPS, batch_size=size)
    same(one.rows, evaluate(METHODS, images, masks, perturbations=STEPS, batch_size=2).rows)


def test_iterators_will_do(images, masks):
    found = evaluate(METHODS, iter(images), (m for m in masks), groups=iter("aabbc"))
    same(found.rows, evaluate(METHODS, images, masks, groups=list("aabbc")).rows)


def test_maps_of_every_array_library(backend, images, masks):
    expected = evaluate({"m": darkness}, images, masks, perturbations=STEPS).rows
    found = evaluate(
        {"m": lambda rgb: backend.asarray(darkness(rgb))}, images, masks, perturbations=STEPS
    ).rows
    for row, other in zip(found, expected, strict=True):
        for name, value in other.items():
            assert row[name] == (
                pytest.approx(value, abs=1e-6, nan_ok=True) if type(value) is float else value
            )


@given(order=st.permutations(range(5)))
def test_an_image_scores_the_same_in_any_company(order):
    rng = np.random.default_rng(3)
    images, masks = rng.integers(0, 256, (5, 8, 8, 3), np.uint8), rng.random((5, 8, 8)) < 0.3
    rows = evaluate(METHODS, images, masks, ids=range(5)).rows
    picked = list(order)
    mixed = evaluate(METHODS, images[picked], masks[picked], ids=picked, batch_size=3).rows
    same(sorted(mixed, key=lambda row: row["id"]), rows)


def test_a_row_for_each_class(images, masks):
    def explain(rgb):
        return {"0": darkness(rgb), "3+": 255 - darkness(rgb)}

    rows = evaluate({"two": explain}, images, masks, perturbations=[horizontal_flip()]).rows
    assert [row["class"] for row in rows] == ["0", "3+"] * 5
    assert [row["ec"] for row in rows] == pytest.approx([1] * 10)
    alone = evaluate({"two": darkness}, images, masks).rows
    assert [row["map"] for row in rows[::2]] == [row["map"] for row in alone]
    assert rows[0]["map"] != rows[1]["map"]


def test_targets_are_passed_on_and_named(images, masks):
    seen = []

    def explain(rgb, targets):
        seen.append(targets)
        return darkness(rgb)

    rows = evaluate(
        {"m": explain}, images, masks, targets=np.arange(5), perturbations=STEPS[:1], batch_size=3
    ).rows
    assert seen == [[0, 1, 2], [0, 1, 2], [3, 4], [3, 4]]
    assert [row["class"] for row in rows] == [0, 1, 2, 3, 4]


def test_labels_must_not_change_with_the_view(images, masks):
    calls = []

    def explain(rgb):
        calls.append(rgb)
        return {f"class {len(calls)}": darkness(rgb)}

    rows = evaluate({"m": explain}, images, masks, perturbations=[horizontal_flip()]).rows
    assert {row["status"] for row in rows} == {"error"}
    assert "they must be the same" in rows[0]["error"]


def test_masks_are_extracted_with_their_flags():
    field = synthetic_her2("3+", size=128, mpp=0.5, seed=1)
    blank = np.full((128, 128, 3), 240, np.uint8)
    rows = evaluate({"m": darkness}, [field.rgb, blank], "extract", mpp=0.5, regions="tissue").rows
    found = extract_membrane_mask(field.rgb, mpp=0.5)
    assert rows[0]["mask_share"] == found.mask.mean() > 0
    expected = alignment(darkness(field.rgb[None])[0], found.mask, region=found.tissue)
    assert rows[0]["map"] == expected.map
    assert rows[0]["cell_um"] == 0.5  # a map of the image's own pixels
    assert rows[0]["flags"] == ";".join(found.flags)
    assert rows[1]["flags"] == "blank"
    assert rows[1]["status"] != "ok"
    given_mask = evaluate({"m": darkness}, [field.rgb], [found], regions="tissue", mpp=0.5).rows
    same(unkeyed(given_mask), unkeyed(rows[:1]))
    whole = evaluate({"m": darkness}, [field.rgb], [found]).rows
    assert whole[0]["map"] == alignment(darkness(field.rgb[None])[0], found.mask).map


def test_extracting_needs_the_pixel_size(images):
    rows = evaluate({"m": darkness}, images, "extract").rows
    assert {row["status"] for row in rows} == {"error"}
    assert "mpp is None, and image 0 does not say" in rows[0]["error"]


def test_files_say_their_pixel_size(tmp_path):
    field = synthetic_her2("3+", size=128, mpp=0.5, seed=1)
    path = tmp_path / "field.png"
    PIL.Image.fromarray(field.rgb).save(path, dpi=(50800, 50800))
    rows = evaluate({"m": darkness}, [path], "extract").rows
    assert rows[0]["id"] == str(path)
    expected = evaluate({"m": darkness}, [field.rgb], "extract", mpp=0.5).rows
    assert rows[0]["map"] == pytest.approx(expected[0]["map"], rel=1e-3)


def test_bad_images_give_a_row_and_the_rest_goes_on(images, masks, tmp_path):
    whole, broken = tmp_path / "whole.png", tmp_path / "broken.png"
    PIL.Image.fromarray(images[0]).save(whole)
    broken.write_bytes(whole.read_bytes()[:60])
    given_images = [whole, broken, tmp_path / "missing.png", images[3][..., 0], None]
    rows = evaluate(METHODS, given_images, masks, perturbations=STEPS).rows
    assert [row["status"] for row in rows] == ["ok"] * 2 + ["error"] * 8
    assert "truncated or damaged" in rows[2]["error"]
    assert "FileNotFoundError" in rows[4]["error"]
    assert "image has shape (8, 8)" in rows[6]["error"]
    assert rows[8]["error"].startswith("InvalidInputError: image has shape ()")
    assert all(list(row) == list(rows[0]) for row in rows)
    assert math.isnan(rows[2]["map"])
    assert math.isnan(rows[2]["mask_share"])
    expected = evaluate(METHODS, images[:1], masks[:1], perturbations=STEPS, ids=[str(whole)])
    same(unkeyed(rows[:2]), unkeyed(expected.rows))


def test_an_explainer_that_raises_for_one_image(images, masks):
    images[3] = 7

    def explain(rgb):
        if (rgb == 7).all(axis=(1, 2, 3)).any():
            raise RuntimeError("out of\nmemory")
        return darkness(rgb)

    result = evaluate({"fragile": explain, "darkness": darkness}, images, masks)
    bad = [row for row in result.rows if row["status"] == "error"]
    assert [(row["id"], row["method"]) for row in bad] == [(3, "fragile")]
    assert bad[0]["error"] == "RuntimeError: out of memory"
    assert bad[0]["mask_share"] == masks[3].mean()
    expected = evaluate({"fragile": darkness, "darkness": darkness}, images, masks).rows
    same([r for r in result.rows if r["id"] != 3], [r for r in expected if r["id"] != 3])


def test_a_mask_that_does_not_fit_its_image(images, masks):
    given_masks = [masks[0], masks[1][:4], masks[2] * 7.0, *masks[3:]]
    rows = evaluate({"m": darkness}, images, given_masks).rows
    assert [row["status"] for row in rows] == ["ok", "error", "error", "ok", "ok"]
    assert "mask has shape (4, 8) for an image of (8, 8, 3)" in rows[1]["error"]
    assert "values from 0 to 7" in rows[2]["error"]
    rows = evaluate({"m": darkness}, images, masks, regions="tissue").rows
    assert "regions='tissue' takes it in micrometres per pixel" in rows[0]["error"]


def test_outlines_are_masks(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True
    outlines = write_geojson(tmp_path / "a.geojson", vectorize(mask))
    methods = {"m": lambda rgb: 1.0 + np.arange(64).reshape(1, 8, 8)}
    drawn, given = (evaluate(methods, [image], [one]).rows for one in (outlines, mask))
    same(unkeyed(drawn), unkeyed(given))
    (row,) = evaluate(methods, [image], [tmp_path / "nothing.geojson"]).rows
    assert row["status"] == "error"
    assert "nothing.geojson" in row["error"]
