"""Checks at the start of an audit of what would be wrong with every image."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from membrane_xai.annotations import read_annotations
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image

__all__ = ["check_classes", "check_pixel_size"]


def check_pixel_size(image: Path, mpp: float | None) -> None:
    """Raise at the start what would else be wrong with every image: nobody says its pixel size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scoring the image will warn
            known = read_image(image, mpp=mpp).mpp
    except (OSError, ValueError, ImportError):
        return  # the row of the image will tell
    if known is None:
        raise InvalidInputError(f"{image}: the file does not say its pixel size; give --mpp")


def check_classes(paths: Sequence[Path], classes: Sequence[str]) -> None:
    """Raise if no file has a class: a slip, and not images without membrane."""
    wanted, seen = set(classes), set()
    for path in paths:
        try:
            seen |= {one.classification for one in read_annotations(path, height=1)}
        except (OSError, ValueError):
            continue  # the row of its image will tell
        if wanted <= seen:
            return
    known = ", ".join(sorted(repr(one) for one in seen if one is not None)) or "none"
    raise InvalidInputError(
        f"--annotation-class is {', '.join(map(repr, sorted(wanted - seen)))}, which no annotation "
        f"has; there are {known}"
    )
