"""Bilinear resampling with half-pixel centres, and its adjoint.

``U`` is the linear map behind ``torch.nn.functional.interpolate(mode="bilinear",
align_corners=False)`` from an (h, w) grid to (H, W). Its weights come from integer arithmetic, so
those of a pixel and of its mirror image are the same floating-point numbers, swapped. Cells that
lie elsewhere than at half-pixel centres have a ``CamGrid``; beyond the outer cells' centres their
value goes on unchanged, as it does there.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid

__all__ = ["pool", "pooled_ones", "upsample", "upsampled_max"]

_Ints = np.ndarray[Any, np.dtype[np.int64]]
_Floats = np.ndarray[Any, np.dtype[np.float64]]


class _Axis(NamedTuple):
    """For each output position: the two source positions and their weights."""

    low: _Ints
    high: _Ints
    low_weight: _Floats
    high_weight: _Floats


@lru_cache(maxsize=256)
def _axis(source: int, target: int) -> _Axis:
    """Positions and weights along one axis, from integer positions in units of 1/(2 target)."""
    unit = 2 * target
    position = np.arange(1, unit, 2, dtype=np.int64) * source - target
    position = np.clip(position, 0, (source - 1) * unit)
    low, rest = np.divmod(position, unit)
    return _Axis(low, np.minimum(low + 1, source - 1), (unit - rest) / unit, rest / unit)


@lru_cache(maxsize=256)
def _placed_axis(source: int, target: int, spacing: float, offset: float, size: int) -> _Axis:
    """Positions and weights along one axis, of cells at ``offset + spacing * i`` of `size`."""
    pixel = (np.arange(target) + 0.5) * (size / target) - 0.5
    position = np.clip((pixel - offset) / spacing, 0, source - 1)
    low = np.minimum(np.floor(position).astype(np.int64), source - 1)
    rest = position - low
    return _Axis(low, np.minimum(low + 1, source - 1), 1 - rest, rest)


def _axes(
    grid: tuple[int, int], size: tuple[int, int], placed: CamGrid | None
) -> tuple[_Axis, _Axis]:
    """Return both axes of U, of half-pixel centres or of cells that are placed otherwise."""
    if placed is None:
        return _axis(grid[0], size[0]), _axis(grid[1], size[1])
    rows, columns = (
        _placed_axis(grid[k], size[k], placed.spacing[k], placed.offset[k], placed.size[k])
        for k in (0, 1)
    )
    return rows, columns


@lru_cache(maxsize=64)
def _matrices(
    grid: tuple[int, int], size: tuple[int, int], placed: CamGrid | None
) -> tuple[_Floats, _Floats]:
    """Return both axes of U as (target, source) matrices."""
    rows, columns = (
        _matrix(axis, source) for axis, source in zip(_axes(grid, size, placed), grid, strict=True)
    )
    return rows, columns


def _matrix(axis: _Axis, source: int) -> _Floats:
    """Return one axis of U as a (target, source) matrix."""
    target = len(axis.low)
    matrix = np.zeros((target, source))
    rows = np.arange(target)
    np.add.at(matrix, (rows, axis.low), axis.low_weight)
    np.add.at(matrix, (rows, axis.high), axis.high_weight)
    matrix.flags.writeable = False
    return matrix


def pool(x: Array, grid: tuple[int, int], placed: CamGrid | None = None) -> Array:
    """Apply the adjoint of U: spread an (..., H, W) array onto the (h, w) grid, keeping its sum."""
    xp = namespace(x)
    matrices = _matrices(grid, (x.shape[-2], x.shape[-1]), placed)
    rows = from_numpy(x, matrices[0].T, x.dtype)
    columns = from_numpy(x, matrices[1], x.dtype)
    return xp.matmul(rows, xp.matmul(x, columns))


def pooled_ones(
    like: Array, size: tuple[int, int], grid: tuple[int, int], placed: CamGrid | None = None
) -> Array:
    """Return the adjoint of U applied to an (H, W) array of ones, shape (h, w)."""
    rows, columns = (matrix.sum(axis=0) for matrix in _matrices(grid, size, placed))
    return from_numpy(like, np.outer(rows, columns), wide_dtype(like))


def upsample(x: Array, size: tuple[int, int], placed: CamGrid | None = None) -> Array:
    """Apply U: (..., h, w) to (..., H, W), bit for bit the same under flips and transposition."""
    grid = (x.shape[-2], x.shape[-1])
    if grid == size and placed is None:
        return x
    return _interpolate(x, *_axes(grid, size, placed))


def upsampled_max(x: Array, size: tuple[int, int], placed: CamGrid | None = None) -> Array:
    """Return max(U x) over the last two axes without making U x.

    Between four neighbouring grid points U x is bilinear, so its largest value lies at a corner of
    the samples taken there: two rows and two columns per cell are enough.
    """
    xp = namespace(x)
    grid = (x.shape[-2], x.shape[-1])
    if grid != size or placed is not None:
        rows, columns = _axes(grid, size, placed)
        x = _interpolate(x, _cell_ends(rows), _cell_ends(columns))
    return xp.max(x, axis=(-2, -1))


def _cell_ends(axis: _Axis) -> _Axis:
    """Keep the first and the last sample of every cell."""
    change = np.diff(axis.low) != 0
    keep = np.concatenate([[True], change]) | np.concatenate([change, [True]])
    return _Axis(*(part[keep] for part in axis))


def _interpolate(x: Array, rows: _Axis, columns: _Axis) -> Array:
    """Sum four weighted neighbours in an order that no flip or transposition changes."""
    xp = namespace(x)

    def at(row: _Ints, column: _Ints) -> Array:
        picked = xp.take(x, from_numpy(x, row), axis=-2)
        return xp.take(picked, from_numpy(x, column), axis=-1)

    def weight(row: _Floats, column: _Floats) -> Array:
        return from_numpy(x, np.outer(row, column), x.dtype)

    a, b = at(rows.low, columns.low), at(rows.low, columns.high)
    c, d = at(rows.high, columns.low), at(rows.high, columns.high)
    total = (
        a * weight(rows.low_weight, columns.low_weight)
        + d * weight(rows.high_weight, columns.high_weight)
    ) + (
        b * weight(rows.low_weight, columns.high_weight)
        + c * weight(rows.high_weight, columns.low_weight)
    )
    # Rounding must not lift a value out of the range of its neighbours, nor split a plateau.
    lowest = xp.minimum(xp.minimum(a, d), xp.minimum(b, c))
    highest = xp.maximum(xp.maximum(a, d), xp.maximum(b, c))
    return xp.minimum(xp.maximum(total, lowest), highest)
