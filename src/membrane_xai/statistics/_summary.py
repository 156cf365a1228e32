"""``summarize``: the mean of scores with an interval that keeps groups together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_xai._backend.labels import group_codes
from membrane_xai.statistics._bootstrap import Quadratic, Ratio, Resampling, interval_of
from membrane_xai.statistics._clusters import as_clusters, count_reasons, read_scores, read_weights

__all__ = ["Summary", "summarize", "summary_of"]


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean with its interval, and what went into it.

    Attributes
    ----------
    mean : float
        Mean of the defined scores; NaN if there is none.
    low, high : float
        Ends of the interval; NaN with fewer than three groups, see `note`.
    ci : float
        Nominal coverage of the interval, in (0, 1).
    standard_error : float
        Cluster-robust standard error of `mean`; NaN with fewer than two groups, and for pairs.
    n : int
        Samples that went in: defined, and of positive weight.
    n_groups : int
        Groups among them.
    n_undefined : int
        Samples left out because their score is NaN.
    undefined : dict of str to int
        The same by status.
    clustered : bool
        Whether groups were given. False means that samples were taken for independent, which
        patches of one slide are not: the interval is then too narrow.
    average : str
        What the mean runs over: "samples" or "groups"; for EC "all", "between" or "within" pairs.
    method, small_sample, draws, seed
        How the interval was made.
    note : str
        What to know of the interval: "few_groups" where it is withheld, as one or two groups tell
        next to nothing of others; "small_sample" with three to nine groups, when no bootstrap holds
        what it promises, widened by the option `small_sample` or not; else "".
    """

    mean: float
    low: float
    high: float
    ci: float
    standard_error: float
    n: int
    n_groups: int
    n_undefined: int
    undefined: Mapping[str, int]
    clustered: bool
    average: str
    method: str
    small_sample: bool
    draws: int
    seed: int
    note: str


def summarize(
    scores: Any,
    groups: Any = None,
    *,
    weights: Any = None,
    ci: float = 0.95,
    draws: int = 10_000,
    method: str = "bca",
    average: str = "samples",
    small_sample: bool = True,
    status: Any = None,
    seed: int = 0,
) -> Summary:
    r"""Mean of scores with a cluster-bootstrap interval: patients are drawn again, not patches.

    .. math:: \bar s = \frac{\sum_g v_g \sum_{i \in g} w_i s_i}{\sum_g v_g \sum_{i \in g} w_i}

    with weights :math:`w` and, in each draw, multinomial counts :math:`v` of the G groups (all 1
    for the mean itself). Patches of a patient stay together, as they came together.

    Parameters
    ----------
    scores : (N,) array of any library, or column of pandas
        Such as `map` of :func:`membrane_xai.alignment`. NaN is undefined: left out, and counted.
        Columns, here and below, go by position, whatever their index; NA is NaN.
    groups : sequence of N labels, optional
        The patient (or slide) of each sample. Without it every sample is a group of its own.
    weights : (N,) non-negative numbers, optional
        Weight of each sample within the mean; samples of weight 0 are left out.
    ci : float in (0, 1)
        Nominal coverage.
    draws : int
        Number of resamples, from 100.
    method : {"bca", "percentile", "studentized"}
        - "bca": bias-corrected and accelerated [1]_, jackknife over groups.
        - "percentile": quantiles of the draws.
        - "studentized": bootstrap-t with the cluster-robust standard error; may leave the range of
          the score.
    average : {"samples", "groups"}
        What counts alike: samples, so that a patient with many patches weighs more, or groups, each
        with the mean of its own samples.
    small_sample : bool
        Widen "bca" and "percentile" for few groups, to the reach of Student's t with G - 1 degrees
        of freedom times sqrt(G / (G - 1)) [2]_. Without it, intervals of 20 patients cover too
        seldom.
    status : (N,) words, optional
        Why a score is NaN, to count by reason. It does not decide what is left out: NaN does.
    seed : int
        From 0; the same seed gives the same interval, whatever the order of samples or the labels.

    Returns
    -------
    Summary
        Mean, interval and counts.

    Raises
    ------
    InvalidInputError
        Scores that are not one row of real numbers or are infinite, groups or weights that do not
        fit, a missing label, unknown options.

    Notes
    -----
    Only sums per group are kept, so a million scores of a thousand patients take about a second.
    The interval is about patients. With fewer than 3 it is withheld, with fewer than 10 it is
    marked; see :class:`membrane_xai.statistics.Summary`. Resampling whole clusters is consistent
    for clustered data [3]_.

    References
    ----------
    .. [1] Efron, "Better bootstrap confidence intervals", JASA 82 (1987), 171-185.
    .. [2] Hesterberg, "What teachers should know about the bootstrap", The American Statistician
       69 (2015), 371-386.
    .. [3] Field and Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), 369-390.

    Examples
    --------
    Three patients; one patch has no membrane and so no score.

    >>> from membrane_xai import summarize
    >>> scores = [0.5, 0.7, 0.2, 0.4, float("nan"), 0.6]
    >>> result = summarize(scores, ["A", "A", "B", "B", "B", "C"])
    >>> round(result.mean, 2), result.n, result.n_groups, result.undefined
    (0.48, 5, 3, {'undefined': 1})
    >>> result.low < result.mean < result.high
    True

    Three patients are few, and two are too few for an interval:

    >>> result.note
    'small_sample'
    >>> fewer = summarize([0.5, 0.7, 0.2], ["A", "A", "B"])
    >>> fewer.low, fewer.note
    (nan, 'few_groups')
    """
    options = Resampling(ci, draws, method, small_sample, seed).checked()
    values = read_scores(scores, "scores")
    w = read_weights(weights, values.size)
    codes = np.arange(values.size) if groups is None else group_codes(groups, values.size)[0]
    undefined = np.isnan(values)
    reasons = count_reasons(undefined, status)
    kept = ~undefined
    found = as_clusters(values[kept], codes[kept], w[kept], average)
    statistic = Ratio(found.top, found.bottom)
    return summary_of(
        statistic, options, n=found.n, undefined=reasons, clustered=groups is not None,
        average=average,
    )  # fmt: skip


def summary_of(
    statistic: Ratio | Quadratic,
    options: Resampling,
    *,
    n: int,
    undefined: Mapping[str, int],
    clustered: bool,
    average: str,
) -> Summary:
    """Put a statistic, its interval and its counts together."""
    interval = interval_of(statistic, options)
    error = statistic.standard_error() if isinstance(statistic, Ratio) else float("nan")
    return Summary(
        mean=statistic.value(),
        low=interval.low,
        high=interval.high,
        ci=options.ci,
        standard_error=error,
        n=n,
        n_groups=statistic.n_groups,
        n_undefined=sum(undefined.values()),
        undefined=undefined,
        clustered=clustered,
        average=average,
        method=options.method,
        small_sample=options.small_sample,
        draws=options.draws,
        seed=options.seed,
        note=interval.note,
    )
