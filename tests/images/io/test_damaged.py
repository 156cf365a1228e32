"""Broken and hostile files: no picture, no crash, no memory."""

import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiff_files import OME, with_tag, write_tiff

from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.io import MAX_PIXELS, read_image


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9))


@pytest.mark.parametrize("side", [8193, 10_000, 2**31 - 1])
def test_pixels_are_counted_before_they_are_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side) + chunk(b"IEND", b""))
    with pytest.raises(InvalidInputError, match=r"bomb.png: has .*pixels"):
        read_image(path)


def test_the_limit_can_be_set(tmp_path, rgb):
    PIL.Image.fromarray(rgb).save(tmp_path / "a.png")
    write_tiff(tmp_path / "a.tif", rgb)
    for path in (tmp_path / "a.png", tmp_path / "a.tif"):
        assert read_image(path, max_pixels=6300).rgb.shape == (70, 90, 3)
        with pytest.raises(InvalidInputError, match="90 x 70 pixels, more than max_pixels=6299"):
            read_image(path, max_pixels=6299)
    with pytest.raises(InvalidInputError, match="max_pixels is 0; it takes a positive integer"):
        read_image(path, max_pixels=0)


def test_a_tiff_that_claims_too_many_pixels(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.tif", rgb, tile=(32, 32), compression="zlib")
    with_tag(path, "ImageWidth", 10**6)
    with pytest.raises(InvalidInputError, match=f"more than max_pixels={MAX_PIXELS}"):
        read_image(path)


def test_a_tiff_of_huge_tiles(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.tif", rgb, tile=(32, 32), compression="zlib")
    with_tag(path, "TileWidth", 2**22)
    with pytest.raises(InvalidInputError, match="stored in pieces of"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "b.ome.tif", "j.ome.tif"])
@pytest.mark.parametrize("kept", [0, 3, 0.3, 0.6, 0.95])
def test_part_of_a_file_gives_no_picture(tmp_path, rgb, name, kept):
    path = tmp_path / name
    if name == "b.ome.tif":
        write_tiff(path, rgb, tile=(32, 32), compression="zlib", metadata=OME)
    elif name == "j.ome.tif":
        pytest.importorskip("imagecodecs")
        write_tiff(path, rgb, tile=(32, 32), compression="jpeg", metadata=OME)
    else:
        PIL.Image.fromarray(rgb).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(InvalidInputError, match=name):
        read_image(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["a.png", "a.jpg", "a.bmp", "a.tif", "b.tif"]))
def test_damage_raises_nothing_but_our_errors(tmp_path, data, name):
    path = tmp_path / name
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    if name == "b.tif":
        write_tiff(path, pixels, tile=(16, 16), compression="zlib")
    else:
        PIL.Image.fromarray(pixels).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    raised = None
    try:
        read_image(path, mpp=0.25, max_pixels=10**6)
    except (InvalidInputError, MissingDependencyError) as error:
        raised = str(error)
    except Warning:
        pass  # of Pillow or tifffile about what they read, or ours about the pixel size
    assert raised is None or name in raised


def test_other_files(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    for name in ("a.png", "a.tif"):
        with pytest.raises(InvalidInputError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
