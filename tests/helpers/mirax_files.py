"""Slides of MIRAX: the least that OpenSlide reads, one level of tiles in PNG, some left out."""

import io
import struct

import PIL.Image

_ID = "0123456789abcdef"
_TILE = 64

_SLIDEDAT = """[GENERAL]
SLIDE_VERSION = 01.02
SLIDE_ID = {id}
IMAGENUMBER_X = {across}
IMAGENUMBER_Y = {down}
OBJECTIVE_MAGNIFICATION = 40
CameraImageDivisionsPerSide = 1
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 1
HIER_0_VAL_0_SECTION = LEVEL_0
[LEVEL_0]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = 0.25
MICROMETER_PER_PIXEL_Y = 0.25
IMAGE_FORMAT = PNG
IMAGE_FILL_COLOR_BGR = 16777215
DIGITIZER_WIDTH = {tile}
DIGITIZER_HEIGHT = {tile}
IMAGE_CONCAT_FACTOR = 0
[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
"""


def scanned_by_mirax(path, rgb, *, corner, tiles):
    """Write a slide of `tiles` (across, down) tiles of 64 pixels, `rgb` at tile `corner`, x and y.

    The sides of `rgb` are multiples of 64.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(b"")
    across, down = tiles
    numbers = {"id": _ID, "across": across, "down": down, "tile": _TILE}
    (folder / "Slidedat.ini").write_text(_SLIDEDAT.format(**numbers))
    data, entries = b"", []
    for top in range(0, rgb.shape[0], _TILE):
        for left in range(0, rgb.shape[1], _TILE):
            png = io.BytesIO()
            PIL.Image.fromarray(rgb[top : top + _TILE, left : left + _TILE]).save(png, "PNG")
            row, column = corner[1] + top // _TILE, corner[0] + left // _TILE
            entries.append((row * across + column, len(data), len(png.getvalue()), 0))
            data += png.getvalue()
    (folder / "Data0000.dat").write_bytes(data)
    begin = b"01.02" + _ID.encode()
    zoom = len(begin) + 8  # where the list of levels begins, after two roots of four bytes
    roots, level = struct.pack("<ii", zoom, 0), struct.pack("<iii", zoom + 4, 0, zoom + 12)
    page = struct.pack("<ii", len(entries), 0) + b"".join(struct.pack("<4i", *e) for e in entries)
    (folder / "Index.dat").write_bytes(begin + roots + level + page)
    return path
