"""What Pillow does not say of a PNG: damaged chunks, and samples of 16 bits."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError

__all__ = ["checked_depth", "deep_samples", "raw_mode"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHECKED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"sBIT", b"pHYs")  # what is read
_PIECE = 2**20  # bytes


def checked_depth(path: Path) -> int | None:
    """Return the bits that the file says are significant, or None; raise if it is not whole.

    Pillow reads pixels without their checksums, and does not miss the end.
    """
    depth = None
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        for kind, data in _chunks(file, path):
            if kind == b"sBIT" and data:
                depth = max(data[:3])
            if kind == b"IEND":
                return depth
    raise InvalidInputError(f"{path}: is truncated or damaged: it has no end")


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk and how it begins."""
    while head := file.read(8):
        length, kind = int.from_bytes(head[:4]), head[4:]
        data = first = file.read(min(length, _PIECE))
        checksum, left = zlib.crc32(data, zlib.crc32(kind)), length - len(data)
        while left and data:
            data = file.read(min(left, _PIECE))
            checksum, left = zlib.crc32(data, checksum), left - len(data)
        stated = file.read(4)
        if len(stated) < 4:
            raise InvalidInputError(f"{path}: is truncated or damaged: it ends within a chunk")
        if kind in _CHECKED and checksum != int.from_bytes(stated):
            name = kind.decode("ascii", "replace")
            raise InvalidInputError(
                f"{path}: is truncated or damaged: the checksum of its chunk {name} is wrong"
            )
        yield kind, first


def raw_mode(image: Any) -> str:
    """Return how the samples of an opened image lie in the file, in Pillow's words."""
    return str(image.tile[0][3]) if image.tile else ""


def deep_samples(path: Path, upper: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return all bits of an image whose upper 8 were read.

    Pillow has no RGB of 16 bits. Told that the bytes are the other way round, it gives the lower 8.
    """
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as opened:
        image: Any = opened
        raw = raw_mode(image).replace("16B", "16L")
        image.tile = [(*tile[:3], raw) for tile in image.tile]
        lower = np.asarray(image)
    return np.asarray(upper.astype(np.uint16) << 8 | lower, dtype=np.uint16)
