"""Accuracy, precision, recall, F1 and kappa from confusion matrices, many at once."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_matrices", "ratio", "strict_mean", "undefined_reasons"]

Floats = NDArray[np.float64]


def from_matrices(matrices: Floats) -> dict[str, Floats]:
    """Return per matrix (..., K, K), rows true, numbers of shape (...,) and (..., K) by name."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    support, called = matrices.sum(axis=-1), matrices.sum(axis=-2)
    total = support.sum(axis=-1)
    precision, recall = ratio(hits, called), ratio(hits, support)
    f1 = ratio(2 * hits, support + called)
    others = total[..., None] - support
    means = {
        f"{kind}_{name}": mean
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1))
        for kind, mean in (
            ("macro", strict_mean(values)),
            ("weighted", _weighted_mean(values, support)),
        )
    }
    return {
        "accuracy": ratio(hits.sum(axis=-1), total),
        "balanced_accuracy": means["macro_recall"],
        "quadratic_kappa": _quadratic_kappa(matrices, support, called, total),
        **means,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "specificity": ratio(others - (called - hits), others),
    }


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where the whole is 0."""
    safe = np.where(whole == 0, np.nan, whole)
    return np.asarray(part / safe, dtype=np.float64)


def strict_mean(values: Floats) -> Floats:
    """Average over classes; NaN if one is NaN, for a mean over fewer classes is another number."""
    return np.asarray(values.mean(axis=-1), dtype=np.float64)


def undefined_reasons(matrix: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, str]:
    """Say for each quantity that is undefined on this matrix, for a class or at all, why."""
    support, called = matrix.sum(axis=1), matrix.sum(axis=0)
    never_called = _list(names, called == 0)
    missed = _list(names, (called == 0) & (support > 0))
    absent = _list(names, support == 0)
    neither = _list(names, (called == 0) & (support == 0))
    alone = _list(names, support == support.sum())
    one_class = (support * called).sum() == support.sum() ** 2
    # kappa's chance disagreement is 0 only if truth and predictions all are one and the same class
    reasons = {
        ("precision", "macro_precision"): never_called and f"never predicted: {never_called}",
        ("weighted_precision",): missed and f"never predicted: {missed}",
        ("recall", "macro_recall", "balanced_accuracy", "auc", "macro_auc"): absent
        and f"no case of: {absent}",
        ("f1", "macro_f1"): neither and f"neither a case nor a prediction of: {neither}",
        ("specificity",): alone and f"every case is: {alone}",
        ("quadratic_kappa",): one_class and f"every case and every prediction is: {alone}",
    }
    return {key: str(reason) for keys, reason in reasons.items() if reason for key in keys}


def _weighted_mean(values: Floats, support: Floats) -> Floats:
    present = np.where(support > 0, values, 0)  # a class without cases has no weight
    return ratio((present * support).sum(axis=-1), support.sum(axis=-1))


def _quadratic_kappa(matrices: Floats, support: Floats, called: Floats, total: Floats) -> Floats:
    index = np.arange(matrices.shape[-1])
    penalty = (index[:, None] - index) ** 2
    observed = (penalty * matrices).sum(axis=(-2, -1))
    by_chance = (penalty * support[..., :, None] * called[..., None, :]).sum(axis=(-2, -1))
    return 1 - ratio(observed * total, by_chance)


def _list(names: tuple[str, ...], chosen: NDArray[np.bool_]) -> str:
    return ", ".join(name for name, yes in zip(names, chosen, strict=True) if yes)
