"""Whole slides by OpenSlide, TiffSlide or tifffile, all behind one protocol.

The reader of a file is chosen here, once for slides and images.
"""

import importlib
import math
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.contents import HEAD, is_dicom, unlike
from membrane_xai._disk.suffixes import SLIDE_SUFFIXES
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.io import _pixel_size
from membrane_xai.io._orientation import Box
from membrane_xai.io._pixel_size import PixelSize
from membrane_xai.io._tiff import MAX_CHUNK, TiffReader, is_tiff, over_white

__all__ = [
    "FileReader",
    "SlideReader",
    "is_slide",
    "needs_tiles",
    "open_file",
    "open_slide_file",
    "slide_key",
]

_LIBRARIES = (("openslide", "OpenSlide"), ("tiffslide", "TiffSlide"))
# What the libraries call kinds of TIFF that hold one picture in rows of tiles and no more.
# OpenSlide believes any resolution of these and nothing of orientation, and tells no damage.
_PLAIN_TIFF = ("generic-tiff", "aperio")


class SlideReader(Protocol):
    """What the library asks of a slide; any object with these members will do.

    Coordinates are (x, y) in pixels of level 0, y down, as in QuPath: where OpenSlide reports the
    bounds of what was scanned, as for MRXS and SCN, the slide is cropped to them, and (0, 0) is
    their corner.
    """

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of level 0; None if the file does not say."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Pixels of level 0 along the side of one pixel of each level, from 1 up."""

    def read_region(
        self, x: int, y: int, width: int, height: int, level: int = 0
    ) -> NDArray[np.uint8]:
        """Return pixels of a level, white where the slide has none.

        Parameters
        ----------
        x, y : int
            Upper left corner, in pixels of level 0.
        width, height : int
            Size in pixels of `level`.
        level : int
            Index of the level; 0 is full resolution.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8
        """

    def close(self) -> None:
        """Close the file."""


class _TiffSlide(TiffReader):
    """A TIFF by tifffile."""

    mpp: float | None = None


class _LibrarySlide:
    """A slide by OpenSlide, or by TiffSlide, which has the same functions."""

    mpp: float | None = None

    def __init__(self, slide: Any, path: Path) -> None:
        self._slide, self._path = slide, path
        self._bounds = _bounds_of(slide)
        self.pixel_size = _size_of(slide.properties)

    @property
    def dimensions(self) -> tuple[int, int]:
        return self._bounds.width, self._bounds.height

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        return tuple(float(factor) for factor in self._slide.level_downsamples)

    def read_region(
        self, x: int, y: int, width: int, height: int, level: int = 0
    ) -> NDArray[np.uint8]:
        corner = (x + self._bounds.left, y + self._bounds.top)
        try:
            image = self._slide.read_region(corner, level, (width, height))
        except Exception as error:  # of OpenSlide or of a decoder below it
            raise InvalidInputError(
                f"{self._path}: cannot be read at x={x}, y={y}: {error}"
            ) from error
        rgb = over_white(np.asarray(image.convert("RGBA")), premultiplied=False)
        scale = self.level_downsamples[level]
        inside = [
            slice(max(math.floor(-start / scale), 0), max(math.ceil((side - start) / scale), 0))
            for start, side in zip((y, x), reversed(self.dimensions), strict=True)
        ]
        shown = np.full_like(rgb, 255)
        shown[*inside] = rgb[*inside]
        return shown

    def close(self) -> None:
        self._slide.close()


FileReader = _TiffSlide | _LibrarySlide
"""What reads a file; its `mpp` is None, whatever the file says, unless it is opened as a slide."""


def open_slide_file(path: Path, mpp: float | None, bits: int | None = None) -> SlideReader:
    """Open a slide by the reader of its kind, with the pixel size to go by."""
    reader = open_file(path, gaps=True, bits=bits)
    try:
        reader.mpp = _pixel_size.resolve_mpp(mpp, reader.pixel_size, str(path))
    except BaseException:
        reader.close()
        raise
    return reader


