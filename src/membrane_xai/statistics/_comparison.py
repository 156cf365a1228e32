"""``compare_paired``: difference of two methods, its interval, and a test over groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import is_count
from membrane_xai._backend.labels import group_codes
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._clusters import as_clusters, read_scores, read_weights
from membrane_xai.statistics._interval import interval_with, jackknife_of
from membrane_xai.statistics._options import IntervalOptions
from membrane_xai.statistics._permutation import SignFlip, sign_flip
from membrane_xai.statistics._sums import Ratio

__all__ = ["Comparison", "compare_paired"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference with its interval, test and size.

    Attributes
    ----------
    difference : float
        Mean of ``a - b`` over the pairs where both are defined; positive if a is higher.
    low, high : float
        Ends of its interval; NaN with fewer than three groups, see `note`.
    ci : float
        Nominal coverage of the interval.
    p_value : float
        Two-sided, that the mean difference is 0, over groups. With the jackknife p is at most
        ``1 - ci`` exactly if the interval excludes 0; NaN where that is withheld, and 0 where all
        groups differ by exactly the same. With a bootstrap it is that of a sign-flip test, in
        (0, 1], with G groups never below ``2 ** (1 - G)``.
    exact : bool
        Whether every pattern of signs was tried; False with the jackknife.
    effect_size : float
        Mean of the groups' mean differences over their standard deviation (Cohen's d of pairs); NaN
        where there is no spread to measure in.
    n, n_groups : int
        Pairs and groups that went in.
    n_eff : float
        How many groups of one size would tell as much.
    n_undefined : int
        Pairs left out because either score is NaN.
    undefined : dict of str to int
        Of these, those where "a" alone, "b" alone or "both" are NaN.
    clustered : bool
        Whether groups were given; False means that pairs were taken for independent.
    average, method, small_sample, draws, permutations, seed
        How the numbers were made; the last four play no part in the jackknife.
    note : str
        What to know of interval and p-value, as in :class:`membrane_xai.statistics.Summary`:
        "few_groups", "small_sample", "skewed" or "".
    """

    difference: float
    low: float
    high: float
    ci: float
    p_value: float
    exact: bool
    effect_size: float
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
    permutations: int
    seed: int
    note: str


def compare_paired(
    a: Any,
    b: Any,
    groups: Any = None,
    *,
    weights: Any = None,
    ci: float = 0.95,
    method: str = "jackknife",
    average: str = "samples",
    draws: int = 10_000,
    permutations: int = 10_000,
    small_sample: bool = True,
    seed: int = 0,
) -> Comparison:
    r"""Compare two models or CAM methods on the same patches, patient by patient.

    Interval and test are two readings of one number: the mean difference over its standard error by
    the jackknife over patients, against Student's t with ``n_eff - 1`` degrees of freedom and
    corrected for skewed patients, as in :func:`membrane_xai.statistics.interval_of`. It asks
    whether the mean difference is 0, and takes nothing for granted of its law otherwise.

    Parameters
    ----------
    a, b : (N,) arrays
        Scores of the same N samples, in the same order. NaN in either leaves the pair out.
    groups, weights, ci, average
        As in :func:`membrane_xai.summarize`, here of the differences.
    method : {"jackknife", "bca", "percentile", "studentized"}
        With a bootstrap, by name, the p-value is that of a sign-flip test,

        .. math:: p = \Pr\Big(\Big|\sum_g \epsilon_g d_g\Big| \ge \Big|\sum_g d_g\Big|\Big),
            \quad d_g = \sum_{i \in g} w_i (a_i - b_i)

        over all :math:`2^G` patterns of signs if these are at most `permutations`, else over as
        many random ones, of which one is the observed [1]_. It tests that swapping the two methods
        changes no law, so it also rejects where differences are lopsided about a mean of 0, and it
        may disagree with the interval.
    permutations : int
        Number of sign patterns, from 100.
    draws, small_sample, seed
        Of the bootstrap, as in :func:`membrane_xai.summarize`.

    Returns
    -------
    Comparison
        Difference, interval, p-value, effect size and counts. For many comparisons correct the
        p-values with :func:`membrane_xai.statistics.holm`.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.summarize`; also for `a` and `b` of unequal lengths.

    References
    ----------
    .. [1] Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications
       in Genetics and Molecular Biology 9 (2010), 39.

    Examples
    --------
    >>> from membrane_xai import compare_paired
    >>> a = [0.5, 0.7, 0.6, 0.8, 0.4, float("nan")]
    >>> b = [0.4, 0.5, 0.5, 0.6, 0.3, 0.5]
    >>> result = compare_paired(a, b, ["A", "A", "B", "C", "D", "E"])
    >>> round(result.difference, 2), result.n, result.n_groups, result.undefined
    (0.14, 5, 4, {'a': 1})

    p-value and interval say the same:

    >>> result.p_value < 0.05, result.low > 0, result.note
    (True, True, 'small_sample')

    Of the signs of four patients, all in favour of a, 2 of 16 patterns are as extreme. That is the
    least p that four patients can give in a sign-flip test.

    >>> flipped = compare_paired(a, b, ["A", "A", "B", "C", "D", "E"], method="bca")
    >>> flipped.p_value, flipped.exact
    (0.125, True)
    """
    options = IntervalOptions(ci, draws, method, small_sample, seed).checked()
    if not is_count(permutations) or permutations < 100:
        raise InvalidInputError(
            f"permutations is {permutations!r}; it takes an integer of at least 100"
        )
    x, y = read_scores(a, "a"), read_scores(b, "b")
    if x.size != y.size:
        raise InvalidInputError(
            f"a has {x.size} scores, b has {y.size}; they are of one sample each"
        )
    w = read_weights(weights, x.size)
    codes = np.arange(x.size) if groups is None else group_codes(groups, x.size)[0]
    both = ~(np.isnan(x) | np.isnan(y))
    found = as_clusters((x - y)[both], codes[both], w[both], average)
    statistic = Ratio(found.top, found.bottom)
    interval = interval_with(statistic, options)
    if options.method == "jackknife":
        left_out = jackknife_of(statistic)
        p_value = float("nan") if left_out is None else left_out.p_value()
        test = SignFlip(p_value, exact=False)
    else:
        test = sign_flip(found.top, int(permutations), options.seed)
    undefined = _undefined(np.isnan(x), np.isnan(y))
    return Comparison(
        difference=statistic.value(),
        low=interval.low,
        high=interval.high,
        ci=options.ci,
        p_value=test.p_value,
        exact=test.exact,
        effect_size=_effect_size(found.means),
        n=found.n,
        n_groups=statistic.n_groups,
        n_eff=interval.n_eff,
        n_undefined=sum(undefined.values()),
        undefined=undefined,
        clustered=groups is not None,
        average=average,
        method=options.method,
        small_sample=options.small_sample,
        draws=options.draws,
        permutations=int(permutations),
        seed=options.seed,
        note=interval.note,
    )


def _undefined(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> dict[str, int]:
    counts = {"a": a & ~b, "b": b & ~a, "both": a & b}
    return {name: int(which.sum()) for name, which in counts.items() if which.any()}


def _effect_size(means: NDArray[np.float64]) -> float:
    if means.size < 2:
        return float("nan")
    spread = float(means.std(ddof=1))
    # A spread below 1e-12 of the differences is rounding.
    return float(means.mean() / spread) if spread > 1e-12 * np.abs(means).max() else float("nan")
