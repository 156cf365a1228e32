"""Cells of real images: all count, since nobody marked the tumour.

What is measured as stained in HER2 0 and in controls without HER2 stain is a mistake.
"""

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Row
from benchmarks.masks.cases import Case
from membrane_xai import (
    extract_membrane_mask,
    her2_rule_score,
    membrane_completeness,
    segment_nuclei,
)
from membrane_xai.her2_rule import CRITERIA, GRADES, HER2RuleScore

_NO_BREAST = "tma_cores"
"""Oesophagus: the breast rule does not apply."""


def cells_of_real_images(cases: list[Case]) -> list[Row]:
    """Give numbers of cells, their shares, and how far the score is from that of the patch."""
    results = {case.name: _score(case) for case in cases}
    counts = {name: float(result.n_cells) for name, result in results.items()}
    steps = {
        case.name: float(GRADES.index(str(results[case.name].score)) - GRADES.index(case.score))
        for case in cases
        if case.score and not case.name.startswith(_NO_BREAST)
    }
    return [
        of_images("cells counted, real images", "", counts),
        *(
            of_images(
                f"  share of cells {criterion.replace('_', ' ')}, real images",
                "%",
                {name: 100 * result.shares[criterion].value for name, result in results.items()},
            )
            for criterion in CRITERIA
        ),
        of_images("score minus that of the patch, all cells, real breast images", "", steps),
    ]


def _score(case: Case) -> HER2RuleScore:
    found = extract_membrane_mask(case.rgb, mpp=case.mpp)
    nuclei = segment_nuclei(case.rgb, mpp=case.mpp)
    return her2_rule_score(membrane_completeness(found.mask, nuclei, mpp=case.mpp, dab=found.dab))
