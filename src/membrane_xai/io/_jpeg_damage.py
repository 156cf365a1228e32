"""Damage in JPEG data, which decoders pass over in silence.

libjpeg fills up what is missing and skips what is too much, with warnings that Pillow and
imagecodecs drop. Here the codes are followed without decoding pixels: they have to give as many
blocks as the picture has, and end where the data end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.io._jpeg_codes import Codes, follow, read_codes
from membrane_xai.io._jpeg_progressive import (
    follow_details,
    follow_means,
    follow_refined_means,
)

__all__ = ["find_damage"]

# Markers, each after a byte of 255.
_SOI, _EOI, _SOS, _DHT, _DRI, _DNL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xDC
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_FIRST_RESTART, _RESTARTS = 0xD0, 8
_ALONE = (_SOI, *range(_FIRST_RESTART, _FIRST_RESTART + _RESTARTS))  # without a header
_AFTER_DATA = (_EOI, _SOS, _DHT, _DRI, _DNL, 0xDB, 0xFE, *range(0xE0, 0xF0))
_MOST_BLOCKS = 2**18  # of a component of a progressive JPEG, which takes seconds: 16 megapixels


class Component(NamedTuple):
    """A plane of colour: blocks across and down in an MCU."""

    across: int
    down: int


@dataclass
class _State:
    """What has been read of a JPEG stream."""

    codes: dict[int, Codes] = field(default_factory=dict)
    """By class (0 for DC, 16 for AC) and number."""
    components: dict[int, Component] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    interval: int = 0
    """MCUs from one restart marker to the next; 0 for none."""
    progressive: bool = False
    known: bool = True
    """Whether this kind of JPEG can be followed."""
    shown: set[int] = field(default_factory=set)
    """Components whose data were there."""
    nonzero: dict[int, list[int]] = field(default_factory=dict)
    """Of progressive frames, by component: for each block, the coefficients known not to be zero,
    as bits."""


class Scan(NamedTuple):
    """A pass over one or more components."""

    components: list[tuple[int, int, int]]
    """Identifier, and codes of DC and AC."""
    first: int
    last: int
    """Of the coefficients; 0 is the mean of a block."""
    refines: bool


def find_damage(data: bytes, tables: bytes | None = None) -> str:
    """Return what is wrong with a JPEG stream; an empty text if nothing is, or nobody can know.

    Parameters
    ----------
    data : bytes
        From its first byte; what comes after its end marker is passed over.
    tables : bytes, optional
        Another stream with tables only, as TIFF keeps them.
    """
    state = _State()
    try:
        if tables:
            _walk(tables, state)
        return _walk(data, state)
    except (IndexError, ValueError, KeyError):
        return "its markers or headers are cut off or altered"


def _walk(data: bytes, state: _State) -> str:
    """Read headers and follow scans from start to end marker."""
    if data[:2] != bytes((255, _SOI)):
        return "its start marker is missing"
    stream = np.frombuffer(data, np.uint8)
    markers = _markers(stream)
    at = 2
    while True:
        before, at = at, _next_marker(data, at)
        if any(data[before:at].strip(b"\0\xff")):
            return "there are foreign bytes between its headers"
        if at >= len(data) - 1:
            return _of_the_end(state, marked=False)
        marker, at = data[at + 1], at + 2
        if marker == _EOI:
            return _of_the_end(state, marked=True)
        if marker not in _ALONE:
            body = _body(data, at)
            at += 2 + len(body)
            if marker == _SOS:
                start = at
                at, restarts = _extent(stream, markers[np.searchsorted(markers, at) :])
                if why := _check_scan(stream[start:at], restarts - start, body, state):
                    return why
            else:
                _read_header(marker, body, state)


def _body(data: bytes, at: int) -> bytes:
    """Return what a header holds after its length."""
    length = int.from_bytes(data[at : at + 2])
    body = data[at + 2 : at + length]
    if length < 2 or len(body) < length - 2:
        raise ValueError("header is cut off")
    return body


def _next_marker(data: bytes, at: int) -> int:
    """Return where the next marker is, past bytes that fill."""
    while at < len(data) and data[at] != 255:
        at += 1
    while at < len(data) - 1 and data[at + 1] == 255:
        at += 1
    return at


def _markers(stream: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return where markers may be; a byte of data of 255 has a zero after it."""
    at = np.flatnonzero(stream[:-1] == 255)
    after = stream[at + 1]
    found: NDArray[np.intp] = at[(after != 0) & (after != 255)]
    return found


def _extent(stream: NDArray[np.uint8], markers: NDArray[np.intp]) -> tuple[int, NDArray[np.intp]]:
    """Return the end of the data of a scan, and the restart markers in them.

    `markers` are those from the scan on.
    """
    kinds = stream[markers + 1]
    restart = (kinds >= _FIRST_RESTART) & (kinds < _FIRST_RESTART + _RESTARTS)
    count = len(markers) if restart.all() else int(np.argmin(restart))
    end = int(markers[count]) if count < len(markers) else len(stream)
    if end < len(stream) and stream[end + 1] not in _AFTER_DATA:
        raise ValueError("marker that belongs elsewhere")
    return end, markers[:count]


