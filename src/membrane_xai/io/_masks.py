"""Masks from picture and array files: which values are membrane is known, or the file is refused.

A mask has two values, of which 0, or black, is not membrane. Shades and labels are no mask: nobody
says from which shade on, or which label, is membrane, unless the caller does. The classes that
``membrane-xai mask`` writes, 0 to 3, are told by the name of their channel.
"""

import math
import re
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.contents import (
    JPEG_START,
    NUMPY_START,
    PNG_START,
    TIFF_STARTS,
    check_no_folder,
)
from membrane_xai._disk.naming import naming
from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.io import _png
from membrane_xai.io._broken import as_image_errors, as_input_errors
from membrane_xai.io._orientation import UPRIGHT, orientation_of
from membrane_xai.io._tiff import is_tiff
from membrane_xai.io._tiff_numbers import BLACK_IS_0, PALETTE, RGB, WHITE_IS_0
from membrane_xai.io._unlimited import open_unlimited

__all__ = ["MASK_SUFFIXES", "is_mask_file", "read_mask_file"]

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".npy")
"""Suffixes of files of masks, in lower case."""

Values = NDArray[Any]
Shape = tuple[int, int] | None

_STARTS = (JPEG_START, PNG_START, *TIFF_STARTS, NUMPY_START)  # of JPEG to refuse it
_CLASSES = 3  # that `membrane-xai mask` tells apart: weak, moderate, strong
_CHANNEL = re.compile(r'<(?:\w+:)?Channel\b[^>]*\bName="Membrane"')
_MODES = ("1", "L", "I;16", "I;16L", "I;16B", "I;16N", "I", "RGB", "RGBA")
_LARGEST = 2**30  # pixels of a mask whose size nobody says
_LARGEST_PIECE = 2**26  # pixels of a tile or strip, which is decoded whole
_SHOWN = 6


class _Picture(NamedTuple):
    """What a file holds: (H, W), or (H, W, 3 or 4) colours of 8 bits."""

    values: Values
    indices: Values | None = None
    """Of a palette, whose colours are the values."""
    classes: bool = False
    """Whether they are the classes that ``membrane-xai mask`` writes."""


def is_mask_file(path: Path) -> bool:
    """Tell pictures and arrays from outlines by their names, or by how they start."""
    check_no_folder(path, "a file of outlines or of a mask")
    with path.open("rb") as file:
        start = file.read(8)
    return path.suffix.lower() in MASK_SUFFIXES or start.startswith(_STARTS)


