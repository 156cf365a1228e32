"""All quantities of one set of predictions under many weightings of its groups at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2_models.metrics._cases import Cases
from her2_models.metrics._classification import from_matrices, strict_mean
from her2_models.metrics._results import PER_CLASS, SINGLE
from her2_models.metrics._roc import RankedClass
from membrane_xai.statistics import Interval, interval_of

__all__ = ["Weighing", "bin_index", "bounds", "intervals"]

Floats = NDArray[np.float64]

_BLOCK = 2_000_000  # weights of samples held at a time: 16 MB


@dataclass(frozen=True, eq=False)
class Weighing:
    """What does not depend on the weights: sums per group, and the order of each class' scores.

    Groups are in the order of their sums, so that neither their names nor the order of the samples
    decide which of them is drawn. It is a statistic as `interval_of` takes it: all quantities, in
    one row.
    """

    n_groups: int
    confusion: Floats
    """(G, K * K): samples per group, true and called class."""
    gaps: Floats
    """(G, bins): sums per group and bin of confidence minus correctness."""
    losses: Floats
    """(G, 3): sums per group of Brier score and finite log loss; samples of infinite log loss."""
    ranked: tuple[RankedClass, ...]

    @classmethod
    def summed(cls, p: Cases, bins: int = 15) -> "Weighing":
        """Sum per group and sort per class."""
        k = len(p.names)
        top = p.probabilities.max(axis=1)
        of_truth = p.probabilities[np.arange(len(p.labels)), p.labels]
        never = of_truth == 0
        log_loss = -np.log(np.where(never, 1.0, of_truth))
        brier = ((p.probabilities - np.eye(k)[p.labels]) ** 2).sum(axis=1)
        confusion = _sums(p, np.ones(len(top)), p.labels * k + p.called, k * k)
        gaps = _sums(p, top - (p.called == p.labels), bin_index(top, bins), bins)
        losses = np.hstack([_sums(p, values) for values in (brier, log_loss, never * 1.0)])
        order = np.lexsort(np.hstack([gaps, losses, confusion]).T)
        groups = np.argsort(order)[p.groups]
        return cls(
            n_groups=p.n_groups,
            confusion=confusion[order],
            gaps=gaps[order],
            losses=losses[order],
            ranked=tuple(
                RankedClass.of(p.probabilities[:, c], p.labels == c, groups) for c in range(k)
            ),
        )

    def of(self, counts: Floats) -> Floats:
        """Return for counts (B, G) a row each of all quantities, classes of one side by side."""
        step = max(1, _BLOCK // len(self.ranked[0].groups))
        parts = [counts[start : start + step] for start in range(0, len(counts), step)]
        return np.concatenate([_row(self.quantities(part)) for part in parts])

    def jackknife(self) -> Floats:
        """Return the rows without each group in turn."""
        confusion, gaps, losses = (
            x.sum(axis=0) - x for x in (self.confusion, self.gaps, self.losses)
        )
        areas = [ranked.auc_without_each(self.n_groups) for ranked in self.ranked]
        return _row(_quantities(confusion, gaps, losses, np.stack(areas, axis=1)))

    @property
    def masses(self) -> Floats:
        """(G, Q): cases of each group that bear on each quantity.

        All cases, and for a class those that are it, are called it, are either, or are neither; for
        the area those that are it or those that are not, whichever tell less.
        """
        k = len(self.ranked)
        matrices = self.confusion.reshape(-1, k, k)
        support, called = matrices.sum(axis=2), matrices.sum(axis=1)
        cases = support.sum(axis=1, keepdims=True)
        rest = cases - support
        fewer = _effective(support) <= _effective(rest)
        by_class = {
            "precision": called,
            "recall": support,
            "f1": support + called,
            "specificity": rest,
            "auc": np.where(fewer, support, rest),
        }
        single = np.repeat(cases, len(SINGLE), axis=1)
        return np.hstack([single, *(by_class[name] for name in PER_CLASS)])

    def quantities(self, weights: Floats) -> dict[str, Floats]:
        """Return for weights (d, G) numbers of shape (d,) and (d, K) by name."""
        confusion, gaps, losses = (weights @ x for x in (self.confusion, self.gaps, self.losses))
        areas = [ranked.auc(weights) for ranked in self.ranked]
        return _quantities(confusion, gaps, losses, np.stack(areas, axis=1))

    def as_they_are(self) -> dict[str, Floats]:
        """Return the quantities with every group counted once, of shape () and (K,)."""
        once = self.quantities(np.ones((1, self.n_groups)))
        return {name: values[0] for name, values in once.items()}


_IN_UNIT, _AS_CORRELATION, _ABOVE_ZERO = (0.0, 1.0), (-1.0, 1.0), (0.0, np.inf)
_BOUNDS = {"quadratic_kappa": _AS_CORRELATION, "brier": _ABOVE_ZERO, "nll": _ABOVE_ZERO}
"""Of the quantities that do not lie in [0, 1]. The Brier score has a bound above, 2, that is never
near."""


def intervals(
    weighing: Weighing, ci: float, method: str, draws: int, seed: int
) -> dict[str, Interval]:
    """Return the interval of each quantity by name."""
    classes = len(weighing.ranked)
    options: dict[str, Any] = {"ci": ci, "method": method, "draws": draws, "seed": seed}
    found = interval_of(weighing, bounds=bounds(classes), **options)
    by_name = {
        name: Interval(
            float(found.low[i]),
            float(found.high[i]),
            int(found.undefined_draws[i]),
            str(found.note[i]),
            float(found.n_eff[i]),
        )
        for i, name in enumerate(SINGLE)
    }
    for i, name in enumerate(PER_CLASS):
        part = slice(len(SINGLE) + i * classes, len(SINGLE) + (i + 1) * classes)
        by_name[name] = Interval(
            found.low[part],
            found.high[part],
            found.undefined_draws[part],
            found.note[part],
            found.n_eff[part],
        )
    return by_name


def bounds(classes: int) -> list[tuple[float, float]]:
    """Return the range of each quantity, in the order of a row."""
    single = [_BOUNDS.get(name, _IN_UNIT) for name in SINGLE]
    return single + [_IN_UNIT] * len(PER_CLASS) * classes


def _quantities(confusion: Floats, gaps: Floats, losses: Floats, auc: Floats) -> dict[str, Floats]:
    """Return what follows from sums (d, K * K), (d, bins), (d, 3) and areas (d, K)."""
    k = auc.shape[1]
    matrices = confusion.reshape(-1, k, k)
    total = matrices.sum(axis=(1, 2))
    brier, log_loss, never = losses.T
    return {
        **from_matrices(matrices),
        "auc": auc,
        "macro_auc": strict_mean(auc),
        "ece": np.abs(gaps).sum(axis=1) / total,
        "brier": brier / total,
        "nll": np.where(never > 0, np.inf, log_loss / total),
    }


def _effective(masses: Floats) -> Floats:
    """Return how many groups of one size would tell as much, by column; 0 where none has any."""
    square = (masses**2).sum(axis=0)
    return np.asarray(masses.sum(axis=0) ** 2 / np.where(square > 0, square, 1), dtype=np.float64)


def _row(quantities: dict[str, Floats]) -> Floats:
    return np.column_stack([quantities[name] for name in SINGLE + PER_CLASS])


def bin_index(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """Return which of `bins` equal bins (a, b] of [0, 1] holds each value; 0 is in the first."""
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, confidence, side="left").astype(np.int64)


def _sums(
    p: Cases, values: Floats, column: NDArray[np.int64] | None = None, columns: int = 1
) -> Floats:
    """Sum values (n,) per group and column, to (G, columns)."""
    cell = p.groups * columns + (0 if column is None else column)
    sums = np.bincount(cell, values, minlength=p.n_groups * columns)
    return np.asarray(sums.reshape(-1, columns), dtype=np.float64)
