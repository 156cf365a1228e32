"""Metrics of a HER2 classifier from labels and predictions, with intervals.

Nothing here runs a network: predictions are arrays, wherever they come from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from her2_models.metrics._calibration import fit_temperature, reliability
from her2_models.metrics._cases import (
    Cases,
    check_count,
    check_draws,
    check_level,
    check_names,
)
from her2_models.metrics._classification import from_matrices, undefined_reasons
from her2_models.metrics._figures import (
    confusion_figure,
    reliability_figure,
    roc_figure,
    write_figures,
)
from her2_models.metrics._referral import ReferralSummary, refer_to_ish
from her2_models.metrics._resampling import Weighing, intervals
from her2_models.metrics._results import PER_CLASS, SINGLE, ClassificationMetrics
from her2_models.metrics._tables import confusion_rows, cross_table, write_tables
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.statistics import Interval, Proportion, read_numbers

__all__ = [
    "PER_CLASS",
    "SINGLE",
    "ClassificationMetrics",
    "Interval",
    "Proportion",
    "ReferralSummary",
    "classification_metrics",
    "confusion_figure",
    "confusion_rows",
    "cross_table",
    "fit_temperature",
    "metrics_from_confusion",
    "refer_to_ish",
    "reliability",
    "reliability_figure",
    "roc_figure",
    "write_figures",
    "write_tables",
]

_METHODS = ("jackknife", "bca", "percentile")
_FROM_PROBABILITIES = ("auc", "macro_auc", "ece", "brier", "nll")


def metrics_from_confusion(matrix: Any, *, names: Sequence[str] = GRADES) -> ClassificationMetrics:
    """Compute what follows from a confusion matrix, such as a published one.

    Parameters
    ----------
    matrix : array of shape (K, K)
        Counts of cases, rows true, columns predicted.
    names : sequence of str
        The K classes in their order; kappa depends on it.

    Returns
    -------
    ClassificationMetrics
        Without intervals. AUC, ECE, Brier score and log loss need probabilities: they are NaN.

    Raises
    ------
    InvalidInputError
        Another shape, counts that are negative or not integers, or no case at all.

    Examples
    --------
    The test result of the source study on HER2-IHC-40x:

    >>> from her2_models.metrics import metrics_from_confusion
    >>> result = metrics_from_confusion(
    ...     [[732, 26, 0, 0], [24, 502, 12, 0], [0, 21, 203, 2], [0, 0, 3, 675]])
    >>> result.accuracy, round(result.quadratic_kappa, 4), result.recall.round(4).tolist()
    (0.96, 0.987, [0.9657, 0.9331, 0.8982, 0.9956])
    >>> result.macro_auc, result.undefined["macro_auc"]
    (nan, 'needs probabilities')

    A classifier that never says 3+ has no precision there, and no mean of precisions:

    >>> result = metrics_from_confusion([[5, 0], [1, 0]], names=["2+", "3+"])
    >>> result.precision.round(3).tolist(), result.macro_precision, result.f1[1]
    ([0.833, nan], nan, np.float64(0.0))
    >>> result.undefined["precision"]
    'never predicted: 3+'
    """
    names = check_names(names)
    counts = _check_matrix(matrix, names)
    values = from_matrices(counts.astype(np.float64))
    nowhere = np.full(len(names), np.nan)
    values |= {name: nowhere if name in PER_CLASS else nowhere[0] for name in _FROM_PROBABILITIES}
    reasons = undefined_reasons(counts, names) | dict.fromkeys(
        _FROM_PROBABILITIES, "needs probabilities"
    )
    return _result(names, counts, values, reasons)


def classification_metrics(
    labels: Any,
    probabilities: Any,
    *,
    groups: Any = None,
    names: Sequence[str] = GRADES,
    ci: float = 0.95,
    method: str = "jackknife",
    draws: int = 1000,
    seed: int = 0,
) -> ClassificationMetrics:
    """Compute how well predicted probabilities agree with the labels, with intervals.

    Intervals are those of MAP, too: by the jackknife over groups, each left out with all its cases,
    see :func:`membrane_xai.statistics.interval_of`. Cases of one slide or patient resemble each
    other, so intervals over single cases are too narrow there. With fewer than three groups that
    bear on a quantity, such as slides with a case of the class, it has no interval; from three to
    nine it is marked "small_sample".

    Parameters
    ----------
    labels : array of int, shape (n,)
        True classes, 0 to K - 1.
    probabilities : array of shape (n, K)
        Rows sum to 1. The most probable class is the call, the lower one if two tie.
    groups : array of str or int, shape (n,), optional
        Slide or patient of each case. Without it every case is its own group, and the result says
        ``clustered=False``.
    names : sequence of str
        The K classes in their order.
    ci : float
        Level of the intervals, in (0, 1).
    method : {"jackknife", "bca", "percentile"}
        As in :func:`membrane_xai.statistics.interval_of`.
    draws : int
        Resamples of a bootstrap, from 100; 0 for no intervals, whatever the method.
    seed : int
        Of the draws; the same seed gives the same intervals, whatever the order of cases or names
        of groups.

    Returns
    -------
    ClassificationMetrics
        A quantity that is undefined without one of the groups, such as the recall of a class that
        one slide has, has no interval by the jackknife. A draw of a bootstrap in which it is
        undefined counts in ``undefined_draws`` of its interval and is left out.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, labels outside the classes, probabilities that are not finite, not
        in [0, 1] or do not sum to 1, a group missing, or options out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import classification_metrics
    >>> labels, slides = [0, 1, 2, 3, 3, 2], ["a", "a", "b", "b", "c", "c"]
    >>> probabilities = 0.6 * np.eye(4)[[0, 1, 2, 3, 3, 1]] + 0.1
    >>> result = classification_metrics(labels, probabilities, groups=slides, draws=200)
    >>> round(result.accuracy, 4), result.auc.tolist(), round(result.ece, 4), result.clustered
    (0.8333, [1.0, 0.9, 0.75, 1.0], 0.1333, True)

    Here slide "a" alone has 0 and 1+, so that nothing is known of their recall elsewhere:

    >>> interval = result.intervals["recall"]
    >>> interval.low.tolist(), interval.n_eff.tolist(), set(interval.note.tolist())
    ([nan, nan, nan, nan], [1.0, 1.0, 2.0, 2.0], {'few_groups'})
    """
    check_level(ci)
    check_draws(draws)
    check_count("seed", seed, 0)
    if method not in _METHODS:
        raise InvalidInputError(f"method is {method!r}; it takes one of {', '.join(_METHODS)}")
    predictions = Cases.of(labels, probabilities, groups=groups, names=names)
    weighing = Weighing.summed(predictions)
    k, counts = len(predictions.names), weighing.confusion.sum(axis=0)
    matrix = counts.reshape(k, k).astype(np.int64)
    reasons = undefined_reasons(matrix, predictions.names)
    found = intervals(weighing, ci, method, draws, seed) if draws else {}
    if draws and (note := found["accuracy"].note) == "few_groups":
        reasons["intervals"] = note
    sampling = {"n_groups": predictions.n_groups, "ci": ci, "method": method}
    sampling |= {"draws": draws, "seed": seed}
    return _result(
        predictions.names,
        matrix,
        weighing.as_they_are(),
        reasons,
        intervals=found,
        clustered=predictions.clustered,
        **(sampling if draws else {}),
    )


def _result(
    names: tuple[str, ...],
    counts: Any,
    values: dict[str, Any],
    reasons: dict[str, str],
    **sampling: Any,
) -> ClassificationMetrics:
    numbers: dict[str, Any] = {
        name: float(value) if name in SINGLE else value for name, value in values.items()
    }
    return ClassificationMetrics(
        names=names, confusion=counts, undefined=reasons, **numbers, **sampling
    )


def _check_matrix(matrix: Any, names: tuple[str, ...]) -> Any:
    try:
        counts = read_numbers(matrix, "matrix")
    except InvalidInputError as error:
        raise InvalidInputError(f"matrix is {matrix!r}; it takes counts, 0 or more") from error
    if counts.shape != (len(names), len(names)):
        raise InvalidInputError(
            f"matrix has shape {counts.shape}; it takes ({len(names)}, {len(names)}) for the "
            f"classes {', '.join(names)}"
        )
    if not np.all(np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))):
        raise InvalidInputError(f"matrix is {counts.tolist()}; it takes counts, 0 or more")
    if not counts.any():
        raise InvalidInputError("matrix holds no case; it takes at least one")
    return counts.astype(np.int64)
