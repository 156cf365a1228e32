"""Columns of a study: chance, perturbations, labels, and those that come later."""

import csv
import json
import math

import numpy as np
import pytest
from study_cases import KEYS, METHODS, STEPS, coarse, darkness, same

from membrane_xai import CamGrid, evaluate, pool_mask, shift_null
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import Perturbation
from membrane_xai.statistics import combine_nulls, permutation_null
from membrane_xai.study import read_study
from membrane_xai.study._rows import ec_name


def test_the_chance_test_is_columns_of_the_study(images, masks, tmp_path):
    masks[1] = False
    maps = {"coarse": coarse, "large": lambda rgb: np.kron(darkness(rgb), np.ones((1, 9, 9)))}
    plain = evaluate(maps, images, masks, groups=list("aabbc"))
    assert "p_value" not in plain.rows[0]
    assert "p_value" not in plain.summary()[0]
    options = {"groups": list("aabbc"), "chance_test": "shift", "out": tmp_path}
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
    with pytest.raises(InvalidInputError, match="there chance_test is 'shift', now None"):
        evaluate(maps, images, masks, groups=list("aabbc"), out=tmp_path)


def test_the_test_of_sets_permutes_maps_among_patients(images, masks, tmp_path):
    """As the function on arrays, also read back; a favourite place is no membrane."""
    rng = np.random.default_rng(0)
    masks = rng.random((24, 16, 16)) < 0.3
    images = rng.integers(0, 256, (24, 16, 16, 3), np.uint8)
    regions = [*(rng.random((24, 16, 16)) < 0.9)]
    groups = np.repeat(list("abcdef"), 4)
    pooled = pool_mask(masks, (4, 4), region=np.stack(regions))
    maps = {
        "follows": pooled.mask + 0.2 * rng.random((24, 4, 4)),
        "centre": [np.pad(np.ones((2, 2)), 1)] * 24,
        "large": rng.random((24, 65, 64)),
    }
    options = {"groups": groups, "regions": regions, "chance_test": True}
    study = evaluate(maps, images, masks, **options, out=tmp_path, batch_size=5)
    assert "p_value" not in study.rows[0]
    assert "on_grid" not in study.rows[0]
    follows, centre, large = study.summary()
    expected = permutation_null(
        maps["follows"], pooled.mask, groups, region=pooled.region, permutations=1999
    )
    assert follows["p_value"] == pytest.approx(expected.p_value) == 1 / 720
    assert (follows["p_value_n"], follows["p_value_note"]) == (24, "")
    assert follows["p_value_null"] == "permutation"
    assert centre["p_value"] > 0.5
    assert (math.isnan(large["p_value"]), large["p_value_note"]) == (True, "no_maps")
    again = {row["method"]: row["p_value"] for row in read_study(tmp_path).summary()}
    assert (again["follows"], again["centre"]) == (follows["p_value"], centre["p_value"])
    resumed = evaluate(maps, images, masks, **options, out=tmp_path).summary()
    assert resumed[0]["p_value"] == follows["p_value"]


@pytest.mark.parametrize("negative", ["clip", "abs"])
def test_the_test_of_sets_takes_all_that_a_score_takes(rng, negative):
    """Regions and cells of one's own, negative values, maps of any scale, a seed."""
    masks, groups = rng.random((24, 16, 16)) < 0.3, np.repeat([*"abcdefgh"], 3)
    images = rng.integers(0, 256, (24, 16, 16, 3), np.uint8)
    regions, grid = rng.random((24, 16, 16)) < 0.6, CamGrid(4, 0, 16)
    pooled = pool_mask(masks, grid, region=regions)
    maps = 0.2 * pooled.mask + rng.normal(0, 1, (24, 4, 4))
    maps *= 10.0 ** rng.integers(-50, 51, (24, 1, 1))
    study = evaluate(
        {"m": maps}, images, masks, groups=groups, regions=[*regions], grid=grid, seed=3,
        negative=negative, chance_test="permutation",
    )  # fmt: skip
    positive = np.abs(maps) if negative == "abs" else np.maximum(maps, 0)
    positive /= positive.max(axis=(1, 2), keepdims=True)
    expected = permutation_null(
        positive, pooled.mask, groups, region=pooled.region, permutations=1999, seed=3
    )
    [found] = study.summary()
    assert found["p_value"] == expected.p_value
    assert 0.01 < found["p_value"] < 0.99


def test_notes_of_the_test_of_sets(images, masks):
    cams = {"m": [np.eye(2)] * 4 + [np.eye(3)]}
    options = {"chance_test": "permutation"}
    [mixed] = evaluate(cams, images, masks, groups=list("abcde"), **options).summary()
    assert (math.isnan(mixed["p_value"]), mixed["p_value_note"]) == (True, "several_grids")
    cams["m"][4] = np.zeros((3, 3))  # without activation it is no part of the test
    [four] = evaluate(cams, images, masks, groups=list("abcde"), **options).summary()
    assert (four["p_value_n"], four["p_value_note"]) == (4, "")
    [few] = evaluate(METHODS, images, masks, groups=list("aabbc"), **options).summary()[:1]
    assert (math.isnan(few["p_value"]), few["p_value_note"]) == (True, "few_groups")
    [alone] = evaluate(METHODS, images, masks, **options).summary()[:1]
    assert alone["p_value_note"] == "ungrouped"
    with pytest.raises(InvalidInputError, match="chance_test is 'moves'; it takes one of"):
        evaluate(METHODS, images, masks, chance_test="moves")


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
