"""Checks at the start of an audit of what would be wrong with every image."""

import warnings
from pathlib import Path

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image

__all__ = ["check_pixel_size"]


def check_pixel_size(image: Path, mpp: float | None, bits: int | None) -> None:
    """Raise at the start what would else be wrong with every image: nobody says its pixel size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scoring the image will warn
            known = read_image(image, mpp=mpp, bits=bits).mpp
    except (OSError, ValueError, ImportError):
        return  # the row of the image will tell
    if known is None:
        raise InvalidInputError(f"{image}: the file does not say its pixel size; give --mpp")
