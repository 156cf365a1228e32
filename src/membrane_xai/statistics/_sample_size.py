"""``patients_needed``: patients for an interval of a given width."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_number
from membrane_xai._backend.labels import group_codes
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._clusters import read_scores

__all__ = ["SampleSize", "patients_needed"]

Floats = NDArray[np.float64]

_MOST = 10_000_000  # patients; the search gives up there


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many patients, and the spread behind the answer.

    Attributes
    ----------
    patients : int
        Least number of patients whose interval is expected to be at most `width` wide.
    patients_low, patients_high : int
        Range of that number: from pilots of this size, ranges at the level `ci` hold the number
        that the true variances give in about that share, if patients are normal. Ten million stands
        for more.
    width, ci : float
        As asked for.
    expected_width : float
        Width expected with that many patients.
    between_sd, within_sd : float
        Standard deviation between patients, and between the samples of one patient.
    icc : float
        Intraclass correlation, in [0, 1]: the share of the variance that lies between patients.
    per_patient : float
        Samples per patient that were reckoned with, on average.
    design_effect : float
        How many times more samples this takes than if they were independent; from 1 in all but odd
        cases.
    """

    patients: int
    patients_low: int
    patients_high: int
    width: float
    ci: float
    expected_width: float
    between_sd: float
    within_sd: float
    icc: float
    per_patient: float
    design_effect: float


def patients_needed(
    scores: Any,
    groups: Any,
    *,
    width: float,
    ci: float = 0.95,
    per_patient: float | None = None,
) -> SampleSize:
    r"""Tell from a pilot study how many patients an interval of a given width takes.

    .. math:: 2\, t_{G-1}\, \sqrt{\frac{1}{G}\Big(\sigma_b^2\, \frac{\overline{m^2}}{\bar m^2} +
        \frac{\sigma_w^2}{\bar m}\Big)} \le \text{width}

    for G patients of m samples, with the variances between and within patients from a one-way
    analysis of variance with random effects [1]_. More samples per patient lower the second term
    alone.

    Parameters
    ----------
    scores : (N,) array
        Scores of the pilot study; NaN is left out.
    groups : sequence of N labels
        The patient of each; at least two, and one with two samples or more.
    width : float
        Width of the interval of the mean over samples, from low to high.
    ci : float in (0, 1)
        Its nominal coverage.
    per_patient : float, optional
        Samples of each patient in the study that is planned, all alike; by default as in the pilot.

    Returns
    -------
    SampleSize
        Number of patients with the variances behind it.

    Raises
    ------
    InvalidInputError
        Too few patients to tell the spread between and within them, no width, no number of samples.

    Notes
    -----
    It is the expected width: about half of the studies will have a wider interval. The variances
    are estimates, and the range says what that leaves open: it puts the ends of a chi-square
    interval of the variance in the place of the variance, with degrees of freedom by Satterthwaite
    from those of the two mean squares. Of a pilot of ten patients it spans a factor of six or so.

    References
    ----------
    .. [1] Searle, Casella and McCulloch, "Variance Components", Wiley 1992, chapter 3.

    Examples
    --------
    >>> from membrane_xai.statistics import patients_needed
    >>> scores = [0.2, 0.3, 0.5, 0.6, 0.4, 0.3, 0.6, 0.7]
    >>> groups = ["A", "A", "B", "B", "C", "C", "D", "D"]
    >>> result = patients_needed(scores, groups, width=0.1)
    >>> result.patients, round(result.icc, 2)
    (54, 0.86)

    Four patients are a small pilot:

    >>> result.patients_low, result.patients_high
    (19, 715)

    Ten times the patches of each patient hardly help: the patients differ, not their patches.

    >>> patients_needed(scores, groups, width=0.1, per_patient=20).patients
    51
    """
    level = check_number(ci, "ci", "a number in (0, 1)", lambda x: 0 < x < 1)
    widest = check_number(width, "width", "a positive number", lambda x: x > 0)
    values = read_scores(scores, "scores")
    codes, _ = group_codes(groups, values.size)
    kept = ~np.isnan(values)
    between, within, sizes, squares = _components(values[kept], codes[kept])
    if per_patient is not None:
        each = check_number(per_patient, "per_patient", "a number of at least 1", lambda x: x >= 1)
        sizes = np.array([each])
    mean_size = float(sizes.mean())
    unequal = float((sizes**2).mean()) / mean_size**2
    of_one = between * unequal + within / mean_size
    patients = _least(of_one, widest, level)
    least, most = _variance_range(of_one, unequal, mean_size, squares, level)
    whole = between + within
    return SampleSize(
        patients=patients,
        patients_low=_least(least, widest, level),
        patients_high=_MOST if _width(most, _MOST, level) > widest else _least(most, widest, level),
        width=widest,
        ci=level,
        expected_width=_width(of_one, patients, level),
        between_sd=float(np.sqrt(between)),
        within_sd=float(np.sqrt(within)),
        icc=between / whole if whole > 0 else float("nan"),
        per_patient=mean_size,
        design_effect=of_one * mean_size / whole if whole > 0 else float("nan"),
    )


class _Squares(NamedTuple):
    """Mean squares of a one-way analysis of variance, and what they are of."""

    between: float
    within: float
    df_between: int
    df_within: int
    typical: float
    """Size of a group: the mean square between is within + typical times the variance between."""


def _components(values: Floats, codes: NDArray[np.intp]) -> tuple[float, float, Floats, _Squares]:
    """Return variance between groups, variance within, sizes of the groups, and mean squares."""
    _, codes = np.unique(codes, return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    n, g = values.size, sizes.size
    if g < 2 or n == g:
        raise InvalidInputError(
            f"groups has {g} patients with a score and {n} scores; "
            f"it takes at least two patients, and two scores of one of them"
        )
    means = np.bincount(codes, values) / sizes
    within = float(((values - means[codes]) ** 2).sum() / (n - g))
    spread = float((sizes * (means - values.mean()) ** 2).sum() / (g - 1))
    typical = (n - (sizes**2).sum() / n) / (g - 1)
    squares = _Squares(spread, within, g - 1, n - g, float(typical))
    return max(0.0, float((spread - within) / typical)), within, sizes, squares


def _variance_range(
    of_one: float, unequal: float, mean_size: float, squares: _Squares, ci: float
) -> tuple[float, float]:
    """Return the chi-square interval of the variance of one patient, df by Satterthwaite."""
    from scipy.stats import chi2

    above = unequal / squares.typical * squares.between
    rest = (1 / mean_size - unequal / squares.typical) * squares.within
    noise = above**2 / squares.df_between + rest**2 / squares.df_within
    df = (above + rest) ** 2 / noise if noise > 0 and above + rest > 0 else squares.df_between
    df = max(df, 1.0)
    low, high = (float(of_one * df / chi2.ppf(q, df)) for q in ((1 + ci) / 2, (1 - ci) / 2))
    return low, high


def _width(of_one: float, patients: int, ci: float) -> float:
    from scipy.stats import t

    return float(2 * t.ppf((1 + ci) / 2, patients - 1) * np.sqrt(of_one / patients))


def _least(of_one: float, widest: float, ci: float) -> int:
    """Return the least number of patients, from 2, by bisection: the width falls with it."""
    if _width(of_one, _MOST, ci) > widest:
        raise InvalidInputError(f"width is {widest!r}; it would take more than {_MOST:,} patients")
    low, high = 1, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _width(of_one, middle, ci) <= widest else (middle, high)
    return high
