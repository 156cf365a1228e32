"""Write the mask of a whole slide, window by window."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from membrane_xai._commands.mask.settings import Settings, class_map
from membrane_xai._commands.mask.tally import Tally
from membrane_xai._disk.atomic import atomic_path
from membrane_xai.annotations import vectorize
from membrane_xai.io._ome import write_pyramid
from membrane_xai.io._slides import SlideReader
from membrane_xai.masks._windows import MaskedWindow, masked_windows

__all__ = ["write_slide_mask"]

CORE = 2048
"""Pixels along the side of a window, without what surrounds it; also of a tile in the OME-TIFF."""


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
