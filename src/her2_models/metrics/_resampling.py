"""All quantities of one set of predictions under many weightings of its groups at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2_models.metrics._classification import from_matrices, strict_mean
from her2_models.metrics._predictions import Predictions
from her2_models.metrics._roc import RankedClass

__all__ = ["Weighing", "bin_index", "bootstrap", "percentiles"]

Floats = NDArray[np.float64]

_BLOCK = 2_000_000  # weights of samples held at a time: 16 MB


@dataclass(frozen=True, eq=False)
class Weighing:
    """What does not depend on the weights: sums per group, and the order of each class' scores."""

    n_groups: int
    confusion: Floats
    """(G, K * K): samples per group, true and called class."""
    gaps: Floats
    """(G, bins): sums per group and bin of confidence minus correctness."""
    losses: Floats
    """(G, 3): sums per group of Brier score and finite log loss; samples of infinite log loss."""
    ranked: tuple[RankedClass, ...]

    @classmethod
    def of(cls, p: Predictions, bins: int = 15) -> "Weighing":
        """Sum per group and sort per class."""
        k = len(p.names)
        top = p.probabilities.max(axis=1)
        of_truth = p.probabilities[np.arange(len(p.labels)), p.labels]
        never = of_truth == 0
        log_loss = -np.log(np.where(never, 1.0, of_truth))
        brier = ((p.probabilities - np.eye(k)[p.labels]) ** 2).sum(axis=1)
        losses = [_sums(p, values)[:, 0] for values in (brier, log_loss, never * 1.0)]
        return cls(
            n_groups=p.n_groups,
            confusion=_sums(p, np.ones(len(top)), p.labels * k + p.called, k * k),
            gaps=_sums(p, top - (p.called == p.labels), bin_index(top, bins), bins),
            losses=np.stack(losses, axis=1),
            ranked=tuple(
                RankedClass.of(p.probabilities[:, c], p.labels == c, p.groups) for c in range(k)
            ),
        )

    def quantities(self, weights: Floats) -> dict[str, Floats]:
        """Return for weights (d, G) numbers of shape (d,) and (d, K) by name."""
        k = len(self.ranked)
        matrices = (weights @ self.confusion).reshape(len(weights), k, k)
        total = matrices.sum(axis=(1, 2))
        brier, log_loss, never = (weights @ self.losses).T
        auc = np.stack([ranked.auc(weights) for ranked in self.ranked], axis=1)
        return {
            **from_matrices(matrices),
            "auc": auc,
            "macro_auc": strict_mean(auc),
            "ece": np.abs(weights @ self.gaps).sum(axis=1) / total,
            "brier": brier / total,
            "nll": np.where(never > 0, np.inf, log_loss / total),
        }

    def as_they_are(self) -> dict[str, Floats]:
        """Return the quantities with every group counted once, of shape () and (K,)."""
        once = self.quantities(np.ones((1, self.n_groups)))
        return {name: values[0] for name, values in once.items()}


def bootstrap(weighing: Weighing, draws: int, seed: int) -> dict[str, Floats]:
    """Return the quantities of `draws` resamples: as many groups, drawn with replacement."""
    blocks = [weighing.quantities(weights) for weights in _draw(weighing, draws, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentiles(values: Floats, ci: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return low and high end over the first axis, and the number of undefined draws left out.

    Ends are draws themselves, not interpolated, so an infinite log loss stays infinite.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    undefined = np.isnan(values).sum(axis=0)
    defined = len(values) - undefined
    ends = []
    for level in ((1 - ci) / 2, (1 + ci) / 2):
        place = np.ceil(np.round(level * defined, 6)).astype(int) - 1  # 25.000000000000004 is 25
        place = np.clip(place, 0, len(values) - 1)
        ends.append(np.take_along_axis(ordered, place[None], axis=0)[0])
    return ends[0], ends[1], undefined


def bin_index(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """Return which of `bins` equal bins (a, b] of [0, 1] holds each value; 0 is in the first."""
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, confidence, side="left").astype(np.int64)


def _draw(weighing: Weighing, draws: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    n_groups = weighing.n_groups
    shares = np.full(n_groups, 1 / n_groups)
    block = max(1, _BLOCK // len(weighing.ranked[0].groups))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        yield rng.multinomial(n_groups, shares, size=size).astype(np.float64)


def _sums(
    p: Predictions, values: Floats, column: NDArray[np.int64] | None = None, columns: int = 1
) -> Floats:
    """Sum values (n,) per group and column, to (G, columns)."""
    cell = p.groups * columns + (0 if column is None else column)
    sums = np.bincount(cell, values, minlength=p.n_groups * columns)
    return np.asarray(sums.reshape(-1, columns), dtype=np.float64)
