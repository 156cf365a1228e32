"""The ASCO/CAP rule on shares of cells: the score, and which limits are uncertain."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.statistics._proportion import Proportion

__all__ = [
    "CATEGORIES",
    "CRITERIA",
    "GAPS",
    "LIMIT",
    "Cells",
    "apply_rule",
    "exceeds_limit",
    "is_borderline",
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
"""Meaning of a score for treatment; a score of 0 is "null" or "ultralow"."""

GAPS = {
    "intense_complete_at_most_10": "complete intense staining in 10 % of the cells or fewer",
    "incomplete_moderate_or_intense": (
        "moderate or intense staining that is incomplete in more than 10 % of the cells"
    ),
    "complete_at_most_10": "complete staining in 10 % of the cells or fewer, none of it intense",
}
"""Combinations that the definitions of 0, 1+, 2+ and 3+ leave open."""

_MODERATE, _INTENSE = 2, 3


def exceeds_limit(share: Proportion) -> bool:
    """Tell whether a share is more than 10 %; in whole cells, as 0.1 has no exact binary value."""
    return share.count * round(1 / LIMIT) > share.total


def is_borderline(share: Proportion) -> bool:
    """Tell whether the interval of a share has 10 % in it."""
    return share.low <= LIMIT <= share.high


class Cells(NamedTuple):
    """Answers to the questions of the rule for each cell, (n,) each."""

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


def apply_rule(shares: dict[str, Proportion]) -> str:
    """Return the score: strictly more than 10 % each time."""
    if exceeds_limit(shares["complete_intense"]):
        return "3+"
    if exceeds_limit(shares["complete"]) or shares["complete_intense"].count:
        return "2+"
    return "1+" if exceeds_limit(shares["stained"]) else "0"


def tell_gaps(shares: dict[str, Proportion]) -> tuple[str, ...]:
    """Return which of :data:`GAPS` are there."""
    complete, intense = shares["complete"], shares["complete_intense"]
    partly = shares["incomplete_moderate_or_intense"]
    few = not exceeds_limit(complete)
    there = {
        "intense_complete_at_most_10": bool(intense.count) and not exceeds_limit(intense),
        "incomplete_moderate_or_intense": few and exceeds_limit(partly),
        "complete_at_most_10": few and complete.count > 0 and not intense.count,
    }
    return tuple(name for name, found in there.items() if found)
