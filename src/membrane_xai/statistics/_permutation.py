"""Sign-flip permutation test over groups, and Holm's correction."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai.errors import InvalidInputError

__all__ = ["SignFlip", "holm", "sign_flip"]

Floats = NDArray[np.float64]

_BLOCK = 1 << 21


class SignFlip(NamedTuple):
    """Outcome of a sign-flip test."""

    p_value: float
    exact: bool
    """Whether every pattern of signs was tried."""


def sign_flip(sums: Floats, permutations: int, seed: int) -> SignFlip:
    """Test whether differences are symmetric about 0, the signs of each group flipped together."""
    n_groups = sums.size
    if not n_groups:
        return SignFlip(float("nan"), exact=False)
    exact = n_groups <= 60 and 2**n_groups <= permutations
    observed = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    if exact:  # the other half has the same absolute sums
        rest = np.array(list(itertools.product((1.0, -1.0), repeat=n_groups - 1)))
        signs = np.concatenate([np.ones((len(rest), 1)), rest], axis=1)
        return SignFlip(float((np.abs(signs @ sums) >= observed).mean()), exact=True)
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // n_groups)
    reached = 0
    for start in range(0, permutations, step):
        size = (min(step, permutations - start), n_groups)
        signs = rng.integers(0, 2, size).astype(np.float64) * 2 - 1
        reached += int(np.count_nonzero(np.abs(signs @ sums) >= observed))
    return SignFlip((1 + reached) / (1 + permutations), exact=False)


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
    values = np.asarray(to_numpy(p_values), dtype=np.float64)
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
