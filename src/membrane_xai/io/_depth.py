"""Samples of more than 8 bits as 8: which value is white.

A camera of 12 bits leaves 4 of a 16-bit file unused. Scaled as 16 bits its picture is nearly black,
which looks like strong stain; so the depth is taken from the file or the caller, or asked for.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import is_count
from membrane_xai.errors import InvalidInputError

__all__ = ["FULL", "check_bits", "to_8_bits", "white_level"]

FULL = 16
"""Bits of the samples of deep files."""

_LEAST, _DARK = 8, 14  # bits; a picture within a quarter of its range is not lit like that


def check_bits(bits: Any) -> int | None:
    """Return `bits` as int or None, or raise."""
    if bits is None:
        return None
    if not is_count(bits) or not _LEAST <= bits <= FULL:
        raise InvalidInputError(f"bits is {bits!r}; it takes {_LEAST} to {FULL}, or None")
    return int(bits)


def white_level(brightest: int, *, bits: int | None, stated: int | None, path: Path) -> int:
    """Return the value of white in samples of 16 bits.

    Parameters
    ----------
    brightest : int
        Largest sample.
    bits : int, optional
        Bits in use, by the caller.
    stated : int, optional
        Bits in use, by the file. Where samples are larger, the file means its precision, and they
        fill the range; 16 is what writers put that know nothing.
    path : Path
        For errors.
    """
    if bits is not None:
        if brightest >= 1 << bits:
            raise InvalidInputError(
                f"{path}: has samples up to {brightest}; bits={bits} allows up to {(1 << bits) - 1}"
            )
        return (1 << bits) - 1
    if stated is not None and stated < FULL and brightest < 1 << stated:
        return (1 << stated) - 1
    if brightest < 1 << _DARK:
        used = max(brightest.bit_length(), 1)
        raise InvalidInputError(
            f"{path}: has 16 bits a sample, of which at most {used} are used, and would come out "
            f"nearly black; save it with 8 bits, or say how many the camera has where that can be "
            f"said, for example bits=12 or --bits 12, and bits=16 if it is as dark as that"
        )
    return (1 << FULL) - 1


def to_8_bits(samples: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Scale (..., 3) or more channels so that `white` is 255."""
    rest = samples[..., 3:]
    opaque = white if rest.max(initial=0) <= white else (1 << FULL) - 1  # alpha may fill its range
    if opaque == white:
        return _scaled(samples, white)
    return np.concatenate([_scaled(samples[..., :3], white), _scaled(rest, opaque)], axis=-1)


def _scaled(samples: NDArray[Any], white: int) -> NDArray[np.uint8]:
    within = np.minimum(samples, white).astype(np.uint32)
    return np.asarray((within * 255 + white // 2) // white, dtype=np.uint8)
