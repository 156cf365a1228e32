"""Samples of more than 8 bits: white where the camera has it, or a question."""

from contextlib import closing

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiff_files import write_tiff

from membrane_xai import extract_membrane_mask
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_image
from membrane_xai.io._png import deep_samples

imagecodecs = pytest.importorskip("imagecodecs")  # the independent reader and writer of deep PNG


@pytest.fixture
def field():
    """Draw brown lines on glass, in 8 bits."""
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(232, 4, (128, 128, 3)), 0, 255).astype(np.uint8)
    for left in range(20, 120, 30):
        pixels[:, left : left + 5] = (165, 130, 100)
    return pixels


def write(path, pixels, significant=None, **options):
    """Write RGB of 16 bits."""
    if path.suffix == ".png":
        data = imagecodecs.png_encode(pixels)
        if significant:
            data = data[:33] + chunk(b"sBIT", bytes(3 * [significant])) + data[33:]
        path.write_bytes(data)
        return path
    if significant:
        options["extratags"] = [(281, 3, 3, 3 * (2**significant - 1,), True)]
    return write_tiff(path, pixels, **options)


def chunk(kind, data):
    import zlib

    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
class TestACameraOfFewerBits:
    def test_is_asked_about(self, tmp_path, field, name, bits):
        path = write(tmp_path / name, field.astype(np.uint16) << (bits - 8))
        message = f"of which at most {bits} are used, .* bits=12 or --bits 12"
        with pytest.raises(InvalidInputError, match=message):
            read_image(path)

    def test_is_scaled_by_what_the_caller_says(self, tmp_path, field, name, bits):
        path = write(tmp_path / name, field.astype(np.uint16) << (bits - 8))
        rgb = read_image(path, bits=bits).rgb
        white = 2**bits - 1
        exact = np.rint((field.astype(int) << (bits - 8)) * 255 / white)
        assert np.abs(rgb - exact).max() == 0
        found, right = (extract_membrane_mask(x, mpp=0.5).mask.mean() for x in (rgb, field))
        assert found == pytest.approx(right, abs=0.005)
        with pytest.raises(InvalidInputError, match=f"bits={bits - 1} allows up to"):
            read_image(path, bits=bits - 1)

    def test_is_scaled_by_what_the_file_says(self, tmp_path, field, name, bits):
        path = write(tmp_path / name, field.astype(np.uint16) << (bits - 8), significant=bits)
        assert np.array_equal(read_image(path).rgb, read_image(path, bits=bits).rgb)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("significant", [None, 12, 16])
def test_16_bits_in_use_stay_as_they_are(tmp_path, field, name, significant):
    """A precision of 12 bits is also stated of samples that fill 16, as PNG asks for."""
    path = write(tmp_path / name, field.astype(np.uint16) * 257, significant=significant)
    assert np.array_equal(read_image(path).rgb, field)
    assert np.array_equal(read_image(path, bits=16).rgb, field)
    with pytest.raises(InvalidInputError, match="bits=12 allows up to 4095"):
        read_image(path, bits=12)


def test_a_dark_picture_of_16_bits_is_read_if_the_caller_says_so(tmp_path, field):
    for name in ("a.png", "a.tif"):
        path = write(tmp_path / name, field.astype(np.uint16) * 50)
        with pytest.raises(InvalidInputError, match="bits=16"):
            read_image(path)
        assert read_image(path, bits=16).rgb.max() == pytest.approx(
            int(field.max()) * 50 / 257, abs=1
        )


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_samples(tmp_path, field, bits):
    """BitsPerSample says it; numbers that no byte begins with."""
    deep = field.astype(np.uint16) << (bits - 8)
    path = write_tiff(tmp_path / "a.tif", deep, bitspersample=bits)
    expected = np.rint(deep.astype(int) * 255 / (2**bits - 1))
    assert np.array_equal(read_image(path).rgb, expected)
    assert np.array_equal(read_image(path, bits=bits).rgb, expected)
    with pytest.raises(InvalidInputError, match=f"bits={bits - 1} allows up to"):
        read_image(path, bits=bits - 1)


