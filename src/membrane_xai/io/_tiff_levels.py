"""Which pages of a TIFF are its picture, its levels and its colours."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from membrane_xai.errors import InvalidInputError
from membrane_xai.io._orientation import UPRIGHT, Orientation, orientation_of
from membrane_xai.io._tiff_numbers import (
    APERIO,
    BLACK_IS_0,
    JPEG,
    PALETTE,
    RGB,
    WHITE_IS_0,
    YCBCR,
)

__all__ = [
    "check_largest",
    "color_of",
    "levels_of",
    "no_rgb",
    "opened",
    "orientation_of_planes",
    "size_of",
]

_OPEN_ORDER = ("ome", "generic", "uniform", "shaped", "imagej")  # kinds of series of tifffile


def opened(path: Path) -> Any:
    """Open a TIFF by tifffile, which the caller closes."""
    import tifffile

    file = tifffile.TiffFile(path)
    try:
        file.series  # noqa: B018
    except RuntimeError:  # a pyramid with the description of the stack of ImageJ it was made from
        file.close()
        return tifffile.TiffFile(path, is_imagej=False)
    except BaseException:
        file.close()
        raise
    return file


def levels_of(file: Any, path: Path, max_chunk: int) -> list[list[Any]]:
    """Return the pages of each level, the largest first.

    tifffile leaves out levels that follow in another order, or behind other pages.
    """
    found = file.series[0].levels
    if file.is_svs:  # of several focal planes OpenSlide, and QuPath by it, show the first
        found = [SimpleNamespace(pages=one.pages[:1], axes=one.axes) for one in found]
    levels = [_planes(level, path, max_chunk) for level in found]
    base = levels[0]
    if len(base) == 1 and base[0].is_tiled:
        sizes = {size_of(level) for level in levels}
        for page in (page.aspage() for page in file.pages):
            if page.is_tiled and page.is_reduced and _shows_the_same(page, base[0]):
                levels += [[page]] if size_of([page]) not in sizes else []
                sizes.add(size_of([page]))
    for page in itertools.chain.from_iterable(levels):
        if page.compression in APERIO:  # which is decoded to full colour, whatever tags say
            page.photometric, page.subsampling = type(page.photometric)(RGB), (1, 1)
    orientation = orientation_of_planes(base, path) or UPRIGHT
    alike = [one for one in levels if orientation_of_planes(one, path) in (None, orientation)]
    return sorted(alike, key=lambda level: -size_of(level)[0])


def check_largest(file: Any, base: list[Any], path: Path) -> None:
    """Raise if a picture in colour behind the first is as large: then the first is not the one.

    Labels and overviews come first in some conversions of slides. Scanners' own formats say which
    picture is the slide, and are left to tifffile.
    """
    if file.series[0].kind not in _OPEN_ORDER:
        return
    width, height = size_of(base)
    for one in file.series[1:]:
        page = one.keyframe
        colored = page.samplesperpixel >= 3 and not page.is_reduced
        if colored and page.imagewidth * page.imagelength >= width * height:
            raise InvalidInputError(
                f"{path}: holds {len(file.series)} pictures, of which the first has {width} x "
                f"{height} pixels and another {page.imagewidth} x {page.imagelength}; it takes "
                f"one: export it to a file of its own"
            )


def _shows_the_same(page: Any, base: Any) -> bool:
    """Tell whether a page is level 0 in fewer pixels."""
    (width, height), (wide, tall) = size_of([page]), size_of([base])
    alike = (page.dtype, page.samplesperpixel) == (base.dtype, base.samplesperpixel)
    # The height that belongs to the width, give or take how both were rounded.
    return alike and width < wide and abs(height - tall * width / wide) <= 1 + tall / wide


def orientation_of_planes(planes: list[Any], path: Path) -> Orientation | None:
    """Return the orientation that planes state, which some writers do in the first one alone."""
    found = {orientation_of(page) for page in planes} - {None}
    if len(found) > 1:
        raise InvalidInputError(f"{path}: has planes of several orientations; it takes one")
    return found.pop() if found else None


def _planes(level: Any, path: Path, max_chunk: int) -> list[Any]:
    """Return the pages of a level: one, or three with a colour each."""
    pages = [page.aspage() for page in level.pages if page is not None]
    if len(level.pages) > 1 and pages and pages[0].samplesperpixel >= 3:
        raise InvalidInputError(
            f"{path}: holds {len(level.pages)} pictures (axes {level.axes}); it takes one"
        )
    if len(pages) != len(level.pages) or len(pages) not in (1, 3):
        raise InvalidInputError(
            f"{path}: holds {len(level.pages)} planes (axes {level.axes}); it takes one RGB picture"
        )
    for page in pages:
        if page.imagedepth > 1:
            raise InvalidInputError(f"{path}: is a volume; it takes one RGB picture")
        if math.prod(page.chunks[:2]) > max_chunk:
            raise InvalidInputError(
                f"{path}: is stored in pieces of {page.chunks[:2]} pixels; it takes up to "
                f"{max_chunk} pixels a piece: save it as tiled TIFF, or read it at once, with "
                f"max_pixels={page.imagewidth * page.imagelength} or more"
            )
    return pages


def color_of(planes: list[Any], path: Path) -> str:
    """Return how pages give colour: rgb, palette or ycbcr; others raise."""
    page = planes[0]
    if page.dtype not in (np.uint8, np.uint16):
        raise InvalidInputError(f"{path}: has samples of {page.dtype}; it takes 8 or 16 bits")
    kind, samples = int(page.photometric), page.samplesperpixel
    if len(planes) == 3 and samples == 1 and kind in (WHITE_IS_0, BLACK_IS_0):
        return "rgb"
    if len(planes) == 1 and kind == PALETTE and page.colormap is not None:
        return "palette"
    decoded = kind == RGB or (kind == YCBCR and page.compression in JPEG)
    if len(planes) == 1 and samples >= 3 and decoded:
        return "rgb"
    if len(planes) == 1 and samples == 3 and kind == YCBCR:
        return "ycbcr"  # which libtiff converts, and OpenSlide by it
    raise no_rgb(page, path)


def no_rgb(page: Any, path: Path) -> InvalidInputError:
    """Return the error for a page without colours."""
    samples = page.samplesperpixel
    return InvalidInputError(
        f"{path}: is {page.photometric.name} with {samples} samples a pixel; stains are told apart "
        f"by colour: it takes RGB"
    )


def size_of(planes: list[Any]) -> tuple[int, int]:
    """Return width and height as stored."""
    return int(planes[0].imagewidth), int(planes[0].imagelength)
