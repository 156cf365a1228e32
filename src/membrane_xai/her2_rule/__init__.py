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
    GAPS,
    Cells,
    apply_rule,
    is_borderline,
    tell_gaps,
)
from membrane_xai.statistics._proportion import Proportion

__all__ = ["CATEGORIES", "CRITERIA", "GAPS", "GRADES", "HER2RuleScore", "Share", "her2_rule_score"]

Share = Proportion
"""What the shares of a score are, under its former name."""

DISCLAIMER = "Research use only; not for diagnosis or treatment."


@dataclass(frozen=True, slots=True)
class HER2RuleScore:
    """A score by rule with what makes it uncertain. Research use only.

    Attributes
    ----------
    score : str or None
        "0", "1+", "2+" or "3+"; None without a cell to count.
    category : str or None
        What the score means for treatment, of :data:`membrane_xai.her2_rule.CATEGORIES`.
    n_cells : int
        Cells counted.
    n_excluded : int
        Cells not counted: cut by the image's border, or not of the tumour.
    shares : dict of str to Proportion
        For each of :data:`membrane_xai.her2_rule.CRITERIA` the number of cells, their share in
        [0, 1] and its Wilson interval.
    borderline : tuple of str
        Criteria whose interval has 10 % in it: other cells of the same tissue might give another
        score.
    too_few_cells : bool
        Fewer than `min_cells`.
    guideline_gaps : tuple of str
        Combinations that the guideline's definitions leave open, of
        :data:`membrane_xai.her2_rule.GAPS`.
    h_score : float
        0 to 300: percentage of weak plus twice that of moderate plus three times that of strong
        cells.
    level : float
        Of the intervals.
    """

    score: str | None
    category: str | None
    n_cells: int
    n_excluded: int
    shares: Mapping[str, Proportion]
    borderline: tuple[str, ...]
    too_few_cells: bool
    guideline_gaps: tuple[str, ...]
    h_score: float
    level: float

    def __str__(self) -> str:
        if self.score is None:
            return f"no score: no cell to count\n{DISCLAIMER}"
        lines = [
            f"{self.score} ({self.category}), {self.n_cells} cells, H-score {self.h_score:.0f}"
        ]
        for name, share in self.shares.items():
            near = "  <- 10 % is within the interval" if name in self.borderline else ""
            label = name.replace("_", " ")
            interval = f"[{share.low:.1%}, {share.high:.1%}]"
            lines.append(f"  {label}: {share.value:.1%} {interval}{near}")
        lines += ["  too few cells"] if self.too_few_cells else []
        lines += [f"  the guideline leaves open: {GAPS[name]}" for name in self.guideline_gaps]
        return "\n".join([*lines, DISCLAIMER])


def her2_rule_score(
    cells: CellTable,
    *,
    tumour: Any = None,
    complete: float = 0.85,
    stained: float = 0.1,
    min_cells: int = 100,
    level: float = 0.95,
) -> HER2RuleScore:
    """Score cells 0, 1+, 2+ or 3+ by the ASCO/CAP definitions for breast cancer.

    With every "more than" strict, of the tumour cells [1]_ [2]_

    - 3+: more than 10 % have complete and intense staining;
    - 2+: else more than 10 % have complete staining, or some have it complete and intense;
    - 1+: else more than 10 % have any staining;
    - 0: else. HER2-ultralow if any cell is stained, HER2-null if none is [3]_.

    1+ is HER2-low, and so is 2+ if in-situ hybridisation (ISH) finds no amplification.

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

    Exactly 10 % is not more than 10 %, and ten cells say little:

    >>> import dataclasses, numpy as np
    >>> ten = {k: v[:10] for k, v in cells.to_dict().items()}
    >>> ten["touches_border"] = np.zeros(10, bool)
    >>> ten["completeness"] = np.array([0.3] + 9 * [0.0])
    >>> few = her2_rule_score(dataclasses.replace(cells, **ten))
    >>> few.score, few.category, few.borderline, few.too_few_cells
    ('0', 'HER2-ultralow', ('complete_intense', 'complete', 'stained', ...), True)
    """
    check_number(level, "level", "a number in (0, 1)", lambda x: 0 < x < 1)
    for name, value in (("complete", complete), ("stained", stained)):
        check_fraction(value, name)
    if not is_count(min_cells) or min_cells < 1:
        raise InvalidInputError(f"min_cells is {min_cells!r}; it takes a positive integer")
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
    score = apply_rule(shares) if n else None
    weighted = (chosen.intensity * chosen.stained).sum()
    return HER2RuleScore(
        score=score,
        category=_category(score, shares["stained"].count),
        n_cells=n,
        n_excluded=len(cells) - n,
        shares=shares,
        borderline=tuple(name for name, share in shares.items() if is_borderline(share)),
        too_few_cells=n < min_cells,
        guideline_gaps=tell_gaps(shares),
        h_score=100 * float(weighted) / n if n else math.nan,
        level=float(level),
    )


def _category(score: str | None, stained: int) -> str | None:
    if score is None:
        return None
    if score == "0":
        return CATEGORIES["ultralow" if stained else "null"]
    return CATEGORIES[score]


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