def test_significant_bits_of_ome(tmp_path, field):
    deep = field.astype(np.uint16) << 4
    for stated, right in ((12, True), (16, False)):  # 16 is what writers put that do not know
        path = write_tiff(
            tmp_path / "a.ome.tif", deep, metadata={"axes": "YXS", "SignificantBits": stated}
        )
        if right:
            assert np.array_equal(read_image(path).rgb, read_image(path, bits=12).rgb)
        else:
            with pytest.raises(InvalidInputError, match="at most 12 are used"):
                read_image(path)


def test_a_slide_has_one_depth_and_white_gaps(tmp_path, field):
    deep = field.astype(np.uint16) << 4
    deep[:64, :64] //= 8  # a dark region
    path = write_tiff(tmp_path / "a.ome.tif", deep, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        counts[0] = 0
        file.pages[0].tags["TileByteCounts"].overwrite(counts)
    with closing(open_slide(path, mpp=0.5)) as slide, pytest.raises(InvalidInputError, match="12"):
        slide.read_region(32, 32, 32, 32)
    with closing(open_slide(path, mpp=0.5, bits=12)) as slide:
        assert (slide.read_region(0, 0, 32, 32) == 255).all()
        exact = np.rint(deep[32:64, 32:64].astype(int) * 255 / 4095)
        assert np.array_equal(slide.read_region(32, 32, 32, 32), exact)
    write_tiff(path, deep * 16, tile=(32, 32), compression="zlib")
    with closing(open_slide(path, mpp=0.5)) as slide:  # 16 bits, and dark there
        exact = (deep[32:64, 32:64].astype(int) * 16 + 128) // 257
        assert np.array_equal(slide.read_region(32, 32, 32, 32), exact)


@pytest.mark.parametrize("alpha", [4095, 65535])
def test_alpha_of_deep_samples(tmp_path, alpha):
    rgba = np.full((2, 2, 4), 2048, np.uint16)
    rgba[..., 3] = alpha
    rgba[0, 0, 3] = 0
    rgba[0, 1] = (0, 0, 0, alpha // 2 + 1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(rgba))
    write_tiff(tmp_path / "a.tif", rgba, extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        rgb = read_image(tmp_path / name, bits=12).rgb
        assert rgb[..., 0].tolist() == [[255, 127], [128, 128]]


def test_grey_with_alpha_of_16_bits_is_grey(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.full((4, 4, 2), 40000, np.uint16)))
    with pytest.raises(InvalidInputError, match="colour mode 'LA'"):
        read_image(tmp_path / "a.png")


def test_all_bits_of_a_png(tmp_path, rng):
    deep = rng.integers(0, 2**16, (31, 17, 3), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    with PIL.Image.open(tmp_path / "a.png") as image:
        upper = np.asarray(image)
    assert np.array_equal(deep_samples(tmp_path / "a.png", upper), deep)


def test_palettes_of_8_bits(tmp_path):
    """Some programs write their colours with 8 bits in fields of 16."""
    index = np.arange(4, dtype=np.uint8).reshape(2, 2)
    colors = np.zeros((3, 256), np.uint16)
    colors[:, :4] = np.arange(12).reshape(3, 4) * 20
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, index, photometric="palette", colormap=colors)
    assert np.array_equal(read_image(path).rgb, colors[:, :4].T.reshape(2, 2, 3))
    tifffile.imwrite(path, index, photometric="palette", colormap=colors * 257)
    assert np.array_equal(read_image(path).rgb, colors[:, :4].T.reshape(2, 2, 3))


@pytest.mark.parametrize("bits", [7, 17, 12.0, True, "12"])
def test_bits_are_checked(tmp_path, bits):
    for reads in (read_image, open_slide):
        with pytest.raises(InvalidInputError, match=r"bits is .*; it takes 8 to 16, or None"):
            reads(tmp_path / "none.png", bits=bits)
