"""Names of scores, statuses and grades: spelt once, and those that results and tables have."""

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai._backend import vocabulary
from membrane_xai.accumulate import MapMean
from membrane_xai.her2_rule import CATEGORIES, GRADES
from membrane_xai.io import MPP_AT_1X, magnification_of
from membrane_xai.metrics import ROW_STATUSES, SCORES, STATUSES, SUMMARY_SCORES, AlignmentResult
from membrane_xai.study._rows import COLUMNS

SOURCES = sorted(
    path
    for folder in ("src", "benchmarks")
    for path in (Path(__file__).parents[2] / folder).rglob("*.py")
    if path.name != "vocabulary.py"
)
CONSTANTS = {getattr(vocabulary, name): name for name in vocabulary.__all__}


def constants_spelt_in(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            words = [one.value for one in node.elts if isinstance(one, ast.Constant)]
            if len(words) == len(node.elts) and tuple(words) in CONSTANTS:
                yield f"{path.name}:{node.lineno} spells {CONSTANTS[tuple(words)]}"


def test_each_is_spelt_once():
    assert len(CONSTANTS) == len(vocabulary.__all__)
    assert [found for path in SOURCES for found in constants_spelt_in(path)] == []


def test_results_and_tables_have_these_scores():
    names = [field.name for field in dataclasses.fields(AlignmentResult)]
    assert tuple(names[: len(SCORES)]) == SCORES
    assert set(SCORES) <= {field.name for field in dataclasses.fields(MapMean)}
    assert set(SCORES) <= set(COLUMNS)
    assert set(SUMMARY_SCORES) < set(SCORES)


def test_a_studys_columns_keep_their_order():
    assert COLUMNS == (
        "id", "group", "method", "class", "map", "chance", "ideal", "toward_ideal", "ceiling",
        "relative", "enrichment", "skill", "coverage", "status", "ec", "mask_share",
        "grid", "cam_grid", "cell_um", "flags", "error", "key",
    )  # fmt: skip


def test_statuses_are_those_that_alignment_gives():
    mask = np.eye(2, dtype=bool)
    cam, region = np.ones((2, 2)), np.ones((2, 2), bool)
    given = [
        mx.alignment(cam, mask).status,
        mx.alignment(-cam, mask).status,
        mx.alignment(cam, ~region).status,
        mx.alignment(cam, mask, region=~region).status,
        mx.alignment(cam * np.nan, mask).status,
    ]
    assert given == ["ok", "no_activation", "empty_mask", "empty_region", "non_finite"]
    assert tuple(given) == STATUSES
    assert (*STATUSES, "error") == ROW_STATUSES


def test_grades_are_those_that_the_rule_and_the_synthetic_fields_know():
    assert GRADES == ("0", "1+", "2+", "3+")
    assert set(GRADES) | {"null", "ultralow"} == set(CATEGORIES)
    with pytest.raises(mx.errors.InvalidInputError, match=r"'0', '1\+', '2\+', '3\+'"):
        mx.datasets.synthetic_her2("4+")


@pytest.mark.parametrize(("mpp", "objective"), [(0.25, 40), (0.5, 20), (1.0, 10), (4.0, 2.5)])
def test_an_objective_and_its_pixels_go_by_ten(mpp, objective):
    assert magnification_of(mpp) == objective
    assert MPP_AT_1X / objective == mpp
