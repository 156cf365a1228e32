"""Check scores and weights, and sum them per group for the bootstrap of a mean."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.labels import is_missing, read_labels
from membrane_xai._backend.numeric import read_numbers
from membrane_xai.errors import InvalidInputError

__all__ = [
    "Clusters",
    "as_clusters",
    "count_reasons",
    "read_scores",
    "read_weights",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Clusters(NamedTuple):
    """What each group contributes: the mean of all is ``sum(top) / sum(bottom)``.

    The order is that of the values and not of the labels, so that no draw of a bootstrap depends
    on how groups are called or samples are ordered.
    """

    top: Floats
    """(G,): weighted sum of the scores of each group, or its mean if groups count alike."""
    bottom: Floats
    """(G,): sum of the weights, or ones."""
    means: Floats
    """(G,): weighted mean of each group."""
    n: int
    """Samples behind it."""


def read_scores(scores: Any, name: str) -> Floats:
    """Return scores as (N,) float64; NaN is welcome, infinity is not."""
    values = read_numbers(scores, name)
    if values.ndim != 1 or not values.size:
        raise InvalidInputError(f"{name} has shape {values.shape}; it takes (N,), one per sample")
    if np.isinf(values).any():
        at = int(np.flatnonzero(np.isinf(values))[0])
        raise InvalidInputError(
            f"{name}[{at}] is {values[at]}; it takes finite numbers, and NaN where undefined"
        )
    return values


def read_weights(weights: Any, count: int) -> Floats:
    """Return weights as (N,) float64; ones by default."""
    if weights is None:
        return np.ones(count)
    try:
        values = read_numbers(weights, "weights")
    except InvalidInputError as error:
        raise InvalidInputError(f"weights cannot be read as numbers: {error}") from error
    if values.shape != (count,):
        raise InvalidInputError(
            f"weights has shape {values.shape}; it takes ({count},), one per sample"
        )
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise InvalidInputError("weights must be finite, none negative and not all zero")
    return values


def as_clusters(values: Floats, codes: Codes, weights: Floats, average: str) -> Clusters:
    """Sum finite `values` by group; groups without weight are left out."""
    check_choice(average, "average", ("samples", "groups"))
    order = np.lexsort((weights, values, codes))  # sums then depend on the samples alone
    values, codes, weights = values[order], codes[order], weights[order]
    counted = weights > 0
    values, codes, weights = values[counted], codes[counted], weights[counted]
    if not values.size:
        empty = np.empty(0)
        return Clusters(empty, empty, empty, 0)
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    bottom = np.add.reduceat(weights, starts)
    top = np.add.reduceat(values * weights, starts)
    order = np.lexsort((top, bottom))
    top, bottom = top[order], bottom[order]
    means = top / bottom
    if average == "groups":
        return Clusters(means, np.ones_like(means), means, values.size)
    return Clusters(top, bottom, means, values.size)


def count_reasons(undefined: NDArray[np.bool_], status: Any) -> dict[str, int]:
    """Count undefined samples by status; "undefined" where the status does not tell."""
    count = undefined.size
    if status is None:
        words = np.full(count, "undefined")
    else:
        labels = read_labels(status, "status")
        known = [x for x in labels if not is_missing(x)]
        if len(labels) != count or not all(isinstance(x, str) for x in known):
            odd = next((f", one is {x!r}" for x in known if not isinstance(x, str)), "")
            raise InvalidInputError(
                f"status has shape ({len(labels)},){odd}; it takes ({count},) words, one per sample"
            )
        words = np.array(["undefined" if is_missing(x) or x == "ok" else x for x in labels])
    reasons, counts = np.unique(words[undefined].astype(str), return_counts=True)
    return dict(zip(reasons.tolist(), counts.tolist(), strict=True))
