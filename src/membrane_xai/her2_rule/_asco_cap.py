"""Counts of cells in, score out: the ASCO/CAP rule for breast cancer, with what is uncertain."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CATEGORIES",
    "CRITERIA",
    "GAPS",
    "LIMIT",
    "Cells",
    "Share",
    "apply_rule",
    "share_of",
    "tell_gaps",
]

LIMIT = 0.1
"""Share of the tumour cells that must be exceeded."""

CRITERIA = ("complete_intense", "complete", "stained", "incomplete_moderate_or_intense")
"""Shares that the rule or its gaps depend on."""

CATEGORIES = {
    "null": "HER2-null",
    "ultralow": "HER2-ultralow",
    "1+": "HER2-low",
    "2+": "equivocal: HER2-low if ISH is not amplified, HER2-positive if it is",
    "3+": "HER2-positive",
}
"""What a score means for treatment; a score of 0 is "null" or "ultralow"."""

GAPS = {
    "intense_complete_at_most_10": "complete intense staining in 10 % of the cells or fewer",
    "incomplete_moderate_or_intense": (
        "moderate or intense staining that is incomplete in more than 10 % of the cells"
    ),
    "complete_at_most_10": "complete staining in 10 % of the cells or fewer, none of it intense",
}
"""Combinations that the definitions of 0, 1+, 2+ and 3+ leave open."""

_MODERATE, _INTENSE = 2, 3


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the cells with its Wilson interval.

    Attributes
    ----------
    count : int
        Cells that meet the criterion.
    cells : int
        Cells in all.
    share, low, high : float
        Share in [0, 1] and the ends of its interval; NaN without cells.
    """

    count: int
    cells: int
    share: float
    low: float
    high: float

    @property
    def exceeds_limit(self) -> bool:
        """Whether it is more than 10 %; in whole cells, as 0.1 has no exact binary value."""
        return self.count * round(1 / LIMIT) > self.cells

    @property
    def borderline(self) -> bool:
        """Whether the interval has 10 % in it."""
        return self.low <= LIMIT <= self.high


class Cells(NamedTuple):
    """What the rule asks of each cell, (n,) each."""

    complete: NDArray[np.bool_]
    stained: NDArray[np.bool_]
    intensity: NDArray[np.integer]

    def criteria(self) -> dict[str, NDArray[np.bool_]]:
        """Return which cells meet each of :data:`CRITERIA`."""
        partly = self.stained & ~self.complete
        meets = (
            self.complete & (self.intensity == _INTENSE),
            self.complete,
            self.stained,
            partly & (self.intensity >= _MODERATE),
        )
        return dict(zip(CRITERIA, meets, strict=True))


def share_of(cells: NDArray[np.bool_], level: float) -> Share:
    """Count cells; without any, the share is NaN."""
    from scipy.stats import binomtest

    count, n = int(cells.sum()), len(cells)
    if not n:
        return Share(0, 0, math.nan, math.nan, math.nan)
    interval = binomtest(count, n).proportion_ci(confidence_level=level, method="wilson")
    return Share(count, n, count / n, float(interval.low), float(interval.high))


def apply_rule(shares: dict[str, Share]) -> str:
    """Return the score: strictly more than 10 % each time."""
    if shares["complete_intense"].exceeds_limit:
        return "3+"
    if shares["complete"].exceeds_limit or shares["complete_intense"].count:
        return "2+"
    return "1+" if shares["stained"].exceeds_limit else "0"


def tell_gaps(shares: dict[str, Share]) -> tuple[str, ...]:
    """Return which of :data:`GAPS` are there."""
    complete, intense = shares["complete"], shares["complete_intense"]
    partly = shares["incomplete_moderate_or_intense"]
    few = not complete.exceeds_limit
    there = {
        "intense_complete_at_most_10": bool(intense.count) and not intense.exceeds_limit,
        "incomplete_moderate_or_intense": few and partly.exceeds_limit,
        "complete_at_most_10": few and complete.count > 0 and not intense.count,
    }
    return tuple(name for name, found in there.items() if found)
