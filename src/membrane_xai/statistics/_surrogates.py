"""Random CAMs as smooth as a given one: its power spectrum with random phases, its own values."""

import zlib

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai.statistics._shifts import counted, prepared

__all__ = ["surrogate_core", "surrogates"]

Floats = NDArray[np.float64]

_ROUNDS = 5  # of putting back spectrum and values; set by hand
_BLOCK = 1 << 21  # values of random CAMs held at a time: 16 MB


def surrogate_core(
    cam: Array,
    mask: Array,
    region: Array | None,
    *,
    draws: int,
    negative: str,
    seed: int,
    grid: CamGrid | None = None,
) -> Array:
    """Return the columns of each sample, (n, 7)."""
    block = prepared(cam, mask, region, negative, grid)
    n, pixels = len(block.cam), block.cam[0].size
    shape = (n, pixels)
    inside = np.broadcast_to(block.inside.reshape(-1, pixels), shape)
    region_weight = np.broadcast_to(block.region.reshape(-1, pixels), shape)
    scores, null = np.full(n, np.nan), np.full((n, draws), np.nan)
    for i in np.flatnonzero(block.codes == 0):
        targets = np.stack([inside[i], region_weight[i]], axis=1)
        scores[i] = _ratio(block.cam[i].reshape(1, -1) @ targets)[0]
        null[i] = _null(block.cam[i], targets, draws, seed)
    return from_numpy(cam, counted(scores, null, block.codes), wide_dtype(cam))


def _null(cam: Floats, targets: Floats, draws: int, seed: int) -> Floats:
    """Score surrogates, a block at a time; the seed is joined by the CAM's own bytes.

    So two CAMs of a batch are not compared with the same random maps, and a CAM's result depends
    on nothing but itself.
    """
    rng = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(cam).tobytes())])
    step = max(1, _BLOCK // cam.size)
    parts = [
        _ratio(surrogates(cam, min(step, draws - start), rng).reshape(-1, cam.size) @ targets)
        for start in range(0, draws, step)
    ]
    return np.concatenate(parts)


def _ratio(sums: Floats) -> Floats:
    top, whole = sums[:, 0], sums[:, 1]
    ratio: Floats = np.where(whole > 0, top / np.where(whole > 0, whole, 1), np.nan)
    return ratio


def surrogates(cam: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Return random maps (draws, h, w) with the values of a CAM and nearly its power spectrum.

    Iterated amplitude adjustment (Schreiber and Schmitz 1996): phases are those of white noise;
    then spectrum and values are put back in turns, values last.
    """
    from scipy import fft

    size = cam.shape
    amplitude, values = np.abs(fft.rfft2(cam)), np.sort(cam.ravel())
    cams = rng.standard_normal((draws, *size))
    for _ in range(_ROUNDS):
        spectrum = fft.rfft2(cams)
        length = np.abs(spectrum)
        spectrum *= amplitude / np.where(length > 0, length, 1)
        order = np.argsort(fft.irfft2(spectrum, s=size).reshape(draws, -1), axis=1)
        flat = np.empty((draws, cam.size))
        np.put_along_axis(flat, order, np.broadcast_to(values, flat.shape), axis=1)
        cams = flat.reshape(draws, *size)
    return cams
