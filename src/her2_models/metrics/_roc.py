"""Area under the ROC curve of one class against the rest, for many weightings of groups at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2_models.metrics._classification import ratio

__all__ = ["RankedClass"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankedClass:
    """Samples in the order of one class' score, sorted once for all weightings."""

    groups: NDArray[np.int64]
    """(n,): group of each sample, by rising score."""
    positive: Floats
    """(n,): 1 for samples of the class."""
    starts: NDArray[np.int64]
    """(t,): where each run of tied scores begins."""

    @classmethod
    def of(
        cls, scores: Floats, positive: NDArray[np.bool_], groups: NDArray[np.int64]
    ) -> "RankedClass":
        """Sort samples, all arrays of shape (n,)."""
        order = np.argsort(scores, kind="stable")
        ranked = scores[order]
        starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        return cls(groups[order], positive[order].astype(np.float64), starts)

    def auc_without_each(self, n_groups: int) -> Floats:
        """Return the area (G,) without each group in turn.

        A group takes with it the pairs of its positives with all negatives and of its negatives
        with all positives; those among its own samples must not be taken twice.
        """
        negative = 1 - self.positive
        run = np.zeros(len(self.groups), np.int64)
        run[self.starts[1:]] = 1
        run = np.cumsum(run)
        below = _below(negative, self.starts)
        above = self.positive.sum() - _below(self.positive, self.starts)

        order = np.lexsort((run, self.groups))
        groups, run = self.groups[order], run[order]
        new = (groups[1:] != groups[:-1]) | (run[1:] != run[:-1])
        n_negative = np.bincount(self.groups, negative, n_groups)
        earlier = np.cumsum(n_negative) - n_negative  # negatives of the groups before
        own = _below(negative[order], np.flatnonzero(np.r_[True, new])) - earlier[groups]

        lost = np.bincount(self.groups, self.positive * below + negative * above, n_groups)
        twice = np.bincount(groups, self.positive[order] * own, n_groups)
        n_positive = np.bincount(self.groups, self.positive, n_groups)
        pairs = (n_positive.sum() - n_positive) * (n_negative.sum() - n_negative)
        return ratio((self.positive * below).sum() - lost + twice, pairs)

    def auc(self, weights: Floats) -> Floats:
        """Return for weights (d, G) the area (d,): P(positive above negative) + P(tie) / 2."""
        each = weights[:, self.groups]
        positive = each * self.positive
        negative = each - positive
        if len(self.starts) < len(self.groups):
            positive = np.add.reduceat(positive, self.starts, axis=1)
            negative = np.add.reduceat(negative, self.starts, axis=1)
        below = np.cumsum(negative, axis=1)
        pairs = positive.sum(axis=1) * below[:, -1]
        below -= negative / 2
        return ratio(np.einsum("dt,dt->d", positive, below), pairs)


def _below(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return for each sample the sum of the values below it, those of its run counting half."""
    runs = np.add.reduceat(values, starts)
    lengths = np.diff(np.append(starts, len(values)))
    return np.repeat(np.cumsum(runs) - runs / 2, lengths)