def _read_header(marker: int, body: bytes, state: _State) -> None:
    if marker == _DHT:
        state.codes |= read_codes(body)
    elif marker == _DRI:
        state.interval = int.from_bytes(body[:2])
    elif marker in _SEQUENTIAL or marker == _PROGRESSIVE:
        state.progressive = marker == _PROGRESSIVE
        state.height, state.width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
        state.components = {
            body[6 + 3 * i]: Component(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15)
            for i in range(body[5])
        }
        sides = [side for one in state.components.values() for side in one]
        # A height of 0 is told only after the data
        state.known = state.height > 0 and state.width > 0 and min(sides, default=0) > 0
    elif marker in _OTHER_FRAMES:  # lossless, arithmetic, hierarchical
        state.known = False


def _of_the_end(state: _State, *, marked: bool) -> str:
    """Return what is missing at the end of all data."""
    if not state.known or not state.components:
        return ""
    if set(state.components) - state.shown:
        return "it ends before all its colours are there"
    return "it ends before its end marker" if state.progressive and not marked else ""


def _check_scan(
    data: NDArray[np.uint8], restarts: NDArray[np.intp], body: bytes, state: _State
) -> str:
    if not state.known:
        return ""
    if not state.components:
        return "its headers are altered"
    scan = _read_scan(body)
    if any(one not in state.components for one, _, _ in scan.components):
        return "its headers are altered"
    if not state.progressive or scan.first == 0:
        state.shown |= {one for one, _, _ in scan.components}
    total = _mcus(scan, state)
    counts = _counts(total, state.interval)
    if why := _check_restarts(data, restarts, len(counts)):
        return why
    pieces = list(_pieces(data, restarts))[: len(counts)]
    tables = [
        (state.codes.get(dc), state.codes.get(16 + ac))
        for one, dc, ac in scan.components
        for _ in range(_blocks(state.components[one], scan))
    ]
    if state.progressive:
        return _check_pass(pieces, counts, tables, scan, state)
    known = [(dc, ac) for dc, ac in tables if dc is not None and ac is not None]
    if len(known) < len(tables):
        return ""  # the decoder brings tables of its own, or raises
    return follow(pieces, counts, known)


def _check_pass(
    pieces: list[NDArray[np.uint8]],
    counts: list[int],
    tables: list[tuple[Codes | None, Codes | None]],
    scan: Scan,
    state: _State,
) -> str:
    """Return what is wrong with a scan of a progressive JPEG."""
    if scan.first == 0 and scan.refines:
        return follow_refined_means(pieces, counts, len(tables))
    if scan.first == 0:
        means = [dc for dc, _ in tables if dc is not None]
        return follow_means(pieces, counts, means) if len(means) == len(tables) else ""
    one, details = scan.components[0][0], tables[0][1]
    blocks = sum(counts)
    if details is None or blocks > _MOST_BLOCKS:
        return ""
    nonzero = state.nonzero.setdefault(one, [0] * blocks)
    band = (scan.first, scan.last)
    return follow_details(pieces, counts, details, band, nonzero, refines=scan.refines)


def _read_scan(body: bytes) -> Scan:
    count = body[0]
    listed = [(body[1 + 2 * i], body[2 + 2 * i] >> 4, body[2 + 2 * i] & 15) for i in range(count)]
    first, last, approximation = body[1 + 2 * count : 4 + 2 * count]
    return Scan(listed, first, last, approximation >> 4 > 0)


def _blocks(component: Component, scan: Scan) -> int:
    return component.across * component.down if len(scan.components) > 1 else 1


def _mcus(scan: Scan, state: _State) -> int:
    """Return how many MCUs a scan has: of one component, its blocks."""
    widest = max(one.across for one in state.components.values())
    tallest = max(one.down for one in state.components.values())
    if len(scan.components) > 1:
        return _ceil(state.width, 8 * widest) * _ceil(state.height, 8 * tallest)
    one = state.components[scan.components[0][0]]
    columns = _ceil(_ceil(state.width * one.across, widest), 8)
    return columns * _ceil(_ceil(state.height * one.down, tallest), 8)


def _ceil(length: int, step: int) -> int:
    return -(-length // step)


def _counts(total: int, interval: int) -> list[int]:
    """Return the MCUs between restart markers."""
    if not interval:
        return [total]
    whole, rest = divmod(total, interval)
    return [interval] * whole + [rest] * (rest > 0)


def _check_restarts(data: NDArray[np.uint8], restarts: NDArray[np.intp], pieces: int) -> str:
    """Restart markers are numbered 0 to 7 in turn; one may stand after the last piece."""
    kinds = data[restarts + 1] - _FIRST_RESTART
    if not np.array_equal(kinds, np.arange(len(kinds)) % _RESTARTS):
        return "a restart marker is missing or altered"
    if len(kinds) == pieces and not data[restarts[-1] + 2 :].size:
        return ""
    if len(kinds) != pieces - 1:
        return f"it has {len(kinds)} restart markers, not {pieces - 1}"
    return ""


def _pieces(data: NDArray[np.uint8], restarts: NDArray[np.intp]) -> Iterator[NDArray[np.uint8]]:
    """Yield the data between restart markers, without the zeros after bytes of 255."""
    starts = [0, *(restarts + 2)]
    for start, stop in zip(starts, [*restarts, len(data)], strict=True):
        piece = data[start:stop]
        while piece.size and piece[-1] == 255:  # fills up before a marker
            piece = piece[:-1]
        stuffed = np.flatnonzero(piece[:-1] == 255) + 1
        yield np.delete(piece, stuffed[piece[stuffed] == 0])
