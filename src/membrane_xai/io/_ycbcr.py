"""YCbCr of JPEG 2000 in Aperio's slides, as RGB."""

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_ycbcr", "has_coarse_colour"]

_START = b"\xff\x4f\xff\x51"  # of a code stream of JPEG 2000: the markers SOC and SIZ
# From there, the number of components and the second one: its depth and its steps in x and y.
_COMPONENTS, _SECOND = struct.Struct(">40xH"), struct.Struct(">45xBBB")


def from_ycbcr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (..., 3) of 8 bits by BT.601 in full range, with OpenSlide's rounding."""
    y, cb, cr = np.moveaxis(pixels.astype(np.int32), -1, 0)
    blue, red = cb - 128, cr - 128
    # OpenSlide keeps what green takes in 16 bits after the point, and adds one half to round.
    from_blue = np.rint(2**16 * (0.5 - 0.34414 * blue)).astype(np.int32)
    from_red = np.rint(2**16 * -0.71414 * red).astype(np.int32)
    green = y + ((from_blue + from_red) >> 16)
    rgb = np.stack([y + np.rint(1.402 * red), green, y + np.rint(1.772 * blue)], axis=-1)
    return np.asarray(np.clip(rgb, 0, 255), dtype=np.uint8)


def has_coarse_colour(data: bytes) -> bool:
    """Tell whether the colour of JPEG 2000 data is coarser than its brightness.

    imagecodecs takes that for YCbCr and gives RGB already.
    """
    start = max(data.find(_START), 0)
    if len(data) < start + _SECOND.size or _COMPONENTS.unpack_from(data, start)[0] < 2:
        return False
    return bool(_SECOND.unpack_from(data, start)[1] > 1)
