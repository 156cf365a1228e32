"""The one check of RGB images that are given as arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.conversion import to_numpy
from membrane_xai.errors import InvalidInputError

__all__ = ["check_rgb", "rgb_array"]


def check_rgb(image: Any, name: str = "rgb") -> NDArray[np.uint8]:
    """Return an RGB image as an array of uint8, or raise saying what to do.

    Parameters
    ----------
    image : array of shape (H, W, 3), uint8
        Of any library; read-only and flipped arrays are as good.
    name : str
        What it is called in errors.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Without a copy where that is possible.

    Raises
    ------
    InvalidInputError
        Grey, with an alpha channel, with its channels first, empty, of another dtype, or with
        masked values.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.io import check_rgb
    >>> check_rgb(np.zeros((4, 5, 3), np.uint8)[::-1]).shape
    (4, 5, 3)
    >>> check_rgb(np.zeros((3, 4, 5), np.uint8))
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: rgb has shape (3, 4, 5); it takes (H, W, 3), not empty;
    its channels come first: np.moveaxis(image, 0, -1)
    """
    rgb = rgb_array(image, name)
    if rgb.dtype != np.uint8:
        raise InvalidInputError(f"{name} has dtype {rgb.dtype}; it takes uint8{_to_uint8(rgb)}")
    return rgb


def rgb_array(image: Any, name: str) -> NDArray[Any]:
    """Return an (H, W, 3) image of whatever dtype as a NumPy array, or raise."""
    if isinstance(image, np.ma.MaskedArray) and np.ma.is_masked(image):
        hidden = int(np.ma.getmaskarray(image).sum())
        raise InvalidInputError(
            f"{name} has {hidden} masked values; it takes pixels that are all known: fill them, "
            f"such as by image.filled(255), and say by a region where pixels count"
        )
    rgb = to_numpy(image)
    if rgb.ndim != 3 or rgb.shape[-1] != 3 or 0 in rgb.shape:
        raise InvalidInputError(
            f"{name} has shape {rgb.shape}; it takes (H, W, 3), not empty{_to_rgb(rgb)}"
        )
    return rgb


def _to_rgb(rgb: NDArray[Any]) -> str:
    """Return how the array becomes an RGB image."""
    if 0 in rgb.shape:
        return ""
    if rgb.ndim == 3 and rgb.shape[0] == 3:
        return "; its channels come first: np.moveaxis(image, 0, -1)"
    if rgb.ndim == 2 or (rgb.ndim == 3 and 1 in (rgb.shape[0], rgb.shape[-1])):
        return "; a grey image has no stain to see"
    if rgb.ndim == 3 and rgb.shape[-1] == 4:
        return "; lay its alpha channel over white first"
    if rgb.ndim == 4:
        return "; pass the images of a batch one by one"
    return ""


def _to_uint8(rgb: NDArray[Any]) -> str:
    """Return how values of another dtype become uint8."""
    if rgb.dtype.kind == "f":
        return "; multiply values in [0, 1] by 255 and round"
    if rgb.dtype == np.uint16:
        return "; scale it by the true depth of its values, such as 12 bits"
    return ""
