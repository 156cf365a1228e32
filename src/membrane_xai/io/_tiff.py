"""TIFF files as RGB pixels: any region of any level, decoding only the tiles it needs.

Nothing is filled in silently: tifffile returns zeros for what a file lacks; here it is an error, or
white where the caller says that gaps are expected (scanners leave out tiles without tissue).
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MembraneXAIError, missing
from membrane_xai.io import _pixel_size
from membrane_xai.io._orientation import UPRIGHT, Box, Orientation, orientation_of
from membrane_xai.io._pixel_size import MICROMETERS, PixelSize
from membrane_xai.io._ycbcr import from_ycbcr, has_coarse_colour

__all__ = ["MAX_CHUNK", "TiffReader", "as_input_errors", "is_tiff", "over_white"]

MAX_CHUNK = 2**26
"""Pixels of one tile or strip, which has to be decoded whole."""

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the classic one and BigTIFF
# Numbers that TIFF gives compressions, colour models and kinds of alpha.
_JPEG = (6, 7, 33007, 34892)
_APERIO = (33003, 33005)  # JPEG 2000 of YCbCr and of RGB; the photometric tag may say either
_APERIO_YCBCR = _APERIO[0]
_RGB, _PALETTE, _YCBCR, _GRAY = 2, 3, 6, (0, 1)
_ASSOCIATED, _UNASSOCIATED = 1, 2
_UNITS = {2: MICROMETERS["in"], 3: MICROMETERS["cm"]}  # of resolution, as TIFF numbers them


class TiffReader:
    """The first picture of a TIFF or OME-TIFF file and its levels.

    Parameters
    ----------
    path : Path
        The file.
    gaps : bool
        Show tiles that the file leaves out as white, instead of raising.
    max_chunk : int
        Largest number of pixels of a tile or strip.
    """

    def __init__(self, path: Path, *, gaps: bool = False, max_chunk: int = MAX_CHUNK) -> None:
        self._path, self._gaps = path, gaps
        with as_input_errors(path):
            self._file = _opened(path)
        try:
            with as_input_errors(path):
                self._levels = _levels_of(self._file, path, max_chunk)
                self._orientation = _orientation_of(self._levels[0], path) or UPRIGHT
                self._color = _color_of(self._levels[0], path)
                if not all(min(_size(level)) for level in self._levels):
                    raise InvalidInputError(f"{path}: has a picture without pixels")
        except BaseException:
            self._file.close()
            raise

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        return self._orientation.size(*_size(self._levels[0]))

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Pixels of level 0 along the side of one of each level."""
        width = self.dimensions[0]
        return tuple(width / self._orientation.size(*_size(level))[0] for level in self._levels)

    @property
    def is_ome(self) -> bool:
        """Whether the file describes itself in OME-XML."""
        return bool(self._file.is_ome)

    @property
    def is_composed(self) -> bool:
        """Whether the first picture of tifffile is one of several, or of tiles that overlap."""
        file = self._file
        overlapping = file.is_bif and self._levels[0][0].is_tiled
        return bool(overlapping or (file.is_scn and len(file.series) > 1))

    @property
    def has_decoder(self) -> bool:
        """Whether what its compression takes is installed."""
        import tifffile

        page = self._levels[0][0]
        if self._color == "ycbcr":
            return False
        tables = tifffile.TIFF.DECOMPRESSORS, tifffile.TIFF.UNPREDICTORS
        with suppress(KeyError):
            return all(map(callable, (tables[0][page.compression], tables[1][page.predictor])))
        return False

    @property
    def is_plain(self) -> bool:
        """Whether any reader shows it alike: RGB of 8 bits in one plane, stored upright."""
        (page, *others), color = self._levels[0], self._color
        plain = page.dtype == np.uint8 and page.samplesperpixel == 3 and color != "palette"
        return plain and not others and self._orientation == UPRIGHT

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0; None if the file does not say."""
        page = self._levels[0][0]
        with as_input_errors(self._path):
            found = _pixel_size.from_ome(self._file.ome_metadata or "") if self.is_ome else None
            found = found or _pixel_size.from_text(page.description) or self._from_tags(page)
        return PixelSize(*self._orientation.size(*found)) if found else None

    def read_region(
        self, x: int, y: int, width: int, height: int, level: int = 0
    ) -> NDArray[np.uint8]:
        """Return (height, width, 3); x, y at level 0. White beyond the edges."""
        if self._color == "ycbcr":
            raise _no_rgb(self._levels[0][0], self._path)
        scale = self.level_downsamples[level]
        planes = self._levels[level]
        columns, rows = _size(planes)
        upright = Box(round(x / scale), round(y / scale), width, height)
        stored = self._orientation.stored(upright, self._orientation.size(columns, rows))
        column, row, width, height = stored
        with as_input_errors(self._path):
            parts = [self._read(page, row, column, height, width) for page in planes]
            rgb = self._to_rgb(np.concatenate(parts, axis=-1), planes[0])
        rgb[:, max(columns - column, 0) :] = 255
        rgb[max(rows - row, 0) :] = 255
        rgb[: max(-row, 0)] = 255
        rgb[:, : max(-column, 0)] = 255
        return np.ascontiguousarray(self._orientation.upright(rgb))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _from_tags(self, page: Any) -> PixelSize | None:
        if not {"XResolution", "YResolution"} <= {tag.name for tag in page.tags}:
            return None
        x, y = (_ratio(page.tags[f"{axis}Resolution"].value) for axis in "XY")
        imagej = self._file.imagej_metadata or {}
        if imagej.get("unit") in ("micron", "um", "\\u00B5m", "\N{MICRO SIGN}m"):
            return _pixel_size.from_density(x, y, 1)
        unit = page.tags.get("ResolutionUnit")
        return _pixel_size.from_density(x, y, _UNITS.get(int(unit.value) if unit else 2, 0))

    def _read(self, page: Any, row: int, column: int, height: int, width: int) -> NDArray[Any]:
        """Return samples (height, width, n) of one page; zeros beyond the edges."""
        apart = page.samplesperpixel if page.planarconfig == 2 else 1
        out = np.zeros((height, width, page.samplesperpixel), page.dtype)
        for index, top, left in _chunks(page, row, column, height, width):
            for sample in range(apart):
                tile = self._decode(page, index + sample * math.prod(page.chunked[-2:]))
                tile = tile[: page.imagelength - top, : page.imagewidth - left]
                channels = slice(sample, sample + 1) if apart > 1 else slice(None)
                _paste(out[..., channels], tile, top - row, left - column)
        return out

    def _decode(self, page: Any, index: int) -> NDArray[Any]:
        """Return one tile or strip (rows, columns, samples), or raise if it is not whole."""
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if not size:
            if not self._gaps:
                raise InvalidInputError(f"{self._path}: tile {index} is missing")
            shape = page.chunks if len(page.chunks) == 3 else (*page.chunks, 1)
            return np.full(shape, np.iinfo(page.dtype).max, page.dtype)
        handle = self._file.filehandle
        handle.seek(offset)
        data = handle.read(size)
        if len(data) < size:
            raise InvalidInputError(f"{self._path}: the file is truncated")
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        decoded = page.decode(data, index, **(tables if page.compression in _JPEG else {}))[0]
        pixels = np.asarray(decoded[0])
        if page.compression == _APERIO_YCBCR and not has_coarse_colour(data):
            return from_ycbcr(pixels)
        return pixels

    def _to_rgb(self, samples: NDArray[Any], page: Any) -> NDArray[np.uint8]:
        if self._color == "palette":
            return np.asarray((page.colormap.T >> 8).astype(np.uint8)[samples[..., 0]])
        if samples.dtype == np.uint16:
            samples = _from_16_bits(samples, self._path)
        alpha = page.extrasamples[:1] if samples.shape[-1] > 3 else ()
        if alpha and alpha[0] in (_ASSOCIATED, _UNASSOCIATED):
            return over_white(samples[..., :4], premultiplied=alpha[0] == _ASSOCIATED)
        return np.ascontiguousarray(samples[..., :3])


def over_white(rgba: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """Lay (..., 4) with alpha over white; return (..., 3)."""
    color, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    own = color * 255 if premultiplied else color * alpha
    return np.asarray(np.minimum((own + (255 - alpha) * 255 + 127) // 255, 255), dtype=np.uint8)


@contextmanager
def as_input_errors(path: Path) -> Iterator[None]:
    """Turn the many errors of a broken file into one, and that of a missing decoder into its own.

    tifffile and the decoders raise whatever they come across in a file they did not expect.
    """
    try:
        yield
    except (MembraneXAIError, FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        if "requires the 'imagecodecs' package" in str(error):
            raise missing("imagecodecs", f"{path}: its compression", extra="slides") from error
        raise InvalidInputError(f"{path}: is truncated or damaged: {error}") from error


def is_tiff(path: Path) -> bool:
    """Tell TIFF from other files by how it starts."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def _opened(path: Path) -> Any:
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


