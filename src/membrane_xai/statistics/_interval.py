"""``interval_of``: the interval of every number of the project, by the jackknife or the bootstrap.

A statistic here is a function of how often each group counts. Its jackknife, its draws and so its
interval need per-group sums alone, never the samples.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.numeric import read_numbers
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._bootstrap import draw_values, ends_of_draws, studentized
from membrane_xai.statistics._jackknife import FEWEST, Jackknife, effective_number, jackknife
from membrane_xai.statistics._options import METHODS, IntervalOptions
from membrane_xai.statistics._scale import Bounds, Scale, check_bounds
from membrane_xai.statistics._sums import Ratio

__all__ = [
    "FEW_GROUPS",
    "SMALL_SAMPLE",
    "Interval",
    "Statistic",
    "bootstrap",
    "interval_of",
    "interval_with",
    "jackknife_of",
]

Floats = NDArray[np.float64]

FEW_GROUPS, SMALL_SAMPLE, AT_BOUND = "few_groups", "small_sample", "at_bound"
INFINITE, SKEWED = "infinite", "skewed"
_ENOUGH = 10
"""Groups from which an interval has no mark for their number."""
_SKEWED = 1 / 3
"""Skewness of the number from which intervals are marked. Of cohorts of 40 log-normal patients,
whose 95 % intervals cover 92 per cent, half are above it, of exponential ones an eighth."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Interval of a number, or of each of Q numbers.

    Attributes
    ----------
    low, high : float or ndarray of shape (Q,)
        Its ends; NaN if the number is undefined, or where the interval is withheld, see `note`.
    undefined_draws : int or ndarray of shape (Q,)
        Draws of a bootstrap without a value, such as those without a case of the class; they are
        left out. The jackknife draws nothing.
    note : str or ndarray of str of shape (Q,)
        What to know of it, the first that holds:

        - "few_groups": withheld. Fewer than three groups bear on the number, or it is undefined
          without one of them; one or two tell next to nothing of others.
        - "infinite": withheld by the jackknife, as the number is infinite.
        - "small_sample": three to nine groups. Coverage is known by simulation, not by theory.
        - "at_bound": the number is at a bound of its range, so that nothing varies. The interval is
          that of Wilson for `n_eff` cases; scores of that range cannot be more uncertain. It is
          withheld where the other bound is infinite.
        - "skewed": a few groups are far above or below all others, and the interval may cover too
          seldom: 95 % intervals of log-normal groups held the truth in 90 to 93 per cent.
        - "": nothing.
    n_eff : float or ndarray of shape (Q,)
        How many groups of one size would tell as much: ``sum(m)^2 / sum(m^2)`` for groups of m
        samples. Of ten patients of whom one has half of all patches it is 3.6.
    """

    low: Any
    high: Any
    undefined_draws: Any = 0
    note: Any = ""
    n_eff: Any = float("nan")


class Statistic(Protocol):
    """A number, or Q numbers, that depend on how often each of G groups counts.

    It may have ``masses`` as well, an array of shape (G,) or (G, Q): how much each group weighs in
    the number, such as its samples or its cases of a class. Without it all weigh alike; groups of
    mass 0 do not bear on the number.
    """

    @property
    def n_groups(self) -> int:
        """Number of groups, G."""
        ...

    def of(self, counts: Floats) -> Floats:
        """Return the value for each row of counts.

        Parameters
        ----------
        counts : ndarray of float64, shape (B, G)
            How often each group counts: whole numbers, G in sum in a draw.

        Returns
        -------
        ndarray of shape (B,) or (B, Q)
            NaN where it is undefined.
        """
        ...

    def jackknife(self) -> Floats:
        """Return the value without each group in turn.

        Returns
        -------
        ndarray of shape (G,) or (G, Q)
            ``self.of(1 - np.eye(G))``, where nothing cheaper is known.
        """
        ...


def interval_of(
    statistic: Statistic,
    *,
    ci: float = 0.95,
    method: str = "jackknife",
    bounds: Any = None,
    draws: int = 10_000,
    small_sample: bool = True,
    seed: int = 0,
) -> Interval:
    r"""Interval, over groups, of any number that sums over groups determine.

    Groups, such as slides or patients, are left out or drawn again with all that belongs to them.
    This is the interval of :func:`membrane_xai.summarize` and of ``her2 evaluate``.

    Parameters
    ----------
    statistic : Statistic
        What has `n_groups`, ``of(counts)`` and ``jackknife()``, and may have `masses`: no base
        class is needed.
    ci : float in (0, 1)
        Nominal coverage.
    method : {"jackknife", "bca", "percentile"}
        "jackknife" as below; the others as in :func:`membrane_xai.summarize`.
    bounds : pair of numbers, None, or a list of Q of these
        Range of the number, such as (0, 1) for a share and (-1, 1) for a correlation; either may be
        infinite. None for any number. For the jackknife.
    draws, small_sample, seed
        Of the bootstrap, as in :func:`membrane_xai.summarize`.

    Returns
    -------
    Interval
        Its ends, how many groups of one size would tell as much, and what is to be known of it.

    Raises
    ------
    InvalidInputError
        Unknown options, a number outside its bounds, or a statistic that does not give one value
        (or row) for each row of counts.

    Notes
    -----
    The jackknife's standard error is taken on the logit scale between two bounds, on the log scale
    beside one, and its reach from Student's t with ``n_eff - 1`` degrees of freedom, two at least,
    for ``n_eff = sum(m)^2 / sum(m^2)`` and masses m [1]_. If groups are more skewed than the scale
    makes good, Hall's transformation moves the ends, outward in full and inward by half [2]_. It is
    deterministic, so that `draws` and `seed` change nothing.

    Draws that make the statistic undefined (NaN) do not count. Where it can be infinite, as the log
    loss of a true class of probability 0, its spread cannot be measured: the jackknife gives no
    interval, and ends of the bootstrap are draws themselves, not interpolated, at the levels of the
    percentile interval, widened for few groups as by Hesterberg (2015), and infinite if that draw
    is.

    References
    ----------
    .. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11; Kish,
       "Survey Sampling", 1965, section 11.7, for ``n_eff``.
    .. [2] Hall, "On the removal of skewness by transformation", JRSS B 54 (1992), 221-228.

    Examples
    --------
    Recall of a class of which slide "b" has no case, so that it does not bear on it:

    >>> import numpy as np
    >>> from membrane_xai.statistics import interval_of
    >>> class Recall:
    ...     hits, cases = np.array([8.0, 0.0, 3.0, 9.0]), np.array([9.0, 0.0, 6.0, 10.0])
    ...     masses, n_groups = cases, 4
    ...     def of(self, counts):
    ...         cases = counts @ self.cases
    ...         return np.where(cases > 0, counts @ self.hits / np.maximum(cases, 1), np.nan)
    ...     def jackknife(self):
    ...         return self.of(1 - np.eye(self.n_groups))
    >>> found = interval_of(Recall(), bounds=(0, 1))
    >>> round(found.low, 2), round(found.high, 2), round(found.n_eff, 2), found.note
    (0.0, 0.98, 2.88, 'small_sample')

    Two slides tell next to nothing of others:

    >>> class Less(Recall):
    ...     hits, cases, n_groups = Recall.hits[2:], Recall.cases[2:], 2
    ...     masses = cases
    >>> found = interval_of(Less(), bounds=(0, 1))
    >>> found.low, found.note
    (nan, 'few_groups')
    """
    options = IntervalOptions(ci, draws, method, small_sample, seed)
    several = isinstance(bounds, list)
    ranges = [check_bounds(pair) for pair in bounds] if several else check_bounds(bounds)
    return interval_with(statistic, options.checked(METHODS), ranges)


def bootstrap(statistic: Statistic, **options: Any) -> Interval:
    """Return :func:`interval_of`, of which this is the former name.

    Parameters
    ----------
    statistic, **options
        As of :func:`interval_of`.

    Returns
    -------
    Interval
        The jackknife's, unless `method` names a bootstrap.
    """
    return interval_of(statistic, **options)


def interval_with(
    statistic: Statistic, options: IntervalOptions, bounds: Bounds | list[Bounds] = None
) -> Interval:
    """Return the interval of a statistic, as checked options say."""
    values, left_out, masses = _read(statistic)
    single = values.ndim == 0
    ranges = bounds if isinstance(bounds, list) else [bounds] * max(values.size, 1)
    draws = None
    if options.method in ("bca", "percentile") and statistic.n_groups >= FEWEST:
        draws = draw_values(statistic.of, statistic.n_groups, options)
        draws = draws[:, None] if draws.ndim == 1 else draws
    one = statistic if options.method == "studentized" else None
    found = [
        _interval(
            float(np.ravel(values)[i]),
            left_out[:, i],
            masses[:, i],
            ranges[i],
            options,
            None if draws is None else draws[:, i],
            one,
        )
        for i in range(values.size)
    ]
    if single:
        return found[0]
    columns = zip(
        *((x.low, x.high, x.undefined_draws, x.note, x.n_eff) for x in found), strict=True
    )
    return Interval(*(np.array(column) for column in columns))


def jackknife_of(statistic: Statistic, bounds: Bounds = None) -> Jackknife | None:
    """Return the jackknife of a single number; None with few groups or an undefined number."""
    values, left_out, masses = _read(statistic)
    kept = masses[:, 0] > 0
    value, left_out = float(values), left_out[kept, 0]
    if _few(left_out) or not np.isfinite(value):
        return None
    return jackknife(value, left_out, masses[kept, 0], Scale.of(bounds))


def _read(statistic: Statistic) -> tuple[Floats, Floats, Floats]:
    """Return value, of shape () or (Q,), values without each group and masses, of shape (G, Q)."""
    n = statistic.n_groups
    if not n:
        return np.array(np.nan), np.zeros((0, 1)), np.zeros((0, 1))
    found = read_numbers(statistic.of(np.ones((1, n))), "statistic")
    if found.ndim not in (1, 2) or len(found) != 1:
        raise InvalidInputError(
            f"statistic gives shape {found.shape} for 1 row of counts; "
            f"it takes one value, or one row of values, for each"
        )
    enough = n >= FEWEST  # or nothing may be left to take a value of
    left_out = read_numbers(
        statistic.jackknife() if enough else [found[0]] * n, "statistic.jackknife"
    )
    if left_out.shape != (n, *found.shape[1:]):
        raise InvalidInputError(
            f"statistic.jackknife gives shape {left_out.shape}; it takes {(n, *found.shape[1:])}"
        )
    masses = read_numbers(getattr(statistic, "masses", np.ones(n)), "statistic.masses")
    if masses.shape not in ((n,), left_out.shape) or not (masses >= 0).all():
        shapes = " or ".join(str(shape) for shape in dict.fromkeys([(n,), left_out.shape]))
        raise InvalidInputError(
            f"statistic.masses has shape {masses.shape}; it takes {shapes} numbers, none negative"
        )
    left_out = left_out.reshape(n, -1)
    return found[0], left_out, np.broadcast_to(masses.reshape(n, -1), left_out.shape)


def _interval(
    value: float,
    left_out: Floats,
    masses: Floats,
    bounds: Bounds,
    options: IntervalOptions,
    draws: Floats | None,
    statistic: Statistic | None,
) -> Interval:
    """Return the interval of one number."""
    kept = masses > 0
    n, n_eff = int(kept.sum()), effective_number(masses)
    undefined = 0 if draws is None else int(np.isnan(draws).sum())
    if n < FEWEST or (options.method == "jackknife" and _few(left_out[kept])):
        return Interval(np.nan, np.nan, undefined, FEW_GROUPS, n_eff)
    note = SMALL_SAMPLE if n < _ENOUGH else ""
    if draws is not None:
        low, high = ends_of_draws(value, left_out, draws, options)
    elif statistic is not None:
        if not isinstance(statistic, Ratio):
            raise InvalidInputError(
                "method is 'studentized'; pairs take 'jackknife', 'bca' or 'percentile'"
            )
        low, high, undefined = studentized(statistic, options)
    else:
        scale = Scale.of(bounds)
        low, high, word = _by_jackknife(value, left_out[kept], masses[kept], scale, options.ci)
        note = (
            word if word and np.isnan(low) else note or word
        )  # why there is none, before how rough
    return Interval(low, high, undefined, note, n_eff)


def _few(left_out: Floats) -> bool:
    return left_out.size < FEWEST or bool(np.isnan(left_out).any())


def _by_jackknife(
    value: float, left_out: Floats, masses: Floats, scale: Scale, ci: float
) -> tuple[float, float, str]:
    """Return the ends and a note."""
    if np.isnan(value):
        return np.nan, np.nan, ""
    if not (np.isfinite(value) and np.isfinite(left_out).all()):
        return np.nan, np.nan, INFINITE
    if scale.excludes(value):
        raise InvalidInputError(f"bounds is {tuple(scale)}; it takes those of the number {value!r}")
    if scale.touches(value):
        return *_at_bound(value, effective_number(masses), scale, ci), AT_BOUND
    found = jackknife(value, left_out, masses, scale)
    return *found.interval(ci), SKEWED if abs(found.skew) > _SKEWED else ""


def _at_bound(value: float, n: float, scale: Scale, ci: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) of n cases that lie at one bound or the other, all at one."""
    from scipy.special import ndtri

    if not scale.bounded:
        return np.nan, np.nan
    z = float(ndtri((1 + ci) / 2))
    reach = (scale.high - scale.low) * z**2 / (n + z**2)
    if value < (scale.low + scale.high) / 2:
        return scale.low, scale.low + reach
    return scale.high - reach, scale.high
