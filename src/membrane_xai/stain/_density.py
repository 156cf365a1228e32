"""Optical density and its unmixing: the arithmetic behind the stains, by table for uint8 images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.images import rgb_array
from membrane_xai.errors import InvalidInputError

__all__ = [
    "Floats",
    "as_image",
    "brightness_density",
    "channel_density",
    "unmix",
    "whole_block_means",
    "with_residual",
]

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]

_DARK = 0.02  # of the background: below it a channel tells little more than that it is dark
_BLUE = 2
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def as_image(rgb: Any) -> NDArray[Any]:
    """Return an (H, W, 3) image, uint8 as it is or float32 on the scale of uint8, or raise."""
    image = rgb_array(rgb, "rgb")
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != "f":
        raise InvalidInputError(f"rgb has dtype {image.dtype}; it takes uint8 or floats in [0, 1]")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 1):
        raise InvalidInputError(f"rgb has values from {low:g} to {high:g}; floats lie in [0, 1]")
    return image.astype(np.float32) * np.float32(255)


def whole_block_means(plane: NDArray[Any], side: int) -> Plane:
    """Average an (H, W, ...) array over blocks; what does not fill a block is left out."""
    rows, columns = (length // side for length in plane.shape[:2])
    view = plane[: rows * side, : columns * side]
    blocks = view.reshape(rows, side, columns, side, *plane.shape[2:])
    means: Plane = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def channel_density(channel: NDArray[Any], white: float) -> Plane:
    """Return base-10 optical density, not below 0, of one channel."""
    if channel.dtype == np.uint8:
        return np.take(_density(np.arange(256), white).astype(np.float32), channel)
    return _density(channel, white).astype(np.float32)


def _density(values: NDArray[Any], white: float) -> NDArray[Any]:
    density: NDArray[Any] = np.maximum(np.log10(white) - np.log10(np.maximum(values, 1)), 0)
    return density


def brightness_density(image: NDArray[Any], white: Floats) -> Plane:
    """Return the optical density of the pixels' brightness (ITU-R BT.601, that of JPEG)."""
    luma = image.astype(np.float32) @ _LUMA
    return channel_density(luma, float(white @ _LUMA))


def with_residual(vectors: Floats) -> Floats:
    """Add a third vector of unit length at right angles to two."""
    residual = np.cross(*vectors)
    return np.vstack([vectors, residual / np.linalg.norm(residual)])


def unmix(image: NDArray[Any], white: Floats, vectors: Floats) -> list[Plane]:
    """Solve each pixel's densities for hematoxylin, DAB and residual, shape (H, W) each.

    Where blue is dark its density is a lower bound only. Red and green alone then give the two
    stains, and DAB is the larger of the two solutions.
    """
    inverse = np.linalg.inv(with_residual(vectors))
    planes = [_mixture(image, white, inverse[:, stain]) for stain in range(3)]
    dark = image[..., _BLUE] <= _DARK * white[_BLUE]
    if dark.any():
        pixels = image[dark][:, None, :]
        two = np.linalg.inv(vectors[:, :_BLUE])
        dab = np.maximum(planes[1][dark], _mixture(pixels, white, two[:, 1])[:, 0])
        changed = dab > planes[1][dark]
        hematoxylin = _mixture(pixels, white, two[:, 0])[:, 0]
        planes[0][dark] = np.where(changed, hematoxylin, planes[0][dark])
        planes[1][dark] = dab
    return planes


def _mixture(image: NDArray[Any], white: Floats, weights: NDArray[Any]) -> Plane:
    """Sum the channels' densities times their weights; one table a channel for uint8."""
    total: Plane | None = None
    for channel, weight in enumerate(weights):
        values = image[..., channel]
        if image.dtype == np.uint8:
            table = (_density(np.arange(256), white[channel]) * weight).astype(np.float32)
            term = np.take(table, values)
        else:
            term = channel_density(values, white[channel]) * np.float32(weight)
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None  # noqa: S101  # the weights are never empty
    return total
