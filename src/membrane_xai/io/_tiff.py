"""TIFF files as RGB pixels: any region of any level, decoding only the tiles it needs.

Nothing is filled in silently: tifffile returns zeros for what a file lacks; here it is an error, or
white where the caller says that gaps are expected (scanners leave out tiles without tissue).
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.contents import TIFF_STARTS
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import _jpeg2000_damage, _jpeg_damage, _pixel_size
from membrane_xai.io._broken import as_input_errors
from membrane_xai.io._depth import FULL, to_8_bits, white_level
from membrane_xai.io._orientation import UPRIGHT, Box
from membrane_xai.io._pixel_size import MICROMETERS, PixelSize
from membrane_xai.io._tiff_levels import (
    check_largest,
    color_of,
    levels_of,
    no_rgb,
    opened,
    orientation_of_planes,
    size_of,
)
from membrane_xai.io._tiff_numbers import APERIO_YCBCR, JPEG, JPEG2000, WHITE_IS_0, WHOLE_JPEG
from membrane_xai.io._tiff_planes import bits_of_ome, may_be_fluorescence, why_no_colours
from membrane_xai.io._ycbcr import from_ycbcr, has_coarse_colour

__all__ = ["MAX_CHUNK", "TiffReader", "is_tiff", "over_white"]

MAX_CHUNK = 2**26
"""Pixels of one tile or strip, which has to be decoded whole."""

_MAX_SAMPLE = 281  # tag MaxSampleValue
_BYTE = 8  # bits
_SAMPLED = 64  # tiles or strips that the depth of a slide is told by
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha, as TIFF numbers them
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
    bits : int, optional
        Bits in use of samples of 16 bits; by default what the file says.
    """

    def __init__(
        self,
        path: Path,
        *,
        gaps: bool = False,
        max_chunk: int = MAX_CHUNK,
        bits: int | None = None,
    ) -> None:
        self._path, self._gaps, self._bits = path, gaps, bits
        self._white: int | None = None
        with as_input_errors(path):
            self._file = opened(path)
        try:
            with as_input_errors(path):
                self._levels = levels_of(self._file, path, max_chunk)
                self._orientation = orientation_of_planes(self._levels[0], path) or UPRIGHT
                self._color = color_of(self._levels[0], path)
                self._check_colors()
                check_largest(self._file, self._levels[0], path)
                if not all(min(size_of(level)) for level in self._levels):
                    raise InvalidInputError(f"{path}: has a picture without pixels")
        except BaseException:
            self._file.close()
            raise

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        return self._orientation.size(*size_of(self._levels[0]))

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Pixels of level 0 along the side of one of each level."""
        width = self.dimensions[0]
        return tuple(width / self._orientation.size(*size_of(level))[0] for level in self._levels)

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
        return found.turned() if found and self._orientation.transposed else found

    def read_region(
        self, x: int, y: int, width: int, height: int, level: int = 0
    ) -> NDArray[np.uint8]:
        """Return (height, width, 3); x, y at level 0. White beyond the edges."""
        if self._color == "ycbcr":
            raise no_rgb(self._levels[0][0], self._path)
        if not 0 <= level < len(self._levels):
            raise InvalidInputError(
                f"level is {level!r}; {self._path} has 0 to {len(self._levels) - 1}"
            )
        scale = self.level_downsamples[level]
        planes = self._levels[level]
        columns, rows = size_of(planes)
        upright = Box(round(x / scale), round(y / scale), width, height)
        stored = self._orientation.stored(upright, self._orientation.size(columns, rows))
        column, row, width, height = stored
        with as_input_errors(self._path):
            parts = [self._read(page, row, column, height, width) for page in planes]
            rgb = self._to_rgb(parts, planes)
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
        if length := _pixel_size.length_of(imagej.get("unit")):
            return _pixel_size.from_density(x, y, length)
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
        if not page.databytecounts[index]:
            if not self._gaps:
                raise InvalidInputError(f"{self._path}: tile {index} is missing")
            shape = page.chunks if len(page.chunks) == 3 else (*page.chunks, 1)
            white = 0 if page.photometric == WHITE_IS_0 else np.iinfo(page.dtype).max
            return np.full(shape, white, page.dtype)
        data = self._stored(page, index)
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        decoded = page.decode(data, index, **(tables if page.compression in JPEG else {}))[0]
        pixels = np.asarray(decoded[0])
        if page.compression == APERIO_YCBCR and not has_coarse_colour(data):
            return from_ycbcr(pixels)
        return pixels

    def _to_rgb(self, parts: list[NDArray[Any]], planes: list[Any]) -> NDArray[np.uint8]:
        page, samples = planes[0], np.concatenate(parts, axis=-1)
        if self._color == "palette":
            return np.asarray(_palette(page.colormap)[samples[..., 0]])
        white = self._white_of(samples, page)
        if page.photometric == WHITE_IS_0:
            samples = np.asarray(white - np.minimum(samples, white))
        if white != 255 or samples.dtype != np.uint8:
            samples = to_8_bits(samples, white)
        alpha = page.extrasamples[:1] if samples.shape[-1] > 3 else ()
        if alpha and alpha[0] in (_ASSOCIATED, _UNASSOCIATED):
            return over_white(samples[..., :4], premultiplied=alpha[0] == _ASSOCIATED)
        return np.ascontiguousarray(samples[..., :3])

    def _check_colors(self) -> None:
        """Raise if three grey planes are not red, green and blue."""
        planes = self._levels[0]
        if len(planes) == 1:
            return
        ome = self._file.ome_metadata if self.is_ome else None
        eight_bits = planes[0].dtype == np.uint8
        axes = self._file.series[0].levels[0].axes
        if why := why_no_colours(
            axes, ome=ome, imagej=self._file.imagej_metadata, eight_bits=eight_bits
        ):
            raise InvalidInputError(f"{self._path}: {why}")
        if may_be_fluorescence(ome) and self._is_dark():
            raise InvalidInputError(
                f"{self._path}: holds three channels without names, dark like those of "
                f"fluorescence; if they are red, green and blue, save them as RGB"
            )

    def _is_dark(self) -> bool:
        """Tell whether three quarters of the picture are darker than light through a slide."""
        planes = self._levels[-1]
        seen = [
            np.max([self._decode(page, index) for page in planes], axis=0).ravel()
            for index in _spread(planes[0])
        ]
        limit = np.iinfo(planes[0].dtype).max // 4
        return bool(seen) and bool(np.percentile(np.concatenate(seen), 75) < limit)

    def check_tiles(self) -> None:
        """Raise if a tile of level 0 is damaged, before another decoder passes over it."""
        for page in self._levels[0]:
            for index in np.flatnonzero(page.databytecounts):
                self._stored(page, int(index))

    def _stored(self, page: Any, index: int) -> bytes:
        """Return a tile or strip as it is stored, whole."""
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        handle = self._file.filehandle
        handle.seek(offset)
        data: bytes = handle.read(size)
        if len(data) < size:
            raise InvalidInputError(f"{self._path}: the file is truncated")
        if damage := _damage(data, page):
            raise InvalidInputError(
                f"{self._path}: is truncated or damaged: tile {index}: {damage}"
            )
        return data

    def has_upper_bits(self, rgb: NDArray[np.uint8]) -> bool:
        """Tell whether the upper 8 bits of all samples are the picture, as Pillow reads it."""
        page = self._levels[0][0]
        if self._color == "palette" or page.dtype == np.uint8:
            return True
        brightest = 257 * int(rgb.max(initial=0))
        stated = {"bits": self._bits, "stated": self._stated_bits(page)}
        return white_level(brightest, **stated, path=self._path) == (1 << FULL) - 1

    def _white_of(self, samples: NDArray[Any], page: Any) -> int:
        """Return the value of white; of a slide the same in all regions."""
        packed = _bits_per_sample(page)
        if packed <= _BYTE or (packed < FULL and self._bits is None):
            return (1 << packed) - 1
        if self._white is None:
            known = self._brightest() if self._gaps else int(samples[..., :3].max(initial=0))
            stated = self._stated_bits(page)
            self._white = white_level(known, bits=self._bits, stated=stated, path=self._path)
        return self._white

    def _brightest(self) -> int:
        """Return the largest sample of colour in tiles or strips from all over the last level."""
        largest = 0
        for page in self._levels[-1]:
            for index in _spread(page):
                largest = max(largest, int(self._decode(page, index)[..., :3].max()))
        return largest

    def _stated_bits(self, page: Any) -> int | None:
        """Return how many of 16 bits the file says are in use."""
        tag = page.tags.get(_MAX_SAMPLE)
        values = np.ravel(tag.value).tolist() if tag else []
        if values and (max(values) + 1).bit_count() == 1 and max(values) > 255:
            return int(max(values)).bit_length()
        return bits_of_ome(self._file.ome_metadata) if self.is_ome else None


def is_tiff(path: Path) -> bool:
    """Tell TIFF from other files by how it starts."""
    with path.open("rb") as file:
        return file.read(4) in TIFF_STARTS


def over_white(rgba: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """Lay (..., 4) with alpha over white; return (..., 3)."""
    color, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    own = color * 255 if premultiplied else color * alpha
    return np.asarray(np.minimum((own + (255 - alpha) * 255 + 127) // 255, 255), dtype=np.uint8)


def _palette(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the colours of a palette, which some programs write with 8 bits instead of 16."""
    shift = 8 if colors.max(initial=0) > 255 else 0
    return np.asarray((colors.T >> shift).astype(np.uint8))


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


def _damage(data: bytes, page: Any) -> str:
    """Return what is wrong with a tile that its decoder would pass over, or an empty text."""
    if page.compression in WHOLE_JPEG and data.startswith(b"\xff\xd8"):
        return _jpeg_damage.find_damage(data, page.jpegtables)
    return _jpeg2000_damage.find_damage(data) if page.compression in JPEG2000 else ""


def _spread(page: Any) -> list[int]:
    """Return some of the tiles or strips of colour that are there, from all over a page."""
    colors = 3 * math.prod(page.chunked[-2:]) if page.planarconfig == 2 else None
    there = np.flatnonzero(page.databytecounts[:colors])
    return [int(index) for index in there[:: max(len(there) // _SAMPLED, 1)]]


def _bits_per_sample(page: Any) -> int:
    bits = page.bitspersample
    return int(bits if isinstance(bits, int) else max(bits))


def _ratio(value: Any) -> float:
    numerator, denominator = value
    return numerator / denominator if denominator else 0.0
