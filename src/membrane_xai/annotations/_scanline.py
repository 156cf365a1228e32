"""Polygons to pixels, by their edges.

Every ring is walked so that its polygon lies to the left in (x, y). Going along a row, an edge
walked towards smaller y then enters a polygon and one walked towards larger y leaves it: the sum of
what was passed is the number of polygons a point lies in, whatever their number, holes included.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._window import Window

__all__ = ["Edges", "center_counts", "pixel_areas", "polygon_edges"]

_BLOCK = 1 << 21  # crossings handled at once: some 100 MB

Floats = NDArray[np.float64]


class Edges(NamedTuple):
    """Edges that are not horizontal, from their end of smaller y to that of larger y."""

    top: Floats
    """(E, 2) x, y."""
    bottom: Floats
    """(E, 2) x, y."""
    enters: Floats
    """(E,): 1 where the polygon lies to the right, -1 where it lies to the left."""


def polygon_edges(geometries: NDArray[Any]) -> Edges:
    """Return the edges of (multi)polygons."""
    import shapely

    rings, polygon = shapely.get_rings(shapely.get_parts(geometries), return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    joined = ring[1:] == ring[:-1]
    start, end, ring_of = points[:-1][joined], points[1:][joined], ring[:-1][joined]
    hole = np.diff(polygon, prepend=-1) == 0
    turn = np.where(hole, -1.0, 1.0) * np.sign(_areas(start, end, ring_of, len(rings)))
    slanted = start[:, 1] != end[:, 1]
    start, end, turn = start[slanted], end[slanted], turn[ring_of[slanted]]
    upwards = start[:, 1] > end[:, 1]
    return Edges(
        top=np.where(upwards[:, None], end, start),
        bottom=np.where(upwards[:, None], start, end),
        enters=np.where(upwards, turn, -turn),
    )


def _areas(start: Floats, end: Floats, ring: NDArray[np.intp], count: int) -> Floats:
    """Return twice the signed area of each ring, measured from its first point."""
    first = np.searchsorted(ring, np.arange(count))
    a, b = start - start[first[ring]], end - start[first[ring]]
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return np.bincount(ring, cross, minlength=count).astype(float)  # of no ring it is integer


def center_counts(edges: Edges, window: Window) -> Floats:
    """Return (H, W): the number of polygons that each pixel's centre lies in.

    A centre on an edge belongs to the polygon to the right of it, or below it.
    """
    (rows, columns), (left, top), downsample = window
    passed = np.zeros(rows * (columns + 1))
    first = _pixel_from(edges.top[:, 1], top, downsample, rows)
    stop = _pixel_from(edges.bottom[:, 1], top, downsample, rows)
    slope = _slope(edges)
    for edge, row in _repeated(first, stop):
        y = top + (row + 0.5) * downsample
        x = edges.top[edge, 0] + (y - edges.top[edge, 1]) * slope[edge]
        column = _pixel_from(x, left, downsample, columns)
        passed += np.bincount(
            row * (columns + 1) + column, edges.enters[edge], minlength=passed.size
        )
    return np.cumsum(passed.reshape(rows, columns + 1), axis=1)[:, :columns]


def pixel_areas(edges: Edges, shape: tuple[int, int]) -> Floats:
    """Return (H, W): the area of each pixel inside polygons that lie in [0, W] x [0, H].

    Each edge is cut at the pixel grid. A piece covers the strip to its right: part of its own
    pixel, and its height in all pixels after that.
    """
    rows, columns = shape
    width = columns + 2
    passed = np.zeros(rows * width)
    first = np.clip(np.floor(edges.top[:, 1]), 0, rows).astype(np.intp)
    stop = np.clip(np.ceil(edges.bottom[:, 1]), 0, rows).astype(np.intp)
    slope = _slope(edges)
    for edge, row in _repeated(first, stop):
        y0 = np.maximum(edges.top[edge, 1], row)
        y1 = np.minimum(edges.bottom[edge, 1], row + 1)
        low, high = np.sort([_x_at(edges, edge, slope, y, columns) for y in (y0, y1)], axis=0)
        height = (y1 - y0) * edges.enters[edge]
        left = np.floor(low).astype(np.intp)
        right = np.maximum(np.ceil(high).astype(np.intp), left + 1)
        for piece, column in _repeated(left, right):
            x0 = np.maximum(low[piece], column)
            x1 = np.minimum(high[piece], column + 1)
            span = high[piece] - low[piece]
            share = np.divide(x1 - x0, span, out=np.ones_like(span), where=span > 0)
            part = height[piece] * share
            beyond = part * ((x0 + x1) / 2 - column)
            at = row[piece] * width + column
            passed += np.bincount(at, part - beyond, minlength=passed.size)
            passed += np.bincount(at + 1, beyond, minlength=passed.size)
    return np.cumsum(passed.reshape(rows, width), axis=1)[:, :columns]


def _pixel_from(position: Floats, offset: float, downsample: float, count: int) -> NDArray[np.intp]:
    """Return the first pixel whose centre is at or after `position`, at most `count`."""
    pixel = np.ceil((position - offset) / downsample - 0.5)
    return np.clip(pixel, 0, count).astype(np.intp)


def _slope(edges: Edges) -> Floats:
    run = edges.bottom - edges.top
    return np.asarray(run[:, 0] / run[:, 1])


def _x_at(edges: Edges, edge: NDArray[np.intp], slope: Floats, y: Floats, columns: int) -> Floats:
    top, bottom = edges.top[edge], edges.bottom[edge]
    x = np.where(y == bottom[:, 1], bottom[:, 0], top[:, 0] + (y - top[:, 1]) * slope[edge])
    return np.clip(x, 0, columns)


def _repeated(
    first: NDArray[np.intp], stop: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield, a block at a time, each index i with each number in range(first[i], stop[i])."""
    counts = np.maximum(stop - first, 0)
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        done = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, done + _BLOCK, side="right")), begin + 1)
        index = np.repeat(np.arange(begin, end), counts[begin:end])
        before = ends[begin:end] - counts[begin:end] - done
        yield index, np.arange(len(index)) - before[index - begin] + first[index]
        begin = end
