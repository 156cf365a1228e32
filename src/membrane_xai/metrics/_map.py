"""Cores of the MAP family on (n, h, w) blocks of one library: MAP, frame, curve, ceiling, pool."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import Array, device, namespace, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.resample import upsample, upsampled_max
from membrane_xai._backend.status import raise_undefined
from membrane_xai.metrics._mass import (
    MaskOnGrid,
    activation,
    areas,
    divide,
    mass,
    put_on_grid,
    status_codes,
    threshold_set,
    total,
)

__all__ = ["alignment_core", "ceiling_core", "curve_core", "map_core", "pool_core", "shape_of"]

# A cell with less than this share of a full weight in the region says nothing of the grid: a sliver
# of region on the membrane alone would make the ceiling 1. Set by hand.
_LEAST_WEIGHT = 0.25


def map_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    threshold: float | None,
    negative: str,
    raising: bool,
    grid: CamGrid | None = None,
) -> Array:
    """Return MAP, of the upsampled set above `threshold` if there is one: (n, 1)."""
    found = activation(cam, negative, mask, region)
    placed = _placed(grid, found.values)
    if threshold is not None:
        found = threshold_set(found, shape_of(mask), threshold, placed)
        placed = None
    mask_on_grid = put_on_grid(mask, region, shape_of(found.values), found.values, placed)
    inside, whole = mass(found, mask_on_grid)
    codes = status_codes(found, mask_on_grid, inside, whole)
    return _table([_defined(divide(inside, whole), codes)], codes, raising)[..., :1]


def alignment_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    negative: str,
    raising: bool,
    grid: CamGrid | None = None,
) -> Array:
    """Return all scores, the status code and the ends of the CAM: (n, 12)."""
    xp = namespace(cam)
    found = activation(cam, negative, mask, region)
    placed = _placed(grid, found.values)
    mask_on_grid = put_on_grid(mask, region, shape_of(found.values), found.values, placed)
    inside, whole = mass(found, mask_on_grid)
    codes = status_codes(found, mask_on_grid, inside, whole)
    _, mask_area = areas(mask_on_grid)
    chance, ideal, ceiling = _frame(mask_on_grid)
    score = _defined(divide(inside, whole), codes)
    # Where ideal, ceiling or 1 meets chance up to rounding, there is no room to measure in: 64
    # roundings, set by hand.
    room = 64 * float(xp.finfo(mask_on_grid.inside.dtype).eps)
    top = xp.astype(upsampled_max(found.values, shape_of(mask), placed), whole.dtype)
    scores = [
        score,
        chance,
        _defined(divide(score, chance), codes),
        _ratio(score - chance, 1 - chance, room),
        ideal,
        _ratio(score - chance, ideal - chance, room),
        ceiling,
        _ratio(score - chance, ceiling - chance, room),
        _defined(xp.minimum(divide(inside, top * mask_area), xp.ones_like(inside)), codes),
    ]
    high = xp.max(xp.astype(cam, found.values.dtype, copy=False), axis=(-2, -1))
    ends = [xp.astype(end, whole.dtype) for end in (found.low, high)]
    return _table(scores, codes, raising, ends)


def _frame(mask_on_grid: MaskOnGrid) -> tuple[Array, Array, Array]:
    """Return chance, ideal and ceiling, which mask and grid alone define; NaN where undefined."""
    xp = namespace(mask_on_grid.inside)
    inside, weight = mask_on_grid.inside, mask_on_grid.region
    region_area, mask_area = areas(mask_on_grid)
    chance = divide(mask_area, region_area)
    share = inside if weight is None else divide(inside, weight)
    share = xp.where(xp.isnan(share), xp.zeros_like(share), share)
    ideal = divide(total(inside * share), mask_area)
    ceiling = xp.astype(_best_cell(share, mask_on_grid), chance.dtype)
    valid = mask_on_grid.finite & (mask_area > 0)
    nan = xp.full_like(chance, xp.nan)
    chance, ideal, ceiling = (xp.where(valid, x, nan) for x in (chance, ideal, ceiling))
    return chance, ideal, ceiling


def _best_cell(share: Array, mask_on_grid: MaskOnGrid) -> Array:
    """Return the largest share among cells with enough weight in the region."""
    xp = namespace(share)
    if mask_on_grid.region is not None:
        weight = mask_on_grid.region
        most = xp.max(weight, axis=(-2, -1), keepdims=True)
        # If no cell has enough, the region being smaller than a cell, the largest counts as full.
        least = xp.full_like(most, _LEAST_WEIGHT * mask_on_grid.full)
        least = xp.where(most < least, _LEAST_WEIGHT * most, least)
        share = xp.where(weight >= least, share, xp.zeros_like(share))
    return xp.max(share, axis=(-2, -1))


def curve_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    levels: np.ndarray[Any, Any],
    negative: str,
    raising: bool,
    grid: CamGrid | None = None,
) -> Array:
    """Return precision, then recall, at each level, and the status code: (n, 2 T + 1)."""
    size = shape_of(mask)
    found = activation(cam, negative, mask, region)
    up = upsample(found.values, size, _placed(grid, found.values))
    found = found._replace(values=up, total=total(up))
    mask_on_grid = put_on_grid(mask, region, size, found.values)
    codes = status_codes(found, mask_on_grid, *mass(found, mask_on_grid))
    _, mask_area = areas(mask_on_grid)
    precision, recall = [], []
    for level in levels:
        inside, whole = mass(threshold_set(found, size, float(level)), mask_on_grid)
        precision.append(_defined(divide(inside, whole), codes))
        recall.append(_defined(divide(inside, mask_area), codes))
    return _table([*precision, *recall], codes, raising)


def ceiling_core(
    mask: Array, region: Array | None, *, cells: tuple[int, int], grid: CamGrid | None = None
) -> Array:
    """Return the best MAP that a CAM of `cells` can reach: (n, 1)."""
    like = _like(mask, cells)
    _, _, ceiling = _frame(put_on_grid(mask, region, cells, like, _placed(grid, like)))
    return ceiling[:, None]


def pool_core(
    mask: Array, region: Array | None, *, cells: tuple[int, int], grid: CamGrid | None = None
) -> Array:
    """Return the mask's share and the region's weight of each cell: (n, 2 h w)."""
    xp = namespace(mask)
    like = _like(mask, cells)
    mask_on_grid = put_on_grid(mask, region, cells, like, _placed(grid, like))
    weight = (
        xp.ones_like(mask_on_grid.inside) if mask_on_grid.region is None else mask_on_grid.region
    )
    share = divide(mask_on_grid.inside, weight)
    share = xp.where(weight > 0, share, xp.zeros_like(share))
    share = xp.where(mask_on_grid.finite[:, None, None], share, xp.full_like(share, xp.nan))
    weight = weight / mask_on_grid.full
    flat = (-1, cells[0] * cells[1])
    weight = xp.broadcast_to(xp.reshape(weight, flat), xp.reshape(share, flat).shape)
    return xp.concat([xp.reshape(share, flat), weight], axis=-1)


def _placed(grid: CamGrid | None, cam: Array) -> CamGrid | None:
    return None if grid is None else grid.for_cells(shape_of(cam))


def _like(mask: Array, grid: tuple[int, int]) -> Array:
    return namespace(mask).zeros((1, *grid), dtype=wide_dtype(mask), device=device(mask))


def shape_of(x: Array) -> tuple[int, int]:
    """Return the last two sides."""
    return int(x.shape[-2]), int(x.shape[-1])


def _defined(score: Array, codes: Array) -> Array:
    xp = namespace(score)
    return xp.where(codes == 0, score, xp.full_like(score, xp.nan))


def _ratio(numerator: Array, denominator: Array, room: float) -> Array:
    xp = namespace(numerator)
    denominator = xp.where(denominator > room, denominator, xp.zeros_like(denominator))
    return divide(numerator, denominator)


def _table(
    scores: Sequence[Array], codes: Array, raising: bool, ends: Sequence[Array] = ()
) -> Array:
    """Stack columns on the last axis: scores, status codes, what else is reported."""
    if raising:
        raise_undefined(codes)
    xp = namespace(codes)
    parts = [*scores, xp.astype(codes, scores[0].dtype), *ends]
    return xp.stack(xp.broadcast_arrays(*parts), axis=-1)
