"""Activation mass inside a mask and in all, and the mask on the grid of a CAM."""

import math
import operator
from functools import lru_cache
from typing import Any, NamedTuple

from membrane_xai._backend.arrays import (
    Array,
    apply_where,
    check_unit_interval,
    compute_dtype,
    device,
    namespace,
    wide_dtype,
)
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.resample import pool, pooled_ones, upsample
from membrane_xai._backend.status import classify
from membrane_xai.errors import InvalidInputError

__all__ = [
    "Activation",
    "MaskOnGrid",
    "activation",
    "areas",
    "check_negative",
    "divide",
    "mass",
    "put_on_grid",
    "status_codes",
    "threshold_set",
    "total",
]

NEGATIVE = ("clip", "abs", "raise")

# Sums run in float32 along stretches of this many elements and in the widest type across them.
# Errors of 4096 roundings add up to some 64 of them, the root, 4e-6 of the sum; set by hand.
_STRETCH = 4096


class Activation(NamedTuple):
    """A+ of a block of CAMs: values (n, h, w) scaled so that sums neither overflow nor vanish."""

    values: Array
    finite: Array
    """bool (n,): whether the CAM has no NaN and no infinity; others are all zero in `values`."""
    low: Array
    """The least value of the CAM as given, NaN if it has one, shape (n,)."""
    total: Array
    """Sum of `values`, shape (n,)."""


class MaskOnGrid(NamedTuple):
    """Mask within the region, and the region, on the grid of a CAM."""

    inside: Array
    """Omega M or its pooled form, (n or 1, h, w)."""
    region: Array | None
    """Omega or its pooled form, (n or 1, h, w); None for all ones."""
    finite: Array
    """bool (n or 1,): whether mask and region have no NaN and no infinity."""
    full: float = 1.0
    """Weight of the largest cell if the region were everywhere."""


def check_negative(negative: str) -> None:
    """Raise unless `negative` is a known treatment of negative activation."""
    check_choice(negative, "negative", NEGATIVE)


def total(x: Array) -> Array:
    """Sum an (n, h, w) block over its maps."""
    xp = namespace(x)
    stretches = _in_stretches(x)
    one = xp.ones(stretches.shape[-1:], dtype=x.dtype, device=device(x))
    return xp.sum(xp.matmul(stretches, one), axis=-1, dtype=wide_dtype(x))


def divide(numerator: Array, denominator: Array) -> Array:
    """Divide where the denominator is positive; NaN elsewhere."""
    return apply_where(
        denominator > 0,
        (numerator, denominator),
        operator.truediv,
        fill_value=math.nan,
        xp=namespace(numerator),
    )


def activation(cam: Array, negative: str, *others: Array | None) -> Activation:
    """Return A+ of a block of CAMs, computed wide enough to meet `others`."""
    xp = namespace(cam)
    values = xp.astype(cam, compute_dtype(cam, *(x for x in others if x is not None)), copy=False)
    low = xp.min(values, axis=(-2, -1))
    if negative == "raise" and bool(xp.any(low < 0)):
        first = int(xp.argmax(xp.astype(low < 0, xp.int8)))
        raise InvalidInputError(
            f"cam has negative values down to {float(low[first]):g} and negative is 'raise'; "
            f"pass negative='clip' or 'abs', or a CAM without them"
        )
    if bool(xp.any(low < 0)):
        values = xp.abs(values) if negative == "abs" else xp.clip(values, min=0)
    finite = xp.isfinite(low)
    sums = total(values)
    # A sum may be infinite, or lose digits near zero, though every value is finite. float32 has all
    # its digits down to 1.2e-38, float64 ends at 1.8e308; how far to stay from both is set by hand.
    safe = (sums > 1e-25) & (sums < 1e300)
    if not bool(xp.all(safe)):
        values, finite = _rescue(values, finite, safe)
        sums = total(values)
    return Activation(values, finite, low, sums)


def _rescue(values: Array, finite: Array, safe: Array) -> tuple[Array, Array]:
    """Blank CAMs with invalid values and scale those that are not safe to a maximum of one."""
    xp = namespace(values)
    high = xp.max(values, axis=(-2, -1))
    finite = finite & xp.isfinite(high)
    keep = finite[:, None, None]
    scale = xp.where(finite & ~safe & (high > 0), high, xp.ones_like(high))[:, None, None]
    return xp.where(keep, values, xp.zeros_like(values)) / scale, finite


def threshold_set(
    found: Activation, size: tuple[int, int], threshold: float, placed: CamGrid | None = None
) -> Activation:
    """Return the indicator of {U A+ >= threshold * max(U A+)} on the mask's grid."""
    xp = namespace(found.values)
    up = upsample(found.values, size, placed)
    top = xp.max(up, axis=(-2, -1), keepdims=True)
    values = xp.astype((up >= threshold * top) & (top > 0), up.dtype)
    return found._replace(values=values, total=total(values))


