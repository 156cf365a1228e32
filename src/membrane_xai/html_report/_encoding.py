"""CAMs, masks and JPEGs as base64 for the page."""

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import as_array
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.resample import upsample
from membrane_xai.metrics._mass import activation

__all__ = ["LEVELS", "encoded_cam", "encoded_weights", "jpeg"]

LEVELS = 100
"""Steps of the threshold between 0 and 1."""


def encoded_cam(
    cam: Any, mask: NDArray[Any], region: Any, negative: str, grid: CamGrid | None = None
) -> str | None:
    """Return the activation A+ of a map as levels, or None for a map of invalid values.

    Each pixel of the mask's grid gets the last threshold k / 100 that it reaches, found by the very
    comparison that MAP makes: the sets, and so MAP, are exact at those thresholds. Cells lie where
    `grid` says, and the outer ones go on to the border.
    """
    others = (as_array(x)[None] for x in (mask, region) if x is not None)
    found = activation(as_array(cam)[None], negative, *others)
    if not found.finite[0]:
        return None
    placed = None if grid is None else grid.for_cells(found.values[0].shape)
    levels = _levels(np.asarray(upsample(found.values[0], mask.shape, placed)))
    # Neighbours are alike, so their differences (modulo 256) compress better than themselves.
    return _packed(np.diff(levels.ravel(), prepend=np.uint8(0)).tobytes())


def encoded_weights(weights: NDArray[Any]) -> dict[str, Any]:
    """Return a mask or region: a bit per pixel, or numbers where there are fractions."""
    ones = weights == 1
    if bool(np.all(ones | (weights == 0))):
        return {"kind": "bits", "data": _packed(np.packbits(ones, axis=None).tobytes())}
    return {"kind": "float64", "data": _packed(weights.astype("<f8").tobytes())}


def jpeg(image: NDArray[np.uint8], longest: int, quality: int) -> str:
    """Return an image as the address of a JPEG, scaled down to at most `longest` pixels a side."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _levels(up: NDArray[Any]) -> NDArray[np.uint8]:
    top = up.max()
    if not top > 0:
        return np.zeros(up.shape, np.uint8)
    steps = np.array([k / LEVELS * top for k in range(LEVELS + 1)], up.dtype)
    return (np.searchsorted(steps, up, side="right") - 1).astype(np.uint8)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()
