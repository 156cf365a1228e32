"""Follow the Huffman codes of sequential JPEG, block by block, without decoding pixels.

How long a code and its value are is all that counts, so what begins with 16 bits is looked up at
once: several codes, up to the end of a block.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING", "NO_CODE", "TOO_MUCH", "Codes", "follow", "read_codes", "words_of"]

MISSING = "its data end before its picture does"
TOO_MUCH = "it has more data than its picture takes"
NO_CODE = "there is no such code in its data"
_BLANKED = "part of its data is zero"

_ZEROS = 16  # bytes: as codes of coefficients some thirty small ones with the same sign in a row
_PADDING = 3  # bytes of zero that encoders which work in words leave at the end of data
_SPARE = 512  # bytes that a block may take beyond the end before it is noticed
_WINDOW = 16  # bits, as the longest code
_BLOCK = 64  # coefficients
# Steps hold bits in their lowest 5, and coefficients above. The end of a block counts as many more
# than a block has, and what is no code as more than that.
_BITS = 31
_END, _NONE = 2 * _BLOCK, 4 * _BLOCK


class Codes(NamedTuple):
    """A Huffman table, by the 16 bits that begin with a code."""

    length: list[int]
    """Bits of the code; 0 where there is none."""
    symbol: list[int]
    step: list[int]
    """Of one code for coefficients and its value: bits, and how many coefficients they give."""
    steps: list[int]
    """Of all that are whole within the 16 bits, up to the end of a block."""


def read_codes(body: bytes) -> dict[int, Codes]:
    """Read the tables of a DHT segment, by class and number."""
    found, at = {}, 0
    while at < len(body):
        kind, counts = body[at], body[at + 1 : at + 17]
        symbols = body[at + 17 : at + 17 + sum(counts)]
        if len(counts) < _WINDOW or len(symbols) < sum(counts):
            raise ValueError("table is cut off")
        found[kind] = _codes(bytes(counts), bytes(symbols))
        at += 17 + sum(counts)
    return found


@lru_cache(maxsize=16)  # the tiles of a slide share theirs
def _codes(counts: bytes, symbols: bytes) -> Codes:
    lengths = np.repeat(np.arange(1, _WINDOW + 1), list(counts))
    spans = 1 << (_WINDOW - lengths)
    total = int(spans.sum())
    if total > 1 << _WINDOW:
        raise ValueError("table has more codes than bits")
    length, symbol = np.zeros((2, 1 << _WINDOW), np.int64)
    length[:total] = np.repeat(lengths, spans)
    symbol[:total] = np.repeat(np.frombuffer(symbols, np.uint8), spans)
    zeros, bits = symbol >> 4, symbol & 15
    coefficients = np.where((bits == 0) & (zeros < 15), _END, zeros + 1)
    coefficients[length == 0] = _NONE
    step = np.stack([length + bits, coefficients])
    steps = _joined(step)
    return Codes(length.tolist(), symbol.tolist(), _packed(step), _packed(steps))


def _packed(step: NDArray[np.int64]) -> list[int]:
    packed: list[int] = (step[0] | step[1] << 5).tolist()
    return packed


def _joined(step: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return bits and coefficients of as many codes as are whole within the window."""
    bits, coefficients = step.copy()
    window = np.arange(1 << _WINDOW)
    for _ in range(_WINDOW):
        open_ = np.flatnonzero((bits < _WINDOW) & (coefficients < _BLOCK))
        following = (window[open_] << bits[open_]) & ((1 << _WINDOW) - 1)
        more, given = step[:, following]
        fits = (bits[open_] + more <= _WINDOW) & (given < _NONE)
        if not fits.any():
            break
        bits[open_[fits]] += more[fits]
        coefficients[open_[fits]] += given[fits]
    return np.stack([bits, coefficients])


def words_of(piece: NDArray[np.uint8], spare: int = _SPARE) -> memoryview:
    """Return 32 bits from each byte on, and zeros beyond the end."""
    padded = np.concatenate([piece, np.zeros(spare, np.uint8)]).astype(np.uint32)
    return (padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]).data


def follow(
    pieces: list[NDArray[np.uint8]], counts: list[int], tables: list[tuple[Codes, Codes]]
) -> str:
    """Return what is wrong with the data of a sequential scan, or an empty text.

    Parameters
    ----------
    pieces : list of ndarray
        Data between restart markers.
    counts : list of int
        MCUs of each piece.
    tables : list
        DC and AC codes of each block of an MCU.
    """
    for piece, count in zip(pieces, counts, strict=True):
        if _is_blanked(piece, tables):
            return _BLANKED
        if why := _follow_piece(piece, count, tables):
            return why
    return ""


def _follow_piece(piece: NDArray[np.uint8], count: int, tables: list[tuple[Codes, Codes]]) -> str:
    words, end, at = words_of(piece), 8 * len(piece), 0
    known = [(dc.length, dc.symbol, ac.step, ac.steps) for dc, ac in tables]
    for _ in range(count):
        for lengths, sizes, step, steps in known:
            window = words[at >> 3] >> (16 - (at & 7)) & 0xFFFF
            if not lengths[window]:
                return MISSING if at > end else NO_CODE
            at += lengths[window] + sizes[window]
            place = 1
            while place < _BLOCK:
                window = words[at >> 3] >> (16 - (at & 7)) & 0xFFFF
                found = steps[window]
                after = place + (found >> 5)
                if after > _BLOCK and not _END < after < _END + _BLOCK:
                    found = step[window]  # the block ends before these codes do
                    after = place + (found >> 5)
                    if after > _BLOCK and not _END < after < _END + _BLOCK:
                        return MISSING if at > end else NO_CODE
                place = after
                at += found & _BITS
            if at > end:
                return MISSING
    rest = piece[-(-at // 8) :]
    return TOO_MUCH if len(rest) > _PADDING or rest.any() else ""


def _is_blanked(piece: NDArray[np.uint8], tables: list[tuple[Codes, Codes]]) -> bool:
    """Tell whether there are zeros where no picture has them, though codes may go on behind them.

    Where zeros are the code for the end of a block, they are flat blocks.
    """
    if len(piece) < _ZEROS or all(ac.symbol[0] == 0 for _, ac in tables):
        return False
    other = np.flatnonzero(piece)
    gaps = np.diff(other, prepend=-1, append=len(piece)) - 1
    return bool(gaps.max() >= _ZEROS)