def put_on_grid(
    mask: Array,
    region: Array | None,
    grid: tuple[int, int],
    like: Array,
    placed: CamGrid | None = None,
) -> MaskOnGrid:
    """Bring mask and region to the grid of a CAM block `like`, by the adjoint of U."""
    xp = namespace(mask)
    size = (mask.shape[-2], mask.shape[-1])
    as_they_are = size == grid and placed is None
    dtype = like.dtype if as_they_are else wide_dtype(like)
    inside, finite = _fractions(mask, "mask", dtype)
    weight = None
    if region is not None:
        if tuple(region.shape[-2:]) != size:
            raise InvalidInputError(
                f"region has shape {tuple(region.shape)}, mask has {tuple(mask.shape)}; "
                f"both must have the same rows and columns"
            )
        weight, region_finite = _fractions(region, "region", dtype)
        inside, finite = inside * weight, finite & region_finite
    if as_they_are:
        return MaskOnGrid(inside, weight, finite)
    ones = pooled_ones(like, size, grid, placed)
    weight = ones[None, :, :] if weight is None else pool(weight, grid, placed)
    inside = xp.minimum(pool(inside, grid, placed), weight)
    return MaskOnGrid(inside, weight, finite, float(xp.max(ones)))


def _fractions(x: Array, name: str, dtype: Any) -> tuple[Array, Array]:
    """Return values in [0, 1] with invalid samples blanked, and which samples are valid."""
    xp = namespace(x)
    check_unit_interval(x, name)
    if not xp.isdtype(x.dtype, "real floating"):
        return xp.astype(x, dtype), xp.ones(x.shape[:1], dtype=xp.bool, device=device(x))
    finite = xp.all(xp.isfinite(x), axis=(-2, -1))
    values = xp.astype(x, dtype, copy=False)
    if not bool(xp.all(finite)):
        values = xp.where(finite[:, None, None], values, xp.zeros_like(values))
    return values, finite


def mass(found: Activation, mask_on_grid: MaskOnGrid) -> tuple[Array, Array]:
    """Return <A+, U^T Omega M> and <A+, U^T Omega> of each sample."""
    xp = namespace(found.values)
    values = found.values
    if mask_on_grid.inside.dtype != values.dtype:
        values = xp.astype(values, mask_on_grid.inside.dtype)
    whole = found.total if mask_on_grid.region is None else _dot(values, mask_on_grid.region)
    return xp.minimum(_dot(values, mask_on_grid.inside), whole), whole  # rounding must not pass 1


def status_codes(found: Activation, mask_on_grid: MaskOnGrid, inside: Array, whole: Array) -> Array:
    """Classify samples; the areas are summed only when a zero makes the reason unclear."""
    xp = namespace(inside)
    non_finite = ~(found.finite & mask_on_grid.finite)
    if not bool(xp.any(non_finite | (inside <= 0))):
        return classify(non_finite=non_finite)
    region_area, mask_area = areas(mask_on_grid)
    return classify(
        non_finite=non_finite,
        empty_region=region_area <= 0,
        empty_mask=mask_area <= 0,
        no_activation=whole <= 0,
    )


def areas(mask_on_grid: MaskOnGrid) -> tuple[Array, Array]:
    """Return sum(Omega) and sum(Omega M) of each sample, in pixels of the mask."""
    xp = namespace(mask_on_grid.inside)
    mask_area = total(mask_on_grid.inside)
    if mask_on_grid.region is None:
        pixels = mask_on_grid.inside.shape[-2] * mask_on_grid.inside.shape[-1]
        return xp.full_like(mask_area, pixels), mask_area
    return total(mask_on_grid.region), mask_area


def _dot(x: Array, y: Array) -> Array:
    """Sum x*y over the last two axes: short float32 stretches, then the widest type."""
    xp = namespace(x)
    parts = xp.vecdot(_in_stretches(x), _in_stretches(y), axis=-1)
    return xp.sum(parts, axis=-1, dtype=wide_dtype(x))


def _in_stretches(x: Array) -> Array:
    return namespace(x).reshape(x, (x.shape[0], *_stretches(x.shape[-2], x.shape[-1])))


@lru_cache(maxsize=256)
def _stretches(rows: int, columns: int) -> tuple[int, int]:
    """Split h*w elements into equal stretches of whole rows, the longest within the limit."""
    joined = max(
        (k for k in range(1, rows + 1) if rows % k == 0 and k * columns <= _STRETCH), default=1
    )
    return rows // joined, joined * columns
