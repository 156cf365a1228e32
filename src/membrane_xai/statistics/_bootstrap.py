"""Cluster bootstrap: whole groups are drawn again, thousands of times, in matrix products.

A statistic here is a function of how often each group was drawn. Its draws, its jackknife and so
its interval need per-group sums alone, never the samples.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice, check_number, check_seed, is_count
from membrane_xai.errors import InvalidInputError

__all__ = ["Interval", "Quadratic", "Ratio", "Resampling", "Statistic", "bootstrap"]

Floats = NDArray[np.float64]

_BLOCK = 1 << 16
"""Numbers of how often each group was drawn, held at a time: half a megabyte, so that drawing,
counting and adding up find them in the processor's cache. That is twice as fast as from memory."""


class Resampling(NamedTuple):
    """How an interval is made."""

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
            raise InvalidInputError(f"draws is {self.draws!r}; it takes an integer from 100")
        if not isinstance(self.small_sample, bool):
            raise InvalidInputError(f"small_sample is {self.small_sample!r}; it takes a bool")
        return self._replace(ci=ci, draws=int(self.draws), seed=check_seed(self.seed))


class Interval(NamedTuple):
    """Ends of an interval, NaN where there is none."""

    low: float
    high: float


class Statistic(Protocol):
    """A number that depends on how often each of G groups counts."""

    @property
    def n_groups(self) -> int:
        """G."""
        ...

    def of(self, counts: Floats) -> Floats:
        """Return its value for (B, G) counts, shape (B,)."""
        ...

    def jackknife(self) -> Floats:
        """Return its value without each group in turn, shape (G,)."""
        ...


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


def bootstrap(statistic: Ratio | Quadratic, options: Resampling) -> Interval:
    """Return the interval of a statistic; NaN with fewer than two groups."""
    if statistic.n_groups < 2:
        return Interval(np.nan, np.nan)
    if options.method == "studentized":
        return _studentized(statistic, options)
    draws = _drawn(statistic.of, statistic.n_groups, options)
    if not draws.size:
        return Interval(np.nan, np.nan)
    left_out = statistic.jackknife()
    left_out = left_out[~np.isnan(left_out)]
    z = _reach(left_out, draws, options)
    value = statistic.value()
    shift, bend = (0.0, 0.0) if options.method == "percentile" else _bca(value, left_out, draws)
    levels = [_level(end, shift, bend) for end in (-z, z)]
    low, high = np.quantile(draws, levels)
    return Interval(float(low), float(high))


def _studentized(statistic: Ratio | Quadratic, options: Resampling) -> Interval:
    """Bootstrap-t: each draw is measured in its own standard error."""
    if not isinstance(statistic, Ratio):
        raise InvalidInputError("method is 'studentized'; pairs take 'bca' or 'percentile'")
    error, value = statistic.standard_error(), statistic.value()
    draws = _drawn(statistic.studentized, statistic.n_groups, options)
    if not draws.size:
        return Interval(value, value) if error == 0 else Interval(np.nan, np.nan)
    low, high = np.quantile(draws, [(1 - options.ci) / 2, (1 + options.ci) / 2])
    return Interval(float(value - high * error), float(value - low * error))


def _drawn(of: Any, n_groups: int, options: Resampling) -> Floats:
    """Return the defined values over all draws, a block of draws at a time."""
    rng = np.random.default_rng(options.seed)
    step = max(1, _BLOCK // n_groups)
    values = [
        of(_counts(rng, min(step, options.draws - start), n_groups))
        for start in range(0, options.draws, step)
    ]
    joined = np.concatenate(values)
    defined: Floats = joined[~np.isnan(joined)]
    return defined


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
