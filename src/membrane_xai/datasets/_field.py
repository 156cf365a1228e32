"""The grid that synthetic images are drawn on, and smooth random fields over it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.stain._density import whole_block_means

__all__ = ["MARGIN", "Floats", "Grid", "SmoothField"]

Floats = NDArray[np.float32]

MARGIN = 40.0
"""Micrometres around the image that cells are laid out in, so that its edge cuts through some."""

_COARSE = 0.3  # micrometres per pixel from which a pixel is drawn as 2 x 2 finer ones
_SPLINE_STD = 151 / 315  # of cubic B-splines on nodes of variance 1: per axis sqrt(151 / 315)


@dataclass(frozen=True, slots=True)
class Grid:
    """Pixels of the image and the finer ones it is drawn with; positions in micrometres."""

    shape: tuple[int, int]
    mpp: float

    @property
    def factor(self) -> int:
        """Fine pixels along the side of one pixel."""
        return 1 if self.mpp <= _COARSE else 2

    @property
    def pitch(self) -> float:
        """Micrometres per fine pixel."""
        return self.mpp / self.factor

    @property
    def fine_shape(self) -> tuple[int, int]:
        """Rows and columns of fine pixels."""
        return self.shape[0] * self.factor, self.shape[1] * self.factor

    @property
    def extent(self) -> NDArray[np.float64]:
        """Height and width in micrometres."""
        return np.array(self.shape) * self.mpp

    @property
    def rows(self) -> Floats:
        """Centres of the fine rows, a column vector."""
        return self._centers(0)[:, None]

    @property
    def columns(self) -> Floats:
        """Centres of the fine columns, a row vector."""
        return self._centers(1)[None, :]

    def window(self, center: NDArray[np.floating[Any]], reach: float) -> tuple[slice, slice] | None:
        """Return the fine pixels within a square of half side `reach`; None outside the image."""
        low = np.floor((center - reach) / self.pitch).astype(int)
        high = np.ceil((center + reach) / self.pitch).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, self.fine_shape)
        if (low >= high).any():
            return None
        return slice(low[0], high[0]), slice(low[1], high[1])

    def mean(self, fine: NDArray[Any]) -> Floats:
        """Average fine pixels to pixels."""
        return whole_block_means(fine, self.factor)

    def any(self, fine: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell the pixels with a true fine pixel."""
        tiles = fine.reshape(self.shape[0], self.factor, self.shape[1], self.factor)
        return np.asarray(tiles.any(axis=(1, 3)))

    def pick(self, fine: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the label at (nearly) the centre of each pixel."""
        middle = self.factor // 2
        return np.ascontiguousarray(fine[middle :: self.factor, middle :: self.factor])

    def _centers(self, axis: int) -> Floats:
        return ((np.arange(self.fine_shape[axis]) + 0.5) * self.pitch).astype(np.float32)


class SmoothField:
    """A random field with mean 0, variance 1 and details of about `scale` micrometres.

    Cubic B-splines with normal coefficients, so that the same field can be had on the grid, fast,
    and at any point around it.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid, scale: float) -> None:
        nodes = np.ceil((grid.extent + 2 * MARGIN) / scale).astype(int) + 4
        self._nodes = rng.standard_normal(nodes, dtype=np.float32) / np.float32(_SPLINE_STD)
        self._grid = grid
        self._scale = scale

    def on_grid(self) -> Floats:
        """Return the field at the fine pixels."""
        down = self._basis(self._grid.rows.ravel(), self._nodes.shape[0])
        across = self._basis(self._grid.columns.ravel(), self._nodes.shape[1])
        field: Floats = (across @ (down @ self._nodes).T).T
        return field

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the field at points (n, 2), in micrometres."""
        from scipy import ndimage

        values: NDArray[np.float64] = ndimage.map_coordinates(
            self._nodes, self._to_nodes(points).T, order=3, prefilter=False, mode="nearest"
        ).astype(float)
        return values

    def _to_nodes(self, position: NDArray[Any]) -> NDArray[Any]:
        return (position + MARGIN) / self._scale + 1

    def _basis(self, position: Floats, nodes: int) -> Any:
        from scipy import sparse

        at = self._to_nodes(position.astype(float))
        first = np.floor(at).astype(int) - 1
        t = at - first - 1
        weights = np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
        )
        columns = first[:, None] + np.arange(4)
        starts = np.arange(0, 4 * len(at) + 1, 4)
        data = (weights / 6).astype(np.float32).ravel()
        return sparse.csr_matrix((data, columns.ravel(), starts), shape=(len(at), nodes))
