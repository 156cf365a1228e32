"""Slides in DICOM: the least that OpenSlide reads (PS3.3 A.32.8, PS3.5 7.1), uncompressed."""

import struct

import numpy as np

LEVEL_0, COARSER = r"ORIGINAL\PRIMARY\VOLUME\NONE", r"DERIVED\PRIMARY\VOLUME\RESAMPLED"
_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_LONG = (b"OB", b"SQ")  # whose length takes four bytes


def dicom_level(path, rgb, *, series, instance, mpp, kind=LEVEL_0, tile=64):
    """Write one level of a slide as a file of its own."""
    frames = list(_frames(rgb, tile))
    spacing = rf"{mpp / 1000:.6f}\{mpp / 1000:.6f}"
    measures = _sequence(0x0028, 0x9110, _element(0x0028, 0x0030, b"DS", spacing))
    numbers = {
        0x0002: 3, 0x0006: 0, 0x0010: tile, 0x0011: tile,  # samples, by pixel, rows, columns
        0x0100: 8, 0x0101: 8, 0x0102: 7, 0x0103: 0,  # bits allocated, stored, highest; no sign
    }  # fmt: skip
    about = [
        _element(0x0008, 0x0008, b"CS", kind),
        _element(0x0008, 0x0016, b"UI", _SLIDE),
        _element(0x0008, 0x0018, b"UI", instance),
        _element(0x0020, 0x000E, b"UI", series),
        _element(0x0020, 0x9311, b"CS", "TILED_FULL"),
        _element(0x0028, 0x0002, b"US", _short(numbers.pop(0x0002))),
        _element(0x0028, 0x0004, b"CS", "RGB"),
        _element(0x0028, 0x0006, b"US", _short(numbers.pop(0x0006))),
        _element(0x0028, 0x0008, b"IS", str(len(frames))),
        *(_element(0x0028, number, b"US", _short(value)) for number, value in numbers.items()),
        _element(0x0048, 0x0006, b"UL", struct.pack("<I", rgb.shape[1])),
        _element(0x0048, 0x0007, b"UL", struct.pack("<I", rgb.shape[0])),
        _sequence(0x5200, 0x9229, measures),
        _element(0x7FE0, 0x0010, b"OB", b"".join(frames)),
    ]
    meta = b"".join(
        [
            _element(0x0002, 0x0001, b"OB", b"\0\1"),
            _element(0x0002, 0x0002, b"UI", _SLIDE),
            _element(0x0002, 0x0003, b"UI", instance),
            _element(0x0002, 0x0010, b"UI", _EXPLICIT_LITTLE_ENDIAN),
        ]
    )
    length = _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta)))
    path.write_bytes(bytes(128) + b"DICM" + length + meta + b"".join(about))
    return path


def dicom_slide(folder, rgb, *, series="1.2.3", mpp=0.25):
    """Write a slide of two levels; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"series": series}
    coarse = {"instance": f"{series}.2", "mpp": 2 * mpp, "kind": COARSER}
    return [
        dicom_level(folder / "1.dcm", rgb[::2, ::2], **coarse, **about),
        dicom_level(folder / "2.dcm", rgb, instance=f"{series}.1", mpp=mpp, **about),
    ]


def _frames(rgb, tile):
    height, width = rgb.shape[:2]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            frame = np.zeros((tile, tile, 3), np.uint8)
            part = rgb[top : top + tile, left : left + tile]
            frame[: part.shape[0], : part.shape[1]] = part
            yield frame.tobytes()


def _short(value):
    return struct.pack("<H", value)


def _element(group, number, kind, value):
    data = value.encode() if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if kind == b"UI" else b" "
    length = struct.pack("<HI", 0, len(data)) if kind in _LONG else struct.pack("<H", len(data))
    return struct.pack("<HH2s", group, number, kind) + length + data


def _sequence(group, number, item):
    return _element(group, number, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item)
