"""Calibration: reliability in bins of confidence, and temperature scaling."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from her2_models.metrics._cases import Cases, check_count, check_labels, check_level
from her2_models.metrics._resampling import bin_index
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.her2_rule import GRADES
from membrane_xai.statistics import Proportion, read_numbers

__all__ = ["fit_temperature", "reliability"]

_LOG_BOUNDS = (np.log(0.01), np.log(100))  # of T
_AT_BOUND = 1e-3  # distance in log T from a bound at which the search has run into it


def fit_temperature(logits: Any, labels: Any) -> float:
    """Find the temperature T that makes softmax(logits / T) most likely.

    Fit it on validation data and apply it to test data. T > 1 means that the network was too sure
    of itself. It alters no call and no ranking of classes within a case.

    Parameters
    ----------
    logits : array of shape (n, K)
        Scores before the softmax, finite.
    labels : array of int, shape (n,)
        True classes, 0 to K - 1.

    Returns
    -------
    float
        In [0.01, 100]: argmin of the mean of ``-log softmax(logits / T)[label]``.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, logits that are not finite, or labels outside the classes.

    Warns
    -----
    MembraneXAIWarning
        T ends at a bound: there is no best T, as where every call is right (the colder the better),
        where logits say nothing (all the same), or less than nothing (the warmer the better).

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.

    Examples
    --------
    Logits of 0 and log 9 claim 90 %, but three in four are right, and 3 = exp(log(9) / T):

    >>> import numpy as np
    >>> from her2_models.metrics import fit_temperature
    >>> logits = np.log([[9, 1], [9, 1], [9, 1], [9, 1]])
    >>> round(fit_temperature(logits, [0, 0, 0, 1]), 4)
    2.0
    >>> fit_temperature(logits * np.nan, [0, 0, 0, 1])
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: logits[0] is [nan, nan]; it takes finite numbers
    """
    scores = _check_logits(logits)
    truth = check_labels(labels, scores.shape[1])
    if len(truth) != len(scores):
        raise InvalidInputError(f"labels has {len(truth)} entries for {len(scores)} rows of logits")
    margins = scores - scores[np.arange(len(truth)), truth][:, None]

    def loss(log_t: float) -> float:
        return float(logsumexp(margins * np.exp(-log_t), axis=1).mean())

    found = minimize_scalar(loss, bounds=_LOG_BOUNDS, method="bounded", options={"xatol": 1e-8})
    distance = min(abs(found.x - bound) for bound in _LOG_BOUNDS)
    if distance < _AT_BOUND or loss(_LOG_BOUNDS[0]) <= found.fun:
        warnings.warn(
            f"the temperature {np.exp(found.x):.3g} is not an optimum: no T in [0.01, 100] is "
            "better than all others for these logits",
            MembraneXAIWarning,
            stacklevel=2,
        )
    return float(np.exp(found.x))


def reliability(
    labels: Any, probabilities: Any, bins: int = 15, *, ci: float = 0.95
) -> list[dict[str, float]]:
    """Compare, in bins of confidence, how sure the calls are with how often they are right.

    Parameters
    ----------
    labels : array of int, shape (n,)
        True classes, 0 to K - 1.
    probabilities : array of shape (n, K)
        Rows sum to 1; K of any size from 2. Confidence is the largest of a row.
    bins : int
        Equal bins (a, b] of [0, 1].
    ci : float
        Level of the Wilson intervals of the accuracy.

    Returns
    -------
    list of dict
        A row per bin: bin_low, bin_high, count, confidence, accuracy, accuracy_low,
        accuracy_high. The last four are NaN in a bin without calls. The sum of count times
        ``|accuracy - confidence|`` over n is the ECE.

    Raises
    ------
    InvalidInputError
        As in :func:`classification_metrics`, or fewer than one bin.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import reliability
    >>> probabilities = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.8, 0.1, 0.0], [0.9, 0.1, 0.0, 0.0]]
    >>> for row in reliability([0, 2, 0], probabilities, bins=2):
    ...     print(row["bin_high"], row["count"], round(row["confidence"], 3), row["accuracy"])
    0.5 0 nan nan
    1.0 3 0.8 0.6666666666666666
    """
    check_count("bins", bins, 1)
    check_level(ci)
    probabilities = read_numbers(probabilities, "probabilities")
    columns = probabilities.shape[1] if probabilities.ndim == 2 else len(GRADES)
    p = Cases.of(labels, probabilities, names=[str(i) for i in range(columns)])
    confidence, right = p.probabilities.max(axis=1), p.called == p.labels
    place, edges = bin_index(confidence, bins), np.linspace(0, 1, bins + 1)
    rows = []
    for b in range(bins):
        within = place == b
        share = Proportion.of(int(right[within].sum()), int(within.sum()), ci)
        rows.append(
            {
                "bin_low": float(edges[b]),
                "bin_high": float(edges[b + 1]),
                "count": share.total,
                "confidence": float(confidence[within].mean()) if share.total else np.nan,
                "accuracy": share.value,
                "accuracy_low": share.low,
                "accuracy_high": share.high,
            }
        )
    return rows


def _check_logits(logits: Any) -> NDArray[np.float64]:
    scores = read_numbers(logits, "logits")
    if scores.ndim != 2 or scores.shape[1] < 2 or not len(scores):
        raise InvalidInputError(f"logits has shape {scores.shape}; it takes (n, K), K at least 2")
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if bad.size:
        raise InvalidInputError(
            f"logits[{bad[0]}] is {scores[bad[0]].tolist()}; it takes finite numbers"
        )
    return scores
