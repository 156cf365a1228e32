"""Read an image file as RGB pixels, whole or not at all."""

import warnings
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MembraneXAIWarning, MissingDependencyError
from membrane_xai.io import _pixel_size, _png
from membrane_xai.io._broken import as_image_errors
from membrane_xai.io._depth import FULL, to_8_bits, white_level
from membrane_xai.io._jpeg_damage import find_damage
from membrane_xai.io._orientation import TAG
from membrane_xai.io._pixel_size import MICROMETERS, PixelSize
from membrane_xai.io._slides import FileReader, is_slide, open_file
from membrane_xai.io._tiff import MAX_CHUNK, TiffReader, is_tiff, over_white
from membrane_xai.io._unlimited import open_unlimited

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["Pixels", "check_count", "read_pixels"]

_FORMATS = ("PNG", "JPEG", "BMP")
_WITH_EXIF = ("PNG", "JPEG", "MPO")  # of TIFF the same tag is applied
_TURNED = range(2, 9)  # values of the tag that mirror or turn
_COLOR = ("RGB", "RGBA", "RGBX", "P", "PA")


class Pixels(NamedTuple):
    """Pixels and pixel size of an image file."""

    rgb: NDArray[np.uint8]
    size: PixelSize | None
    flags: tuple[str, ...] = ()


def read_pixels(path: Path, max_pixels: int, bits: int | None = None) -> Pixels:
    """Read a PNG, JPEG, BMP, TIFF or OME-TIFF file; its size is checked before it is decoded.

    `bits` says how many of the 16 bits of deep samples are in use.
    """
    if not (is_tiff(path) or is_slide(path)):
        return _by_pillow(path, max_pixels, _FORMATS, bits)
    with closing(open_file(path, max_chunk=max(max_pixels, MAX_CHUNK), bits=bits)) as reader:
        width, height = reader.dimensions
        check_count(width, height, max_pixels, path)
        try:
            rgb = reader.read_region(0, 0, width, height)
        except MissingDependencyError as missing:
            rgb = _by_pillows_decoders(path, reader, missing)
        return Pixels(rgb, reader.pixel_size)


def _by_pillows_decoders(
    path: Path, reader: FileReader, missing: MissingDependencyError
) -> NDArray[np.uint8]:
    """Decode a TIFF of one page by what Pillow brings; raise what is missing if it cannot."""
    width, height = reader.dimensions
    if isinstance(reader, TiffReader):
        reader.check_tiles()
    try:
        rgb, _, _ = _by_pillow(path, width * height, ("TIFF",))
    except InvalidInputError:
        raise missing from None
    if rgb.shape != (height, width, 3):
        raise missing
    if isinstance(reader, TiffReader) and not reader.has_upper_bits(rgb):
        raise missing
    return rgb


def check_count(width: int, height: int, max_pixels: int, path: Path) -> None:
    """Raise if the picture has more pixels than allowed."""
    if width * height > max_pixels:
        raise InvalidInputError(
            f"{path}: has {width} x {height} pixels, more than max_pixels={max_pixels}; "
            f"raise it, or read regions with open_slide"
        )


def _by_pillow(
    path: Path, max_pixels: int, formats: tuple[str, ...], bits: int | None = None
) -> Pixels:
    with as_image_errors(path), open_unlimited(path, formats) as image:
        check_count(image.width, image.height, max_pixels, path)
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise InvalidInputError(f"{path}: has several pages")
        _check_whole_jpeg(image, path)
        rgb = _to_rgb(image, path, bits)
        return Pixels(rgb, _size(image), _flags_of_exif(image, path))


def _flags_of_exif(image: "PillowImage", path: Path) -> tuple[str, ...]:
    """Say that viewers turn a picture which is read as it is stored."""
    turned = None
    if image.format not in _WITH_EXIF:
        return ()
    with suppress(Exception):  # what is wrong with EXIF is not wrong with the pixels
        turned = image.getexif().get(TAG)
    if turned not in _TURNED:
        return ()
    warnings.warn(
        f"{path}: its EXIF has orientation {turned}, which viewers and OpenCV apply; it is "
        f"read as stored, as by QuPath and Pillow: maps, masks and outlines have to lie so "
        f"too. Save it upright, without that entry, to be sure",
        MembraneXAIWarning,
        stacklevel=5,
    )
    return ("exif_orientation",)


def _check_whole_jpeg(image: "PillowImage", path: Path) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    about = path.stat()
    if damage := _damage_of(path, about.st_size, about.st_mtime_ns):
        raise InvalidInputError(f"{path}: is truncated or damaged: {damage}")


@lru_cache(maxsize=2**16)  # training reads its files in every epoch
def _damage_of(path: Path, _size: int, _mtime_ns: int) -> str:
    return find_damage(path.read_bytes())


def _to_rgb(image: "PillowImage", path: Path, bits: int | None) -> NDArray[np.uint8]:
    raw, stated = _png.raw_mode(image), _png.checked_depth(path)
    mode = "LA" if raw.startswith("LA") else image.mode  # Pillow reads it as RGBA
    if mode not in _COLOR:
        raise InvalidInputError(
            f"{path}: has colour mode {mode!r}; stains are told apart by colour: "
            f"it takes RGB, with alpha or a palette if need be"
        )
    if image.format == "PNG" and raw.endswith(";16B"):
        return _deep_to_rgb(path, np.asarray(image), bits, stated)
    transparent = image.mode in ("RGBA", "PA") or "transparency" in image.info
    if transparent:
        return over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _deep_to_rgb(
    path: Path, upper: NDArray[np.uint8], bits: int | None, stated: int | None
) -> NDArray[np.uint8]:
    """Turn samples of 16 bits, of which Pillow gives the upper 8, into 8."""
    all_bits = _png.deep_samples(path, upper)
    brightest = int(all_bits[..., :3].max(initial=0))
    white = white_level(brightest, bits=bits, stated=stated, path=path)
    if white < (1 << FULL) - 1:
        upper = to_8_bits(all_bits, white)
    return over_white(upper) if upper.shape[-1] == 4 else upper


def _size(image: "PillowImage") -> PixelSize | None:
    """Return the size by the dots per inch that PNG, JPEG, BMP or TIFF record."""
    density: Any = image.info.get("dpi", (0, 0))
    return _pixel_size.from_density(float(density[0]), float(density[1]), MICROMETERS["in"])
