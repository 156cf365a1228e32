"""Whole slides by OpenSlide, TiffSlide or tifffile, all behind one protocol."""

import importlib
import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.io import _pixel_size
from membrane_xai.io._images import is_tiff
from membrane_xai.io._pixel_size import PixelSize
from membrane_xai.io._tiff import TiffReader, over_white

__all__ = ["SLIDE_SUFFIXES", "SlideReader", "needs_tiles", "open_slide_file"]

SLIDE_SUFFIXES = (
    ".bif", ".czi", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu",
)  # fmt: skip
"""Of scanners' own formats."""

_LIBRARIES = (("openslide", "OpenSlide"), ("tiffslide", "TiffSlide"))


class SlideReader(Protocol):
    """What the library asks of a slide; any object with these members will do.

    Coordinates are (x, y) in pixels of level 0, y down, as in OpenSlide.
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


class _TiffSlideReader(TiffReader):
    """A tiled TIFF by tifffile."""

    def __init__(self, path: Path, mpp: float | None) -> None:
        super().__init__(path, gaps=True)
        try:
            self.mpp = _pixel_size.resolve_mpp(mpp, self.pixel_size, str(path))
        except BaseException:
            self.close()
            raise


class _OpenSlideReader:
    """A slide by OpenSlide, or by TiffSlide, which has the same functions."""

    def __init__(self, slide: Any, mpp: float | None, path: Path) -> None:
        self._slide, self._path = slide, path
        self.mpp = _pixel_size.resolve_mpp(mpp, _size_of(slide.properties), str(path))

    @property
    def dimensions(self) -> tuple[int, int]:
        width, height = self._slide.dimensions
        return int(width), int(height)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        return tuple(float(factor) for factor in self._slide.level_downsamples)

    def read_region(
        self, x: int, y: int, width: int, height: int, level: int = 0
    ) -> NDArray[np.uint8]:
        try:
            image = self._slide.read_region((x, y), level, (width, height))
        except Exception as error:  # of OpenSlide or of a decoder below it
            raise InvalidInputError(
                f"{self._path}: cannot be read at x={x}, y={y}: {error}"
            ) from error
        return over_white(np.asarray(image.convert("RGBA")), premultiplied=False)

    def close(self) -> None:
        self._slide.close()


def open_slide_file(path: Path, mpp: float | None) -> SlideReader:
    """Open a slide by the first library that can.

    tifffile reads OME-TIFF, of which OpenSlide sees neither levels nor pixel size.
    """
    tiff = is_tiff(path)
    if tiff and _is_ome(path):
        return _TiffSlideReader(path, mpp)
    tried = []
    for module_name, class_name in _LIBRARIES:
        try:
            library = importlib.import_module(module_name)
        except (ImportError, OSError):  # OpenSlide's own library may be missing
            continue
        tried.append(class_name)
        if library_opens := getattr(library, class_name).detect_format(str(path)):
            return _by_library(getattr(library, class_name), path, mpp, library_opens)
    if tiff:
        return _TiffSlideReader(path, mpp)
    if tried:
        raise InvalidInputError(f"{path}: is not a slide that {' or '.join(tried)} can read")
    raise missing("openslide", f"{path}: a slide of this kind", extra="slides")


def needs_tiles(path: Path, max_pixels: int) -> bool:
    """Tell whether a file is a slide, or a TIFF too large to be decoded at once."""
    if path.suffix.lower() in SLIDE_SUFFIXES:
        return True
    if not is_tiff(path):
        return False
    reader = TiffReader(path)
    width, height = reader.dimensions
    reader.close()
    return width * height > max_pixels


def _by_library(opener: Any, path: Path, mpp: float | None, kind: str) -> SlideReader:
    try:
        slide = opener(str(path))
    except Exception as error:  # each library and format has errors of its own
        raise InvalidInputError(f"{path}: cannot be read as {kind} slide: {error}") from error
    try:
        return _OpenSlideReader(slide, mpp, path)
    except BaseException:
        slide.close()
        raise


def _is_ome(path: Path) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.is_ome)
    except (tifffile.TiffFileError, ValueError, LookupError, TypeError):
        return False  # whichever reader comes next says what is wrong


def _size_of(properties: Any) -> PixelSize | None:
    for library, _ in _LIBRARIES:
        try:
            x, y = (float(properties[f"{library}.mpp-{axis}"]) for axis in "xy")
        except (KeyError, TypeError, ValueError):
            continue
        if min(x, y) > 0 and math.isfinite(x * y):
            return PixelSize(x, y)
    return None
