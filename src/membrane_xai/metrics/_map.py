"""Cores of the MAP family on (n, h, w) blocks of one library: MAP, frame, curve, ceiling, pool."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import Array, device, namespace, wide_dtype
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


def map_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    threshold: float | None,
    negative: str,
    raising: bool,
) -> Array:
    """Return MAP, of the upsampled set above `threshold` if there is one: (n, 1)."""
    found = activation(cam, negative, mask, region)
    if threshold is not None:
        found = threshold_set(found, (mask.shape[-2], mask.shape[-1]), threshold)
    mask_on_grid = put_on_grid(mask, region, shape_of(found.values), found.values)
    inside, whole = mass(found, mask_on_grid)
    codes = status_codes(found, mask_on_grid, inside, whole)
    return _table([_defined(divide(inside, whole), codes)], codes, raising)[..., :1]


def alignment_core(
    cam: Array, mask: Array, region: Array | None, *, negative: str, raising: bool
) -> Array:
    """Return all scores, the status code and the ends of the CAM: (n, 10)."""
    xp = namespace(cam)
    found = activation(cam, negative, mask, region)
    mask_on_grid = put_on_grid(mask, region, shape_of(found.values), found.values)
    inside, whole = mass(found, mask_on_grid)
    codes = status_codes(found, mask_on_grid, inside, whole)
    _, mask_area = areas(mask_on_grid)
    chance, ceiling = _frame(mask_on_grid)
    score = _defined(divide(inside, whole), codes)
    # Where ceiling or 1 meets chance up to rounding, there is no room to measure in: 64 roundings,
    # set by hand.
    room = 64 * float(xp.finfo(mask_on_grid.inside.dtype).eps)
    top = xp.astype(upsampled_max(found.values, shape_of(mask)), whole.dtype)
    scores = [
        score,
        chance,
        _defined(divide(score, chance), codes),
        _ratio(score - chance, 1 - chance, room),
        ceiling,
        _ratio(score - chance, ceiling - chance, room),
        _defined(xp.minimum(divide(inside, top * mask_area), xp.ones_like(inside)), codes),
    ]
    high = xp.max(xp.astype(cam, found.values.dtype, copy=False), axis=(-2, -1))
    ends = [xp.astype(end, whole.dtype) for end in (found.low, high)]
    return _table(scores, codes, raising, ends)


def _frame(mask_on_grid: MaskOnGrid) -> tuple[Array, Array]:
    """Return chance and ceiling, which mask and grid alone define; NaN where they do not."""
    xp = namespace(mask_on_grid.inside)
    region_area, mask_area = areas(mask_on_grid)
    chance = divide(mask_area, region_area)
    share = (
        mask_on_grid.inside
        if mask_on_grid.region is None
        else divide(mask_on_grid.inside, mask_on_grid.region)
    )
    unseen = xp.isnan(share)
    ceiling = xp.max(xp.where(unseen, xp.zeros_like(share), share), axis=(-2, -1))
    valid = mask_on_grid.finite & (mask_area > 0)
    ceiling = xp.astype(ceiling, chance.dtype)
    nan = xp.full_like(chance, xp.nan)
    return xp.where(valid, chance, nan), xp.where(valid, ceiling, nan)


def curve_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    levels: np.ndarray[Any, Any],
    negative: str,
    raising: bool,
) -> Array:
    """Return precision, then recall, at each level, and the status code: (n, 2 T + 1)."""
    size = shape_of(mask)
    found = activation(cam, negative, mask, region)
    up = upsample(found.values, size)
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


def ceiling_core(mask: Array, region: Array | None, *, grid: tuple[int, int]) -> Array:
    """Return the best MAP that a CAM of `grid` can reach: (n, 1)."""
    _, ceiling = _frame(put_on_grid(mask, region, grid, _like(mask, grid)))
    return ceiling[:, None]


def pool_core(mask: Array, region: Array | None, *, grid: tuple[int, int]) -> Array:
    """Return the mask's share and the region's weight of each cell: (n, 2 h w)."""
    xp = namespace(mask)
    mask_on_grid = put_on_grid(mask, region, grid, _like(mask, grid))
    weight = (
        xp.ones_like(mask_on_grid.inside) if mask_on_grid.region is None else mask_on_grid.region
    )
    share = divide(mask_on_grid.inside, weight)
    share = xp.where(mask_on_grid.finite[:, None, None], share, xp.full_like(share, xp.nan))
    weight = divide(weight, xp.max(weight, axis=(-2, -1), keepdims=True))
    flat = (-1, grid[0] * grid[1])
    weight = xp.broadcast_to(xp.reshape(weight, flat), xp.reshape(share, flat).shape)
    return xp.concat([xp.reshape(share, flat), weight], axis=-1)


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
