"""Sign-flip permutation test over groups, and Holm's correction."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.numeric import read_numbers
from membrane_xai.errors import InvalidInputError

__all__ = ["SignFlip", "holm", "sign_flip"]

Floats = NDArray[np.float64]

_BLOCK = 1 << 18  # signs held at a time


class SignFlip(NamedTuple):
    """Outcome of a test over groups."""

    p_value: float
    exact: bool
    """Whether every pattern of signs was tried."""


def sign_flip(sums: Floats, permutations: int, seed: int) -> SignFlip:
    """Test whether differences are symmetric about 0, the signs of each group flipped together."""
    from scipy.stats import permutation_test

    if sums.size < 2:  # one group: both patterns are as extreme as the observed one
        return SignFlip(1.0, exact=True) if sums.size else SignFlip(float("nan"), exact=False)
    observed = abs(sums.sum())
    rounding = 1e-12 * np.abs(sums).sum()

    def size(flipped: Floats, axis: int) -> Floats:
        """Return the absolute sum; one that rounding alone tells from the observed one ties."""
        found = np.abs(flipped.sum(axis=axis))
        tied: Floats = np.where(np.abs(found - observed) <= rounding, observed, found)
        return tied

    test = permutation_test(
        (sums,),
        size,
        permutation_type="samples",  # of one sample: signs are flipped
        alternative="greater",
        vectorized=True,
        n_resamples=permutations,
        batch=max(1, _BLOCK // sums.size),
        random_state=np.random.default_rng(seed),
    )
    return SignFlip(float(test.pvalue), exact=2**sums.size <= permutations)


def holm(p_values: Any) -> Floats:
    r"""Correct p-values of many comparisons, so that any false positive at all stays rare.

    The i-th smallest of m p-values becomes :math:`\max_{j \le i} \min(1, (m - j + 1)\,p_{(j)})`
    [1]_.

    Parameters
    ----------
    p_values : (m,) array
        In [0, 1]; NaN is no test: it stays NaN and does not count towards m.

    Returns
    -------
    numpy.ndarray of shape (m,)
        In [0, 1], in the order of `p_values`. Those below 0.05 keep the chance of one or more false
        positives below 5 %, whatever the dependence between the tests.

    Raises
    ------
    InvalidInputError
        Values outside [0, 1], or not one row of them.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
       Statistics 6 (1979), 65-70.

    Examples
    --------
    >>> from membrane_xai.statistics import holm
    >>> holm([0.01, 0.04, float("nan"), 0.03])
    array([0.03, 0.06,  nan, 0.06])
    """
    values = read_numbers(p_values, "p_values")
    tested = ~np.isnan(values)
    if values.ndim != 1 or not ((values[tested] >= 0) & (values[tested] <= 1)).all():
        raise InvalidInputError(f"p_values is {p_values!r}; it takes a row of numbers in [0, 1]")
    found = values[tested]
    order = np.argsort(found, kind="stable")
    steps = np.maximum.accumulate(found[order] * np.arange(found.size, 0, -1))
    corrected = np.empty_like(found)
    corrected[order] = np.minimum(steps, 1)
    out = values.copy()
    out[tested] = corrected
    return out
