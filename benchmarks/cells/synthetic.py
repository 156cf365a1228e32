"""Cells of synthetic fields, whose completeness and score are known exactly."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells.mistakes import Mistakes, mistakes_of, rates
from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.cases import synthetic
from membrane_xai import (
    CellTable,
    extract_membrane_mask,
    her2_rule_score,
    membrane_completeness,
    segment_nuclei,
)
from membrane_xai.datasets import SyntheticHER2
from membrane_xai.her2_rule import GRADES

SEEDS = range(200, 216)
"""Not among those that the functions were developed with."""
_PIXEL_SIZES = (0.25, 0.5)
"""In turns."""
_LEAST_IOU = 0.3
_LEAST_CELLS = 100
_TRUE, _OURS = "true", "our"
_WAYS = [(nuclei, mask) for nuclei in (_TRUE, _OURS) for mask in (_TRUE, _OURS)]

Labels = NDArray[np.int32]


class Measured(NamedTuple):
    """What one field gave."""

    errors: dict[tuple[str, str], NDArray[np.float64]]
    """(nuclei, mask) -> completeness of each tumour cell, minus the true one."""
    steps: dict[tuple[str, str], float]
    """(nuclei, mask) -> score minus the true one, 1+ minus 0 is 1; NaN with too few cells."""
    precision: float
    recall: float
    mistakes: Mistakes


Fields = dict[str, dict[str, Measured]]
"""Score -> name of the field -> what it gave."""


def cells_of_synthetic_fields() -> list[Row]:
    """Measure with true and our nuclei and masks: which of the two an error comes from."""
    fields = {score: _measure_all(score) for score in GRADES}
    return [
        *(row for way in _WAYS for row in _completeness(fields, way)),
        *(row for way in _WAYS for row in _scores(fields, way)),
        *_nuclei(fields),
        *rates({score: {n: m.mistakes for n, m in each.items()} for score, each in fields.items()}),
    ]


def _measure_all(score: str) -> dict[str, Measured]:
    measured = {}
    for turn, seed in enumerate(SEEDS):
        mpp = _PIXEL_SIZES[turn % len(_PIXEL_SIZES)]
        measured[f"seed {seed}, {mpp:g} um/px"] = _measure(synthetic(score, mpp, seed))
    return measured


def _measure(field: SyntheticHER2) -> Measured:
    found = extract_membrane_mask(field.rgb, mpp=field.mpp)
    nuclei = {_TRUE: field.nuclei, _OURS: segment_nuclei(field.rgb, mpp=field.mpp)}
    masks = {_TRUE: field.membrane, _OURS: found.mask}
    pairs = _matches(field.nuclei, nuclei[_OURS])
    names = {_TRUE: {int(i): int(i) for i in field.cells["id"]}, _OURS: {o: t for t, o in pairs}}
    tumour = np.concatenate([[False], field.cells["tumour"]])[field.territories]
    errors, steps, tables = {}, {}, {}
    for way in _WAYS:
        planes = masks[way[1]], nuclei[way[0]]
        cells = tables[way] = membrane_completeness(*planes, mpp=field.mpp, dab=found.dab)
        errors[way] = _errors(cells, names[way[0]], field)
        result = her2_rule_score(cells, tumour=tumour)
        few = result.score is None or result.n_cells < _LEAST_CELLS
        steps[way] = float("nan") if few else _step(str(result.score), field.score)
    n_true, n_ours = (len(np.unique(labels)) - 1 for labels in (field.nuclei, nuclei[_OURS]))
    mistakes = mistakes_of(tables[_OURS, _OURS], names[_OURS], field)
    return Measured(errors, steps, len(pairs) / n_ours, len(pairs) / n_true, mistakes)


def _matches(true: Labels, ours: Labels) -> list[tuple[int, int]]:
    """Pair nuclei that overlap enough, the best pair first and each nucleus once."""
    overlap = np.zeros((true.max() + 1, ours.max() + 1))
    np.add.at(overlap, (true.ravel(), ours.ravel()), 1)
    iou = overlap / (overlap.sum(1, keepdims=True) + overlap.sum(0) - overlap + (overlap == 0))
    at = np.argwhere(iou[1:, 1:] >= _LEAST_IOU) + 1
    pairs: dict[int, int] = {}
    for row, column in at[np.argsort(-iou[tuple(at.T)])]:
        if row not in pairs and column not in pairs.values():
            pairs[int(row)] = int(column)
    return list(pairs.items())


def _errors(cells: CellTable, names: dict[int, int], field: SyntheticHER2) -> NDArray[np.float64]:
    """Compare tumour cells that are whole in view; `names` has the true name of each label."""
    row = {int(label): i for i, label in enumerate(field.cells["id"])}
    here = [(i, row.get(names.get(int(label), 0))) for i, label in enumerate(cells.id)]
    return np.array(
        [
            cells.completeness[i] - field.cells["completeness"][at]
            for i, at in here
            if at is not None and field.cells["tumour"][at] and not cells.touches_border[i]
        ]
    )


def _step(score: str, true: str) -> float:
    return float(GRADES.index(score) - GRADES.index(true))


def _completeness(fields: Fields, way: tuple[str, str]) -> list[Row]:
    where = f"{way[0]} nuclei, {way[1]} mask"
    rows: list[Row] = []
    for score, measured in fields.items():
        errors = {name: each.errors[way] for name, each in measured.items()}
        mean = {name: float(np.abs(each).mean()) for name, each in errors.items()}
        signed = {name: float(each.mean()) for name, each in errors.items()}
        rows += [
            of_images(f"  absolute error of completeness, {where}, synthetic {score}", "", mean),
            of_images(f"  signed error of completeness, {where}, synthetic {score}", "", signed),
        ]
    average = float(np.mean([value for row in rows[::2] for value in row.values]))
    name = f"mean absolute error of completeness, {where}, all fields"
    return [Row(name, "", [average], Goal("<=", 0.1)), *rows]


def _scores(fields: Fields, way: tuple[str, str]) -> list[Row]:
    where = f"{way[0]} nuclei, {way[1]} mask"
    rows: list[Row] = []
    for score, measured in fields.items():
        steps = {
            name: each.steps[way]
            for name, each in measured.items()
            if not np.isnan(each.steps[way])
        }
        rows.append(of_images(f"  score minus true score, {where}, synthetic {score}", "", steps))
    exact = [value == 0 for row in rows for value in row.values]
    name = f"share of {len(exact)} fields with their exact score, {where}"
    return [Row(name, "", [float(np.mean(exact))], Goal(">=", 0.9)), *rows]


def _nuclei(fields: Fields) -> list[Row]:
    return [
        of_images(
            f"{kind} of nuclei at IoU {_LEAST_IOU:g}, synthetic {score}",
            "",
            {name: getattr(each, kind) for name, each in measured.items()},
        )
        for score, measured in fields.items()
        for kind in ("precision", "recall")
    ]
