"""A share of cases with its Wilson interval."""

from dataclasses import dataclass

from membrane_xai._backend.checks import check_number, is_count
from membrane_xai.errors import InvalidInputError

__all__ = ["Proportion"]

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
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
    >>> from membrane_xai.statistics import Proportion
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
        """Compute the share and its interval at level `ci`.

        Parameters
        ----------
        count, total : int
            Cases that meet a criterion, and cases in all.
        ci : float in (0, 1)
            Nominal coverage.

        Returns
        -------
        Proportion

        Raises
        ------
        InvalidInputError
            More cases than there are, negative numbers, a level out of range.
        """
        from scipy.stats import binomtest

        level = check_number(ci, "ci", "a number in (0, 1)", lambda x: 0 < x < 1)
        counts = is_count(count) and is_count(total)
        if not counts or not 0 <= int(count) <= int(total):
            raise InvalidInputError(
                f"count is {count!r} of total {total!r}; it takes integers, 0 <= count <= total"
            )
        count, total = int(count), int(total)
        if total == 0:
            return cls(0, 0, _NAN, _NAN, _NAN)
        interval = binomtest(count, total).proportion_ci(level, method="wilson")
        return cls(count, total, count / total, float(interval.low), float(interval.high))
