"""``summarize``: the mean of scores with an interval that keeps groups together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_xai._backend.labels import group_codes
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._clusters import as_clusters, count_reasons, read_scores, read_weights
from membrane_xai.statistics._interval import interval_with
from membrane_xai.statistics._options import IntervalOptions
from membrane_xai.statistics._scale import Bounds, check_bounds
from membrane_xai.statistics._sums import Quadratic, Ratio

__all__ = ["Summary", "summarize", "summarize_ratio", "summary_of"]


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
    n_eff : float
        How many groups of one size would tell as much: ``sum(m)^2 / sum(m^2)`` for groups that
        weigh m. The interval knows of the truth what so many groups tell.
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
        How the interval was made; `draws` and `seed` play no part in the jackknife.
    note : str
        What to know of the interval: "few_groups" where it is withheld, as one or two groups tell
        next to nothing of others; "small_sample" with three to nine groups; "at_bound" or "skewed"
        as in :class:`membrane_xai.statistics.Interval`; else "".
    """

    mean: float
    low: float
    high: float
    ci: float
    standard_error: float
    n: int
    n_groups: int
    n_eff: float
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
    method: str = "jackknife",
    bounds: Any = "auto",
    average: str = "samples",
    status: Any = None,
    draws: int = 10_000,
    small_sample: bool = True,
    seed: int = 0,
) -> Summary:
    r"""Mean of scores with an interval over groups: patients are left out in turn, not patches.

    .. math:: \bar s = \frac{\sum_g v_g \sum_{i \in g} w_i s_i}{\sum_g v_g \sum_{i \in g} w_i}

    with weights :math:`w` and counts :math:`v` of the G groups: all 1 for the mean itself, one of
    them 0 in the jackknife, multinomial in the draws of a bootstrap. Patches of a patient stay
    together, as they came together.

    Parameters
    ----------
    scores : (N,) array of any library, or column of pandas
        Such as `map` of :func:`membrane_xai.alignment`. NaN is undefined: left out, and counted.
        Columns, here and below, go by position, whatever their index; NA is NaN.
    groups : sequence of N labels, optional
        The patient (or slide) of each sample, as :func:`membrane_xai.statistics.group_codes` tells
        them apart. Without it every sample is a group of its own.
    weights : (N,) non-negative numbers, optional
        Weight of each sample within the mean; samples of weight 0 are left out.
    ci : float in (0, 1)
        Nominal coverage.
    method : {"jackknife", "bca", "percentile", "studentized"}
        - "jackknife": standard error of the mean without each group in turn, on the scale that
          `bounds` says; Student's t with ``n_eff - 1`` degrees of freedom, two at least; ends moved
          for skewed groups. See :func:`membrane_xai.statistics.interval_of`.
        - "bca": bootstrap, bias-corrected and accelerated [1]_.
        - "percentile": quantiles of the draws.
        - "studentized": bootstrap-t with the cluster-robust standard error; may leave the range of
          the score.
    bounds : "auto", pair of numbers, or None
        Range of a score, for the jackknife: (0, 1) puts the interval on the logit scale and keeps
        it within, None on that of the score. "auto" is (0, 1) if all scores lie there, else None:
        say None for a score that might lie elsewhere, such as `enrichment`.
    average : {"samples", "groups"}
        What counts alike: samples, so that a patient with many patches weighs more, or groups, each
        with the mean of its own samples.
    status : (N,) words, optional
        Why a score is NaN, to count by reason. It does not decide what is left out: NaN does.
    draws : int
        Number of resamples of a bootstrap, from 100.
    small_sample : bool
        Widen "bca" and "percentile" for few groups, to the reach of Student's t with G - 1 degrees
        of freedom times sqrt(G / (G - 1)) [2]_. Without it, their intervals of 20 patients cover
        too seldom.
    seed : int
        Of the draws, from 0; the same seed gives the same interval, whatever the order of samples
        or the labels.

    Returns
    -------
    Summary
        Mean, interval and counts.

    Raises
    ------
    InvalidInputError
        Scores that are not one row of real numbers, are infinite or outside `bounds`, groups or
        weights that do not fit, a missing label, unknown options.

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
    options = IntervalOptions(ci, draws, method, small_sample, seed).checked()
    values = read_scores(scores, "scores")
    known = _bounds_of(values, bounds)
    w = read_weights(weights, values.size)
    codes = np.arange(values.size) if groups is None else group_codes(groups, values.size)[0]
    undefined = np.isnan(values)
    reasons = count_reasons(undefined, status)
    kept = ~undefined
    found = as_clusters(values[kept], codes[kept], w[kept], average)
    statistic = Ratio(found.top, found.bottom)
    return summary_of(
        statistic, options, bounds=known, n=found.n, undefined=reasons,
        clustered=groups is not None, average=average,
    )  # fmt: skip


def summarize_ratio(
    above: Any,
    below: Any,
    groups: Any = None,
    *,
    ci: float = 0.95,
    method: str = "jackknife",
    bounds: Any = None,
    status: Any = None,
    draws: int = 10_000,
    small_sample: bool = True,
    seed: int = 0,
) -> Summary:
    """Ratio of two sums over samples, with the interval of :func:`membrane_xai.summarize`.

    Such as how far a set of maps is toward the ideal, ``sum(map - chance) / sum(ideal - chance)``:
    samples where little was to be had weigh little in it, where in a mean of ratios they weigh as
    much as all others.

    Parameters
    ----------
    above, below : (N,) arrays of any library, or columns of pandas
        What is summed above and below the line. A sample with NaN in either is left out of both,
        and counted.
    groups, ci, method, status, draws, small_sample, seed
        As in :func:`membrane_xai.summarize`.
    bounds : pair of numbers, or None
        Range of the ratio, as in :func:`membrane_xai.statistics.interval_of`.

    Returns
    -------
    Summary
        `mean` is the ratio; a group weighs what it brings to the sum below. NaN where that sum is
        0; without an interval where its sign hangs on one group.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.summarize`; `above` and `below` of unequal lengths.

    Examples
    --------
    >>> from membrane_xai.statistics import summarize_ratio
    >>> gain, room = [0.1, 0.2, 0.0, 0.15], [0.4, 0.5, 0.1, 0.3]
    >>> result = summarize_ratio(gain, room, ["A", "B", "C", "D"])
    >>> round(result.mean, 3), result.low < result.mean < result.high, round(result.n_eff, 2)
    (0.346, True, 3.31)
    """
    options = IntervalOptions(ci, draws, method, small_sample, seed).checked()
    top, bottom = read_scores(above, "above"), read_scores(below, "below")
    if top.size != bottom.size:
        raise InvalidInputError(
            f"above has {top.size} numbers, below has {bottom.size}; they are of one sample each"
        )
    codes = np.arange(top.size) if groups is None else group_codes(groups, top.size)[0]
    undefined = np.isnan(top) | np.isnan(bottom)
    kept = ~undefined
    _, codes = np.unique(codes[kept], return_inverse=True)
    none = top[:0]
    sums = [
        np.bincount(codes, x[kept]).astype(float) if kept.any() else none for x in (top, bottom)
    ]
    order = np.lexsort(sums)  # no draw of a bootstrap depends on labels
    return summary_of(
        Ratio(sums[0][order], sums[1][order]), options, bounds=check_bounds(bounds),
        n=int(kept.sum()), undefined=count_reasons(undefined, status),
        clustered=groups is not None, average="samples",
    )  # fmt: skip


def _bounds_of(values: Any, bounds: Any) -> Bounds:
    """Return the bounds of scores, which lie within."""
    known = values[~np.isnan(values)]
    if isinstance(bounds, str) and bounds == "auto":
        return (0.0, 1.0) if ((known >= 0) & (known <= 1)).all() else None
    found = check_bounds(bounds)
    if found is not None:
        beyond = np.flatnonzero((values < found[0]) | (values > found[1]))
        if beyond.size:
            at = int(beyond[0])
            raise InvalidInputError(
                f"scores[{at}] is {values[at]}; bounds {found} take what lies between them"
            )
    return found


def summary_of(
    statistic: Ratio | Quadratic,
    options: IntervalOptions,
    *,
    bounds: Bounds = None,
    n: int,
    undefined: Mapping[str, int],
    clustered: bool,
    average: str,
) -> Summary:
    """Put a statistic, its interval and its counts together."""
    interval = interval_with(statistic, options, bounds)
    error = statistic.standard_error() if isinstance(statistic, Ratio) else float("nan")
    return Summary(
        mean=statistic.value(),
        low=interval.low,
        high=interval.high,
        ci=options.ci,
        standard_error=error,
        n=n,
        n_groups=statistic.n_groups,
        n_eff=interval.n_eff,
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