def open_file(
    path: Path, *, gaps: bool = False, max_chunk: int = MAX_CHUNK, bits: int | None = None
) -> FileReader:
    """Open a TIFF or a slide by the one reader of its kind.

    Scanners' own formats are read by the first library that knows them, every other TIFF by
    tifffile. `gaps`, `max_chunk` and `bits` are of the latter.
    """
    tiff = is_tiff(path)
    tried: list[str] = []
    found: tuple[Any, str] | None = None
    for library in () if tiff and _is_ome(path) else _libraries():
        tried.append(library.__name__)
        if kind := library.detect_format(str(path)):
            found = library, kind
            break
    if found and not (tiff and found[1] in _PLAIN_TIFF):
        return _by_library(*found, path)
    if not tiff:
        raise _not_read(path, tried)
    reader = _TiffSlide(path, gaps=gaps, max_chunk=max_chunk, bits=bits)
    if found and reader.is_plain and not reader.has_decoder:
        size = reader.pixel_size
        reader.close()
        by_library = _by_library(*found, path)
        by_library.pixel_size = size
        return by_library
    if reader.is_composed and not tried:
        reader.close()
        raise _not_read(path, tried)
    return reader


def is_slide(path: Path) -> bool:
    """Tell a slide by its suffix, and DICOM by how it starts."""
    return path.suffix.lower() in SLIDE_SUFFIXES or _is_dicom(path)


def needs_tiles(path: Path, max_pixels: int) -> bool:
    """Tell whether a file is a slide, or a TIFF too large to be decoded at once."""
    if is_slide(path):
        return True
    if not is_tiff(path):
        return False
    with closing(open_file(path, max_chunk=max(max_pixels, MAX_CHUNK))) as reader:
        width, height = reader.dimensions
    return width * height > max_pixels


def slide_key(path: Path) -> tuple[str, ...]:
    """Return what tells one slide from another: the files of a DICOM series are one slide."""
    with suppress(OSError):  # whoever opens it next says what is wrong
        for library in _libraries() if _is_dicom(path) else ():
            with suppress(Exception), library(str(path)) as slide:
                series = slide.properties["dicom.SeriesInstanceUID"]
                return str(path.resolve().parent), str(series)
    return (str(path.resolve()),)


def _libraries() -> Iterator[Any]:
    """Yield the classes of the libraries that are installed."""
    for module_name, class_name in _LIBRARIES:
        try:
            library = importlib.import_module(module_name)
        except (ImportError, OSError):  # OpenSlide's own library may be missing
            continue
        yield getattr(library, class_name)


def _not_read(path: Path, tried: list[str]) -> Exception:
    if tried:
        kind = unlike(path)
        what = f"is {kind}, and is not" if kind else "is not"
        return InvalidInputError(f"{path}: {what} a slide that {' or '.join(tried)} can read")
    return missing("openslide", f"{path}: a slide of this kind", extra="slides")


def _by_library(opener: Any, kind: str, path: Path) -> _LibrarySlide:
    try:
        slide = opener(str(path))
    except Exception as error:  # each library and format has errors of its own
        raise InvalidInputError(f"{path}: cannot be read as {kind} slide: {error}") from error
    try:
        return _LibrarySlide(slide, path)
    except BaseException:
        slide.close()
        raise


def _is_ome(path: Path) -> bool:
    """Tell OME-TIFF, of which OpenSlide sees neither levels nor pixel size."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.is_ome)
    except (tifffile.TiffFileError, ValueError, LookupError, TypeError):
        return False  # whichever reader comes next says what is wrong


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return is_dicom(file.read(HEAD))


def _bounds_of(slide: Any) -> Box:
    """Return the bounds of what was scanned, as QuPath takes them; all of it without."""
    for library, _ in _LIBRARIES:
        try:
            bounds = Box(
                *(
                    int(slide.properties[f"{library}.bounds-{side}"])
                    for side in ("x", "y", "width", "height")
                )
            )
        except (KeyError, TypeError, ValueError):
            continue
        if min(bounds.width, bounds.height) > 0:
            return bounds
    width, height = slide.dimensions
    return Box(0, 0, int(width), int(height))


def _size_of(properties: Any) -> PixelSize | None:
    for library, _ in _LIBRARIES:
        try:
            x, y = (float(properties[f"{library}.mpp-{axis}"]) for axis in "xy")
        except (KeyError, TypeError, ValueError):
            continue
        if min(x, y) > 0 and math.isfinite(x * y):
            return PixelSize(x, y)
    return None
