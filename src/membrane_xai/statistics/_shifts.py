"""MAP of every circular shift, rotation and flip of a CAM at once, by FFT correlation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, to_numpy, wide_dtype
from membrane_xai.metrics._mass import activation, divide, mass, status_codes, target

__all__ = ["COLUMNS", "NullTarget", "counted", "prepared", "shift_core"]

Floats = NDArray[np.float64]

COLUMNS = 7
"""Score, mean, standard deviation, counts above, tied and in all, status code."""

_ROOM = 1e-10  # of FFT rounding, relative to the score


class NullTarget:
    """A block of CAMs and targets on the CAM's grid, in NumPy."""

    def __init__(self, cam: Array, mask: Array, region: Array | None, negative: str) -> None:
        found = activation(cam, negative, mask, region)
        grid = (int(cam.shape[-2]), int(cam.shape[-1]))
        goal = target(mask, region, grid, found.values)
        top, whole = mass(found, goal)
        codes = status_codes(found, goal, top, whole)
        self.cam = to_numpy(found.values).astype(np.float64)
        """(n, h, w) A+."""
        self.inside = to_numpy(goal.inside).astype(np.float64)
        """(n or 1, h, w) U^T Omega M."""
        weight = np.ones((1, *grid)) if goal.region is None else to_numpy(goal.region)
        self.region = weight.astype(np.float64)
        """(n or 1, h, w) U^T Omega."""
        n = self.cam.shape[0]
        self.score = np.broadcast_to(to_numpy(divide(top, whole)), (n,)).astype(np.float64)
        """(n,) MAP."""
        self.codes = np.broadcast_to(to_numpy(codes), (n,)).astype(int)


def prepared(cam: Array, mask: Array, region: Array | None, negative: str) -> NullTarget:
    """Bring a block of CAMs and masks to one grid, in NumPy."""
    count = max(int(x.shape[0]) for x in (cam, mask, region) if x is not None)
    if int(cam.shape[0]) < count:
        cam = from_numpy(cam, np.repeat(to_numpy(cam), count, axis=0))
    return NullTarget(cam, mask, region, negative)


def shift_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    shifts: int | None,
    rotations: bool,
    negative: str,
    seed: int,
) -> Array:
    """Return the columns of each sample, (n, 7)."""
    goal = prepared(cam, mask, region, negative)
    moved = _moved(goal.cam) if rotations else goal.cam[:, None]
    scores = _scores(moved, goal.inside[:, None], goal.region[:, None])
    scores = scores.reshape(len(scores), -1)
    chosen = _chosen(scores.shape[1], shifts, seed)
    table = counted(scores[:, 0], scores[:, chosen], goal.codes)
    table[:, 0] = np.where(np.isnan(table[:, 0]), np.nan, goal.score)  # free of the FFT's rounding
    return from_numpy(cam, table, wide_dtype(cam))


def _moved(cam: Floats) -> Floats:
    """Return a CAM, its flips and half turn, and if it is square its quarter turns: (n, 4 or 8)."""
    flipped = [cam, cam[:, ::-1], cam[:, :, ::-1], cam[:, ::-1, ::-1]]
    if cam.shape[1] == cam.shape[2]:
        flipped += [x.swapaxes(1, 2) for x in flipped]
    return np.stack(flipped, axis=1)


def _scores(cam: Floats, inside: Floats, region: Floats) -> Floats:
    """Correlate circularly: element s of the last two axes is MAP of the CAM shifted by s."""
    from scipy import fft

    size = cam.shape[-2:]
    conjugate = np.conj(fft.rfft2(cam))
    top, whole = (fft.irfft2(conjugate * fft.rfft2(x), s=size) for x in (inside, region))
    seen = whole > 1e-9 * cam.sum(axis=(-2, -1), keepdims=True) * region.max(
        axis=(-2, -1), keepdims=True
    )
    # The CAM at s reads the target at x + s: the shift of the CAM by s.
    return np.where(seen, np.clip(top, 0, None) / np.where(seen, whole, 1), np.nan)


def _chosen(total: int, shifts: int | None, seed: int) -> NDArray[np.intp]:
    """Return the indices of the moved CAMs that are compared; 0 is the CAM as it is."""
    if shifts is None or shifts >= total - 1:
        return np.arange(1, total)
    return 1 + np.random.default_rng(seed).choice(total - 1, shifts, replace=False)


def counted(score: Floats, null: Floats, codes: Any) -> Floats:
    """Place scores (n,) among their null scores (n, k); NaN among these does not count."""
    defined = ~np.isnan(null) & (codes == 0)[:, None]
    count = defined.sum(axis=1)
    some = np.maximum(count, 1)
    kept = np.where(defined, null, 0)
    mean = kept.sum(axis=1) / some
    spread = np.sqrt(np.where(defined, (kept - mean[:, None]) ** 2, 0).sum(axis=1) / some)
    room = _ROOM * np.maximum(np.abs(score), 1e-300)[:, None]
    above = (defined & (kept > score[:, None] + room)).sum(axis=1)
    tied = (defined & (np.abs(kept - score[:, None]) <= room)).sum(axis=1)
    bad = (codes != 0) | (count == 0)
    columns = [np.where(bad, np.nan, x) for x in (score, mean, spread)]
    return np.stack([*columns, above, tied, count, codes], axis=1).astype(np.float64)
