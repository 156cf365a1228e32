"""The mask of a whole slide, window by window, in memory that does not grow with the slide."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._files import atomic_path
from membrane_xai._mask_settings import Settings, class_map
from membrane_xai._mask_tally import Tally
from membrane_xai._membrane import margin
from membrane_xai._ome import write_pyramid
from membrane_xai._slides import SlideReader
from membrane_xai.annotations import vectorize
from membrane_xai.masks import MembraneMask, extract_membrane_mask
from membrane_xai.stain import estimate_background

__all__ = ["MaskedWindow", "masked_windows", "slide_background", "write_slide_mask"]

CORE = 2048
"""Pixels along the side of a window, without what surrounds it; also of a tile in the OME-TIFF."""

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


def write_slide_mask(
    slide: SlideReader,
    mpp: float,
    settings: Settings,
    paths: dict[str, Path],
    show: Callable[[float], None],
) -> Tally:
    """Write the mask in the formats that `paths` has and return the sums over the slide."""
    columns, rows = slide.dimensions
    tally = Tally()
    windows = masked_windows(
        slide,
        mpp,
        stain_matrix=settings.stain_matrix,
        background=settings.background,
        side=CORE,
        show=show,
    )
    with ExitStack() as stack:
        outlines = None
        if "geojson" in paths:
            outlines = stack.enter_context(_feature_file(paths["geojson"]))
        tiles = _tiles(windows, tally, outlines)
        if "ome-tiff" in paths:
            write_pyramid(paths["ome-tiff"], tiles, shape=(rows, columns), tile=CORE, mpp=mpp)
        else:
            for _ in tiles:
                pass
    return tally


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


def _tiles(
    windows: Iterator[MaskedWindow], tally: Tally, outlines: Callable[[MaskedWindow], None] | None
) -> Iterator[NDArray[np.uint8]]:
    """Count and outline each window; yield its classes, filled up to a full tile."""
    for window in windows:
        tally.add(window.found, window.core)
        if outlines is not None:
            outlines(window)
        classes = class_map(window.found)[window.core]
        tall, wide = classes.shape
        yield np.pad(classes, ((0, CORE - tall), (0, CORE - wide)))


@contextmanager
def _feature_file(path: Path) -> Iterator[Callable[[MaskedWindow], None]]:
    """Give a function that appends a window's outlines to a GeoJSON file."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        yield _Appender(file)
        file.write("\n]}\n")


class _Appender:
    def __init__(self, file: IO[str]) -> None:
        self._file, self._before = file, "\n"

    def __call__(self, window: MaskedWindow) -> None:
        found, core = window.found, window.core
        outlines = vectorize(
            found.mask[core],
            offset=window.corner,
            object_type="detection",
            measurements={"DAB OD mean": found.dab[core]},
        )
        for feature in outlines["features"]:
            self._file.write(self._before + json.dumps(feature, allow_nan=False))
            self._before = ",\n"