def read_mask_file(path: Path, shape: Shape, labels: Collection[int]) -> Values:
    """Return (H, W): bool, or float64 shares where the file holds fractions."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(JPEG_START):
        raise InvalidInputError(
            f"{path}: is JPEG, which alters the values of a mask; save it as PNG or TIFF"
        )
    if start.startswith(NUMPY_START):
        found = _from_npy(path, shape)
    elif is_tiff(path):
        found = _from_tiff(path, shape)
    else:
        found = _from_pillow(path, shape, ("PNG", "BMP"))
    with naming(path):
        return _mask_of(found, frozenset(labels))


def _from_npy(path: Path, shape: Shape) -> _Picture:
    with as_input_errors(path, ("a NumPy array",)):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype.kind not in "biuf":
            raise InvalidInputError(f"{path}: has values of {array.dtype}; a mask takes numbers")
        sides = array.shape
        if array.ndim == 3 and 1 in (sides[0], sides[-1]):
            array = array.reshape(sides[1:] if sides[0] == 1 else sides[:-1])
        if array.ndim != 2 or 0 in array.shape:
            raise InvalidInputError(f"{path}: has shape {sides}; a mask takes (H, W)")
        _check_size(path, array.shape, shape)
        return _Picture(np.array(array))


def _from_tiff(path: Path, shape: Shape) -> _Picture:
    import tifffile

    try:
        with as_input_errors(path), closing(tifffile.TiffFile(path)) as file:
            page = _only_page(path, file)
            orientation = orientation_of(page) or UPRIGHT
            _check_size(path, orientation.size(*page.shape[:2]), shape)
            _check_whole(path, page, file.filehandle.size)
            values = orientation.upright(np.asarray(page.asarray()))
            classes = _CHANNEL.search(file.ome_metadata or "") is not None
            as_stored = bool(file.is_imagej) or _is_array_of_bool(page)
            colors = _colors(path, page, values, as_stored=as_stored)
            return _Picture(colors, values if colors.ndim > values.ndim else None, classes)
    except MissingDependencyError as missing:
        try:
            return _from_pillow(path, shape, ("TIFF",))
        except InvalidInputError:
            raise missing from None


def _is_array_of_bool(page: Any) -> bool:
    """Tell arrays of bool by tifffile, and scikit-image by it: true is 1, said to be black."""
    return page.dtype.kind == "b" and str(page.software).startswith("tifffile")


def _only_page(path: Path, file: Any) -> Any:
    pages = file.series[0].levels[0].pages if len(file.series) == 1 else file.pages
    if len(pages) != 1 or pages[0] is None:
        raise InvalidInputError(f"{path}: holds {len(pages)} planes; a mask takes one")
    page = pages[0].aspage()
    if page.imagedepth > 1:
        raise InvalidInputError(f"{path}: is a volume; a mask takes one plane")
    if math.prod(page.chunks[:2]) > _LARGEST_PIECE:
        raise InvalidInputError(f"{path}: is stored in pieces of {page.chunks[:2]} pixels")
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        raise InvalidInputError(f"{path}: has its colours one after another; save it as grey")
    return page


def _check_whole(path: Path, page: Any, end: int) -> None:
    """Raise for parts that a file lacks: tifffile would give zeros for them."""
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not size or offset + size > end:
            raise InvalidInputError(f"{path}: is truncated or damaged: a part of it is missing")


def _colors(path: Path, page: Any, values: Values, *, as_stored: bool) -> Values:
    """Return values as they are seen: white high, and colours for those of a palette."""
    kind, samples = int(page.photometric), page.samplesperpixel
    if kind == RGB and samples in (3, 4) and values.dtype == np.uint8:
        return values
    if kind == PALETTE and page.colormap is not None and samples == 1:
        return np.asarray((page.colormap.T >> 8).astype(np.uint8)[values])
    if samples == 1 and kind in (WHITE_IS_0, BLACK_IS_0):
        # in ImageJ's masks objects are 255, whatever the table says that shows them black
        if kind == BLACK_IS_0 or as_stored:
            return values
        return ~values if values.dtype.kind == "b" else np.iinfo(values.dtype).max - values
    raise InvalidInputError(
        f"{path}: is {page.photometric.name} with {samples} samples of {values.dtype}; a mask "
        f"takes grey, a palette, or black and white of 8 bits"
    )


def _from_pillow(path: Path, shape: Shape, formats: tuple[str, ...]) -> _Picture:
    with as_image_errors(path), open_unlimited(path, formats) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise InvalidInputError(f"{path}: has several pictures; a mask takes one")
        _check_size(path, (image.height, image.width), shape)
        if image.format == "PNG":
            _png.checked_depth(path)  # of damage as of depth
        if image.mode == "P":
            clear = "transparency" in image.info
            colors = np.asarray(image.convert("RGBA" if clear else "RGB"))
            return _Picture(colors, np.asarray(image))
        if image.mode in ("LA", "PA"):
            return _Picture(np.asarray(image.convert("RGBA")))
        if image.mode not in _MODES:
            raise InvalidInputError(
                f"{path}: has colour mode {image.mode!r}; a mask takes grey, a palette or RGB"
            )
        return _Picture(np.asarray(image))


def _check_size(path: Path, found: Collection[int], shape: Shape) -> None:
    rows, columns = found
    if shape is None:
        if rows * columns > _LARGEST:
            raise InvalidInputError(f"{path}: has {columns} x {rows} pixels, more than {_LARGEST}")
    elif (rows, columns) != tuple(shape):
        raise InvalidInputError(
            f"{path}: is {columns} x {rows} pixels, and its image {shape[1]} x {shape[0]}; a mask "
            f"has the size of its image, and is not resized here"
        )


def _mask_of(picture: _Picture, labels: frozenset[int]) -> Values:
    if labels and picture.indices is not None:
        return _of_labels(picture.indices, labels)
    values = picture.values if picture.values.ndim == 2 else _grey(picture.values)
    if labels:
        return _of_labels(values, labels)
    if values.dtype.kind == "b":
        return values
    if values.dtype.kind == "f":
        return _of_floats(values)
    present = np.unique(values)
    most = np.iinfo(values.dtype).max
    alone = len(present) == 1 and int(present[0]) in (0, 1, 255, most)
    if alone or (len(present) == 2 and present[0] == 0):
        return np.asarray(values > 0)
    if picture.classes and present[0] >= 0 and present[-1] <= _CLASSES:
        return np.asarray(values > 0)
    raise InvalidInputError(
        f"has the values {_listed(present)}: shades or labels; a mask has two, 0 and another. Save "
        f"what is membrane as one, or name the labels that are"
    )


def _of_labels(values: Values, labels: frozenset[int]) -> Values:
    if values.dtype.kind not in "biu":
        raise InvalidInputError(f"has values of {values.dtype}, which are no labels")
    return np.isin(values, sorted(labels))


def _of_floats(values: Values) -> Values:
    if not np.isfinite(values).all():
        raise InvalidInputError("has NaN or infinity; a mask takes 0 and 1, or shares between them")
    present = np.unique(values)[: _SHOWN + 1]
    if set(present.tolist()) <= {0.0, 1.0} or set(present.tolist()) <= {0.0, 255.0}:
        return np.asarray(values > 0)
    if values.min() < 0 or values.max() > 1:
        raise InvalidInputError(
            f"has the values {_listed(present)}; a mask takes 0 and 1, or shares between them"
        )
    return values.astype(np.float64)


def _grey(colors: Values) -> Values:
    """Return (H, W) of colours: grey as it is, else where a colour other than black is."""
    color, opaque = colors[..., :3], np.ones(colors.shape[:2], bool)
    if colors.shape[-1] == 4:
        alpha = np.unique(colors[..., 3])
        if not {*alpha.tolist()} <= {0, 255}:
            raise InvalidInputError("is partly transparent; a mask has two values")
        opaque = colors[..., 3] == 255
    if (color == color[..., :1]).all() and opaque.all():
        return np.asarray(color[..., 0])
    present = np.unique(color[opaque].reshape(-1, 3), axis=0)
    shown = [tuple(one) for one in present.tolist() if any(one)]
    if len(shown) == 1 and (len(present) == 2 or not opaque.all()):
        return np.asarray(color.any(axis=-1) & opaque)
    raise InvalidInputError(
        f"has the colours {_listed([tuple(one) for one in present.tolist()])}; a mask has two "
        f"values, black and another"
    )


def _listed(values: Any) -> str:
    found = list(values)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(str(one) for one in found[:_SHOWN]) + more
