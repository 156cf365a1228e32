"""Damage in JPEG 2000 data, as far as its markers tell.

Its codes are arithmetic: any bytes are codes, but for pairs that only markers have. Altered bytes
among them are seldom noticed.
"""

import numpy as np

__all__ = ["find_damage"]

_START, _SIZE = b"\xff\x4f", b"\xff\x51"
_SOT, _SOD, _EOC = 0x90, 0x93, 0xD9  # each after a byte of 255
_LEAST_MARKER = 0x90  # of those that cannot be part of data
_AMONG_DATA = (0x91, 0x92)  # start of a packet, and end of its header


def find_damage(data: bytes) -> str:
    """Return what is wrong with a code stream or JP2 file, or an empty text."""
    at = data.find(_START + _SIZE)
    if at < 0:
        return ""  # the decoder says so
    try:
        return _walk(data, at + len(_START))
    except (IndexError, ValueError):
        return "its headers are cut off or altered"


def _walk(data: bytes, at: int) -> str:
    while at < len(data):
        if data[at] != 255:
            return "a part of its data is longer or shorter than it says"
        if data[at + 1] == _EOC:
            return ""
        if data[at + 1] == _SOT:
            end = _end_of_part(data, at)
            at = _past_headers(data, at)
            if end > len(data):
                return "its data end too early"
            if _has_marker(data[at:end]):
                return "there are markers among its data"
            at = end
        else:
            at += 2 + _length(data, at)
    return ""  # the end marker is left out


def _end_of_part(data: bytes, at: int) -> int:
    """Return where the part of a tile ends that begins here."""
    length = int.from_bytes(data[at + 6 : at + 10])
    if length:
        return at + length
    return data.rindex(bytes((255, _EOC)))  # up to the end marker


def _past_headers(data: bytes, at: int) -> int:
    while data[at + 1] != _SOD:
        if data[at] != 255:
            raise ValueError("no header")
        at += 2 + _length(data, at)
    return at + 2


def _length(data: bytes, at: int) -> int:
    length = int.from_bytes(data[at + 2 : at + 4])
    if length < 2:
        raise ValueError("length of header")
    return length


def _has_marker(part: bytes) -> bool:
    values = np.frombuffer(part, np.uint8)
    after = values[1:][values[:-1] == 255]
    return bool(((after >= _LEAST_MARKER) & ~np.isin(after, _AMONG_DATA)).any())
