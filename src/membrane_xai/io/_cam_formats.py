"""Readers of NPY, NPZ, Zarr, PNG and TIFF files of CAMs, checked before they decode."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from membrane_xai._disk.naming import naming
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.io._broken import as_image_errors, as_input_errors
from membrane_xai.io._orientation import UPRIGHT, orientation_of
from membrane_xai.io._unlimited import open_unlimited
from membrane_xai.io._zarr_codecs import check_codecs

__all__ = ["READERS", "Check", "Source"]

Check = Callable[[Sequence[int], Any], None]
"""Raises if an array of this shape and dtype is not a CAM."""

Source = Path | IO[bytes]
"""Where the bytes are: the file, or what was read of it; a path beside it names it in errors."""

_NAME = "cam"
_KINDS = {
    ".npy": ("a NumPy array",),
    ".npz": ("a zip archive", "an empty zip archive"),
    ".zarr": ("a folder",),
    ".png": ("a PNG image",),
    ".tif": ("a TIFF image",),
    ".tiff": ("a TIFF image",),
}
"""What a file of a suffix is, as :func:`unlike` says it."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_PICTURE = "a picture of a heat map is not a CAM; save the array"
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # Pillow 10 calls a PNG of them "I"


def _read_npy(path: Path, source: Source, check: Check) -> NDArray[Any]:
    with _as_cam_errors(path), _opened(source) as file:
        return _from_stream(file, check)


def _read_npz(path: Path, source: Source, check: Check) -> NDArray[Any]:
    with _as_cam_errors(path), zipfile.ZipFile(source) as archive:
        name = _chosen(path, [one.removesuffix(".npy") for one in archive.namelist()])
        with archive.open(f"{name}.npy") as file:
            return _from_stream(file, check)


def _read_zarr(path: Path, _source: Source, check: Check) -> NDArray[Any]:
    try:
        import zarr
    except ImportError as error:
        raise missing(error, f"{path}: a Zarr array", extra="dask") from error
    with _as_cam_errors(path):
        check_codecs(path)
        member: Any = zarr.open(path, mode="r")
        if isinstance(member, zarr.Group):
            member = member[_chosen(path, sorted(member.array_keys()))]
        check(member.shape, member.dtype)
        return np.asarray(member[...])


def _read_png(path: Path, source: Source, check: Check) -> NDArray[Any]:
    with as_image_errors(path), open_unlimited(source, ("PNG",)) as image:
        return _from_picture(path, image, check)


def _from_picture(path: Path, image: Any, check: Check) -> NDArray[Any]:
    check((image.height, image.width), np.uint8)
    if image.mode == "1":
        return np.asarray(image)
    if image.mode == "L" and "transparency" not in image.info:
        return _shares(np.asarray(image))
    if image.mode in _SIXTEEN_BITS:
        return _shares(np.asarray(image).astype(np.uint16))
    raise InvalidInputError(f"{path}: has colour mode {image.mode!r}; {_PICTURE}")


def _read_tiff(path: Path, source: Source, check: Check) -> NDArray[Any]:
    import tifffile

    with as_input_errors(path), closing(tifffile.TiffFile(source)) as file:
        pages = file.pages
        if len(pages) != 1:
            raise InvalidInputError(f"{path}: has {len(pages)} pages; it takes one map a file")
        page: Any = pages[0]
        kind = page.photometric.name
        if page.samplesperpixel > 1 or kind == "PALETTE":
            raise InvalidInputError(f"{path}: is {kind}; {_PICTURE}")
        if kind != "MINISBLACK" or page.imagedepth > 1:
            raise InvalidInputError(f"{path}: is {kind}; it takes one map, black at 0")
        check(page.shape, page.dtype)
        check(page.chunks[:2], page.dtype)  # each of which is decoded whole
        _check_whole(path, page, file.filehandle.size)
        values = (orientation_of(page) or UPRIGHT).upright(np.asarray(page.asarray()))
    if values.dtype.kind in "fb":
        return values
    if values.dtype not in (np.uint8, np.uint16):
        raise InvalidInputError(
            f"{path}: has values of {values.dtype}; it takes 8 or 16 bits without sign, or floats"
        )
    return _shares(values)


def _from_stream(file: IO[bytes], check: Check) -> NDArray[Any]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise InvalidInputError(f"has NPY format {version}, as no plain array has")
    shape, _, dtype = _HEADERS[version](file)
    check(shape, dtype)
    file.seek(0)
    return np.asarray(npy.read_array(file, allow_pickle=False))


def _chosen(path: Path, names: Sequence[str]) -> str:
    if _NAME in names:
        return _NAME
    if len(names) != 1:
        listed = ", ".join(names[:5]) or "none"
        raise InvalidInputError(
            f"{path}: has {len(names)} arrays ({listed}); it takes one, or one called {_NAME!r}"
        )
    return names[0]


def _check_whole(path: Path, page: Any, end: int) -> None:
    """Raise for parts that a file lacks: tifffile would give zeros for them."""
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not size or offset + size > end:
            raise InvalidInputError(f"{path}: is truncated or damaged: a part of it is missing")


def _shares(values: NDArray[Any]) -> NDArray[np.float64]:
    return values / float(np.iinfo(values.dtype).max)


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    return source.open("rb") if isinstance(source, Path) else nullcontext(source)


@contextmanager
def _as_cam_errors(path: Path) -> Iterator[None]:
    """Turn the many errors of a broken file into one, and name the file in those of this module."""
    with as_input_errors(path, _KINDS.get(path.suffix.lower(), ())), naming(path):
        try:
            yield
        except FileNotFoundError as error:  # of a file within a store that is there
            if not path.exists():
                raise
            raise InvalidInputError(f"{path}: is truncated or damaged: {error}") from error


READERS: dict[str, Callable[[Path, Source, Check], NDArray[Any]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".zarr": _read_zarr,
    ".png": _read_png,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
}
"""Reader of a file, by the end of its name."""
