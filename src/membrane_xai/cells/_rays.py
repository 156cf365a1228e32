"""Measure the membrane of each cell along rays from its nucleus outwards."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Measured", "grow_territories", "measure"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]

# Micrometres.
_LARGEST_NUCLEUS = 7.0  # radius; rays start in the middle of the nucleus
_SHARED = 1.0  # a membrane is both cells': rays look for it that far beyond their own cell
_STEP = 0.25  # between samples of a ray, or a pixel where pixels are finer
_CELLS_AT_ONCE = 1024  # bounds the memory of the rays


class Measured(NamedTuple):
    """Columns of the cell table, (n,) each."""

    row: Floats
    column: Floats
    completeness: Floats
    dab: Floats
    width: Floats
    in_view: Floats
    """Share of the rays that stay within the image."""


def grow_territories(membrane: Mask, nuclei: Labels, mpp: float, reach: float) -> Labels:
    """Give each pixel within `reach` of a nucleus to a cell; borders lie in the membrane's middle.

    Cells grow from their nuclei at equal speed and enter the membrane last (watershed).
    """
    from scipy import ndimage
    from skimage.segmentation import watershed

    away = ndimage.distance_transform_edt(nuclei == 0).astype(np.float32) * np.float32(mpp)
    near = away <= reach
    away += np.float32(2 * reach) * membrane
    cells: Labels = watershed(away, nuclei, mask=near).astype(np.int32)
    return cells


def measure(
    membrane: Mask, dab: NDArray[Any], nuclei: Labels, *, mpp: float, sectors: int, reach: float
) -> Measured:
    """Follow rays from each nucleus to its membrane; nuclei are labelled 1 to n."""
    rows, columns = _centroids(nuclei)
    if not len(rows):
        return Measured(*np.empty((6, 0)))
    territories = grow_territories(membrane, nuclei, mpp, reach)
    step = min(_STEP, mpp)
    rays = _Rays(membrane, dab, nuclei, territories, step=step, mpp=mpp)
    length = np.arange(step / 2, reach + _LARGEST_NUCLEUS, step) / mpp
    turn = (np.arange(sectors) + 0.5) * (2 * np.pi / sectors)
    down, across = (np.multiply.outer(f(turn), length) for f in (np.sin, np.cos))
    parts = []
    for start in range(0, len(rows), _CELLS_AT_ONCE):
        cells = slice(start, start + _CELLS_AT_ONCE)
        at = rows[cells, None, None] + down, columns[cells, None, None] + across
        parts.append(rays.follow(np.arange(len(rows))[cells] + 1, *at))
    return Measured(rows, columns, *np.concatenate(parts, axis=1))


def _centroids(nuclei: Labels) -> tuple[Floats, Floats]:
    label = np.flatnonzero(nuclei)
    ids = nuclei.ravel()[label]
    area = np.bincount(ids)[1:]
    row, column = np.unravel_index(label, nuclei.shape)
    return np.bincount(ids, row)[1:] / area, np.bincount(ids, column)[1:] / area


class _Rays(NamedTuple):
    """Membrane and labels that rays cross, and how densely they are sampled."""

    membrane: Mask
    dab: NDArray[Any]
    nuclei: Labels
    territories: Labels
    step: float
    mpp: float

    def follow(self, ids: NDArray[np.int_], row: Floats, column: Floats) -> Floats:
        """Return completeness, DAB, width and share in view of cells, (4, n).

        `row` and `column` have shape (n, sectors, steps).
        """
        at, within = self._pixels(row, column)
        own = (self.territories.ravel()[at] == ids[:, None, None]) & within
        # Up to where the ray leaves the cell for good, and the shared membrane beyond.
        steps = np.arange(row.shape[-1])
        last = np.where(own, steps, -1).max(axis=-1, keepdims=True)
        reached = steps <= last + round(_SHARED / self.step)
        ends_within = np.take_along_axis(within, np.minimum(last + 1, len(steps) - 1), axis=-1)[
            ..., 0
        ]
        nucleus = self.nuclei.ravel()[at]
        elsewhere = (nucleus != 0) & (nucleus != ids[:, None, None])
        hit = self.membrane.ravel()[at] & within & reached & ~elsewhere
        return np.stack(self._summed(hit, np.where(hit, self.dab.ravel()[at], 0), ends_within))

    def _pixels(self, row: Floats, column: Floats) -> tuple[NDArray[np.int64], Mask]:
        height, width = self.membrane.shape
        down, across = np.rint(row).astype(np.int64), np.rint(column).astype(np.int64)
        within = (down >= 0) & (down < height) & (across >= 0) & (across < width)
        down, across = np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)
        return down * width + across, within

    def _summed(self, hit: Mask, dab: NDArray[Any], in_view: Mask) -> list[Floats]:
        """Average rays: those that found membrane among those in view."""
        samples = hit.sum(axis=-1)
        found = (samples > 0) & in_view
        rays, stained = in_view.sum(axis=-1), found.sum(axis=-1)
        with np.errstate(invalid="ignore"):
            completeness = stained / rays
            density = (dab.max(axis=-1) * found).sum(axis=-1) / stained
            width = (samples * found).sum(axis=-1) * self.step / stained
        return [completeness, density, width, in_view.mean(axis=-1)]
