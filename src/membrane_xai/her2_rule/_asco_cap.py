"""The ASCO/CAP rule on shares of cells: the score, what it hangs on, and what is open."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.statistics._proportion import Proportion

__all__ = [
    "CATEGORIES",
    "CRITERIA",
    "FALSE_POSITIVE_RATES",
    "GAPS",
    "LEAST_CELLS",
    "LIMIT",
    "STATUSES",
    "UNUSUAL_PATTERNS",
    "Cells",
    "Reading",
]

LIMIT = 0.1
"""Share of the tumour cells that must be exceeded."""

LEAST_CELLS = 20
"""Cells below which there is no score: three of 20 are more than 10 %, two are not. The guideline
has as many counted for in-situ hybridisation, at least."""

STATUSES = ("ok", "too_few_cells", "no_cells")
"""Whether there is a score, and why not."""

CRITERIA = (
    "complete_intense",
    "complete",
    "complete_or_moderate",
    "complete_or_intense",
    "stained",
    "incomplete_moderate_or_intense",
)
"""Shares that the rule, its options or its gaps depend on. "moderate" is at least moderate."""

# Measured by benchmarks/cells on 64 synthetic fields, each in those that the mistake would give
# another score: intense in 2+, stained in 0, else in 1+. Rounded up so far that 32 other fields
# (seeds 100 to 107, at most 0.048) and two real fields of HER2 0 lie below.
FALSE_POSITIVE_RATES: Mapping[str, float] = {
    "complete_intense": 0.02,
    "complete": 0.05,
    "complete_or_moderate": 0.05,
    "complete_or_intense": 0.05,
    "stained": 0.02,
    "incomplete_moderate_or_intense": 0.01,
}
"""Share of the cells that do not meet a criterion and are measured as if they did."""

CATEGORIES = {
    "null": "HER2-null",
    "ultralow": "HER2-ultralow",
    "0": "HER2-negative: HER2-null or HER2-ultralow",
    "1+": "HER2-low",
    "2+": "equivocal: HER2-low if ISH is not amplified, HER2-positive if it is",
    "3+": "HER2-positive",
}
"""Meaning of a score for treatment; a score of 0 is "null" or "ultralow" where they are told
apart."""

UNUSUAL_PATTERNS = {
    "incomplete_moderate_or_intense": (
        "moderate or intense staining in more than 10 % of the cells, not complete in as many"
    ),
    "intense_complete_at_most_10": "complete intense staining in 10 % of the cells or fewer",
}
"""Patterns that the definitions do not cover, 2+ by the guideline's note on them."""

GAPS = {
    "incomplete_moderate_or_intense_at_most_10": (
        "moderate or intense staining that is incomplete, in 10 % of the cells or fewer"
    ),
    "complete_at_most_10": "complete staining in 10 % of the cells or fewer, none of it intense",
}
"""Combinations that neither the definitions of 0, 1+, 2+ and 3+ nor the note decide."""

_MODERATE, _INTENSE = 2, 3
_FEW = 10  # cells: a score that fewer carry is borderline whatever their share; set by hand


class Cells(NamedTuple):
    """Answers to the questions of the rule for each cell, (n,) each."""

    complete: NDArray[np.bool_]
    stained: NDArray[np.bool_]
    intensity: NDArray[np.integer]

    def criteria(self) -> dict[str, NDArray[np.bool_]]:
        """Return which cells meet each of :data:`CRITERIA`."""
        moderate = self.stained & (self.intensity >= _MODERATE)
        intense = self.stained & (self.intensity >= _INTENSE)
        meets = (
            self.complete & intense,
            self.complete,
            self.complete | moderate,
            self.complete | intense,
            self.stained,
            moderate & ~self.complete,
        )
        return dict(zip(CRITERIA, meets, strict=True))


class Reading:
    """The rule applied to shares. More stain on a cell never lowers the score.

    Parameters
    ----------
    shares : dict of str to Proportion
        Of each of :data:`CRITERIA`.
    rates : dict of str to float
        False-positive rate of each.
    second : str
        The criterion of moderate staining that makes 2+: "complete_or_moderate" by the guideline's
        note, "complete_or_intense" where moderate incomplete staining is 1+.
    """

    def __init__(
        self, shares: Mapping[str, Proportion], rates: Mapping[str, float], second: str
    ) -> None:
        self._shares, self._rates = shares, rates
        self._of_2 = ("complete", second)
        self.used = ("complete_intense", *self._of_2, "stained")

    def score(self) -> str:
        """Return the score: strictly more than 10 % each time, and more than mistakes make."""
        if self._exceeds("complete_intense"):
            return "3+"
        return "2+" if self._for_2() else "1+" if self._exceeds("stained") else "0"

    def borderline(self) -> tuple[str, ...]:
        """Return the criteria that the score would change with, by chance or by a few cells."""
        near = {name for name in self.used if self._is_near(name)}
        carrying = self._carrying()
        if carrying and all(self._shares[name].count < _FEW for name in carrying):
            near |= set(carrying)
        return tuple(name for name in CRITERIA if name in near)

    def unusual_patterns(self) -> tuple[str, ...]:
        """Return which of :data:`UNUSUAL_PATTERNS` make the score 2+."""
        if self.score() != "2+" or self._exceeds("complete"):
            return ()
        there = {
            "incomplete_moderate_or_intense": self._exceeds(self._of_2[1]),
            "intense_complete_at_most_10": self._is_there("complete_intense"),
        }
        return tuple(name for name, found in there.items() if found)

    def gaps(self) -> tuple[str, ...]:
        """Return which of :data:`GAPS` are there."""
        if self.score() not in ("0", "1+"):
            return ()
        there = {
            "incomplete_moderate_or_intense_at_most_10": self._is_there(
                "incomplete_moderate_or_intense"
            ),
            "complete_at_most_10": self._is_there("complete"),
        }
        return tuple(name for name, found in there.items() if found)

    def told_of_0(self) -> str:
        """Return "ultralow" or "null" of a score of 0, or "0" if mistakes can explain the stain."""
        if self._is_there("stained"):
            return "ultralow"
        return "0" if self._shares["stained"].count else "null"

    def _exceeds(self, name: str) -> bool:
        """In whole cells, as 0.1 has no exact binary value."""
        share = self._shares[name]
        return self._is_there(name) and share.count * round(1 / LIMIT) > share.total

    def _is_there(self, name: str) -> bool:
        """Tell whether a share is more than the false positives of the measurement."""
        share = self._shares[name]
        return share.count > 0 and share.low > self._rates[name]

    def _for_2(self) -> list[str]:
        for_2 = [name for name in self._of_2 if self._exceeds(name)]
        return for_2 + ["complete_intense"] * self._is_there("complete_intense")

    def _carrying(self) -> list[str]:
        score = self.score()
        if score == "2+":
            return self._for_2()
        return {"3+": ["complete_intense"], "1+": ["stained"], "0": []}[score]

    def _is_near(self, name: str) -> bool:
        """Tell whether 10 % is in the interval, or cells that would make 2+ are not counted."""
        share = self._shares[name]
        if share.low <= LIMIT <= share.high:
            return True
        would_raise = name == "complete_intense" and self.score() in ("0", "1+")
        return would_raise and share.count > 0
