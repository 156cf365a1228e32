"""Studies: the table by hand and against single calls, errors, and going on after a stop."""

import csv
import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane_xai import (
    alignment,
    ec_score,
    evaluate,
    extract_membrane_mask,
    perturbation_consistency,
    shift_null,
    summarize,
    vectorize,
    write_geojson,
)
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import Perturbation, horizontal_flip, noise, rotation
from membrane_xai.statistics import combine_nulls
from membrane_xai.study import StudyResult, class_consistency, read_study, read_view
from membrane_xai.study._consistency import consistency_of
from membrane_xai.study._rows import ec_name
from membrane_xai.study._summary import parts_of_columns
from membrane_xai.study._views import read_kept_cam

KEYS = [
    "id",
    "group",
    "method",
    "class",
    "map",
    "chance",
    "ceiling",
    "relative",
    "enrichment",
    "skill",
    "coverage",
    "status",
    "ec",
    "mask_share",
    "flags",
    "error",
    "key",
]
STEPS = [horizontal_flip(), noise(20, seed=1), rotation(30)]
EC_COLUMNS = ["ec_horizontal_flip", "ec_noise_seed_1_std_20", "ec_rotation_30_degrees"]


def darkness(rgb):
    return 255.0 - rgb.mean(axis=-1)


def coarse(rgb):
    return darkness(rgb).reshape(len(rgb), 4, 2, 4, 2).mean(axis=(2, 4))


METHODS = {"darkness": darkness, "coarse": coarse}


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.fixture
def masks(rng):
    return rng.random((5, 8, 8)) < 0.3


def unkeyed(rows):
    """Rows without the hash, which differs between a file and its pixels."""
    return [{name: value for name, value in row.items() if name != "key"} for row in rows]


def same(rows, others):
    """Compare tables, NaN being equal to NaN."""
    assert [list(row) for row in rows] == [list(row) for row in others]
    assert json.dumps(rows) == json.dumps(others)


# Counted by hand


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
        for name in ("map", "chance", "ceiling", "relative", "enrichment", "skill", "coverage"):
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
            assert row[name] == (pytest.approx(value, abs=1e-6) if type(value) is float else value)


@given(order=st.permutations(range(5)))
def test_an_image_scores_the_same_in_any_company(order):
    rng = np.random.default_rng(3)
    images, masks = rng.integers(0, 256, (5, 8, 8, 3), np.uint8), rng.random((5, 8, 8)) < 0.3
    rows = evaluate(METHODS, images, masks, ids=range(5)).rows
    picked = list(order)
    mixed = evaluate(METHODS, images[picked], masks[picked], ids=picked, batch_size=3).rows
    same(sorted(mixed, key=lambda row: row["id"]), rows)


# Classes and targets


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


# Masks


def test_masks_are_extracted_with_their_flags():
    field = synthetic_her2("3+", size=128, mpp=0.5, seed=1)
    blank = np.full((128, 128, 3), 240, np.uint8)
    rows = evaluate({"m": darkness}, [field.rgb, blank], "extract", mpp=0.5, regions="tissue").rows
    found = extract_membrane_mask(field.rgb, mpp=0.5)
    assert rows[0]["mask_share"] == found.mask.mean() > 0
    expected = alignment(darkness(field.rgb[None])[0], found.mask, region=found.tissue)
    assert rows[0]["map"] == expected.map
    assert rows[0]["flags"] == ";".join(found.flags)
    assert rows[1]["flags"] == "blank"
    assert rows[1]["status"] != "ok"
    given_mask = evaluate({"m": darkness}, [field.rgb], [found], regions="tissue").rows
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


# Errors of one image


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
    assert "regions is 'tissue', which a MembraneMask knows" in rows[0]["error"]


# Going on after a stop


class Counting:
    """Count images, and stop the run at one of them."""

    def __init__(self, stop=None):
        self.seen, self.stop = [], stop

    def __call__(self, rgb):
        for image in rgb:
            if len(self.seen) == self.stop:
                raise KeyboardInterrupt
            self.seen.append(image.tobytes())
        return darkness(rgb)


