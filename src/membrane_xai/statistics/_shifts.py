"""MAP of every circular shift, rotation and flip of a CAM at once, by FFT correlation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, to_numpy, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai.metrics._mass import activation, divide, mass, put_on_grid, status_codes

__all__ = ["COLUMNS", "BlockOnGrid", "counted", "prepared", "shift_core"]

Floats = NDArray[np.float64]

COLUMNS = 7
"""Score, mean, standard deviation, counts above, tied and in all, status code."""

_ROOM = 1e-10  # within which scores tie, relative to the score
_FFT_ROUNDING = 64 * np.finfo(np.float64).eps  # of a correlation, relative to both norms; 3 is seen


class BlockOnGrid:
    """A block of CAMs and masks on the CAM's grid, in NumPy."""

    def __init__(
        self,
        cam: Array,
        mask: Array,
        region: Array | None,
        negative: str,
        placed: CamGrid | None = None,
    ) -> None:
        found = activation(cam, negative, mask, region)
        grid = (int(cam.shape[-2]), int(cam.shape[-1]))
        placed = None if placed is None else placed.for_cells(grid)
        mask_on_grid = put_on_grid(mask, region, grid, found.values, placed)
        top, whole = mass(found, mask_on_grid)
        codes = status_codes(found, mask_on_grid, top, whole)
        self.cam = to_numpy(found.values).astype(np.float64)
        """(n, h, w) A+."""
        self.inside = to_numpy(mask_on_grid.inside).astype(np.float64)
        """(n or 1, h, w) U^T Omega M."""
        weight = (
            np.ones((1, *grid)) if mask_on_grid.region is None else to_numpy(mask_on_grid.region)
        )
        self.region = weight.astype(np.float64)
        """(n or 1, h, w) U^T Omega."""
        n = self.cam.shape[0]
        self.score = np.broadcast_to(to_numpy(divide(top, whole)), (n,)).astype(np.float64)
        """(n,) MAP."""
        self.codes = np.broadcast_to(to_numpy(codes), (n,)).astype(int)


def prepared(
    cam: Array, mask: Array, region: Array | None, negative: str, grid: CamGrid | None = None
) -> BlockOnGrid:
    """Bring a block of CAMs and masks to one grid, in NumPy."""
    count = max(int(x.shape[0]) for x in (cam, mask, region) if x is not None)
    if int(cam.shape[0]) < count:
        cam = from_numpy(cam, np.repeat(to_numpy(cam), count, axis=0))
    return BlockOnGrid(cam, mask, region, negative, grid)


def shift_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    shifts: int | None,
    rotations: bool,
    negative: str,
    seed: int,
    grid: CamGrid | None = None,
) -> Array:
    """Return the columns of each sample, (n, 7)."""
    block = prepared(cam, mask, region, negative, grid)
    moved = _moved(block.cam) if rotations else block.cam[:, None]
    scores, errors = _scores(moved, block.inside[:, None], block.region[:, None])
    scores, errors = scores.reshape(len(scores), -1), errors.reshape(len(scores), -1)
    chosen = _chosen(scores.shape[1], shifts, seed)
    room = errors[:, chosen] + errors[:, :1]
    table = counted(scores[:, 0], scores[:, chosen], block.codes, room)
    table[:, 0] = np.where(np.isnan(table[:, 0]), np.nan, block.score)  # free of the FFT's rounding
    return from_numpy(cam, table, wide_dtype(cam))


def _moved(cam: Floats) -> Floats:
    """Return a CAM, its flips and half turn, and if it is square its quarter turns: (n, 4 or 8)."""
    flipped = [cam, cam[:, ::-1], cam[:, :, ::-1], cam[:, ::-1, ::-1]]
    if cam.shape[1] == cam.shape[2]:
        flipped += [x.swapaxes(1, 2) for x in flipped]
    return np.stack(flipped, axis=1)


def _scores(cam: Floats, inside: Floats, region: Floats) -> tuple[Floats, Floats]:
    """Correlate circularly: element s of the last two axes is MAP of the CAM shifted by s.

    The second array says how far rounding may have moved each. Sums that are not above that are 0:
    otherwise noise would rank the moves that lay nothing on the membrane.
    """
    from scipy import fft

    size = cam.shape[-2:]
    noise_inside, noise = (_FFT_ROUNDING * _norm(cam) * _norm(x) for x in (inside, region))
    conjugate = np.conj(fft.rfft2(cam))
    top, whole = (fft.irfft2(conjugate * fft.rfft2(x), s=size) for x in (inside, region))
    # A CAM that lies outside the region but for rounding has no MAP there; 1e-9 is set by hand.
    seen = whole > 1e-9 * cam.sum(axis=(-2, -1), keepdims=True) * region.max(
        axis=(-2, -1), keepdims=True
    )
    # The CAM at s reads the mask at x + s: the shift of the CAM by s.
    top, whole = np.where(top > noise_inside, top, 0), np.where(seen, whole, 1)
    scores = np.where(seen, top / whole, np.nan)
    return scores, np.where(seen, (noise_inside + top / whole * noise) / whole, 0)


def _norm(x: Floats) -> Floats:
    norm: Floats = np.sqrt(np.sum(x * x, axis=(-2, -1), keepdims=True))
    return norm


def _chosen(total: int, shifts: int | None, seed: int) -> NDArray[np.intp]:
    """Return the indices of the moved CAMs that are compared; 0 is the CAM as it is."""
    if shifts is None or shifts >= total - 1:
        return np.arange(1, total)
    return 1 + np.random.default_rng(seed).choice(total - 1, shifts, replace=False)


def counted(score: Floats, null: Floats, codes: Any, error: Floats | float = 0.0) -> Floats:
    """Place scores (n,) among their null scores (n, k); NaN among these does not count.

    What differs by no more than `error`, of each null score, is a tie.
    """
    defined = ~np.isnan(null) & (codes == 0)[:, None]
    count = defined.sum(axis=1)
    some = np.maximum(count, 1)
    kept = np.where(defined, null, 0)
    mean = kept.sum(axis=1) / some
    spread = np.sqrt(np.where(defined, (kept - mean[:, None]) ** 2, 0).sum(axis=1) / some)
    room = np.maximum(_ROOM * np.maximum(np.abs(score), 1e-300)[:, None], error)
    above = (defined & (kept > score[:, None] + room)).sum(axis=1)
    tied = (defined & (np.abs(kept - score[:, None]) <= room)).sum(axis=1)
    bad = (codes != 0) | (count == 0)
    columns = [np.where(bad, np.nan, x) for x in (score, mean, spread)]
    return np.stack([*columns, above, tied, count, codes], axis=1).astype(np.float64)
