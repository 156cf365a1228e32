"""The masks of an audit: found in the stain, or drawn from an expert's outlines."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from membrane_xai._commands.audit.matching import Matched
from membrane_xai._disk.hashes import content_hash
from membrane_xai.annotations import Annotation, rasterize, read_annotations
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image
from membrane_xai.masks import extract_membrane_mask
from membrane_xai.perturb._perturbation import Rgb
from membrane_xai.study._subjects import DeferredMask

__all__ = ["Outlines", "check_pixel_size", "masks_of"]


@dataclass(frozen=True)
class Outlines:
    """How outlines become masks."""

    classes: tuple[str, ...] = ()
    """Those to take; all if there are none."""
    line_width: float | None = None
    """Micrometres, of lines."""
    tissue: bool = False
    """Whether the stain has to tell where tissue is."""


def masks_of(images: Sequence[Matched], outlines: Outlines | None) -> str | Iterator[DeferredMask]:
    """Return "extract", or a mask for each image, drawn when the image is read."""
    if outlines is None:
        return "extract"
    if outlines.classes:
        _check_classes([one.outlines for one in images if one.outlines], outlines.classes)
    return (_deferred(one.outlines, outlines) for one in images if one.outlines)


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


def _deferred(path: Path, outlines: Outlines) -> DeferredMask:
    return DeferredMask(f"{content_hash(path)} {outlines}", partial(_draw, path, outlines))


def _draw(path: Path, outlines: Outlines, rgb: Rgb, mpp: float | None) -> Any:
    height, width = rgb.shape[:2]
    found = _chosen(_read(path, height), outlines.classes)
    mask = np.zeros((height, width), bool)
    if found:
        mask = rasterize(found, (height, width), mpp=mpp, line_width=outlines.line_width)
    if not outlines.tissue:
        return mask
    if mpp is None:
        raise InvalidInputError("mpp is None; where tissue is, the stain tells at a known mpp")
    return replace(extract_membrane_mask(rgb, mpp=mpp), mask=mask)


def _read(path: Path, height: float) -> list[Annotation]:
    try:
        return read_annotations(path, height=height)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def _chosen(found: Sequence[Annotation], classes: Sequence[str]) -> list[Annotation]:
    """Return the annotations of some classes; an image may well have none."""
    return [one for one in found if not classes or one.classification in classes]


def _check_classes(paths: Sequence[Path], classes: Sequence[str]) -> None:
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