@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_a_stopped_run_goes_on(images, masks, tmp_path, stop):
    options = {"batch_size": 2, "out": tmp_path / "study", "groups": list("aabbc")}
    masks[1] = False  # an undefined score survives the file
    expected = evaluate({"m": darkness}, images, masks, groups=list("aabbc")).rows
    if stop < 5:
        with pytest.raises(KeyboardInterrupt):
            evaluate({"m": Counting(stop)}, images, masks, **options)
    finished = stop // 2 * 2 if stop < 5 else 0
    again = Counting()
    result = evaluate({"m": again}, images, masks, **options)
    same(result.rows, expected)
    assert again.seen == [image.tobytes() for image in images[finished:]]
    silent = Counting(stop=0)
    same(evaluate({"m": silent}, images, masks, **options).rows, expected)


def test_only_what_changed_is_done_again(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out, ids="abcde")
    changed, other = images.copy(), masks.copy()
    changed[1, 0, 0, 0] ^= 1
    other[3, 0, 0] ^= True
    counting = Counting()
    result = evaluate({"m": counting}, changed, other, out=out, ids="abcde")
    assert counting.seen == [changed[1].tobytes(), changed[3].tobytes()]
    same(result.rows, evaluate({"m": darkness}, changed, other, ids="abcde").rows)
    counting = Counting()
    result = evaluate({"m": Counting(0), "new": counting}, changed, other, out=out, ids="abcde")
    assert len(counting.seen) == 5
    assert [row["method"] for row in result.rows[:2]] == ["m", "new"]


def test_regions_are_part_of_what_is_kept(images, masks, rng, tmp_path):
    regions = rng.random((5, 8, 8)) < 0.5
    evaluate({"m": darkness}, images, masks, regions=regions, out=tmp_path / "study")
    regions[2, 0, 0] ^= True
    counting = Counting()
    evaluate({"m": counting}, images, masks, regions=regions, out=tmp_path / "study")
    assert counting.seen == [images[2].tobytes()]


def test_labels_are_part_of_what_is_kept(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out)
    counting = Counting()
    evaluate({"m": counting}, images, masks, out=out, groups=list("vwxyz"))
    assert len(counting.seen) == 5
    evaluate({"m": lambda rgb, _: counting(rgb)}, images, masks, out=out, targets=range(5))
    assert len(counting.seen) == 10


def test_files_are_known_by_their_bytes(images, masks, tmp_path):
    path = tmp_path / "image.png"
    PIL.Image.fromarray(images[0]).save(path)
    out = tmp_path / "study"
    evaluate({"m": darkness}, [path], masks[:1], out=out)
    evaluate({"m": Counting(0)}, [path], masks[:1], out=out)
    PIL.Image.fromarray(images[1]).save(path)
    counting = Counting()
    evaluate({"m": counting}, [path], masks[:1], out=out)
    assert len(counting.seen) == 1


def test_errors_are_tried_again(images, masks, tmp_path):
    def broken(rgb):
        raise RuntimeError("busy")

    out = tmp_path / "study"
    first = evaluate({"m": broken}, images, masks, out=out)
    assert first.summary()[0]["error"] == 5
    same(
        evaluate({"m": darkness}, images, masks, out=out).rows,
        evaluate({"m": darkness}, images, masks).rows,
    )
    evaluate({"m": Counting(0)}, images, masks, out=out)


def test_a_folder_of_other_settings_is_refused(images, masks, tmp_path):
    out = tmp_path / "study"
    evaluate({"m": darkness}, images, masks, out=out)
    with pytest.raises(InvalidInputError, match="there similarity is 'pearson', now 'cosine'"):
        evaluate({"m": darkness}, images, masks, out=out, similarity="cosine")
    with pytest.raises(InvalidInputError, match="there perturbations is"):
        evaluate({"m": darkness}, images, masks, out=out, perturbations=STEPS)


