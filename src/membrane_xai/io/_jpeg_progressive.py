"""Follow the codes of progressive JPEG, one after the other.

How many bits a scan that refines has depends on which coefficients the scans before made nonzero,
so these are kept for each block, as the bits of an integer.
"""

import numpy as np
from numpy.typing import NDArray

from membrane_xai.io._jpeg_codes import MISSING, NO_CODE, TOO_MUCH, Codes, words_of

__all__ = ["follow_details", "follow_means", "follow_refined_means"]

_END_OF_RUN = 15  # runs of zeros below it, without a value, are of whole blocks


class _Bits:
    """Data between restart markers, by bit."""

    def __init__(self, piece: NDArray[np.uint8]) -> None:
        self._words = words_of(piece)
        self._end = 8 * len(piece)
        self.at = 0

    def peek(self) -> int:
        """Return the next 16 bits."""
        return (self._words[self.at >> 3] >> (16 - (self.at & 7))) & 0xFFFF

    def take(self, count: int) -> int:
        """Return the next bits, up to 16."""
        value = self.peek() >> (16 - count)
        self.at += count
        return value

    def run_out(self) -> bool:
        """Tell whether more bits were taken than there are."""
        return self.at > self._end

    def rest(self) -> str:
        """Return what is wrong at the end: less than a byte may be left."""
        if self.run_out():
            return MISSING
        return TOO_MUCH if self._end - self.at >= 8 else ""


def follow_means(pieces: list[NDArray[np.uint8]], counts: list[int], tables: list[Codes]) -> str:
    """Follow the first scan of the blocks' means; `tables` are those of the blocks of an MCU."""
    known = [(one.length, one.symbol) for one in tables]
    for piece, count in zip(pieces, counts, strict=True):
        bits = _Bits(piece)
        for _ in range(count):
            for lengths, symbols in known:
                window = bits.peek()
                if not lengths[window]:
                    return NO_CODE
                bits.at += lengths[window] + symbols[window]
            if bits.run_out():
                return MISSING
        if why := bits.rest():
            return why
    return ""


def follow_refined_means(pieces: list[NDArray[np.uint8]], counts: list[int], blocks: int) -> str:
    """Follow a scan that gives each of the `blocks` of an MCU one more bit."""
    for piece, count in zip(pieces, counts, strict=True):
        needed = -(-count * blocks // 8)
        if len(piece) != needed:
            return MISSING if len(piece) < needed else TOO_MUCH
    return ""


def follow_details(
    pieces: list[NDArray[np.uint8]],
    counts: list[int],
    codes: Codes,
    band: tuple[int, int],
    nonzero: list[int],
    *,
    refines: bool,
) -> str:
    """Follow a scan of coefficients other than the means, and note which become nonzero.

    Parameters
    ----------
    pieces : list of ndarray
        Data between restart markers.
    counts : list of int
        Blocks of each.
    codes : Codes
    band : tuple of int
        First and last coefficient.
    nonzero : list of int
        For each block, the coefficients that are known not to be zero, as bits; changed in place.
    refines : bool
        Whether coefficients were there before, with fewer bits.
    """
    lengths, symbols = codes.length, codes.symbol
    first = 0
    for piece, count in zip(pieces, counts, strict=True):
        bits = _Bits(piece)
        run = 0  # blocks that have no further nonzero coefficient
        for block in range(first, first + count):
            if bits.run_out():
                return MISSING
            start = band[0]
            if not run:
                start, run = _block(bits, lengths, symbols, band, nonzero, block, refines)
                if start < 0:
                    return MISSING if bits.run_out() else NO_CODE
            if run:
                run -= 1
                if refines:  # a bit for each coefficient that was there
                    rest = (nonzero[block] >> start) & ((1 << (band[1] - start + 1)) - 1)
                    bits.at += rest.bit_count()
        if why := bits.rest():
            return why
        if run:
            return TOO_MUCH
        first += count
    return ""


def _block(
    bits: _Bits,
    lengths: list[int],
    symbols: list[int],
    band: tuple[int, int],
    nonzero: list[int],
    block: int,
    refines: bool,
) -> tuple[int, int]:
    """Follow a block; return where a run of blocks begins in it, -1 if wrong, and its length."""
    at, last = band
    known = found = nonzero[block]
    while at <= last:
        window = bits.peek()
        if not lengths[window] or bits.run_out():
            return -1, 0
        bits.at += lengths[window]
        zeros, size = symbols[window] >> 4, symbols[window] & 15
        if not size and zeros < _END_OF_RUN:
            nonzero[block] = found
            return at, (1 << zeros) + (bits.take(zeros) if zeros else 0)
        bits.at += size
        at = _past_zeros(bits, at, last, zeros, known if refines else 0)
        if size:
            if at > last or (refines and size > 1):
                return -1, 0
            found |= 1 << at
        at += 1
    nonzero[block] = found
    return last + 1, 0


def _past_zeros(bits: _Bits, at: int, last: int, zeros: int, known: int) -> int:
    """Return the place after some zeros; each known coefficient on the way takes a bit."""
    if not known:
        return at + zeros
    while at <= last:
        if known >> at & 1:
            bits.at += 1
        elif zeros:
            zeros -= 1
        else:
            break
        at += 1
    return at
