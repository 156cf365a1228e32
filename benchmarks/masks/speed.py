"""Time and memory of a mask, against a ridge filter of scikit-image on the same image."""

import tracemalloc
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2hed
from skimage.filters import sato

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import Seconds, clock, in_turns, ratios, scaled
from membrane_xai import extract_membrane_mask
from membrane_xai.datasets import synthetic_her2

_ROUNDS = 7
_MPP = 0.25
_SIDE = 1024
_SIDES = (256, 512, 1024, 2048)
_FLOAT32 = 4  # bytes


def speed_and_memory() -> list[Row]:
    """Measure on crops of one synthetic 2+ field, 2048 pixels a side."""
    field = synthetic_her2("2+", size=max(_SIDES), mpp=_MPP, seed=0).rgb
    crops = {side: np.ascontiguousarray(field[:side, :side]) for side in _SIDES}
    return [*_against_sato(crops[_SIDE]), *_growth(crops), *_memory(crops[_SIDE])]


def _against_sato(rgb: NDArray[np.uint8]) -> list[Row]:
    seconds = in_turns(
        {"mask": clock(partial(_mask, rgb)), "sato": clock(partial(_sato, rgb))}, _ROUNDS
    )
    ours, theirs = seconds["mask"], seconds["sato"]
    name = f"{_SIDE}x{_SIDE}, {_MPP:g} um/px, one core"
    return [
        Row(
            f"extract_membrane_mask, {name}: time",
            "ms",
            scaled(ours, 1e3),
            Goal("<=", 300),
            seconds,
        ),
        Row("  rgb2hed and sato: time", "ms", scaled(theirs, 1e3)),
        Row("  rgb2hed and sato / extract_membrane_mask", "x", ratios(theirs, ours), Goal(">=", 5)),
    ]


def _growth(crops: dict[int, NDArray[np.uint8]]) -> list[Row]:
    """Fit one straight line a round."""
    seconds: Seconds = in_turns(
        {str(side): clock(partial(_mask, rgb)) for side, rgb in crops.items()}, _ROUNDS
    )
    pixels = [side**2 for side in crops]
    slopes = np.polyfit(np.log(pixels), np.log(list(seconds.values())), 1)[0].tolist()
    name = f"slope of log time over log pixels, {min(crops)} to {max(crops)} a side (1 is linear)"
    return [Row(name, "", slopes, Goal("<=", 1.1), seconds)]


def _memory(rgb: NDArray[np.uint8]) -> list[Row]:
    """Give the peak beyond the input in both units that "copies of the image" can mean."""
    _mask(rgb)
    tracemalloc.start()
    try:
        _mask(rgb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    plane = _FLOAT32 * rgb.shape[0] * rgb.shape[1]
    name = f"peak memory beyond the input, {_SIDE}x{_SIDE}"
    return [
        Row(f"{name}, in float32 planes (H, W)", "planes", [peak / plane], Goal("<=", 12)),
        Row(
            "  the same in float32 images (H, W, 3)", "images", [peak / (3 * plane)], Goal("<=", 12)
        ),
    ]


def _mask(rgb: NDArray[np.uint8]) -> Any:
    return extract_membrane_mask(rgb, mpp=_MPP)


def _sato(rgb: NDArray[np.uint8]) -> Any:
    return sato(rgb2hed(rgb)[..., 2], black_ridges=False)
