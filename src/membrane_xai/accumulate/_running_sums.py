"""Sums by group that grow batch by batch and merge in any order.

They are plain float64: the order of N additions shifts a sum by at most N times 1.1e-16 of the sum
of the absolute values, in practice by the root of N times as much. That is below 1e-12 of a mean
over a million samples, and no score is known to a thousandth of that. Counts are integers, exact.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.labels import group_codes
from membrane_xai.errors import InvalidInputError

__all__ = ["RunningSums", "check_state", "sums_by_group"]

Floats = NDArray[np.float64]


class RunningSums:
    """For each group, rows of sums and of counts."""

    def __init__(self, n_sums: int, n_counts: int) -> None:
        self.rows: dict[Any, int] = {}
        """Label -> row, in order of first appearance."""
        self.sums: Floats = np.zeros((0, n_sums))
        self.counts: NDArray[np.int64] = np.zeros((0, n_counts), dtype=np.int64)

    def codes(self, groups: Any, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return each sample's group within a batch, and the rows of these groups.

        Without labels all samples belong to one group, None.
        """
        if groups is None:
            self._check_labeled(labeled=False)
            return np.zeros(count, np.intp), self.rows_of([None])
        self._check_labeled(labeled=True)
        codes, labels = group_codes(groups, count)
        return codes, self.rows_of(labels)

    def _check_labeled(self, *, labeled: bool) -> None:
        if self.rows and labeled == (None in self.rows):
            raise InvalidInputError(
                "groups must be given in every update, or in none: "
                "samples without a label belong to no patient"
            )

    def rows_of(self, labels: list[Any]) -> NDArray[np.intp]:
        """Return the rows of labels; new ones get rows of zeros."""
        rows = [self.rows.setdefault(label, len(self.rows)) for label in labels]
        new = len(self.rows) - len(self.sums)
        if new:
            grow = ((0, new), (0, 0))
            self.sums, self.counts = np.pad(self.sums, grow), np.pad(self.counts, grow)
        return np.array(rows, dtype=np.intp)

    def add(self, rows: NDArray[np.intp], sums: Floats, counts: Any) -> None:
        """Add to some rows, each named once."""
        self.sums[rows] += sums
        self.counts[rows] += np.asarray(counts, dtype=np.int64)

    def merge(self, other: "RunningSums") -> None:
        """Add all of another's sums."""
        if other.rows:
            self._check_labeled(labeled=None not in other.rows)
            self.add(self.rows_of(list(other.rows)), other.sums, other.counts)

    def resized(self, n_sums: int) -> None:
        """Set the number of sums while there are none."""
        self.sums = np.zeros((len(self.sums), n_sums))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything."""
        return {
            "labels": list(self.rows),
            "sums": self.sums.copy(),
            "counts": self.counts.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, or raise and change nothing."""
        labels = list(state["labels"])
        sums = np.array(state["sums"], dtype=np.float64)
        counts = np.array(state["counts"], dtype=np.int64)
        n = len(labels)
        if sums.ndim != 2 or len(sums) != n or counts.shape != (n, self.counts.shape[1]):
            raise InvalidInputError(
                f"state has {n} labels, sums of shape {sums.shape} and counts of shape "
                f"{counts.shape}; it takes what state_dict returned"
            )
        self.rows = {label: row for row, label in enumerate(labels)}
        self.sums, self.counts = sums, counts


def sums_by_group(values: Floats, codes: NDArray[np.intp], n_groups: int) -> Floats:
    """Sum (N, S) values by group, to (G, S); NaN does not count."""
    known = np.where(np.isnan(values), 0, values)
    return np.stack([np.bincount(codes, column, n_groups) for column in known.T], axis=1)


def check_state(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise unless a state is of the same kind and options."""
    missing = {"labels", "sums", "counts"} - set(state)
    got = {name: state.get(name) for name in expected}
    if got != dict(expected) or missing:
        raise InvalidInputError(
            f"state is of {got} and lacks {sorted(missing)}; it takes one of {dict(expected)}"
        )
