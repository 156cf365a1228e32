"""One field under an objective: tiles as large as an explainer's input, and the mosaic of maps."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype
from membrane_xai.io._pixel_size import MPP_AT_1X
from membrane_xai.perturb._perturbation import Rgb

__all__ = ["Side", "Tiled", "cell_edges", "mosaic", "shown_mpp", "tiled"]

Floats = NDArray[np.float64]

_OVERLAP = 0.25
"""Least share of a tile that its neighbour shows too: at 224 pixels 56, so that from a seam to the
nearer tile's border there are 28, most of a cell of the usual stride of 32."""


class Side(NamedTuple):
    """One side of a field under an objective, and the tiles along it."""

    um: float
    """Micrometres."""
    pixels: int
    """Of the objective."""
    window: int
    """Pixels of a tile."""
    starts: tuple[int, ...]
    """Pixel at which each tile starts."""

    @property
    def um_per_pixel(self) -> float:
        """Micrometres per pixel of a tile, which is what the explainer takes in."""
        return self.um / self.pixels

    def cell_um(self, cells: int) -> float:
        """Return the micrometres of a cell of a tile's map."""
        return self.window * self.um_per_pixel / cells


class Tiled(NamedTuple):
    """An image under an objective."""

    rows: Side
    columns: Side
    tiles: list[Rgb]
    """Row by row."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Rows and columns."""
        return self.rows, self.columns


def shown_mpp(mpp: float, magnification: float) -> float:
    """Return the micrometres per pixel at which images are shown; they are never made finer."""
    return max(mpp, MPP_AT_1X / magnification)


def tiled(rgb: Rgb, mpp: float, magnification: float, window: int | None) -> Tiled | None:
    """Show an image as an objective would, in tiles; None if it is smaller than one.

    Without `window` the whole image is one tile.
    """
    from PIL import Image

    factor = shown_mpp(mpp, magnification) / mpp
    height, width = (max(1, round(side / factor)) for side in rgb.shape[:2])
    if window is not None and min(height, width) < window:
        return None
    view = rgb
    if (height, width) != rgb.shape[:2]:
        view = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX))
    rows, columns = (
        _side(side * mpp, pixels, pixels if window is None else window)
        for side, pixels in zip(rgb.shape[:2], (height, width), strict=True)
    )
    places = itertools.product(rows.starts, columns.starts)
    tiles = [view[y : y + rows.window, x : x + columns.window] for y, x in places]
    return Tiled(rows, columns, tiles)


def _side(um: float, pixels: int, window: int) -> Side:
    """Lay as few tiles as overlap enough, at equal distances from border to border."""
    count = 1 + math.ceil((pixels - window) / (window * (1 - _OVERLAP)))
    starts = np.linspace(0, pixels - window, count).round().astype(int)
    return Side(um, pixels, window, tuple(dict.fromkeys(starts.tolist())))


def cell_edges(cells: int, window: int) -> Floats:
    """Return where the cells of a tile's map begin and end along a side, in pixels of the tile.

    A cell reaches half-way to its neighbours, the outer ones to the tile's border. This alone says
    where cells lie.
    """
    centers = (np.arange(cells) + 0.5) * window / cells
    inner = (centers[:-1] + centers[1:]) / 2
    return np.concatenate([[0.0], inner, [float(window)]])


def mosaic(cams: Sequence[Array], rows: Side, columns: Side, grid: tuple[int, int]) -> Array:
    """Lay the maps of all tiles over the field, and return the mean over each cell of a grid.

    Where tiles overlap, a map counts the more the farther it is from its tile's border, beyond
    which the explainer saw nothing; all together count 1 at every pixel.
    """
    xp = namespace(cams[0])
    wide = wide_dtype(cams[0])
    places = itertools.product(range(len(rows.starts)), range(len(columns.starts)))
    down, across = _weights(rows), _weights(columns)
    parts = []
    for (i, j), cam in zip(places, cams, strict=True):
        height, width = (int(side) for side in cam.shape)
        left = from_numpy(cams[0], _shares(rows, i, height, grid[0], down[i]), wide)
        right = from_numpy(cams[0], _shares(columns, j, width, grid[1], across[j]).T, wide)
        parts.append(xp.matmul(left, xp.matmul(xp.astype(cam, wide), right)))
    return xp.sum(xp.stack(parts, axis=0), axis=0)


def _weights(side: Side) -> Floats:
    """Return how much each tile counts at each pixel of a side, (tiles, pixels)."""
    inside = np.arange(side.window) + 0.5
    tent = np.minimum(inside, side.window - inside)  # distance to the tile's nearer border
    weights = np.zeros((len(side.starts), side.pixels))
    for row, start in zip(weights, side.starts, strict=True):
        row[start : start + side.window] = tent
    shares: Floats = weights / weights.sum(axis=0)
    return shares


def _shares(side: Side, tile: int, cells: int, targets: int, weights: Floats) -> Floats:
    """Return the (targets, cells) shares of each target that a tile's cells make up."""
    source = side.starts[tile] + cell_edges(cells, side.window)
    target = np.linspace(0, side.pixels, targets + 1)
    low = np.maximum(target[:-1, None], source[None, :-1])
    high = np.maximum(low, np.minimum(target[1:, None], source[None, 1:]))
    total = np.concatenate([[0.0], np.cumsum(weights)])  # weight from 0 up to each pixel's edge
    edges = np.arange(side.pixels + 1)
    within = np.interp(high, edges, total) - np.interp(low, edges, total)
    shares: Floats = within * targets / side.pixels
    return shares
