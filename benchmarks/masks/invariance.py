"""Masks of an image under other light, pixel sizes, JPEG and tiles."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness.images import of_images
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.boundary import iou
from benchmarks.masks.cases import FINE, Case
from membrane_xai import extract_membrane_mask
from membrane_xai.perturb import Perturbation, illumination, jpeg

Mask = NDArray[np.bool_]

LIGHTS = (
    illumination(0.8),
    illumination(0.6),
    illumination(tint=(1, 0.8, 0.6)),
    illumination(tint=(0.6, 0.8, 1)),
    illumination(tint=(0.8, 1, 0.8)),
    illumination(tint=(1, 0.7, 1)),
)
"""Grey and tinted glass: factors of 0.6 to 1 a channel."""
_QUALITY = 70
_TILE = 256


def invariance(cases: list[Case], kind: str) -> list[Row]:
    """Change images and compare masks; HER2 0 has next to no mask to compare, but must stay so."""
    masks = {case.name: _mask(case) for case in cases}
    stained = [case for case in cases if case.score != "0"]
    unstained = [case for case in cases if case.score == "0"]
    compress = jpeg(_QUALITY)
    return [
        *(_kept(light, stained, masks, kind, Goal(">=", 0.9)) for light in LIGHTS),
        _kept(compress, stained, masks, kind, Goal(">=", 0.85)),
        _still_empty(unstained, (*LIGHTS, compress), kind),
        *_coarser(stained, masks, kind),
        _tiled(cases, masks, kind),
    ]


def _kept(
    change: Perturbation, cases: list[Case], masks: dict[str, Mask], kind: str, goal: Goal
) -> Row:
    values = {
        case.name: iou(_mask(case, change.apply(case.rgb)), masks[case.name]) for case in cases
    }
    return of_images(f"IoU, {kind}: {change.name}", "", values, goal)


def _still_empty(cases: list[Case], changes: tuple[Perturbation, ...], kind: str) -> Row:
    shares = {
        case.name: max(100 * float(_mask(case, c.apply(case.rgb)).mean()) for c in changes)
        for case in cases
    }
    name = f"largest share on HER2 0 after any of these, {kind}"
    return of_images(name, "%", shares, Goal("<=", 2))


def _coarser(cases: list[Case], masks: dict[str, Mask], kind: str) -> list[Row]:
    """Halve the resolution by means of 2x2 pixels; the goal is 1 within 0.25, either way."""
    ratios = {}
    for case in (case for case in cases if case.mpp == FINE):
        half = np.asarray(Image.fromarray(case.rgb).reduce(2))
        coarse = extract_membrane_mask(half, mpp=2 * FINE).mask
        ratios[case.name] = float(coarse.mean() / masks[case.name].mean())
    away = {name: abs(ratio - 1) for name, ratio in ratios.items()}
    return [
        of_images(f"share at 0.5 / share at 0.25 um/px, {kind}", "x", ratios),
        of_images(f"  distance of this ratio from 1, {kind}", "", away, Goal("<=", 0.25)),
    ]


def _tiled(cases: list[Case], masks: dict[str, Mask], kind: str) -> Row:
    differing = {}
    for case in cases:
        tiled = extract_membrane_mask(case.rgb, mpp=case.mpp, tile=_TILE).mask
        differing[case.name] = float(np.count_nonzero(tiled != masks[case.name]))
    return of_images(f"pixels that tiles of {_TILE} change, {kind}", "", differing, Goal("<=", 0))


def _mask(case: Case, rgb: NDArray[np.uint8] | None = None) -> Mask:
    return extract_membrane_mask(case.rgb if rgb is None else rgb, mpp=case.mpp).mask
