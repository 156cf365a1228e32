"""The flag "pixel_size" at the pixel size that is true or stated, and at false ones."""

from typing import NamedTuple

import numpy as np

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.cases import Case, open_cases, synthetic
from membrane_xai import membrane_completeness, segment_nuclei
from membrane_xai.cells import measure_nuclei
from membrane_xai.her2_rule import GRADES

_SEEDS = range(200, 204)
_PIXEL_SIZES = (0.25, 0.5)
_FACTORS = (1, 2, 4, 0.5)
_COARSEST = 1.5  # micrometres per pixel: beyond it masks and cells are refused


class _Seen(NamedTuple):
    """What an image says at one pixel size."""

    diameter: float
    in_image: bool
    """Whether masks have the flag."""
    in_labels: bool
    """Whether the table of cells that `segment_nuclei` found has it."""


def pixel_sizes(real: list[Case]) -> list[Row]:
    """Give diameters, and which images are flagged; on real images only if there are any."""
    fields = [
        Case(f"{score}, seed {seed}, {mpp:g} um/px", synthetic(score, mpp, seed).rgb, mpp, score)
        for score in GRADES
        for seed in _SEEDS
        for mpp in _PIXEL_SIZES
    ]
    sample = [case for case in open_cases() if case.name == "ihc_sample"]
    rows = _rows(fields, "synthetic fields")
    return [*rows, *_rows([*sample, *real], "real images")]


def _rows(cases: list[Case], kind: str) -> list[Row]:
    rows: list[Row] = []
    for factor in _FACTORS:
        seen = {
            case.name: _look(case, case.mpp * factor)
            for case in cases
            if case.mpp * factor <= _COARSEST
        }
        where = f"{kind}, pixel size times {factor:g}, {len(seen)} images"
        flagged = np.mean([[one.in_image, one.in_labels] for one in seen.values()], axis=0)
        goal = Goal("<=", 0.0) if factor == 1 else Goal(">=", 0.9)
        known = {name: one.diameter for name, one in seen.items() if one.diameter > 0}
        rows += [
            Row(f"share flagged pixel_size in masks, {where}", "", [float(flagged[0])], goal),
            Row(f"share flagged pixel_size in cells, {where}", "", [float(flagged[1])], goal),
            of_images(f"  median diameter of at least 30 nuclei, {where}", "um", known),
            of_images(f"  flagged in masks, {where}", "", _ones(seen, "in_image")),
            of_images(f"  flagged in cells, {where}", "", _ones(seen, "in_labels")),
        ]
    return rows


def _ones(seen: dict[str, _Seen], what: str) -> dict[str, float]:
    return {name: float(getattr(one, what)) for name, one in seen.items()}


def _look(case: Case, mpp: float) -> _Seen:
    nuclei = measure_nuclei(case.rgb, mpp=mpp)
    labels = segment_nuclei(case.rgb, mpp=mpp)
    none = np.zeros(labels.shape, bool)
    cells = membrane_completeness(none, labels, mpp=mpp, dab=none.astype(float))
    enough = nuclei.count >= 30
    return _Seen(nuclei.median if enough else float("nan"), nuclei.implausible, bool(cells.flags))
