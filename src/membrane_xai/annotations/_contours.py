"""Pixels to polygons: outlines along the edges of pixels.

A region is a set of pixels joined by edges. Its outline is walked with the region on the left in
(x, y), turning away from it wherever it can. Where a region meets itself at a corner, this walks
around the background on either side, so that no ring touches itself: a region gives one outer ring
and its holes, which make a valid polygon.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ring", "edge_connected", "region_polygons"]

Ring = NDArray[np.intp]
"""(n, 2) corners as x, y; the last is the first again."""

# Directions along the outline, region on the right as seen on screen: east, south, west, north.
# For each, the step to the next pixel along it (row, column) and the corner of a pixel that its
# edge starts at.
_AHEAD = ((0, 1), (1, 0), (0, -1), (-1, 0))
_START = ((0, 0), (0, 1), (1, 1), (1, 0))


def edge_connected(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the regions of equal value, numbered from 1; 0 stays 0."""
    from skimage.measure import label

    return np.asarray(label(values, background=0, connectivity=1), dtype=np.intp)


def region_polygons(regions: NDArray[np.intp]) -> list[list[Ring]]:
    """Return the rings of each region from 1 on: the outer ring first, then holes.

    Outer rings run counter-clockwise in (x, y), holes clockwise.
    """
    padded = np.pad(regions, 1)
    edges, following = _links(padded)
    polygons: list[list[Ring]] = [[] for _ in range(int(regions.max(initial=0)))]
    for ring, pixel in _rings(edges, following, padded.shape[1]):
        polygons[padded.flat[pixel] - 1].append(ring)
    return polygons


def _links(padded: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the edges of the outlines, ``4 * pixel + direction``, and the edge after each."""
    flat, columns = padded.ravel(), padded.shape[1]
    steps = [row * columns + column for row, column in _AHEAD]
    inside = np.flatnonzero(flat)
    edges, after = [], []
    for direction, step in enumerate(steps):
        away = steps[direction - 1]  # to the side that the region is not on
        pixel = inside[flat[inside] != flat[inside + away]]
        own = flat[pixel]
        ahead, across = pixel + step, pixel + step + away
        turn_in = 4 * pixel + (direction + 1) % 4
        onward = np.where(flat[ahead] == own, 4 * ahead + direction, turn_in)
        turn_out = 4 * across + (direction - 1) % 4
        edges.append(4 * pixel + direction)
        after.append(np.where(flat[across] == own, turn_out, onward))
    return np.concatenate(edges), np.concatenate(after)


def _rings(
    edges: NDArray[np.intp], following: NDArray[np.intp], columns: int
) -> list[tuple[Ring, int]]:
    """Follow each outline and return its corners with one of its pixels.

    They come in the order of their first edge. A region's first edge is the upper one of its first
    pixel, with nothing of the region before it: its outer ring comes before its holes.
    """
    order = np.argsort(edges)
    successor = order[np.searchsorted(edges, following, sorter=order)].tolist()
    turns = (edges % 4 != following % 4).tolist()
    seen = bytearray(len(successor))
    corners = _start_corners(edges, columns)
    rings = []
    for begin in order.tolist():
        if seen[begin]:
            continue
        walked, at = [], begin
        while not seen[at]:
            seen[at] = 1
            if turns[at]:
                walked.append(successor[at])
            at = successor[at]
        rings.append((corners[[*walked, walked[0]]], int(edges[begin] // 4)))
    return rings


def _start_corners(edges: NDArray[np.intp], columns: int) -> NDArray[np.intp]:
    """Return x, y of where each edge starts, without the padding."""
    row, column = np.divmod(edges // 4, columns)
    start = np.asarray(_START)[edges % 4]
    return np.column_stack([column - 1 + start[:, 1], row - 1 + start[:, 0]])
