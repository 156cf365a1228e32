"""Summaries of a study: counts, means and intervals."""

import math

import numpy as np
import pytest
from study_cases import METHODS, same

from membrane_xai import evaluate, summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.study import StudyResult


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
    for name in ("map", "chance", "ideal", "toward_ideal", "ceiling", "relative", "coverage"):
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
