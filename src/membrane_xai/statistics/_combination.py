"""``combine_nulls``: one p-value for a set of CAMs, from the null test of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.labels import group_codes
from membrane_xai._backend.numeric import read_numbers
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._clusters import count_reasons
from membrane_xai.statistics._nulls import NullResult

__all__ = ["CombinedNull", "combine_nulls"]


@dataclass(frozen=True, slots=True)
class CombinedNull:
    """Whether the CAMs of a set lie on the membrane more than by chance, all together.

    Attributes
    ----------
    p_value : float
        One-sided, in [0, 1]; NaN where there is nothing to combine.
    statistic : float
        Stouffer's z, Fisher's chi-square, or with groups Student's t.
    n, n_groups : int
        CAMs and groups that went in.
    n_undefined : int
        CAMs left out because MAP is undefined.
    undefined : dict of str to int
        The same by status.
    clustered : bool
        Whether groups were given.
    method : str
        "stouffer" or "fisher".
    """

    p_value: float
    statistic: float
    n: int
    n_groups: int
    n_undefined: int
    undefined: Mapping[str, int]
    clustered: bool
    method: str


def combine_nulls(
    result: NullResult, groups: Any = None, *, method: str = "stouffer"
) -> CombinedNull:
    r"""Combine the null tests of many CAMs.

    Parameters
    ----------
    result : NullResult
        Of a batch. Undefined CAMs are left out, and counted.
    groups : sequence of N labels, optional
        The patient of each CAM. The normal scores :math:`\Phi^{-1}(1 - p)` are then averaged by
        patient, and the averages are tested against 0 by Student's t with G - 1 degrees of freedom:
        patches of one patient may depend on each other in any way.
    method : {"stouffer", "fisher"}
        Without groups: sum of normal scores, or of log p [1]_; both take CAMs for independent.
        "fisher" knows no groups.

    Returns
    -------
    CombinedNull
        p-value, statistic and counts.

    Raises
    ------
    InvalidInputError
        A single pair, groups that do not fit, "fisher" with groups.

    Notes
    -----
    The mid-p-values are combined: with ordinary ones a single flat CAM, whose p is 1, would outvote
    all others.

    References
    ----------
    .. [1] Fisher, "Statistical Methods for Research Workers", 4th ed. 1932, section 21.1; Stouffer
       et al., "The American Soldier", vol. 1, 1949.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.statistics import combine_nulls, shift_null
    >>> membrane = np.zeros((3, 8, 8), bool)
    >>> membrane[:2, 2, 1:4] = True
    >>> result = shift_null(membrane * 1.0, membrane)  # the third has no membrane
    >>> combined = combine_nulls(result)
    >>> combined.p_value < 0.001, combined.n, combined.undefined
    (True, 2, {'empty_mask': 1})
    """
    check_choice(method, "method", ("stouffer", "fisher"))
    p = read_numbers(result.p_mid, "result.p_mid")
    if p.ndim != 1:
        raise InvalidInputError(
            f"result has p-values of shape {p.shape}; it takes those of a batch"
        )
    if method == "fisher" and groups is not None:
        raise InvalidInputError("method is 'fisher'; groups take 'stouffer'")
    codes = np.arange(p.size) if groups is None else group_codes(groups, p.size)[0]
    undefined = np.isnan(p)
    kept, codes = p[~undefined], codes[~undefined]
    statistic, p_value = _by_group(kept, codes) if groups is not None else _all(kept, method)
    reasons = count_reasons(undefined, result.status)
    return CombinedNull(
        p_value=p_value,
        statistic=statistic,
        n=kept.size,
        n_groups=np.unique(codes).size,
        n_undefined=sum(reasons.values()),
        undefined=reasons,
        clustered=groups is not None,
        method=method,
    )


def _all(p: NDArray[np.float64], method: str) -> tuple[float, float]:
    from scipy.stats import combine_pvalues

    if not p.size:
        return float("nan"), float("nan")
    combined = combine_pvalues(p, method=method)
    return float(combined.statistic), float(combined.pvalue)


def _by_group(p: NDArray[np.float64], codes: NDArray[np.intp]) -> tuple[float, float]:
    from scipy.stats import norm, ttest_1samp

    _, codes = np.unique(codes, return_inverse=True)
    means = np.bincount(codes, norm.isf(p)) / np.bincount(codes) if p.size else p
    if means.size < 2 or np.ptp(means) == 0:
        return float("nan"), float("nan")
    test = ttest_1samp(means, 0.0, alternative="greater")
    return float(test.statistic), float(test.pvalue)
