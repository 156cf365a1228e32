"""Cell table in, HER2 score out: the ASCO/CAP rule for breast cancer, with what is uncertain."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.checks import check_fraction, check_number, is_count
from membrane_xai._backend.vocabulary import GRADES
from membrane_xai.cells import CellTable
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule._asco_cap import (
    CATEGORIES,
    CRITERIA,
    FALSE_POSITIVE_RATES,
    GAPS,
    LEAST_CELLS,
    LIMIT,
    STATUSES,
    UNUSUAL_PATTERNS,
    Cells,
    Reading,
)
from membrane_xai.statistics._proportion import Proportion

__all__ = [
    "CATEGORIES",
    "CRITERIA",
    "FALSE_POSITIVE_RATES",
    "GAPS",
    "GRADES",
    "LEAST_CELLS",
    "STATUSES",
    "UNUSUAL_PATTERNS",
    "HER2RuleScore",
    "Share",
    "her2_rule_score",
]

Share = Proportion
"""What the shares of a score are, under its former name."""

DISCLAIMER = "Research use only; not for diagnosis or treatment."


@dataclass(frozen=True, slots=True)
class HER2RuleScore:
    """A score by rule with what makes it uncertain. Research use only.

    Attributes
    ----------
    score : str or None
        "0", "1+", "2+" or "3+"; None below 20 cells.
    category : str or None
        What the score means for treatment, of :data:`membrane_xai.her2_rule.CATEGORIES`.
    status : str
        "ok", or why there is no score: "no_cells" or "too_few_cells".
    n_cells : int
        Cells counted.
    n_excluded : int
        Cells not counted: cut by the image's border, or not of the tumour.
    shares : dict of str to Proportion
        For each of :data:`membrane_xai.her2_rule.CRITERIA` the number of cells, their share in
        [0, 1] and its Wilson interval.
    borderline : tuple of str
        Criteria that the score would change with: 10 % is within the interval, or fewer than ten
        cells carry the score, or some cells are complete and intense but too few to count.
    too_few_cells : bool
        Fewer than `min_cells`.
    unusual_patterns : tuple of str
        Patterns that make the score 2+ by the guideline's note, not by its definitions; of
        :data:`membrane_xai.her2_rule.UNUSUAL_PATTERNS`.
    guideline_gaps : tuple of str
        Combinations that the guideline leaves open, of :data:`membrane_xai.her2_rule.GAPS`.
    h_score : float
        0 to 300: percentage of weak plus twice that of moderate plus three times that of strong
        cells; NaN below 20 cells.
    level : float
        Of the intervals.
    false_positive_rates : dict of str to float
        For each criterion, what the lower end of its interval has to be above to count.
    flags : tuple of str
        Those of the table of cells: "pixel_size" if nuclei contradict the pixel size.
    """

    score: str | None
    category: str | None
    status: str
    n_cells: int
    n_excluded: int
    shares: Mapping[str, Proportion]
    borderline: tuple[str, ...]
    too_few_cells: bool
    unusual_patterns: tuple[str, ...]
    guideline_gaps: tuple[str, ...]
    h_score: float
    level: float
    false_positive_rates: Mapping[str, float]
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.score is None:
            return f"no score: {self.n_cells} cells to count, of {LEAST_CELLS}\n{DISCLAIMER}"
        lines = [
            f"{self.score} ({self.category}), {self.n_cells} cells, H-score {self.h_score:.0f}"
        ]
        for name, share in self.shares.items():
            label = name.replace("_", " ")
            interval = f"[{share.low:.1%}, {share.high:.1%}]"
            lines.append(f"  {label}: {share.value:.1%} {interval}{self._doubt(name)}")
        lines += ["  too few cells"] if self.too_few_cells else []
        lines += [f"  2+ by the note on: {UNUSUAL_PATTERNS[x]}" for x in self.unusual_patterns]
        lines += [f"  the guideline leaves open: {GAPS[name]}" for name in self.guideline_gaps]
        lines += ["  pixel size: the nuclei contradict it"] if self.flags else []
        return "\n".join([*lines, DISCLAIMER])

    def _doubt(self, name: str) -> str:
        share = self.shares[name]
        if share.count and share.low <= self.false_positive_rates[name]:
            return f"  <- may be false positives ({self.false_positive_rates[name]:.1%})"
        if name not in self.borderline:
            return ""
        if share.low <= LIMIT <= share.high:
            return "  <- 10 % is within the interval"
        return f"  <- rests on {share.count} cells"


def her2_rule_score(
    cells: CellTable,
    *,
    tumour: Any = None,
    complete: float = 0.85,
    stained: float = 0.1,
    min_cells: int = 100,
    level: float = 0.95,
    moderate_incomplete: str = "2+",
    false_positive_rate: float | Mapping[str, float] | None = None,
    split_zero: bool = False,
) -> HER2RuleScore:
    """Score cells 0, 1+, 2+ or 3+ by the ASCO/CAP definitions for breast cancer.

    With every "more than" strict, of the tumour cells [1]_ [2]_

    - 3+: more than 10 % have complete and intense staining;
    - 2+: else more than 10 % have complete staining; or, by the note on unusual patterns, more than
      10 % have staining that is complete, moderate or intense, or some have it complete and
      intense;
    - 1+: else more than 10 % have any staining;
    - 0: else.

    A share counts only if the lower end of its interval is above the rate at which cells are
    measured to be what they are not, so that one cell of a thousand is not "some". Below 20 cells
    there is no score.

    1+ is HER2-low, and so is 2+ if in-situ hybridisation (ISH) finds no amplification. A 0 is not
    divided into HER2-null and HER2-ultralow [3]_, as weak membrane is not found well enough.

    Parameters
    ----------
    cells : CellTable
        From :func:`membrane_xai.membrane_completeness`.
    tumour : array of bool, optional
        Which cells are tumour cells, shape (n,), or where tumour is, shape (H, W); by default all
        cells count, stroma and lymphocytes, too.
    complete, stained : float
        Completeness from which a cell's staining is complete, and from which it is stained. Below
        1, since even a mask drawn by hand has gaps.
    min_cells : int
        With fewer the result says so. The guideline for gastric cancer and most scoring studies
        ask for 100.
    level : float
        Of the intervals of the shares, in (0, 1).
    moderate_incomplete : {"2+", "1+"}
        Score of moderate staining that is incomplete, in more than 10 % of the cells. The
        guideline's note has such patterns as 2+. "1+" keeps to the definition of 2+, as Taylor et
        al. recommend: 3.3 % of what lay between 1+ and 2+ was amplified [4]_. Intense incomplete
        staining is 2+ either way.
    false_positive_rate : float or mapping of str to float, optional
        In [0, 1), of all criteria or of those named; the others, and by default all, are those
        measured on synthetic fields, :data:`membrane_xai.her2_rule.FALSE_POSITIVE_RATES`. 0 takes
        every cell as measured.
    split_zero : bool
        Divide 0 into HER2-ultralow, if the stained share counts, and HER2-null, if no cell is
        stained. For tables whose weak staining is known to be found.

    Returns
    -------
    HER2RuleScore
        Score with shares, intervals and warnings; ``print`` it.

    Raises
    ------
    InvalidInputError
        `tumour` of another shape or dtype, options out of range.

    Notes
    -----
    Research use only: a pathologist reads whole slides with controls, and knows invasive carcinoma
    from carcinoma in situ. The Wilson intervals take cells for independent; neighbours are
    alike, so they are too narrow rather than too wide. Cells cut by the border are not
    counted.

    References
    ----------
    .. [1] Wolff et al., "Human Epidermal Growth Factor Receptor 2 Testing in Breast Cancer:
       ASCO/CAP Clinical Practice Guideline Focused Update", J. Clin. Oncol. 36 (2018), 2105-2122.
    .. [2] Wolff et al., "Human Epidermal Growth Factor Receptor 2 Testing in Breast Cancer:
       ASCO-CAP Guideline Update", J. Clin. Oncol. 41 (2023), 3867-3872.
    .. [3] Bardia et al., "Trastuzumab Deruxtecan after Endocrine Therapy in Metastatic Breast
       Cancer", N. Engl. J. Med. 391 (2024), 2110-2122.
    .. [4] Taylor et al., "Assessment of HER2 using the 2018 ASCO/CAP guideline update for invasive
       breast cancer: a critical look at cases classified as HER2 2+ by immunohistochemistry",
       Virchows Arch. 479 (2021), 23-31.

    Examples
    --------
    >>> from membrane_xai import extract_membrane_mask, her2_rule_score
    >>> from membrane_xai import membrane_completeness, segment_nuclei
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("3+", size=400, mpp=0.5, seed=3)
    >>> found = extract_membrane_mask(field.rgb, mpp=0.5)
    >>> nuclei = segment_nuclei(field.rgb, mpp=0.5)
    >>> cells = membrane_completeness(found.mask, nuclei, mpp=0.5, dab=found.dab)
    >>> result = her2_rule_score(cells)
    >>> result.score, result.category
    ('3+', 'HER2-positive')

    Exactly 10 % is not more than 10 %; one intense cell of thirty may be a mistake; and nineteen
    cells have no score:

    >>> import dataclasses, numpy as np
    >>> def first(n, completeness, intensity):
    ...     some = {k: v[:n] for k, v in cells.to_dict().items()}
    ...     some["touches_border"] = np.zeros(n, bool)
    ...     some["completeness"] = np.array(completeness + (n - len(completeness)) * [0.0])
    ...     some["intensity"] = np.array(intensity + (n - len(intensity)) * [0])
    ...     return her2_rule_score(dataclasses.replace(cells, **some))
    >>> tenth = first(30, 3 * [0.3], 3 * [1])
    >>> tenth.score, tenth.category
    ('0', 'HER2-negative: HER2-null or HER2-ultralow')
    >>> one = first(30, [1.0], [3])
    >>> one.score, one.shares["complete_intense"].count, one.borderline
    ('0', 1, ('complete_intense', 'complete', ...))
    >>> few = first(19, 19 * [1.0], 19 * [3])
    >>> few.score, few.status
    (None, 'too_few_cells')
    """
    check_number(level, "level", "a number in (0, 1)", lambda x: 0 < x < 1)
    complete, stained = check_fraction(complete, "complete"), check_fraction(stained, "stained")
    if not is_count(min_cells) or min_cells < 1:
        raise InvalidInputError(f"min_cells is {min_cells!r}; it takes a positive integer")
    second = _second_criterion(moderate_incomplete)
    rates = _rates(false_positive_rate)
    counted = _tumor_cells(cells, tumour) & ~cells.touches_border
    chosen = Cells(
        complete=cells.completeness[counted] >= complete,
        stained=cells.completeness[counted] >= max(stained, np.finfo(float).tiny),
        intensity=cells.intensity[counted],
    )
    n = int(counted.sum())
    shares = {
        name: Proportion.of(int(met.sum()), n, level) for name, met in chosen.criteria().items()
    }
    scored = n >= LEAST_CELLS
    reading = Reading(shares, rates, second)
    score = reading.score() if scored else None
    weighted = (chosen.intensity * chosen.stained).sum()
    return HER2RuleScore(
        score=score,
        category=_category(score, reading, split_zero),
        status="ok" if scored else "too_few_cells" if n else "no_cells",
        n_cells=n,
        n_excluded=len(cells) - n,
        shares=shares,
        borderline=reading.borderline() if scored else (),
        too_few_cells=n < min_cells,
        unusual_patterns=reading.unusual_patterns() if scored else (),
        guideline_gaps=reading.gaps() if scored else (),
        h_score=100 * float(weighted) / n if scored else math.nan,
        level=float(level),
        false_positive_rates=rates,
        flags=cells.flags,
    )


def _second_criterion(moderate_incomplete: Any) -> str:
    criteria = {"2+": "complete_or_moderate", "1+": "complete_or_intense"}
    if moderate_incomplete not in criteria:
        raise InvalidInputError(
            f"moderate_incomplete is {moderate_incomplete!r}; it takes '2+' or '1+'"
        )
    return criteria[moderate_incomplete]


def _rates(given: Any) -> dict[str, float]:
    rates = dict(FALSE_POSITIVE_RATES)
    if given is None:
        return rates
    named = given if isinstance(given, Mapping) else dict.fromkeys(CRITERIA, given)
    for name, value in named.items():
        if name not in CRITERIA:
            raise InvalidInputError(
                f"false_positive_rate has {name!r}; it takes a number, or one for some of "
                f"{', '.join(CRITERIA)}"
            )
        rates[name] = check_number(
            value, "false_positive_rate", "numbers in [0, 1)", lambda x: 0 <= x < 1
        )
    return rates


def _category(score: str | None, reading: Reading, split_zero: bool) -> str | None:
    if score is None:
        return None
    return CATEGORIES[reading.told_of_0() if score == "0" and split_zero else score]


def _tumor_cells(cells: CellTable, tumour: Any) -> NDArray[np.bool_]:
    if tumour is None:
        return np.ones(len(cells), bool)
    which = to_numpy(tumour)
    if which.dtype != bool or (which.ndim != 2 and which.shape != (len(cells),)):
        raise InvalidInputError(
            f"tumour has dtype {which.dtype} and shape {which.shape}; it takes bool, one for each "
            f"of the {len(cells)} cells or one for each pixel"
        )
    if which.ndim == 1:
        return which
    at = [np.rint(place).astype(int) for place in (cells.row, cells.col)]
    if len(cells) and not all(place.max() < n for place, n in zip(at, which.shape, strict=True)):
        raise InvalidInputError(f"tumour has shape {which.shape}; cells lie outside of it")
    return np.asarray(which[tuple(at)])
