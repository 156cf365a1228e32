"""Numbers of a report: means with intervals, counts by status, tests against chance."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_xai.html_report._series import Series, groups_of
from membrane_xai.statistics._combination import CombinedNull, combine_nulls
from membrane_xai.statistics._nulls import NullResult, shift_null
from membrane_xai.statistics._summary import Summary, summarize
from membrane_xai.study._parts import Rows
from membrane_xai.study._views import KeptView

__all__ = ["SCORES", "Nulls", "Part", "mean_with_interval", "part_of"]

SCORES = ("map", "chance", "ceiling", "relative", "ec")
_UNKNOWN = {"chance": math.nan, "ceiling": math.nan}
_LARGEST = 64 * 64
"""Pixels of a map up to which all its moves take milliseconds."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a set of rows comes to."""

    name: str
    number: int
    scores: Mapping[str, Summary]
    statuses: Mapping[str, int]
    n: int


def part_of(series: Series) -> Part:
    """Summarize; chance and ceiling run over the rows that have a MAP, to stand beside it."""
    rows = series.rows
    scored = [row if math.isfinite(row["map"]) else {**row, **_UNKNOWN} for row in rows]
    scores = {name: mean_with_interval(scored, name) for name in SCORES}
    scores["ec"] = mean_with_interval(rows, "ec")
    statuses = Counter(row["status"] for row in rows)
    return Part(series.name, series.number, scores, statuses, len(rows))


def mean_with_interval(rows: Rows, name: str) -> Summary:
    """Return the mean of a column with its interval, by group where every row has one."""
    return summarize([row[name] for row in rows], groups_of(rows))


class Nulls:
    """Shift nulls of the maps that were kept, gathered image by image, combined by series."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Any], list[tuple[NullResult, Any]]] = {}
        self.too_large: set[str] = set()

    def add(self, view: KeptView, rows: Rows, negative: str) -> None:
        """Compare the maps of an image with their moves."""
        for row in rows:
            cam = view.maps.get(row["method"], {}).get(row["class"])
            if cam is None or row["status"] != "ok":
                continue
            if cam.size > _LARGEST:
                self.too_large.add(row["method"])
                continue
            found = shift_null(cam, view.mask, region=view.region, negative=negative)
            self._found.setdefault((row["method"], row["class"]), []).append((found, row["group"]))

    def combined(self, series: Series) -> CombinedNull | None:
        """Return one p-value for a series, or None where no map was compared."""
        names = dict.fromkeys((row["method"], row["class"]) for row in series.rows)
        found = [pair for name in names for pair in self._found.get(name, ())]
        if not found:
            return None
        groups = groups_of([{"group": group} for _, group in found])
        return combine_nulls(_stacked([one for one, _ in found]), groups)


def _stacked(results: Sequence[NullResult]) -> NullResult:
    def column(name: str) -> Any:
        return np.array([getattr(one, name) for one in results])

    return NullResult(*(column(name) for name in NullResult.__slots__))
