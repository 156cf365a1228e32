"""Scales on which the distance of a number from the truth is measured, by the bounds of the number.

Near a bound errors are lopsided, and ends at equal distances would leave the range. On the log
odds of the place between two bounds, or the log of the distance from one, they are more alike to
both sides, and no end can leave the range.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_number
from membrane_xai.errors import InvalidInputError

__all__ = ["Bounds", "Scale", "check_bounds"]

Floats = NDArray[np.float64]
Bounds = tuple[float, float] | None
"""Range of a number, None for all numbers; an end may be infinite."""

_TOUCH = 1e-12  # of the distance between finite bounds, or of 1: closer is rounding


class Scale(NamedTuple):
    """Logit between two bounds, log above or below one, the number itself without.

    Between -1 and 1 the logit is twice Fisher's z.
    """

    low: float
    high: float

    @classmethod
    def of(cls, bounds: Bounds) -> "Scale":
        """Return the scale of a number with such bounds."""
        return cls(-np.inf, np.inf) if bounds is None else cls(*bounds)

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def touches(self, x: Any) -> Any:
        """Tell which numbers are at a bound, where the scale is infinite, or beyond."""
        return (np.asarray(x) <= self.low + self._room) | (np.asarray(x) >= self.high - self._room)

    def excludes(self, x: float) -> bool:
        """Tell whether a number is beyond a bound, by more than rounding."""
        return abs(x - self.clip(x)) > self._room

    @property
    def _room(self) -> float:
        return _TOUCH * (self.high - self.low if self.bounded else 1.0)

    def to(self, x: Any) -> Any:
        """Return where numbers within the bounds are on the scale."""
        below = 0.0 if np.isinf(self.low) else np.log(np.asarray(x) - self.low)
        above = 0.0 if np.isinf(self.high) else np.log(self.high - np.asarray(x))
        return x if np.isinf(self.low) and np.isinf(self.high) else below - above

    def back(self, z: float) -> float:
        """Return the number that is there on the scale."""
        from scipy.special import expit

        if self.bounded:
            return float(self.low + (self.high - self.low) * expit(z))
        with np.errstate(over="ignore"):
            if np.isfinite(self.low):
                return float(self.low + np.exp(z))
            return float(self.high - np.exp(-z)) if np.isfinite(self.high) else z

    def slope(self, x: float) -> float:
        """Return the derivative of the scale at a number."""
        below = 0.0 if np.isinf(self.low) else 1 / (x - self.low)
        above = 0.0 if np.isinf(self.high) else 1 / (self.high - x)
        return below + above or 1.0

    def bend(self, x: float) -> float:
        """Return the second derivative over the first: how the scale curves at a number."""
        below = 0.0 if np.isinf(self.low) else 1 / (x - self.low)
        above = 0.0 if np.isinf(self.high) else 1 / (self.high - x)
        return above - below

    def clip(self, x: float) -> float:
        """Return the number, or the bound that it is beyond."""
        return float(min(max(x, self.low), self.high))


def check_bounds(bounds: Any) -> Bounds:
    """Return bounds as two floats or None, or raise."""
    if bounds is None:
        return None
    takes = "two increasing numbers, which may be infinite, or None"
    try:
        low, high = bounds
        ends = tuple(
            float(x) if np.isinf(x) else check_number(x, "bounds", takes, lambda _: True)
            for x in (low, high)
        )
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"bounds is {bounds!r}; it takes {takes}") from error
    if not ends[0] < ends[1]:
        raise InvalidInputError(f"bounds is {bounds!r}; it takes {takes}")
    return ends[0], ends[1]
