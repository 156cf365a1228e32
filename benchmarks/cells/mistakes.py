"""How often cells are measured as what they are not, and weak ones not seen at all."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from membrane_xai import CellTable
from membrane_xai.datasets import SyntheticHER2
from membrane_xai.her2_rule import CRITERIA, FALSE_POSITIVE_RATES

_MEASURED, _TRUE = 0.85, 0.9  # completeness from which a cell is complete: as measured, as drawn
_STAINED = 0.1
_WEAK = 1

LOWER = dict.fromkeys(CRITERIA, "1+") | {"complete_intense": "2+", "stained": "0"}
"""By criterion the score that its mistakes would raise: where they are counted."""


class Mistakes(NamedTuple):
    """Counts of one field, our nuclei and our mask."""

    false: dict[str, tuple[int, int]]
    """Criterion -> cells measured to meet it, of those that do not."""
    weak: tuple[int, int]
    """Cells measured as stained, of those that are, weakly."""


def mistakes_of(cells: CellTable, names: dict[int, int], field: SyntheticHER2) -> Mistakes:
    """Compare tumour cells that are whole in view; `names` has the true name of each label."""
    row = {int(label): i for i, label in enumerate(field.cells["id"])}
    pairs = [(i, row.get(names.get(int(label), 0))) for i, label in enumerate(cells.id)]
    kept = [
        (i, at)
        for i, at in pairs
        if at is not None and field.cells["tumour"][at] and not cells.touches_border[i]
    ]
    i, at = np.array(kept, int).reshape(-1, 2).T
    drawn = field.cells["completeness"][at], field.cells["intensity"][at]
    true = _criteria(*drawn, _TRUE)
    seen = _criteria(cells.completeness[i], cells.intensity[i], _MEASURED)
    false = {name: _count(seen[name], ~true[name]) for name in CRITERIA}
    return Mistakes(false, _count(seen["stained"], true["stained"] & (drawn[1] == _WEAK)))


def _criteria(
    completeness: NDArray[np.float64], intensity: NDArray[np.int64], complete: float
) -> dict[str, NDArray[np.bool_]]:
    stained, whole = completeness >= _STAINED, completeness >= complete
    moderate, intense = stained & (intensity >= 2), stained & (intensity == 3)
    return {
        "complete_intense": whole & intense,
        "complete": whole,
        "complete_or_moderate": whole | moderate,
        "complete_or_intense": whole | intense,
        "stained": stained,
        "incomplete_moderate_or_intense": moderate & ~whole,
    }


def _count(met: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[int, int]:
    return int((met & among).sum()), int(among.sum())


def rates(fields: dict[str, dict[str, Mistakes]]) -> list[Row]:
    """Give false-positive rates, the goal being the constant of the rule, and recall of weak cells.

    Keys are the score and the name of the field, which says its pixel size.
    """
    return [*_false_positives(fields), *_recall(fields)]


def _false_positives(fields: dict[str, dict[str, Mistakes]]) -> list[Row]:
    rows: list[Row] = []
    for name in CRITERIA:
        for score, measured in fields.items():
            counts = np.sum([each.false[name] for each in measured.values()], axis=0)
            decides = score == LOWER[name]
            what = f"false-positive rate of {name.replace('_', ' ')}, synthetic {score}"
            goal = Goal("<=", FALSE_POSITIVE_RATES[name]) if decides else None
            prefix = "" if decides else "  "
            rows.append(Row(f"{prefix}{what}, {counts[1]} cells", "", [_share(counts)], goal))
    return rows


def _recall(fields: dict[str, dict[str, Mistakes]]) -> list[Row]:
    rows: list[Row] = []
    for score, measured in fields.items():
        for mpp in sorted({name.rpartition(", ")[2] for name in measured}):
            at = {n: each.weak for n, each in measured.items() if n.endswith(mpp) and each.weak[1]}
            if not at:
                continue
            counts = np.sum(list(at.values()), axis=0)
            what = f"recall of weakly stained cells, synthetic {score}, {mpp}, {counts[1]} cells"
            rows.append(Row(what, "", [_share(counts)]))
            each = {name: _share(np.array(pair)) for name, pair in at.items()}
            rows.append(of_images(f"  by field, synthetic {score}, {mpp}", "", each))
    return rows


def _share(counts: NDArray[np.int64]) -> float:
    return float(counts[0] / counts[1]) if counts[1] else float("nan")
