"""The membrane mask of a slide, window by window, in memory that does not grow with the slide."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.io import SlideReader
from membrane_xai.masks import MembraneMask, extract_membrane_mask
from membrane_xai.masks._membrane import margin
from membrane_xai.stain import estimate_background

__all__ = ["MaskedWindow", "masked_windows", "slide_background"]

# A piece of membrane counts if it is long enough and certain somewhere, which may lie in the next
# window. Beyond this distance, in micrometres, it no longer does.
_PIECE = 40.0


_OVERVIEW = 2**22  # pixels


_SAMPLES, _SAMPLE = 12, 256  # along each side: samples of the slide, pixels of a sample


_BLOCK = 4  # as estimate_background averages


class MaskedWindow(NamedTuple):
    """A part of a slide with its mask, and what surrounds it."""

    rgb: NDArray[np.uint8]
    found: MembraneMask
    core: tuple[slice, slice]
    """The part of both that belongs to no other window."""
    corner: tuple[int, int]
    """x, y of the core on the slide."""


def slide_background(slide: SlideReader) -> NDArray[np.float64]:
    """Estimate glass once for the whole slide, from its overview."""
    view = _overview(slide).reshape(-1, 3)
    scanned = view[(view < 255).any(axis=1)]  # readers show what was not scanned as white
    pixels = scanned if len(scanned) >= _BLOCK**2 else view
    return estimate_background(pixels[: len(pixels) // _BLOCK * _BLOCK].reshape(-1, _BLOCK, 3))


def _overview(slide: SlideReader) -> NDArray[np.uint8]:
    """Return a coarse level, or samples of the coarsest one side by side where all are large."""
    columns, rows = slide.dimensions
    sizes = [(int(columns / f), int(rows / f)) for f in slide.level_downsamples]
    for level, (wide, tall) in enumerate(sizes):
        if wide * tall <= _OVERVIEW:
            return slide.read_region(0, 0, wide, tall, level)
    level = len(sizes) - 1
    corners = [np.linspace(0, side, _SAMPLES + 2).astype(int)[1:-1] for side in (columns, rows)]
    parts = [
        slide.read_region(int(x), int(y), _SAMPLE, _SAMPLE, level)
        for y in corners[1]
        for x in corners[0]
    ]
    return np.concatenate(parts)


def masked_windows(
    slide: SlideReader,
    mpp: float,
    *,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
    side: int,
    show: Callable[[float], None] = lambda _done: None,
) -> Iterator[MaskedWindow]:
    """Yield the windows of a slide row by row, `side` pixels wide and high, less at its ends."""
    if isinstance(background, str):
        background = slide_background(slide)
    columns, rows = slide.dimensions
    halo = margin(mpp) + round(_PIECE / mpp)
    for y in range(0, rows, side):
        for x in range(0, columns, side):
            left, top = max(x - halo, 0), max(y - halo, 0)
            right, bottom = min(x + side + halo, columns), min(y + side + halo, rows)
            rgb = slide.read_region(left, top, right - left, bottom - top, 0)
            found = extract_membrane_mask(
                rgb, mpp=mpp, stain_matrix=stain_matrix, background=background
            )
            tall, wide = min(side, rows - y), min(side, columns - x)
            core = slice(y - top, y - top + tall), slice(x - left, x - left + wide)
            yield MaskedWindow(rgb, found, core, (x, y))
            show((y * columns + min(side, rows - y) * (x + wide)) / (rows * columns))
