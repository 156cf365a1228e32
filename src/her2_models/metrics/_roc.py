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
