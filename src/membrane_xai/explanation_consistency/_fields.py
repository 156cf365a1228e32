"""One field under an objective: tiles as large as an explainer's input, and the mosaic of maps."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai.io._pixel_size import MPP_AT_1X
from membrane_xai.perturb._perturbation import Rgb

__all__ = [
    "Cells",
    "Placed",
    "Side",
    "Tiled",
    "cell_edges",
    "field_edges",
    "mosaic",
    "shown_mpp",
    "tiled",
]

Floats = NDArray[np.float64]
Cells = int | Floats
"""Along a side of a field: so many equal cells, or their edges as shares of the side, 0 to 1."""

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

    def cell_um(self, cells: int, placed: "Placed | None" = None) -> float:
        """Return the micrometres of a cell of a tile's map."""
        pixels = self.window / cells if placed is None else placed.spacing
        return pixels * self.um_per_pixel


class Placed(NamedTuple):
    """Along a side of a tile, in its pixels: cell i is centred at ``offset + spacing * i``."""

    spacing: float
    offset: float
    """Counted from the centre of the first pixel."""


class Tiled(NamedTuple):
    """An image under an objective."""

    rows: Side
    columns: Side
    tiles: list[Rgb]
    """Row by row."""
    grid: CamGrid | None = None
    """Where the cells of their maps lie, in pixels of a tile; None is half-pixel centres."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Rows and columns."""
        return self.rows, self.columns

    def placed(self, cam: Array) -> tuple[Placed | None, Placed | None]:
        """Return where the cells of a tile's map lie along rows and columns, or raise."""
        cells = int(cam.shape[0]), int(cam.shape[1])
        grid = None if self.grid is None else self.grid.for_cells(cells)
        if grid is None:
            return None, None
        rows, columns = map(Placed, grid.spacing, grid.offset)
        return rows, columns


def shown_mpp(mpp: float, magnification: float) -> float:
    """Return the micrometres per pixel at which images are shown; they are never made finer."""
    return max(mpp, MPP_AT_1X / magnification)


def tiled(
    rgb: Rgb,
    mpp: float,
    magnification: float,
    window: int | None,
    grid: CamGrid | None = None,
) -> Tiled | None:
    """Show an image as an objective would, in tiles; None if it is smaller than one.

    Without `window` the whole image is one tile. `grid` says where cells lie on an image of its
    size.
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
    return Tiled(rows, columns, tiles, _on_tile(grid, (rows.window, columns.window), window))


def _on_tile(grid: CamGrid | None, tile: tuple[int, int], window: int | None) -> CamGrid | None:
    """Return the grid on a tile: scaled with the input, or as it is where nothing is resized."""
    if grid is None or window is not None:
        return None if grid is None else grid.scaled(tile)
    return CamGrid(grid.spacing, grid.offset, tile)


def _side(um: float, pixels: int, window: int) -> Side:
    """Lay as few tiles as overlap enough, at equal distances from border to border."""
    count = 1 + math.ceil((pixels - window) / (window * (1 - _OVERLAP)))
    starts = np.linspace(0, pixels - window, count).round().astype(int)
    return Side(um, pixels, window, tuple(dict.fromkeys(starts.tolist())))


def cell_edges(cells: int, window: int, placed: Placed | None = None) -> Floats:
    """Return where the cells of a tile's map begin and end along a side, in pixels of the tile.

    A cell reaches half-way to its neighbours, the outer ones to the tile's border. This alone says
    where cells lie. Edges count from the border of the first pixel, half a pixel before its centre.
    """
    index = np.arange(cells, dtype=np.float64)
    if placed is None:
        centers = (index + 0.5) * window / cells
    else:
        centers = placed.offset + 0.5 + placed.spacing * index
    inner = (centers[:-1] + centers[1:]) / 2
    return np.concatenate([[0.0], inner, [float(window)]])


def field_edges(side: Side, placed: Placed) -> Floats:
    """Return the edges of cells that go on like those of the first tile, as shares of the side."""
    cells = max(1, 1 + math.floor((side.pixels - 0.5 - placed.offset) / placed.spacing))
    return cell_edges(cells, side.pixels, placed) / float(side.pixels)


def mosaic(cams: Sequence[Array], seen: Tiled, grid: tuple[Cells, Cells]) -> Array:
    """Lay the maps of all tiles over the field, and return the mean over each cell of a grid.

    Where tiles overlap, a map counts the more the farther it is from its tile's border, beyond
    which the explainer saw nothing; all together count 1 at every pixel.
    """
    xp = namespace(cams[0])
    wide = wide_dtype(cams[0])
    rows, columns = seen.sides
    places = itertools.product(range(len(rows.starts)), range(len(columns.starts)))
    weights = _weights(rows), _weights(columns)
    parts = []
    for (i, j), cam in zip(places, cams, strict=True):
        height, width = (int(side) for side in cam.shape)
        down, across = seen.placed(cam)
        of_rows = rows.starts[i] + cell_edges(height, rows.window, down)
        of_columns = columns.starts[j] + cell_edges(width, columns.window, across)
        left = from_numpy(cams[0], _shares(rows, of_rows, grid[0], weights[0][i]), wide)
        right = from_numpy(cams[0], _shares(columns, of_columns, grid[1], weights[1][j]).T, wide)
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


def _shares(side: Side, source: Floats, targets: Cells, weights: Floats) -> Floats:
    """Return the (targets, cells) shares of each target that cells with these edges make up."""
    if isinstance(targets, int):
        target = np.linspace(0, side.pixels, targets + 1)
    else:
        target = targets * side.pixels
    low = np.maximum(target[:-1, None], source[None, :-1])
    high = np.maximum(low, np.minimum(target[1:, None], source[None, 1:]))
    total = np.concatenate([[0.0], np.cumsum(weights)])  # weight from 0 up to each pixel's edge
    edges = np.arange(side.pixels + 1)
    within = np.interp(high, edges, total) - np.interp(low, edges, total)
    shares: Floats
    if isinstance(targets, int):
        shares = within * targets / side.pixels
    else:
        shares = within / np.diff(target)[:, None]
    return shares
