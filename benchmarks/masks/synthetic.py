"""Masks of synthetic fields, whose membrane is known exactly."""

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.baselines import OTSU, OURS, PLAIN, compared
from benchmarks.masks.boundary import boundary_f1
from benchmarks.masks.cases import synthetic
from membrane_xai import extract_membrane_mask
from membrane_xai.her2_rule import GRADES

SEEDS = range(5)
_PIXEL_SIZES = (0.25, 0.5)
_GOALS = {"2+": Goal(">=", 0.75), "3+": Goal(">=", 0.85)}
_METHODS = (OURS, PLAIN, OTSU)

Measured = dict[str, dict[str, float]]
"""Method -> field -> value."""


def on_synthetic_fields() -> list[Row]:
    """Measure shares where there is hardly any membrane, boundaries where there is."""
    return [row for mpp in _PIXEL_SIZES for score in GRADES for row in _of_score(score, mpp)]


def _of_score(score: str, mpp: float) -> list[Row]:
    shares, agreements = _measure(score, mpp)
    where = f"synthetic {score}, {mpp:g} um/px"
    if score == "0":
        return [
            of_images(
                f"share of {name}, {where}",
                "%",
                shares[name],
                Goal("<=", 2) if name == OURS else None,
            )
            for name in _METHODS
        ]
    return [
        of_images(
            f"boundary F1 of {name}, {where}",
            "",
            agreements[name],
            _GOALS.get(score) if name == OURS else None,
        )
        for name in _METHODS
    ]


def _measure(score: str, mpp: float) -> tuple[Measured, Measured]:
    shares: Measured = {name: {} for name in _METHODS}
    agreements: Measured = {name: {} for name in _METHODS}
    for seed in SEEDS:
        field = synthetic(score, mpp, seed)
        masks = compared(field.rgb, extract_membrane_mask(field.rgb, mpp=mpp))
        for name in _METHODS:
            shares[name][f"seed {seed}"] = 100 * float(masks[name].mean())
            agreements[name][f"seed {seed}"] = boundary_f1(masks[name], field.membrane, mpp)
    return shares, agreements
