"""Damage in JPEG and JPEG 2000 that decoders pass over; and no complaint about what is whole."""

import io
import struct

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import immunohistochemistry
from tiff_files import write_tiff

from her2_models.data import Manifest, Record, check
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image
from membrane_xai.io._jpeg2000_damage import find_damage as find_damage_of_2000
from membrane_xai.io._jpeg_damage import find_damage

ENCODINGS = {
    "plain": {},
    "full colour": {"subsampling": "4:4:4"},
    "half colour": {"subsampling": "4:2:2"},
    "own codes": {"optimize": True},
    "restarts": {"restart_marker_blocks": 5},
    "restarts by row": {"restart_marker_rows": 1, "subsampling": "4:2:2"},
    "progressive": {"progressive": True},
    "progressive, restarts": {"progressive": True, "restart_marker_rows": 2},
}


def texture(side=128):
    """Draw soft noise, of which every block of a JPEG has many codes."""
    noise = np.random.default_rng(0).integers(60, 240, (side // 8, side // 8, 3), np.uint8)
    return np.asarray(PIL.Image.fromarray(noise).resize((side, side)))


def encoded(pixels, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def scan_of(data):
    """Return where the data of the first scan begin."""
    start = data.index(b"\xff\xda")
    return start + 2 + int.from_bytes(data[start + 2 : start + 4])


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize(
    "pixels",
    [
        immunohistochemistry()[:150, :170],
        immunohistochemistry()[:1, :1],
        immunohistochemistry()[:60, :70, 0],
        np.full((90, 100, 3), 245, np.uint8),
        np.zeros((90, 100, 3), np.uint8),
        np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8),
    ],
    ids=["tissue", "one pixel", "grey", "glass", "black", "noise"],
)
def test_whole_files_are_whole(options, quality, pixels):
    assert find_damage(encoded(pixels, quality=quality, **options)) == ""


def test_what_cameras_and_scanners_add_is_no_damage(tmp_path):
    data = encoded(texture(), icc_profile=bytes(3000), comment=b"\xff\xd9 no end")
    thumbnail = encoded(texture(16))
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    at_the_end = data[:-2] + b"\xff" * 5 + b"\xff\xd9" + thumbnail + bytes(10)
    for whole in (data[:2] + exif + data[2:], at_the_end, data[:-2] + b"\xff\xd0\xff\xd9"):
        assert find_damage(whole) == ""
        (tmp_path / "a.jpg").write_bytes(whole)
        assert np.array_equal(read_image(tmp_path / "a.jpg").rgb, decoded(data))


def in_three_scans(shape, coarse):
    """Put three grey JPEGs together as the colours of one, each in a scan of its own."""
    rng = np.random.default_rng(3)
    height, width = shape
    halves = ((height + 1) // 2, (width + 1) // 2) if coarse else shape
    colors = [encoded(rng.integers(0, 256, side, np.uint8)) for side in (shape, halves, halves)]
    start = colors[0].index(b"\xff\xc0")
    sampling = [0x22 if coarse else 0x11, 0x11, 0x11]
    frame = b"".join(bytes([i + 1, sampling[i], 0]) for i in range(3))
    head = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + frame
    scans = [
        b"\xff\xda" + struct.pack(">HBBB", 8, 1, i + 1, 0) + b"\0\x3f\0" + one[scan_of(one) : -2]
        for i, one in enumerate(colors)
    ]
    tables = colors[0][start + 13 : colors[0].index(b"\xff\xda")]
    return colors[0][:start] + head + tables + b"".join(scans) + b"\xff\xd9", scans


@pytest.mark.parametrize("shape", [(64, 64), (37, 29), (8, 9)])
@pytest.mark.parametrize("coarse", [False, True])
def test_a_scan_for_each_colour(shape, coarse):
    data, scans = in_three_scans(shape, coarse)
    assert decoded(data).shape == (*shape, 3)
    assert find_damage(data) == ""
    assert find_damage(data.replace(scans[1], b"")) == "it ends before all its colours are there"
    assert find_damage(data.replace(scans[2], scans[2][: len(scans[2]) // 2]))


def decoded(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def damaged(data):
    """Yield what is wrong and data that are: lost, foreign and cut bytes of one scan."""
    rng, middle = np.random.default_rng(2), (scan_of(data) + len(data)) // 2
    foreign = rng.integers(0, 255, 200, np.uint8).tobytes()
    yield "lost", data[:middle] + data[middle + 200 :]
    yield "half lost", data[:middle] + data[-300:]
    yield "zero", data[:middle] + bytes(200) + data[middle + 200 :]
    yield "foreign", data[:middle] + foreign + data[middle + 200 :]
    yield "doubled", data[:middle] + data[middle - 200 :]
    yield "end marks", data[:middle] + b"\xff\xd9" * 50 + data[middle + 100 :]
    yield "ones", data[:middle] + b"\xff" * 100 + data[middle + 100 :]
    yield "no end", data[: -len(data) // 4]


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
def test_damage_in_files(tmp_path, options):
    for _what, bad in damaged(encoded(texture(256), **options)):
        (tmp_path / "a.jpg").write_bytes(bad)
        with pytest.raises(InvalidInputError, match=r"a.jpg: is truncated or damaged"):
            read_image(tmp_path / "a.jpg")


def test_her2_data_check_lists_it(tmp_path):
    paths = []
    for what, bad in damaged(encoded(texture(256))):
        paths.append(tmp_path / f"{what}.jpg")
        paths[-1].write_bytes(bad)
    whole = tmp_path / "whole.jpg"
    whole.write_bytes(encoded(texture()))
    report = check(Manifest(tuple(Record(path, 1) for path in [*paths, whole])))
    assert [path for path, why in report.unreadable if "damaged" in why] == paths


@pytest.mark.parametrize(
    "change",
    [lambda k: k[:3] + k[4:], lambda k: [k[1], k[0], *k[2:]], lambda k: [k[0], k[0], *k[1:]]],
    ids=["lost", "exchanged", "doubled"],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_pieces_between_restart_markers(change, progressive):
    data = encoded(texture(), restart_marker_rows=1, progressive=progressive)
    assert find_damage(data) == ""
    start = scan_of(data)
    ends = [
        i for i in range(start, len(data) - 1) if data[i] == 255 and 0xD0 <= data[i + 1] <= 0xD7
    ]
    ends = ends[:7]  # of the first scan
    pieces = [data[a:b] for a, b in zip([start, *ends[:-1]], ends, strict=True)]
    assert find_damage(data[:start] + b"".join(change(pieces)) + data[ends[-1] :])


def test_a_marker_that_was_altered():
    data = encoded(texture(), restart_marker_rows=1)
    assert find_damage(data.replace(b"\xff\xd2", b"\xff\xd3", 1)) == (
        "a restart marker is missing or altered"
    )
    assert "6 restart markers, not 7" in find_damage(data[: data.index(b"\xff\xd6")] + b"\xff\xd9")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), encoding=st.sampled_from(sorted(ENCODINGS)))
def test_no_damage_breaks_the_check(data, encoding):
    content = bytearray(encoded(texture(32), **ENCODINGS[encoding]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(find_damage(bytes(content[: data.draw(st.integers(0, len(content)))])), str)


def follow_slowly(bits, codes, blocks):
    """Count the bits of `blocks` blocks of one component, by the definition, bit by bit."""
    at = 0

    def symbol(table):
        nonlocal at
        code = ""
        while code not in table:
            code, at = code + bits[at], at + 1
        return table[code]

    for _ in range(blocks):
        size = symbol(codes[0])
        at += size
        place = 1
        while place < 64 and (found := symbol(codes[16])):
            at += found & 15
            place += (found >> 4) + 1
    return at


def tables_of(data):
    """Return Huffman tables as codes in words of 0 and 1."""
    tables, at = {}, 0
    while (at := data.find(b"\xff\xc4", at)) >= 0:
        body = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4])]
        code, symbols, table = 0, iter(body[17:]), {}
        for length, count in enumerate(body[1:17], 1):
            for _ in range(count):
                table[f"{code:0{length}b}"], code = next(symbols), code + 1
            code <<= 1
        tables[body[0]], at = table, at + 4
    return tables


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("optimize", [False, True])
def test_blocks_end_where_codes_followed_bit_by_bit_end(quality, optimize):
    grey = immunohistochemistry()[:64, :96, 1]
    data = encoded(grey, quality=quality, optimize=optimize)
    start = scan_of(data)
    scan = data[start:-2].replace(b"\xff\0", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in scan)
    end = follow_slowly(bits, tables_of(data), 96)
    assert 0 <= len(bits) - end < 8
    assert find_damage(data) == ""
    one_less = data.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 56, 96))
    one_more = data.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 72, 96))
    assert find_damage(one_less) == "it has more data than its picture takes"
    assert find_damage(one_more) == "its data end before its picture does"


@pytest.fixture(params=["jpeg", "jpeg2000"])
def tiles(request, tmp_path):
    pytest.importorskip("imagecodecs")
    path = write_tiff(
        tmp_path / "a.tif", texture(256), tile=(128, 128), compression=request.param, metadata=None
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return path, page.dataoffsets[1], page.databytecounts[1]


@pytest.mark.parametrize("fill", [b"\0", b"\xff\xd9", b"\xff"])
def test_damage_in_tiles(tiles, fill):
    path, start, size = tiles
    assert read_image(path).rgb.shape == (256, 256, 3)
    content, half = bytearray(path.read_bytes()), size // 2
    content[start + half : start + size] = (fill * size)[: size - half]
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="is truncated or damaged"):
        read_image(path)


def test_bytes_lost_in_a_tile(tiles):
    path, start, size = tiles
    content = bytearray(path.read_bytes())
    middle, end = start + size // 2, start + size
    content[middle:end] = content[middle + 400 : end] + bytes(400)
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="is truncated or damaged: tile 1"):
        read_image(path)


def test_tables_of_jpeg_beside_its_tiles(tmp_path):
    """As libtiff writes them: the tiles have no tables of their own."""
    PIL.Image.fromarray(texture(256)).save(tmp_path / "a.tif", compression="jpeg", quality=90)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert page.jpegtables
        start, size = page.dataoffsets[0], page.databytecounts[0]
    pytest.importorskip("imagecodecs")
    assert read_image(tmp_path / "a.tif").rgb.shape == (256, 256, 3)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[start + size // 2 : start + size // 2 + 60] = bytes(60)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InvalidInputError, match="damaged: tile 0: part of its data is zero"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("codec", ["j2k", "jp2"])
@pytest.mark.parametrize("level", [0, 30])
@pytest.mark.parametrize("pixels", [texture(), np.full((70, 60, 3), 255, np.uint8)])
def test_whole_jpeg_2000(codec, level, pixels):
    imagecodecs = pytest.importorskip("imagecodecs")
    data = imagecodecs.jpeg2k_encode(pixels, level=level, codecformat=codec)
    assert find_damage_of_2000(data) == ""
    assert find_damage_of_2000(data[:-2]) == ""  # some leave out the end marker
    assert find_damage_of_2000(data[: len(data) * 9 // 10])
    assert find_damage_of_2000(b"") == ""


def test_markers_among_data_of_jpeg_2000():
    imagecodecs = pytest.importorskip("imagecodecs")
    data = bytearray(imagecodecs.jpeg2k_encode(texture(), level=30))
    middle = len(data) // 2
    data[middle : middle + 4] = b"\0\xff\xa0\0"
    assert find_damage_of_2000(bytes(data)) == "there are markers among its data"


@pytest.mark.parametrize("where", ["pixels", "checksum", "end"])
def test_png_by_its_checksums(tmp_path, rgb, where):
    PIL.Image.fromarray(rgb).save(tmp_path / "a.png", compress_level=0)
    content = bytearray((tmp_path / "a.png").read_bytes())
    if where == "end":
        content = content[:-12]
    else:
        content[len(content) // 2 if where == "pixels" else -14] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"a.png: is truncated or damaged"):
        read_image(tmp_path / "a.png")
