"""Masks as OME-TIFF: whole ones, and those of slides tile by tile, with the levels of a pyramid."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.atomic import atomic_path
from membrane_xai.io._pixel_size import MICROMETERS

__all__ = ["write_pyramid", "write_single"]

_TILE = 512  # pixels along the side of a tile of a whole mask
_STEP = 4  # from one level of a pyramid to the next

Classes = NDArray[np.uint8]


def write_single(path: Path, pixels: Classes, mpp: float | None) -> None:
    """Write an (H, W) mask, compressed without loss."""
    import tifffile

    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, ome=True) as file:
        file.write(pixels, **_layout(_TILE), **_description(mpp))


def write_pyramid(
    path: Path, tiles: Iterator[Classes], *, shape: tuple[int, int], tile: int, mpp: float
) -> None:
    """Write an (H, W) mask from its tiles, row by row, without holding it as a whole.

    Each pixel of a level is the highest of 4 x 4 of the level before, so that thin lines stay.
    Levels beyond the first are kept in a temporary file until they are written.
    """
    import tifffile

    shapes = _level_shapes(shape, tile)
    with (
        atomic_path(path) as temporary,
        tempfile.TemporaryFile(dir=path.parent) as scratch,
        tifffile.TiffWriter(temporary, ome=True, bigtiff=math.prod(shape) > 2**31) as file,
    ):
        coarse = None
        if shapes:
            coarse = np.memmap(scratch, np.uint8, mode="w+", shape=shapes[0])
            tiles = _reducing(tiles, shape, coarse, tile)
        file.write(
            tiles, shape=shape, dtype=np.uint8, subifds=len(shapes),
            **_layout(tile), **_description(mpp),
        )  # fmt: skip
        level: Any = coarse
        for _ in shapes:
            file.write(level, subfiletype=1, metadata=None, **_layout(_TILE))
            level = _reduced(level)


def _layout(tile: int) -> dict[str, Any]:
    return {
        "photometric": "minisblack",
        "compression": "zlib",
        "tile": (tile, tile),
        "maxworkers": 1,
    }


def _description(mpp: float | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YX", "Channel": {"Name": "Membrane"}}
    if mpp is None:
        return {"metadata": metadata}
    metadata |= {f"PhysicalSize{axis}": mpp for axis in "XY"}
    metadata |= {f"PhysicalSize{axis}Unit": "\N{MICRO SIGN}m" for axis in "XY"}
    per_cm = MICROMETERS["cm"] / mpp
    return {
        "metadata": metadata,
        "resolution": (per_cm, per_cm),
        "resolutionunit": "CENTIMETER",
    }


def _level_shapes(shape: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    """Return the shapes of the levels after the first, down to one of about a tile."""
    shapes = []
    while max(shape) > 2 * tile:
        shape = (-(-shape[0] // _STEP), -(-shape[1] // _STEP))
        shapes.append(shape)
    return shapes


def _reducing(
    tiles: Iterator[Classes], shape: tuple[int, int], coarse: Classes, tile: int
) -> Iterator[Classes]:
    """Pass the tiles on, and put each into the next level."""
    across, side = -(-shape[1] // tile), tile // _STEP
    for index, pixels in enumerate(tiles):
        top, left = index // across * side, index % across * side
        place = coarse[top : top + side, left : left + side]
        place[:] = _reduced(pixels)[: place.shape[0], : place.shape[1]]
        yield pixels


def _reduced(pixels: Classes) -> Classes:
    rows, columns = (-(-side // _STEP) for side in pixels.shape)
    missing = ((0, rows * _STEP - pixels.shape[0]), (0, columns * _STEP - pixels.shape[1]))
    blocks = np.pad(pixels, missing).reshape(rows, _STEP, columns, _STEP)
    return np.asarray(blocks.max(axis=(1, 3)))
