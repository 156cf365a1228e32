r"""Jackknife over groups: interval and p-value of a number from its values without each group.

With the value :math:`z` on its scale, its standard error :math:`s` by the jackknife, weights
:math:`w_g` of the groups and :math:`n = 1 / \sum w_g^2`, the truth is taken to be where

.. math:: \Big| \frac{(1 + a T / 3)^3 - 1}{a} \Big| \le t_{n - 1}, \quad T = \frac{z - z_0}{s}

Hall's transformation without its constant, which makes a studentised mean of skewed numbers nearly
symmetric; for a = 0 it is T itself. The skewness a is that of the groups over the root of n, less
what the curve of the scale makes good already.

References
----------
Hall, "On the removal of skewness by transformation", JRSS B 54 (1992), 221-228. Joanes and Gill,
"Comparing measures of sample skewness and kurtosis", The Statistician 47 (1998), 183-189.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.statistics._scale import Scale

__all__ = ["FEWEST", "Jackknife", "effective_number", "jackknife"]

Floats = NDArray[np.float64]

FEWEST = 3
"""Groups from which there is an interval at all: one or two tell next to nothing of others."""
_LEAST_DF = FEWEST - 1.0
"""Degrees of freedom are at least those of three groups, however much one of them outweighs the
others; with one degree intervals of five patients covered 98 per cent, with two 97."""
_ROUNDING = 1e-12  # a spread below this part of the value is none


class Jackknife(NamedTuple):
    """What the values without each group tell of a number."""

    value: float
    scale: Scale
    error: float
    """Standard error on the scale."""
    df: float
    """Degrees of freedom of Student's t."""
    skew: float
    """Skewness of the value on its scale: the a of Hall's transformation."""

    def interval(self, ci: float) -> tuple[float, float]:
        """Return the ends of the interval.

        Skewness moves an end outward in full and inward by half, for that of few groups is hardly
        known, and tails that are heavy to both sides look skewed to one: of patients by Student's
        t with 3 degrees of freedom intervals would cover 92 per cent, and so they cover 94.
        """
        from scipy.special import stdtrit

        if self.error == 0:
            return self.value, self.value
        reach, at = float(stdtrit(self.df, (1 + ci) / 2)), float(self.scale.to(self.value))
        below = max(_unbent(reach, skew) for skew in self._skews)
        above = min(_unbent(-reach, skew) for skew in self._skews)
        return self.scale.back(at - self.error * below), self.scale.back(at - self.error * above)

    def p_value(self) -> float:
        """Return the two-sided p-value of 0: at most 1 - ci exactly if the interval excludes 0."""
        from scipy.special import stdtr

        if self.error == 0:
            return float(self.value == 0)
        away = (float(self.scale.to(self.value)) - float(self.scale.to(0.0))) / self.error
        least = min(abs(_bent(away, skew)) for skew in self._skews)
        return float(2 * stdtr(self.df, -least))

    @property
    def _skews(self) -> tuple[float, float]:
        return self.skew, self.skew / 2


def effective_number(masses: Floats) -> float:
    """Return how many groups of one size tell as much as these: ``sum(m)^2 / sum(m^2)``."""
    square = float(masses @ masses)
    return float(masses.sum() ** 2 / square) if square > 0 else 0.0


def jackknife(value: float, left_out: Floats, masses: Floats, scale: Scale) -> Jackknife:
    """Return standard error, degrees of freedom and skewness.

    The value is finite and off the bounds, masses are above 0. Where the number without one of the
    groups is at a bound, and so infinite on the scale, the standard error is the plain one times
    the slope of the scale.
    """
    n, n_eff = left_out.size, effective_number(masses)
    df = max(n_eff - 1, _LEAST_DF)
    plain = _error(left_out)
    if plain <= _ROUNDING * max(1.0, abs(value)):
        return Jackknife(value, scale, 0.0, df, 0.0)
    weights = masses / masses.sum()
    of_each = (value - left_out) * (1 - weights) / weights  # for a mean: of the group less the mean
    of_each -= of_each.mean()
    spread = float((of_each**2).mean()) ** 1.5
    bias = np.sqrt(n * (n - 1)) / (n - 2)  # Joanes and Gill's G1
    skew = bias * float((of_each**3).mean()) / spread / np.sqrt(n_eff) if spread > 0 else 0.0
    known = -1.5 * scale.bend(value) * plain
    beyond = skew - float(np.median([0.0, skew, known]))
    error = (
        plain * scale.slope(value) if scale.touches(left_out).any() else _error(scale.to(left_out))
    )
    return Jackknife(value, scale, error, df, beyond)


def _error(left_out: Floats) -> float:
    return float(np.sqrt((left_out.size - 1) * left_out.var()))


def _bent(x: float, skew: float) -> float:
    """Return Hall's transformation of a studentised number."""
    return x if abs(skew) < _ROUNDING else ((1 + skew * x / 3) ** 3 - 1) / skew


def _unbent(x: float, skew: float) -> float:
    """Return the studentised number that Hall's transformation takes to x."""
    return x if abs(skew) < _ROUNDING else float(3 * (np.cbrt(1 + skew * x) - 1) / skew)
