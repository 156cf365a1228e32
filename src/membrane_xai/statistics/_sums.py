"""Statistics that sums over groups determine: ratios of sums, and means over pairs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quadratic", "Ratio"]

Floats = NDArray[np.float64]


class Ratio(NamedTuple):
    """``sum(v * top) / sum(v * bottom)`` for counts v: a mean over samples, or a ratio of two.

    Undefined where the sum below is 0, or has changed its sign.
    """

    top: Floats
    bottom: Floats

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.top.size

    @property
    def masses(self) -> Floats:
        """How much each group weighs: its part of the sum below."""
        return np.abs(self.bottom)

    def value(self) -> float:
        """Return the value with every group once."""
        return float(self.of(np.ones((1, self.n_groups)))[0]) if self.n_groups else float("nan")

    def of(self, counts: Floats) -> Floats:
        """Return the value for each row of counts."""
        sums = counts @ np.stack([self.top, self.bottom], axis=1)
        return self._divide(sums[:, 0], sums[:, 1])

    def jackknife(self) -> Floats:
        """Return the value without each group in turn."""
        return self._divide(self.top.sum() - self.top, self.bottom.sum() - self.bottom)

    def _divide(self, top: Floats, bottom: Floats) -> Floats:
        defined = bottom * self.bottom.sum() > 0
        ratio: Floats = np.where(defined, top / np.where(defined, bottom, 1), np.nan)
        return ratio

    def standard_error(self) -> float:
        """Return the cluster-robust standard error: that of a ratio of sums over groups."""
        n = self.n_groups
        if n < 2:
            return float("nan")
        residuals = self.top - self.value() * self.bottom
        return float(np.sqrt(n / (n - 1) * residuals @ residuals) / self.bottom.sum())

    def studentized(self, counts: Floats) -> Floats:
        """Return (value - original) / standard error for each row of counts.

        NaN without spread, as when one group was drawn G times.
        """
        n, residuals = self.n_groups, self.top - self.value() * self.bottom
        products = (residuals, self.bottom, residuals**2, residuals * self.bottom, self.bottom**2)
        e, b, ee, eb, bb = (counts @ np.stack(products, axis=1)).T
        shift = e / b
        variance = np.maximum(ee - 2 * shift * eb + shift**2 * bb, 0) * n / (n - 1)
        error = np.sqrt(variance) / b
        spread = error > 1e-6 * self.standard_error()  # less is rounding
        ratio: Floats = np.where(spread, shift / np.where(spread, error, 1), np.nan)
        return ratio


class Quadratic(NamedTuple):
    """Mean over pairs of samples, from sums over the pairs within and between groups.

    A group drawn twice brings its own pairs twice. Pairs between its two copies are left out: among
    them each sample would meet itself.
    """

    within: Floats
    """(G, 2): sum of the similarities of pairs within each group, and number of pairs."""
    between: Floats
    """(2, G, G): the same of pairs between two groups, each pair in both triangles; 0 diagonal."""
    masses: Floats
    """(G,): how much each group weighs: its pairs if only those within count, else its samples."""

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.within)

    def value(self) -> float:
        """Return the value with every group once."""
        return float(self.of(np.ones((1, self.n_groups)))[0]) if self.n_groups else float("nan")

    def of(self, counts: Floats) -> Floats:
        """Return the value for each row of counts; NaN where no pair was drawn."""
        inside = counts @ self.within
        top, pairs = (
            inside[:, i] + np.vecdot(counts @ self.between[i], counts) / 2 for i in range(2)
        )
        return _divide(top, pairs)

    def jackknife(self) -> Floats:
        """Return the value without each group in turn."""
        own = self.within.T + self.between.sum(axis=2)
        all_pairs = self.within.sum(axis=0) + self.between.sum(axis=(1, 2)) / 2
        top, pairs = all_pairs[:, None] - own
        return _divide(top, pairs)


def _divide(top: Floats, pairs: Floats) -> Floats:
    some = pairs > 0.5  # a count, up to rounding
    ratio: Floats = np.where(some, top / np.where(some, pairs, 1), np.nan)
    return ratio
