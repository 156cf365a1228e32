"""Cluster bootstrap: whole groups are drawn again, thousands of times, in matrix products.

A statistic here is a function of how often each group was drawn. Its draws, its jackknife and so
its interval need per-group sums alone, never the samples.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice, check_number, check_seed, is_count
from membrane_xai.errors import InvalidInputError

__all__ = [
    "FEW_GROUPS",
    "SMALL_SAMPLE",
    "Interval",
    "Quadratic",
    "Ratio",
    "Resampling",
    "Statistic",
    "bootstrap",
    "interval_of",
    "note_on",
]

Floats = NDArray[np.float64]

_BLOCK = 1 << 16
"""Numbers of how often each group was drawn, held at a time: half a megabyte, so that drawing,
counting and adding up find them in the processor's cache. That is twice as fast as from memory."""


FEW_GROUPS, SMALL_SAMPLE = "few_groups", "small_sample"
_FEWEST, _ENOUGH = 3, 10
"""Groups from which there is an interval at all, and from which it covers about what it says."""


class Resampling(NamedTuple):
    """Options of an interval: coverage, draws, method, small samples, seed."""

    ci: float
    draws: int
    method: str
    small_sample: bool
    seed: int

    def checked(self, methods: tuple[str, ...] = ("bca", "percentile", "studentized")) -> Any:
        """Return itself with plain types, or raise."""
        ci = check_number(self.ci, "ci", "a number in (0, 1)", lambda x: 0 < x < 1)
        check_choice(self.method, "method", methods)
        if not is_count(self.draws) or self.draws < 100:
            raise InvalidInputError(f"draws is {self.draws!r}; it takes an integer of at least 100")
        if not isinstance(self.small_sample, bool):
            raise InvalidInputError(f"small_sample is {self.small_sample!r}; it takes a bool")
        return self._replace(ci=ci, draws=int(self.draws), seed=check_seed(self.seed))


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Bootstrap interval of a number, or of each of Q numbers.

    Attributes
    ----------
    low, high : float or ndarray of shape (Q,)
        Its ends; NaN if the number or all its draws are undefined, or where it is withheld, see
        `note`.
    undefined_draws : int or ndarray of shape (Q,)
        Draws without a value, such as those without a case of the class; they are left out.
    note : str
        "few_groups" where the interval is withheld, as one or two groups tell next to nothing of
        others; "small_sample" with three to nine groups, when no bootstrap holds what it promises;
        else "".
    """

    low: Any
    high: Any
    undefined_draws: Any = 0
    note: str = ""


def note_on(n_groups: int) -> str:
    """Return what is to be said of an interval over so many groups."""
    if n_groups < _FEWEST:
        return FEW_GROUPS
    return SMALL_SAMPLE if n_groups < _ENOUGH else ""


class Statistic(Protocol):
    """A number, or Q numbers, that depend on how often each of G groups counts."""

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


def bootstrap(
    statistic: Statistic,
    *,
    ci: float = 0.95,
    draws: int = 10_000,
    method: str = "bca",
    small_sample: bool = True,
    seed: int = 0,
) -> Interval:
    """Cluster-bootstrap interval of any number that sums over groups determine.

    Groups, such as slides or patients, are drawn again with all that belongs to them. This is the
    interval of :func:`membrane_xai.summarize` and of ``her2 evaluate``.

    Parameters
    ----------
    statistic : Statistic
        What has `n_groups`, ``of(counts)`` and ``jackknife()``: no base class is needed.
    ci : float in (0, 1)
        Nominal coverage.
    draws : int
        Number of resamples, from 100.
    method : {"bca", "percentile"}
        As in :func:`membrane_xai.summarize`.
    small_sample : bool
        As in :func:`membrane_xai.summarize`.
    seed : int
        From 0; the same seed and order of groups give the same interval.

    Returns
    -------
    Interval
        Its ends, the draws that were left out, and what is to be known of it.

    Raises
    ------
    InvalidInputError
        Unknown options, or a statistic that does not give one value (or row) for each row of
        counts.

    Notes
    -----
    Draws and groups left out that make the statistic undefined (NaN) do not count. Where it can be
    infinite, as the log loss of a true class of probability 0, its spread cannot be measured: ends
    are then draws themselves, not interpolated, at the levels of the percentile interval, widened
    for few groups as by Hesterberg (2015), and infinite if that draw is.

    Examples
    --------
    Recall of a class of which slide "b" has no case: draws of "b" alone have no recall.

    >>> import numpy as np
    >>> from membrane_xai.statistics import bootstrap
    >>> class Recall:
    ...     hits, cases = np.array([8.0, 0.0, 3.0, 9.0]), np.array([9.0, 0.0, 6.0, 10.0])
    ...     n_groups = 4
    ...     def of(self, counts):
    ...         cases = counts @ self.cases
    ...         return np.where(cases > 0, counts @ self.hits / np.maximum(cases, 1), np.nan)
    ...     def jackknife(self):
    ...         return self.of(1 - np.eye(4))
    >>> found = bootstrap(Recall(), draws=2000)
    >>> found.low < 20 / 25 < found.high, found.undefined_draws > 0, found.note
    (True, True, 'small_sample')

    Two slides tell next to nothing of others:

    >>> class Less(Recall):
    ...     hits, cases, n_groups = Recall.hits[2:], Recall.cases[2:], 2
    >>> found = bootstrap(Less())
    >>> found.low, found.note
    (nan, 'few_groups')
    """
    options = Resampling(ci, draws, method, small_sample, seed).checked(("bca", "percentile"))
    return interval_of(statistic, options)


class Ratio(NamedTuple):
    """``sum(v * top) / sum(v * bottom)`` for counts v: the mean over samples."""

    top: Floats
    bottom: Floats

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.top.size

    def value(self) -> float:
        """Return the value with every group once."""
        return float(self.top.sum() / self.bottom.sum()) if self.n_groups else float("nan")

    def of(self, counts: Floats) -> Floats:
        """Return the value for each row of counts."""
        sums = counts @ np.stack([self.top, self.bottom], axis=1)
        ratio: Floats = sums[:, 0] / sums[:, 1]
        return ratio

    def jackknife(self) -> Floats:
        """Return the value without each group in turn."""
        rest: Floats = (self.top.sum() - self.top) / (self.bottom.sum() - self.bottom)
        return rest

    def standard_error(self) -> float:
        """Return the cluster-robust standard error: that of a ratio of sums over groups."""
        n = self.n_groups
        if n < 2:
            return float("nan")
        residuals = self.top - self.value() * self.bottom
        return float(np.sqrt(n / (n - 1) * residuals @ residuals) / self.bottom.sum())

    def studentized(self, counts: Floats) -> Floats:
        """Return (value - original) / standard error for each row of counts.

        NaN without spread, as when one group was drawn G times.
        """
        n, residuals = self.n_groups, self.top - self.value() * self.bottom
        products = (residuals, self.bottom, residuals**2, residuals * self.bottom, self.bottom**2)
        e, b, ee, eb, bb = (counts @ np.stack(products, axis=1)).T
        shift = e / b
        variance = np.maximum(ee - 2 * shift * eb + shift**2 * bb, 0) * n / (n - 1)
        error = np.sqrt(variance) / b
        spread = error > 1e-6 * self.standard_error()  # less is rounding
        ratio: Floats = np.where(spread, shift / np.where(spread, error, 1), np.nan)
        return ratio


class Quadratic(NamedTuple):
    """Mean over pairs of samples, from sums over the pairs within and between groups.

    A group drawn twice brings its own pairs twice. Pairs between its two copies are left out: among
    them each sample would meet itself.
    """

    within: Floats
    """(G, 2): sum of the similarities of pairs within each group, and number of pairs."""
    between: Floats
    """(2, G, G): the same of pairs between two groups, each pair in both triangles; 0 diagonal."""

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.within)

    def value(self) -> float:
        """Return the value with every group once."""
        return float(self.of(np.ones((1, self.n_groups)))[0]) if self.n_groups else float("nan")

    def of(self, counts: Floats) -> Floats:
        """Return the value for each row of counts; NaN where no pair was drawn."""
        inside = counts @ self.within
        top, pairs = (
            inside[:, i] + np.vecdot(counts @ self.between[i], counts) / 2 for i in range(2)
        )
        return _divide(top, pairs)

    def jackknife(self) -> Floats:
        """Return the value without each group in turn."""
        own = self.within.T + self.between.sum(axis=2)
        all_pairs = self.within.sum(axis=0) + self.between.sum(axis=(1, 2)) / 2
        top, pairs = all_pairs[:, None] - own
        return _divide(top, pairs)


def _divide(top: Floats, pairs: Floats) -> Floats:
    some = pairs > 0.5  # a count, up to rounding
    ratio: Floats = np.where(some, top / np.where(some, pairs, 1), np.nan)
    return ratio


def interval_of(statistic: Statistic, options: Resampling) -> Interval:
    """Return the interval of a statistic; NaN with fewer than three groups."""
    note = note_on(statistic.n_groups)
    if note == FEW_GROUPS:
        return _withheld(statistic)
    if options.method == "studentized":
        return _studentized(statistic, options, note)
    draws = _drawn(statistic.of, statistic.n_groups, options)
    value, left_out = statistic.of(np.ones((1, statistic.n_groups)))[0], statistic.jackknife()
    undefined = np.isnan(draws).sum(axis=0)
    if draws.ndim == 1:
        return Interval(*_ends(value, left_out, draws, options), int(undefined), note)
    columns = [_ends(value[i], left_out[:, i], draws[:, i], options) for i in range(draws.shape[1])]
    low, high = np.array(columns).T
    return Interval(low, high, undefined, note)


def _withheld(statistic: Statistic) -> Interval:
    """Return no interval, of as many numbers as the statistic has."""
    once = np.ones((1, statistic.n_groups))
    shape = statistic.of(once).shape[1:] if statistic.n_groups else ()
    if not shape:
        return Interval(np.nan, np.nan, 0, FEW_GROUPS)
    nothing = np.full(shape, np.nan)
    return Interval(nothing, nothing, np.zeros(shape, np.int64), FEW_GROUPS)


def _ends(
    value: float, left_out: Floats, draws: Floats, options: Resampling
) -> tuple[float, float]:
    """Return the ends of the interval of one number; what is undefined is left out."""
    left_out, draws = left_out[~np.isnan(left_out)], draws[~np.isnan(draws)]
    if np.isnan(value) or not draws.size:
        return np.nan, np.nan
    if not all(np.isfinite(x).all() for x in (value, left_out, draws)):
        z = _known_reach(left_out.size, options)
        levels = [_level(end, 0.0, 0.0) for end in (-z, z)]
        low, high = np.quantile(draws, levels, method="inverted_cdf")
        return float(low), float(high)
    z = _reach(left_out, draws, options)
    shift, bend = (0.0, 0.0) if options.method == "percentile" else _bca(value, left_out, draws)
    levels = [_level(end, shift, bend) for end in (-z, z)]
    low, high = np.quantile(draws, levels)
    return float(low), float(high)


def _studentized(statistic: Statistic, options: Resampling, note: str) -> Interval:
    """Bootstrap-t: each draw is measured in its own standard error."""
    if not isinstance(statistic, Ratio):
        raise InvalidInputError("method is 'studentized'; pairs take 'bca' or 'percentile'")
    error, value = statistic.standard_error(), statistic.value()
    draws = _drawn(statistic.studentized, statistic.n_groups, options)
    undefined = int(np.isnan(draws).sum())
    if undefined == draws.size:
        end = value if error == 0 else np.nan
        return Interval(end, end, undefined, note)
    levels = [(1 - options.ci) / 2, (1 + options.ci) / 2]
    low, high = np.quantile(draws[~np.isnan(draws)], levels)
    return Interval(float(value - high * error), float(value - low * error), undefined, note)


def _drawn(of: Any, n_groups: int, options: Resampling) -> Floats:
    """Return the values of all draws, made a block at a time."""
    rng = np.random.default_rng(options.seed)
    step = max(1, _BLOCK // n_groups)
    blocks = []
    for start in range(0, options.draws, step):
        counts = _counts(rng, min(step, options.draws - start), n_groups)
        values = np.asarray(of(counts))
        if values.ndim not in (1, 2) or len(values) != len(counts):
            raise InvalidInputError(
                f"statistic gives shape {values.shape} for {len(counts)} rows of counts; "
                f"it takes one value, or one row of values, for each"
            )
        blocks.append(values)
    return np.concatenate(blocks)


def _counts(rng: np.random.Generator, draws: int, n_groups: int) -> Floats:
    """Draw G of G groups with replacement, `draws` times; return how often each came."""
    picks = rng.integers(0, n_groups, (draws, n_groups))
    picks += n_groups * np.arange(draws)[:, None]  # one count for each draw and group
    counts = np.bincount(picks.ravel(), minlength=draws * n_groups)
    return counts.reshape(draws, n_groups).astype(np.float64)


def _reach(left_out: Floats, draws: Floats, options: Resampling) -> float:
    """Return how many standard deviations of the draws the interval spans to each side.

    Draws spread too little: by sqrt((G - 1) / G) for groups of one size, more for others; and they
    know nothing of Student's t. With `small_sample` the jackknife's standard error and t make both
    good. For groups of one size this is the expanded interval of Hesterberg (2015).
    """
    from scipy.stats import norm, t

    level = (1 + options.ci) / 2
    n, spread = left_out.size, float(draws.std())
    if not options.small_sample or n < 2 or spread == 0:
        return float(norm.ppf(level))
    error = np.sqrt((n - 1) * left_out.var())
    return float(error / spread * t.ppf(level, n - 1))


def _known_reach(n: int, options: Resampling) -> float:
    """Return the reach where no spread can be measured: that of groups of one size."""
    from scipy.stats import norm, t

    level = (1 + options.ci) / 2
    if not options.small_sample or n < 2:
        return float(norm.ppf(level))
    return float(np.sqrt(n / (n - 1)) * t.ppf(level, n - 1))


def _bca(value: float, left_out: Floats, draws: Floats) -> tuple[float, float]:
    """Return bias correction and acceleration (Efron 1987); ties of a draw count one half."""
    from scipy.stats import norm

    room = 1e-12 * max(1.0, abs(value))
    below = np.count_nonzero(draws < value - room) + np.count_nonzero(draws <= value + room)
    share = np.clip(below / (2 * draws.size), 0.5 / draws.size, 1 - 0.5 / draws.size)
    away = left_out.mean() - left_out if left_out.size else left_out
    spread = float(away @ away) ** 1.5
    bend = float((away**3).sum() / (6 * spread)) if spread > 0 else 0.0
    return float(norm.ppf(share)), bend


def _level(z: float, shift: float, bend: float) -> float:
    """Return the share of the draws below the end that lies `z` standard errors away."""
    from scipy.stats import norm

    moved = shift + z
    stretch = 1 - bend * moved
    if stretch <= 0:  # beyond the last draw
        return float(moved > 0)
    return float(norm.cdf(shift + moved / stretch))