def _levels_of(file: Any, path: Path, max_chunk: int) -> list[list[Any]]:
    """Return the pages of each level, the largest first.

    tifffile leaves out levels that follow in another order, or behind other pages.
    """
    found = file.series[0].levels
    if file.is_svs:  # of several focal planes OpenSlide, and QuPath by it, show the first
        found = [SimpleNamespace(pages=one.pages[:1], axes=one.axes) for one in found]
    levels = [_planes(level, path, max_chunk) for level in found]
    base = levels[0]
    if len(base) == 1 and base[0].is_tiled:
        sizes = {_size(level) for level in levels}
        for page in (page.aspage() for page in file.pages):
            if page.is_tiled and page.is_reduced and _shows_the_same(page, base[0]):
                levels += [[page]] if _size([page]) not in sizes else []
                sizes.add(_size([page]))
    for page in itertools.chain.from_iterable(levels):
        if page.compression in _APERIO:  # which is decoded to full colour, whatever tags say
            page.photometric, page.subsampling = type(page.photometric)(_RGB), (1, 1)
    orientation = _orientation_of(base, path) or UPRIGHT
    alike = [one for one in levels if _orientation_of(one, path) in (None, orientation)]
    return sorted(alike, key=lambda level: -_size(level)[0])


def _shows_the_same(page: Any, base: Any) -> bool:
    """Tell whether a page is level 0 in fewer pixels."""
    (width, height), (wide, tall) = _size([page]), _size([base])
    alike = (page.dtype, page.samplesperpixel) == (base.dtype, base.samplesperpixel)
    # The height that belongs to the width, give or take how both were rounded.
    return alike and width < wide and abs(height - tall * width / wide) <= 1 + tall / wide


