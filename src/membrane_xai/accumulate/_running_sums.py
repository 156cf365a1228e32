"""Sums that grow batch by batch, and come out the same in whatever order batches are merged.

Each sum is kept as two floats, the sum and what rounding took from it (Knuth's TwoSum): together
about 32 digits, so that the order shows in none of the 16 that are reported.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._clusters import group_codes

__all__ = ["RunningSums", "check_state", "exact_sums", "total"]

Floats = NDArray[np.float64]


class RunningSums:
    """For each group, rows of sums and of counts."""

    def __init__(self, n_sums: int, n_counts: int) -> None:
        self.rows: dict[Any, int] = {}
        """Label -> row, in order of first appearance."""
        self.high: Floats = np.zeros((0, n_sums))
        self.low: Floats = np.zeros((0, n_sums))
        self.counts: NDArray[np.int64] = np.zeros((0, n_counts), dtype=np.int64)

    @property
    def sums(self) -> Floats:
        """(G, S) sums."""
        summed: Floats = self.high + self.low
        return summed

    def codes(self, groups: Any, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return each sample's group within a batch, and the rows of these groups.

        Without labels all samples belong to one group, None.
        """
        if groups is None:
            self._check_labelled(labelled=False)
            return np.zeros(count, np.intp), self.rows_of([None])
        self._check_labelled(labelled=True)
        codes, labels = group_codes(groups, count)
        return codes, self.rows_of(labels)

    def _check_labelled(self, *, labelled: bool) -> None:
        if self.rows and labelled == (None in self.rows):
            raise InvalidInputError(
                "groups must be given in every update, or in none: "
                "samples without a label belong to no patient"
            )

    def rows_of(self, labels: list[Any]) -> NDArray[np.intp]:
        """Return the rows of labels; new ones get rows of zeros."""
        rows = [self.rows.setdefault(label, len(self.rows)) for label in labels]
        new = len(self.rows) - len(self.high)
        if new:
            grow = ((0, new), (0, 0))
            self.high, self.low = np.pad(self.high, grow), np.pad(self.low, grow)
            self.counts = np.pad(self.counts, grow)
        return np.array(rows, dtype=np.intp)

    def add(self, rows: NDArray[np.intp], sums: Floats, counts: Any) -> None:
        """Add to some rows, each named once."""
        old = self.high[rows]
        new = old + sums
        part = new - old
        self.low[rows] += (old - (new - part)) + (sums - part)
        self.high[rows] = new
        self.counts[rows] += np.asarray(counts, dtype=np.int64)

    def merge(self, other: "RunningSums") -> None:
        """Add all of another's sums."""
        if other.rows:
            self._check_labelled(labelled=None not in other.rows)
            rows = self.rows_of(list(other.rows))
            self.add(rows, other.high, other.counts)
            self.add(rows, other.low, np.zeros_like(other.counts))

    def resized(self, n_sums: int) -> None:
        """Set the number of sums while there are none."""
        self.high, self.low = np.zeros((2, len(self.high), n_sums))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything."""
        return {
            "labels": list(self.rows),
            "high": self.high.copy(),
            "low": self.low.copy(),
            "counts": self.counts.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, or raise and change nothing."""
        labels = list(state["labels"])
        high, low = (np.array(state[name], dtype=np.float64) for name in ("high", "low"))
        counts = np.array(state["counts"], dtype=np.int64)
        n = len(labels)
        fits = high.shape == low.shape and high.ndim == 2 and len(high) == n
        if not fits or counts.shape != (n, self.counts.shape[1]):
            raise InvalidInputError(
                f"state has {n} labels, sums of shape {high.shape} and {low.shape} and counts of "
                f"shape {counts.shape}; it takes what state_dict returned"
            )
        self.rows = {label: row for row, label in enumerate(labels)}
        self.high, self.low, self.counts = high, low, counts


def exact_sums(values: Floats, codes: NDArray[np.intp], n_groups: int) -> Floats:
    """Sum (N, S) values by group without rounding but the last; NaN does not count."""
    out = np.zeros((n_groups, values.shape[1]))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_groups + 1))
    kept = np.where(np.isnan(values), 0, values)[order]
    for column, sums in zip(kept.T, out.T, strict=True):
        for group, part in enumerate(_parts(column.tolist(), bounds)):
            sums[group] = math.fsum(part)
    return out


def _parts(values: list[float], bounds: NDArray[np.intp]) -> Iterator[list[float]]:
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield values[start:stop]


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise unless a state is of the same kind and options."""
    missing = {"labels", "high", "low", "counts"} - set(state)
    got = {name: state.get(name) for name in expected}
    if got != dict(expected) or missing:
        raise InvalidInputError(
            f"state is of {got} and lacks {sorted(missing)}; it takes one of {dict(expected)}"
        )


def total(rows: Floats) -> Floats:
    """Sum rows without rounding but the last."""
    summed: Floats = exact_sums(rows, np.zeros(len(rows), np.intp), 1)[0]
    return summed
