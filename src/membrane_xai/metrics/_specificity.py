"""Core of specificity on (n, h, w) blocks of one library: a CAM against two masks at once."""

from typing import NamedTuple

from membrane_xai._backend.arrays import Array, check_unit_interval, namespace, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.vocabulary import SCORES, SPECIFICITY_STATUSES, STATUSES
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._map import alignment_core, pool_core, shape_of
from membrane_xai.metrics._mass import divide, total

__all__ = ["SPECIFICITY_COLUMNS", "specificity_core"]

SPECIFICITY_COLUMNS = 6
"""MAP on the control, its way toward the ideal, specificity, that of the exact follower of the
mask, correlation of the ideals, code."""

# Above this correlation of the two masks on the grid, a map of one is as good as one of the other.
# The same limit holds for how far the exact follower of one comes toward the ideal of the other,
# which is that correlation times the ratio of their relative spreads: where the control hardly
# varies, the membrane map itself is beyond the control's ideal. Set by hand.
_ALIKE = 0.8
_MAP, _TOWARD, _STATUS = SCORES.index("map"), SCORES.index("toward_ideal"), len(SCORES)
_EMPTY_MASK = STATUSES.index("empty_mask")
_EMPTY_CONTROL, _CANNOT_TELL = map(SPECIFICITY_STATUSES.index, ("empty_control", "cannot_tell"))


def specificity_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    against: Array,
    *,
    negative: str,
    grid: CamGrid | None = None,
) -> Array:
    """Return the columns of specificity: (n, 6)."""
    xp = namespace(cam)
    cells = shape_of(cam)
    share, weight = _pooled(mask, region, cells, grid)
    other, _ = _pooled(_without(against, mask), region, cells, grid)
    on_mask = alignment_core(cam, share, weight, negative=negative, raising=False)
    on_control = alignment_core(cam, other, weight, negative=negative, raising=False)
    ideals = _compare(share, other, weight)
    specificity = on_mask[:, _TOWARD] - on_control[:, _TOWARD]
    codes = _codes(on_mask[:, _STATUS], on_control[:, _STATUS], specificity, ideals)
    specificity = xp.where(codes == 0, specificity, xp.full_like(specificity, xp.nan))
    best = 1 - ideals.mask_on_control
    found = (on_control[:, _MAP], on_control[:, _TOWARD], specificity, best, ideals.alike, codes)
    return xp.stack(xp.broadcast_arrays(*found), axis=-1)


def _without(against: Array, mask: Array) -> Array:
    """Return the control where the mask leaves room: a pixel is not both."""
    xp = namespace(mask)
    if shape_of(against) != shape_of(mask):
        raise InvalidInputError(
            f"against has shape {tuple(against.shape)}, mask has {tuple(mask.shape)}; "
            f"both must have the same rows and columns"
        )
    check_unit_interval(against, "against")
    wide = wide_dtype(mask)
    return xp.minimum(xp.astype(against, wide), 1 - xp.astype(mask, wide))


def _pooled(
    mask: Array, region: Array | None, cells: tuple[int, int], grid: CamGrid | None
) -> tuple[Array, Array]:
    """Return the mask's share of each cell and the cell's weight, (n, h, w) each."""
    xp = namespace(mask)
    placed = None if grid is None else grid.for_cells(cells)
    flat = pool_core(mask, region, cells=cells, grid=placed)
    count = cells[0] * cells[1]
    # Rounding may pass 1 by an ulp.
    share, weight = (xp.clip(x, 0, 1) for x in (flat[:, :count], flat[:, count:]))
    return xp.reshape(share, (-1, *cells)), xp.reshape(weight, (-1, *cells))


class _Ideals(NamedTuple):
    """How two masks on one grid, or the maps that follow them exactly, stand to each other."""

    alike: Array
    """Pearson's correlation over the cells, weighted."""
    mask_on_control: Array
    """The way toward the control's ideal of the map that follows the mask exactly."""
    control_on_mask: Array
    """And the other way round."""


def _compare(mask: Array, control: Array, weight: Array) -> _Ideals:
    """Compare the shares of two masks; NaN where one of them does not vary."""
    xp = namespace(mask)
    whole = total(weight)
    means = [divide(total(x * weight), whole) for x in (mask, control)]
    x, y = (z - mean[:, None, None] for z, mean in zip((mask, control), means, strict=True))
    floor = 64 * float(xp.finfo(x.dtype).eps)  # as where ideal meets chance
    spreads = [total(z * z * weight) for z in (x, y)]
    spreads = [xp.where(z > floor**2 * whole, z, xp.zeros_like(z)) for z in spreads]
    both, ratio = total(x * y * weight), divide(means[1], means[0])
    return _Ideals(
        divide(both, xp.sqrt(spreads[0] * spreads[1])),
        divide(both, spreads[1]) * ratio,
        divide(both, spreads[0]) * divide(means[0], means[1]),
    )


def _codes(on_mask: Array, on_control: Array, specificity: Array, ideals: _Ideals) -> Array:
    """Return why there is no specificity; of several reasons the mask's own counts first."""
    xp = namespace(specificity)
    # The correlation is the geometric mean of both, so that one of them is above it.
    worst = xp.maximum(ideals.mask_on_control, ideals.control_on_mask)
    told = (worst <= _ALIKE) & ~xp.isnan(specificity)  # NaN: no room on this grid
    codes = xp.where(told, xp.zeros_like(worst), xp.full_like(worst, _CANNOT_TELL))
    codes = xp.where(on_control != 0, on_control, codes)
    codes = xp.where(on_control == _EMPTY_MASK, xp.full_like(codes, _EMPTY_CONTROL), codes)
    return xp.where(on_mask != 0, on_mask, codes)
