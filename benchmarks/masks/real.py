"""Masks of real images: their share, flags, and agreement with an expert's masks."""

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.baselines import OTSU, OURS, PLAIN, compared
from benchmarks.masks.boundary import Agreement, agreement
from benchmarks.masks.cases import Case
from membrane_xai import extract_membrane_mask
from membrane_xai.masks import MembraneMask

_FLAGS = {
    "controls/OS-1-detail": "not_ihc",
    "controls/OS-2-ndpi": "nuclear_stain",
    "controls/OS-2-vsi": "nuclear_stain",
}
"""What each control has to be flagged as; every other image has to be without flags."""
_SHARES = (
    ("0", Goal("<=", 2)),
    ("1+", None),
    ("2+", Goal(">=", 2)),
    ("2+", Goal("<=", 10)),
    ("3+", Goal(">=", 10)),
)
"""Percent of an image that membrane may cover: 2+ lies between 0 and 3+."""


def on_real_images(cases: list[Case]) -> list[Row]:
    """Measure masks of all real images."""
    found = {case.name: extract_membrane_mask(case.rgb, mpp=case.mpp) for case in cases}
    return [*_shares(cases, found), *_flags(found), *_experts(cases, found)]


def _shares(cases: list[Case], found: dict[str, MembraneMask]) -> list[Row]:
    shares = {case.name: 100 * float(found[case.name].mask.mean()) for case in cases}
    rows: list[Row] = []
    for score, goal in _SHARES:
        chosen = {case.name: shares[case.name] for case in cases if case.score == score}
        rows.append(of_images(f"share of membrane, real HER2 {score}", "%", chosen, goal))
    unstained = [case for case in cases if case.score == "0"]
    for name in (PLAIN, OTSU):
        chosen = {
            case.name: 100 * float(compared(case.rgb, found[case.name])[name].mean())
            for case in unstained
        }
        rows.append(of_images(f"  share of {name}, real HER2 0", "%", chosen))
    return rows


def _flags(found: dict[str, MembraneMask]) -> list[Row]:
    right = {name: float(flag in found[name].flags) for name, flag in _FLAGS.items()}
    false = {name: float(len(each.flags)) for name, each in found.items() if name not in _FLAGS}
    return [
        of_images("controls with the right flag (1 or 0)", "", right, Goal(">=", 1)),
        of_images("flags on real HER2 images", "", false, Goal("<=", 0)),
    ]


def _experts(cases: list[Case], found: dict[str, MembraneMask]) -> list[Row]:
    drawn = {case.name: _against_expert(case, found) for case in cases if case.expert is not None}
    rows = [
        of_images(
            f"{method} against the expert: {score.replace('_f1', ' F1')}",
            "",
            {name: getattr(each[method], score) for name, each in drawn.items()},
        )
        for method in next(iter(drawn.values()))
        for score in Agreement._fields
    ]
    for method in (PLAIN, OTSU):
        gains = {
            name: each[OURS].boundary_f1 / each[method].boundary_f1 for name, each in drawn.items()
        }
        rows.append(of_images(f"  boundary F1, ours / {method}", "x", gains, Goal(">=", 1)))
    return list(rows)


def _against_expert(case: Case, found: dict[str, MembraneMask]) -> dict[str, Agreement]:
    assert case.expert is not None
    masks = compared(case.rgb, found[case.name])
    return {name: agreement(mask, case.expert, case.mpp) for name, mask in masks.items()}
