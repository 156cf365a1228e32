"""Micrometres per pixel at a network's input, and what is to be said of them at an objective."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from membrane_xai.io import MPP_AT_1X, magnification_of, scale_text

__all__ = ["input_mpp", "scale_notes"]

_SAME = 0.02  # relative difference up to which two inputs have one scale; windows are whole pixels
_OFF = 0.1  # as far as scanners' objectives are from 10 / magnification


def input_mpp(shape: tuple[int, ...], *, mpp: float | None, size: int) -> float:
    """Return the micrometres per pixel that a network takes in.

    Parameters
    ----------
    shape : tuple of int
        (H, W) of the image, or of the window of it, that is resized to the input.
    mpp : float or None
        Micrometres per pixel of the image.
    size : int
        Side of the input in pixels.

    Returns
    -------
    float
        The geometric mean of both sides, which differ unless the image is square; NaN without
        `mpp`.

    Examples
    --------
    A patch of 1024 pixels at 40x is not seen at 40x:

    >>> from her2_models.models import input_mpp
    >>> from membrane_xai.io import scale_text
    >>> scale_text(input_mpp((1024, 1024), mpp=0.25, size=224))
    '1.14 um/px (8.75x)'
    """
    return math.nan if mpp is None else mpp * math.sqrt(shape[0] * shape[1]) / size


def scale_notes(inputs: Mapping[float, NDArray[np.float64]], mpp: float) -> dict[float, str]:
    """Say where inputs do not show what their objective does; empty where they do.

    Parameters
    ----------
    inputs : mapping of float to ndarray
        By magnification, the micrometres per pixel at the input of each image.
    mpp : float
        Micrometres per pixel of the images.

    Returns
    -------
    dict
        By magnification.
    """
    middle = {one: float(np.median(sizes)) for one, sizes in inputs.items()}
    return {one: "; ".join(_notes(one, middle, mpp)) for one in middle}


def _notes(magnification: float, middle: Mapping[float, float], mpp: float) -> list[str]:
    found = []
    mine = middle[magnification]
    if mine < MPP_AT_1X / magnification * (1 - _OFF):
        found.append(f"fields are smaller than the input shows at {magnification:g}x")
    if magnification > magnification_of(mpp) * (1 + _OFF):
        found.append(f"finer than the images, which have {scale_text(mpp)}")
    found += [
        f"same scale at the input as {other:g}x"
        for other, size in middle.items()
        if other != magnification and abs(size / mine - 1) <= _SAME
    ]
    return found