def test_the_folder_holds_json_lines_and_a_manifest(images, masks, tmp_path):
    out = tmp_path / "study"
    masks[0] = False
    evaluate({"m": darkness}, images, masks, out=out, batch_size=2)
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json",
        "rows.jsonl",
    ]
    lines = (out / "rows.jsonl").read_text().splitlines()
    assert len(lines) == len(images)
    row = json.loads(lines[0])["rows"][0]
    assert row["map"] is None
    assert json.loads((out / "manifest.json").read_text())["settings"]["similarity"] == "pearson"


KILLED = """
import sys, time
import numpy as np
from membrane_xai import evaluate

def slow(rgb):
    time.sleep(0.02)
    return 255.0 - rgb.mean(axis=-1)

images = list(np.load(sys.argv[1]))
evaluate({"m": slow}, images, [image[..., 0] < 128 for image in images],
         out=sys.argv[2], batch_size=1, views=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_study_goes_on(rng, tmp_path):
    images = rng.integers(0, 255, (40, 8, 8, 3), np.uint8)
    masks = [image[..., 0] < 128 for image in images]
    np.save(tmp_path / "images.npy", images)
    out = tmp_path / "study"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "images.npy"), str(out)]
    with subprocess.Popen(words) as process:
        deadline = time.monotonic() + 60
        while not (out / "rows.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    kept = read_study(out).rows
    assert 0 < len(kept) < 40
    explained = []

    def counted(rgb):
        explained.extend(rgb)
        return 255.0 - rgb.mean(axis=-1)

    rows = evaluate({"m": counted}, images, masks, out=out, batch_size=7, views=True).rows
    assert len(explained) == 40 - len(kept)
    np.testing.assert_equal(rows, evaluate({"m": darkness}, images, masks).rows)
    np.testing.assert_equal(rows[: len(kept)], kept)
    np.testing.assert_array_equal(read_view(out, rows[20]["key"]).rgb, images[20])


# Results


def test_summary_counts_and_averages(images, masks):
    masks[1] = False
    result = evaluate(METHODS, [*images[:4], None], masks, groups=list("aabbb"))
    [first, second] = result.summary()
    rows = [row for row in result.rows if row["method"] == "coarse"]
    assert (first["method"], second["method"]) == ("darkness", "coarse")
    counts = [second[name] for name in ("rows", "groups", "scored", "empty_mask", "error")]
    assert counts == [5, 2, 3, 1, 1]
    assert second["no_activation"] == second["empty_region"] == second["non_finite"] == 0
    scored = [row for row in rows if row["status"] == "ok"]
    for name in ("map", "chance", "ceiling", "relative", "coverage"):
        assert second[name] == pytest.approx(np.mean([row[name] for row in scored]))
        assert second[f"{name}_n"] == 3
    assert sum(math.isfinite(row["chance"]) for row in rows) == 4 - 1  # an empty mask has none
    assert math.isnan(second["ec"])
    by_group = result.summary(by=("method", "group"))
    assert [(r["method"], r["group"], r["rows"]) for r in by_group] == [
        ("darkness", "a", 2),
        ("coarse", "a", 2),
        ("darkness", "b", 3),
        ("coarse", "b", 3),
    ]
    same(result.summary(by="method"), result.summary())
    with pytest.raises(InvalidInputError, match="by is 'slide'; it takes names among"):
        result.summary(by="slide")
    with pytest.raises(InvalidInputError, match="scores is 'method'; it takes names among"):
        result.summary(scores="method")
    labelled = StudyResult([{**row, "rows": 1} for row in result.rows], {})
    with pytest.raises(InvalidInputError, match="by has 'rows', which the summary has already"):
        labelled.summary(by="rows")


def made_up(n, groups=None, **columns):
    """Return rows of one method; a column of fewer values is undefined in the rest."""
    rows = []
    for i in range(n):
        row = {"id": i, "key": str(i), "group": None if groups is None else groups[i],
               "method": "m", "class": None, "status": "ok", "mask_share": 0.1}  # fmt: skip
        rows.append(row | {name: values[i] for name, values in columns.items()})
    return rows


def test_chance_of_images_without_map_does_not_count():
    nan = math.nan
    rows = made_up(3, map=[0.5, 0.25, nan], chance=[0.25, 0.125, 1.0], ceiling=[1.0, 0.5, 1.0],
                   relative=[0.5, nan, nan], coverage=[1.0, 1.0, nan],
                   ec=[0.0, 0.5, 1.0])  # fmt: skip
    rows[2]["status"] = "no_activation"
    [found] = StudyResult(rows, {}).summary()
    means = [found[name] for name in ("map", "chance", "ceiling", "relative", "coverage", "ec")]
    assert means == [0.375, 0.1875, 0.75, 0.5, 1.0, 0.5]
    numbers = ("map", "chance", "ceiling", "relative", "coverage", "ec")
    assert [found[f"{name}_n"] for name in numbers] == [2, 2, 2, 1, 2, 3]
    assert (found["rows"], found["scored"], found["no_activation"]) == (3, 2, 1)


def test_intervals_are_those_of_summarize_with_the_draws_and_seed_of_the_study(rng):
    values, groups = rng.random(24), [f"g{i % 12}" for i in range(24)]
    study = StudyResult(made_up(24, groups, map=values), {"draws": 300, "seed": 5})
    for options, wanted in (
        ({}, {"draws": 300, "seed": 5}),
        ({"draws": 200, "seed": 1, "ci": 0.8}, {"draws": 200, "seed": 1, "ci": 0.8}),
    ):
        [found] = study.summary(scores=["map"], **options)
        expected = summarize(values, groups, **wanted)
        assert (found["map_low"], found["map_high"]) == (expected.low, expected.high)
        assert (found["groups"], found["map_note"]) == (12, "")


@pytest.mark.parametrize(
    ("groups", "known", "note"),
    [
        (list("aabb"), 2, "few_groups"),
        (list("aabc"), 3, "small_sample"),
        (None, None, "small_sample"),
        (["a", "b", "c", None], None, "small_sample"),
    ],
)
def test_few_groups_withhold_intervals_and_some_mark_them(groups, known, note):
    [found] = StudyResult(made_up(4, groups, map=[0.1, 0.2, 0.4, 0.3]), {}).summary()
    assert (found["groups"], found["map_note"]) == (known, note)
    assert math.isnan(found["map_low"]) == math.isnan(found["map_high"]) == (note == "few_groups")
    assert found["map"] == pytest.approx(0.25)


# Chance, class, columns that come later


def test_the_chance_test_is_columns_of_the_study(images, masks, tmp_path):
    masks[1] = False
    maps = {"coarse": coarse, "large": lambda rgb: np.kron(darkness(rgb), np.ones((1, 9, 9)))}
    plain = evaluate(maps, images, masks, groups=list("aabbc"))
    assert "p_value" not in plain.rows[0]
    assert "p_value" not in plain.summary()[0]
    options = {"groups": list("aabbc"), "chance_test": True, "out": tmp_path}
    tested = evaluate(maps, images, masks, **options)
    mine, large = ([row for row in tested.rows if row["method"] == m] for m in maps)
    found = shift_null(coarse(images), np.asarray(masks))
    for name in ("p_value", "p_mid", "z"):
        got = [row[name] for row in mine]
        assert got == pytest.approx(getattr(found, name).tolist(), nan_ok=True, abs=1e-9)
    assert np.isnan([row["p_value"] for row in large]).all()  # 72 x 72 pixels
    assert [row["status"] for row in large] == [row["status"] for row in mine]
    first, second = tested.summary()
    combined = combine_nulls(found, list("aabbc"))
    assert first["p_value"] == pytest.approx(combined.p_value)
    assert first["p_value_n"] == combined.n == 4
    assert (math.isnan(second["p_value"]), second["p_value_n"]) == (True, 0)
    same(sorted(read_study(tmp_path).rows, key=str), sorted(tested.rows, key=str))
    with pytest.raises(InvalidInputError, match="there chance_test is True, now False"):
        evaluate(maps, images, masks, groups=list("aabbc"), out=tmp_path)


def test_class_consistency_reads_each_map_once(images, masks, tmp_path, monkeypatch):
    targets, groups = ["0", "3+", "0", "3+", "0"], list("aabbc")
    methods = {name: (lambda rgb, _, f=f: f(rgb)) for name, f in METHODS.items()}
    methods["fails"] = lambda rgb, _: rgb[:, :0]
    study = evaluate(methods, images, masks, targets=targets, groups=groups, out=tmp_path,
                     views=True)  # fmt: skip
    read = Counter()

    def counted(out, *place):
        read[place] += 1
        return read_kept_cam(out, *place)

    monkeypatch.setattr("membrane_xai.study._consistency.read_kept_cam", counted)
    parts = parts_of_columns(study.rows, ["class", "group"])
    found = {
        (row["method"], row["by"], row["value"]): row for row in consistency_of(parts, tmp_path)
    }
    assert set(read.values()) == {1}
    assert len(read) == 10
    for method, explain in METHODS.items():
        cams = explain(np.asarray(images))
        for by, value, chosen in (
            ("all", "", [0, 1, 2, 3, 4]), ("class", "0", [0, 2, 4]), ("class", "3+", [1, 3]),
            ("group", "a", [0, 1]), ("group", "c", [4]),
        ):  # fmt: skip
            row = found[method, by, value]
            assert row["cams"] == len(chosen)
            expected = ec_score(cams[chosen]) if len(chosen) > 1 else math.nan
            assert row["ec"] == pytest.approx(expected, nan_ok=True)
    assert found["coarse", "all", ""]["grid"] == "4x4"
    order = [(row["by"], row["value"]) for row in consistency_of(parts, tmp_path)]
    of_groups = [("group", name) for name in "abc"]
    assert order[:6] == [("all", ""), ("class", "0"), ("class", "3+"), *of_groups]
    by_class = class_consistency(study.rows, tmp_path)
    assert [(row["method"], row["class"]) for row in by_class] == [
        (method, label) for label in ("0", "3+") for method in METHODS
    ]  # as the rows come, image by image
    assert by_class[0]["ec"] == found["darkness", "class", "0"]["ec"]


def test_class_consistency_without_views(images, masks, tmp_path):
    rows = evaluate(METHODS, images, masks, out=tmp_path).rows
    with pytest.raises(InvalidInputError, match="no map by 'darkness' was kept of such an image"):
        class_consistency(rows, tmp_path)


def test_columns_that_come_later_are_of_the_study(images, masks, tmp_path):
    study = evaluate(METHODS, images, masks, out=tmp_path, batch_size=2)
    place = {(row["key"], row["method"], row["class"]): row["map"] / 2 for row in study.rows[::2]}
    more = study.with_columns({"ec_scale": place, "confidence": {}}, out=tmp_path)
    names = list(more.rows[0])
    assert names[names.index("mask_share") - 2 :][:2] == ["ec_scale", "confidence"]
    assert [row["ec_scale"] for row in more.rows[::2]] == [
        row["map"] / 2 for row in study.rows[::2]
    ]
    assert np.isnan([row["ec_scale"] for row in more.rows[1::2]]).all()
    assert np.isnan([row["confidence"] for row in more.rows]).all()
    [first, second] = more.summary()
    assert (first["ec_scale_n"], second["ec_scale_n"]) == (5, 0)
    again = read_study(tmp_path)
    same(sorted(again.rows, key=str), sorted(more.rows, key=str))
    assert again.settings["added"] == ["ec_scale", "confidence"]
    assert "ec_scale" not in study.rows[0]
    # What is computed stays apart from what was added: the study goes on, and may be added to anew.
    same(evaluate(METHODS, images, masks, out=tmp_path, batch_size=2).rows, study.rows)
    study.with_columns({"depth": {}}, out=tmp_path)
    assert "ec_scale" not in read_study(tmp_path).rows[0]
    with pytest.raises(InvalidInputError, match="columns has 'map', which the table has already"):
        study.with_columns({"map": {}})


def test_draws_and_seed_are_kept_and_may_change(images, masks, tmp_path):
    first = evaluate(METHODS, images, masks, out=tmp_path, draws=150, seed=3)
    assert {name: read_study(tmp_path).settings[name] for name in ("draws", "seed")} == {
        "draws": 150, "seed": 3,
    }  # fmt: skip
    same(read_study(tmp_path).summary(), first.summary())
    same(first.summary(), first.summary(draws=150, seed=3))
    evaluate(METHODS, images, masks, out=tmp_path, draws=160)
    assert read_study(tmp_path).settings["draws"] == 160
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(first.rows)
    with pytest.raises(InvalidInputError, match="draws is 10; it takes an integer of at least 100"):
        evaluate(METHODS, images, masks, draws=10)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("horizontal flip", "ec_horizontal_flip"),
        ("rotation (-5.5 degrees)", "ec_rotation_minus_5_5_degrees"),
        ("stain jitter (seed 1: H x1.00, DAB x1.09)", "ec_stain_jitter_seed_1_h_x1_00_dab_x1_09"),
        ("  JPEG--(quality 30)!", "ec_jpeg_quality_30"),
    ],
)
def test_columns_of_perturbations(name, column):
    assert ec_name(Perturbation(name, lambda x: x, lambda x: x)) == column


def test_perturbations_of_one_column(images, masks):
    steps = [Perturbation(name, lambda x: x, lambda x: x) for name in ("a b", "a-b")]
    with pytest.raises(InvalidInputError, match="of different names in letters and digits"):
        evaluate(METHODS, images, masks, perturbations=steps)


def test_tables_on_disk(images, masks, tmp_path):
    masks[1] = False
    result = evaluate(METHODS, images, masks, perturbations=STEPS)
    with result.to_csv(tmp_path / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 10
    assert list(table[0]) == list(result.rows[0])
    assert float(table[0]["map"]) == result.rows[0]["map"]
    assert table[2]["map"] == ""
    document = json.loads(result.to_json(tmp_path / "rows.json").read_text())
    assert document["provenance"]["parameters"]["methods"] == ["darkness", "coarse"]
    assert len(document["rows"]) == 10


def test_no_bar_without_a_terminal(images, masks, capsys):
    evaluate(METHODS, images, masks, progress=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# Bad input

OK = {"m": darkness}
TWO = np.zeros((2, 8, 8, 3), np.uint8)
MASKS = np.ones((2, 8, 8), bool)


@pytest.mark.parametrize(
    ("explainers", "images", "masks", "options", "words"),
    [
        ({}, TWO, MASKS, {}, r"explainers is \{\}; it takes a mapping"),
        (darkness, TWO, MASKS, {}, "it takes a mapping from names to callables"),
        ({"m": 3}, TWO, MASKS, {}, "explainers has 'm': 3; it takes names and callables"),
        (OK, TWO[0], MASKS, {}, "images is array"),
        (OK, "folder", MASKS, {}, "images is 'folder'; it takes"),
        (OK, [], [], {}, "images is empty"),
        (OK, TWO, None, {}, "masks is None; it takes 'extract' or one mask an image"),
        (OK, TWO, "auto", {}, "masks is 'auto'"),
        (OK, TWO, MASKS[:1], {}, "masks has 1 values, but there are more images"),
        (OK, TWO[:1], MASKS, {}, "masks has more values than there are images"),
        (OK, TWO, MASKS, {"groups": ["a"]}, "groups has 1 values"),
        (OK, TWO, MASKS, {"ids": ["a", "a"]}, "ids has 'a' more than once"),
        (OK, TWO, MASKS, {"regions": "cells"}, "regions is 'cells'; it takes 'tissue'"),
        (OK, TWO, MASKS, {"perturbations": [STEPS[0]] * 2}, "of different names"),
        (OK, TWO, MASKS, {"perturbations": ["flip"]}, "it takes Perturbation objects"),
        (OK, TWO, MASKS, {"similarity": "near"}, "similarity is 'near'"),
        (OK, TWO, MASKS, {"negative": "drop"}, "negative is 'drop'"),
        (OK, TWO, MASKS, {"batch_size": 1.5}, "batch_size is 1.5"),
        (OK, TWO, MASKS, {"mpp": -1}, "mpp is -1; it takes a positive number"),
    ],
)
def test_arguments_that_do_not_fit(explainers, images, masks, options, words):
    with pytest.raises(InvalidInputError, match=words):
        evaluate(explainers, images, masks, **options)


def test_views_keep_what_was_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 8, 8, 3), np.uint8)
    masks = rng.random((2, 8, 8)) < 0.5
    regions = rng.random((2, 8, 8)) < 0.9

    def one(rgb: np.ndarray) -> np.ndarray:
        return rgb[:, ::4, ::4, 0].astype(np.float32)

    def by_class(rgb: np.ndarray, targets: list[str]) -> dict[str, np.ndarray]:
        return {"a": one(rgb), "b": -one(rgb)}

    methods = {"one/../": lambda rgb, targets: one(rgb), "by class": by_class}
    out = tmp_path / "out"
    result = evaluate(
        methods, images, masks, regions=regions, targets=["t", "u"], out=out, views=True,
        perturbations=[horizontal_flip()],
    )  # fmt: skip
    for i, key in enumerate(dict.fromkeys(row["key"] for row in result.rows)):
        view = read_view(out, key)
        np.testing.assert_array_equal(view.rgb, images[i])
        np.testing.assert_array_equal(view.mask, masks[i])
        np.testing.assert_array_equal(view.region, regions[i])
        assert set(view.maps) == set(methods)
        np.testing.assert_array_equal(view.maps["one/../"]["tu"[i]], one(images[i : i + 1])[0])
        np.testing.assert_array_equal(view.maps["by class"]["b"], -one(images[i : i + 1])[0])
        assert view.maps["by class"]["a"].dtype == np.float32
    assert {path.parent.parent for path in tmp_path.rglob("*.npz")} == {out / "views"}
    assert sorted(map(str, read_study(out).rows)) == sorted(map(str, result.rows))
    manifest = json.loads((out / "manifest.json").read_text())
    assert read_study(out).settings == manifest["settings"] | {"draws": 10_000, "seed": 0}


def test_views_without_a_folder() -> None:
    with pytest.raises(InvalidInputError, match="views is True, but out is None"):
        evaluate(
            {"m": lambda rgb: rgb[..., 0]}, [np.zeros((4, 4, 3), np.uint8)], "extract", views=True
        )


def test_views_of_no_image(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (out / "views").mkdir(parents=True)
    elsewhere.mkdir()
    np.savez(elsewhere / "image.npz", rgb=0, mask=0)
    for key in ("0123", "../../elsewhere", ""):
        with pytest.raises(InvalidInputError, match="nothing was kept"):
            read_view(out, key)


def test_rows_of_other_weights_are_refused(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    methods = {"m": lambda rgb: rgb[..., 0].astype(float)}
    evaluate(methods, [image], [np.eye(4, dtype=bool)], out=tmp_path, about={"weights": "a"})
    with pytest.raises(InvalidInputError, match=r"there about\.weights is 'a', now 'b'"):
        evaluate(methods, [image], [np.eye(4, dtype=bool)], out=tmp_path, about={"weights": "b"})


def test_labels_are_columns() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    masks = [np.eye(4, dtype=bool)] * 2
    methods = {"m": lambda rgb: 1.0 + rgb[..., 0]}
    labels = {"score": ["0", "3+"], "magnification": np.array([10, 40])}
    rows = evaluate(methods, images, masks, labels=labels).rows
    assert [(row["score"], row["magnification"]) for row in rows] == [("0", 10), ("3+", 40)]
    assert list(rows[0]) == [*KEYS[:4], "score", "magnification", *KEYS[4:]]
    assert rows[0]["key"] != rows[1]["key"]


@pytest.mark.parametrize("name", [*KEYS, "ec_noise", "p_value"])
def test_labels_of_names_that_are_taken(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"labels has '{name}', which the table has"):
        evaluate({"m": np.asarray}, [np.zeros((4, 4, 3))], "extract", labels={name: [1]})


def test_labels_of_another_length() -> None:
    with pytest.raises(InvalidInputError, match=r"labels\['score'\] has more values"):
        evaluate(
            {"m": lambda rgb: 1.0 + rgb[..., 0]},
            np.zeros((1, 4, 4, 3), np.uint8),
            [np.eye(4, dtype=bool)],
            labels={"score": [1, 2]},
        )


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