def _orientation_of(planes: list[Any], path: Path) -> Orientation | None:
    """Return the orientation that planes state, which some writers do in the first one alone."""
    found = {orientation_of(page) for page in planes} - {None}
    if len(found) > 1:
        raise InvalidInputError(f"{path}: has planes of several orientations; it takes one")
    return found.pop() if found else None


def _planes(level: Any, path: Path, max_chunk: int) -> list[Any]:
    """Return the pages of a level: one, or three with a colour each."""
    pages = [page.aspage() for page in level.pages if page is not None]
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


def _color_of(planes: list[Any], path: Path) -> str:
    page = planes[0]
    if page.dtype not in (np.uint8, np.uint16):
        raise InvalidInputError(f"{path}: has samples of {page.dtype}; it takes 8 or 16 bits")
    kind, samples = int(page.photometric), page.samplesperpixel
    if len(planes) == 3 and samples == 1 and kind in _GRAY:
        return "rgb"
    if len(planes) == 1 and kind == _PALETTE and page.colormap is not None:
        return "palette"
    decoded = kind == _RGB or (kind == _YCBCR and page.compression in _JPEG)
    if len(planes) == 1 and samples >= 3 and decoded:
        return "rgb"
    if len(planes) == 1 and samples == 3 and kind == _YCBCR:
        return "ycbcr"  # which libtiff converts, and OpenSlide by it
    raise _no_rgb(page, path)


def _no_rgb(page: Any, path: Path) -> InvalidInputError:
    samples = page.samplesperpixel
    return InvalidInputError(
        f"{path}: is {page.photometric.name} with {samples} samples a pixel; stains are told apart "
        f"by colour: it takes RGB"
    )


def _from_16_bits(samples: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Scale as TIFF defines it, white at 65535."""
    if samples.max(initial=0) < 4096:
        raise InvalidInputError(
            f"{path}: has 16 bits a sample, of which at most 12 are used, and would come out black;"
            f" scale it to 8 bits first"
        )
    return np.asarray((samples.astype(np.uint32) + 128) // 257, dtype=np.uint8)


def _chunks(
    page: Any, row: int, column: int, height: int, width: int
) -> Iterator[tuple[int, int, int]]:
    """Yield index, top and left of the tiles or strips that a region needs."""
    tall, wide = page.chunks[0], page.chunks[1]
    down, across = math.ceil(page.imagelength / tall), math.ceil(page.imagewidth / wide)
    for i in range(max(row // tall, 0), min(-(-(row + height) // tall), down)):
        for j in range(max(column // wide, 0), min(-(-(column + width) // wide), across)):
            yield i * across + j, i * tall, j * wide


def _paste(out: NDArray[Any], tile: NDArray[Any], top: int, left: int) -> None:
    rows = slice(max(top, 0), max(min(top + tile.shape[0], out.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + tile.shape[1], out.shape[1]), 0))
    out[rows, columns] = tile[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]


def _size(planes: list[Any]) -> tuple[int, int]:
    return int(planes[0].imagewidth), int(planes[0].imagelength)


def _ratio(value: Any) -> float:
    numerator, denominator = value
    return numerator / denominator if denominator else 0.0
