"""A share of cases with its Wilson interval."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

__all__ = ["Proportion"]


@dataclass(frozen=True)
class Proportion:
    """How many of how many, with the Wilson score interval, which stays in [0, 1].

    It takes cases as independent: give it one prediction per slide or patient, or read the interval
    as a lower bound of the uncertainty.

    Attributes
    ----------
    count, total : int
        The share is ``count / total``.
    value, low, high : float
        In [0, 1]; NaN if `total` is 0.

    References
    ----------
    Wilson, "Probable inference", JASA 22 (1927), 209-212.

    Examples
    --------
    >>> from her2_models.metrics import Proportion
    >>> none_of_ten = Proportion.of(0, 10)
    >>> none_of_ten.value, none_of_ten.low, round(none_of_ten.high, 4)
    (0.0, 0.0, 0.2775)
    >>> Proportion.of(0, 0)
    Proportion(count=0, total=0, value=nan, low=nan, high=nan)
    """

    count: int
    total: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int, ci: float = 0.95) -> "Proportion":
        """Compute the share and its interval at level `ci`."""
        if total == 0:
            return cls(0, 0, np.nan, np.nan, np.nan)
        interval = binomtest(count, total).proportion_ci(ci, method="wilson")
        return cls(count, total, count / total, float(interval.low), float(interval.high))
