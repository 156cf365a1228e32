"""JPEG 2000 of Aperio: 33003 is YCbCr and 33005 RGB, whatever the photometric tag says."""

import base64
from contextlib import closing

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiff_files import APERIO

from membrane_xai.io import _slides, open_slide, read_image
from membrane_xai.io._ycbcr import from_ycbcr, has_coarse_colour

imagecodecs = pytest.importorskip("imagecodecs")

SIDE = 64


def every_colour():
    """Return 128 x 128 pixels of all kinds of YCbCr."""
    return np.random.default_rng(7).integers(0, 256, (2 * SIDE, 2 * SIDE, 3), dtype=np.uint8)


def aperio(path, samples, compression, photometric="rgb", kind="J2K/YUV16"):
    """Write samples as they are, without loss, in tiles of Aperio's JPEG 2000."""
    tiles = (
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(samples[top : top + SIDE, left : left + SIDE]),
            level=0, codecformat="j2k", mct=False, reversible=True,
        )
        for top in range(0, len(samples), SIDE)
        for left in range(0, len(samples), SIDE)
    )  # fmt: skip
    with tifffile.TiffWriter(path) as file:
        file.write(
            tiles, shape=samples.shape, dtype=np.uint8, tile=(SIDE, SIDE), photometric="rgb",
            compression=compression, metadata=None, description=APERIO.format("128x128", kind),
        )  # fmt: skip
    if photometric == "ycbcr":  # which tifffile does not write beside JPEG 2000
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags[262].overwrite(6)
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.svs"])
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
@pytest.mark.parametrize("compression", [33003, 33005])
def test_every_door_gives_what_openslide_gives(tmp_path, compression, photometric, name):
    openslide = pytest.importorskip("openslide")
    path = aperio(tmp_path / name, every_colour(), compression, photometric)
    assert openslide.OpenSlide.detect_format(path) == "aperio"
    with openslide.OpenSlide(path) as theirs:
        seen = np.asarray(theirs.read_region((0, 0), 0, (128, 128)).convert("RGB"))
    image = read_image(path)
    assert np.array_equal(image.rgb, seen)
    assert image.mpp == 0.25
    with closing(open_slide(path)) as slide:
        assert slide.mpp == 0.25
        assert np.array_equal(slide.read_region(5, 60, 100, 10), seen[60:70, 5:105])


def test_of_several_focal_planes_the_first_is_shown(tmp_path):
    openslide = pytest.importorskip("openslide")
    path, first = tmp_path / "a.svs", every_colour()
    layout = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    about = {"description": APERIO.format("128x128", "JPEG/RGB")}
    with tifffile.TiffWriter(path) as file:
        file.write(first, tile=(SIDE, SIDE), **layout, **about)
        file.write(first[::4, ::4], **layout)  # the thumbnail
        for plane in (255 - first, first // 2):
            file.write(plane, tile=(SIDE, SIDE), **layout)
    with openslide.OpenSlide(path) as theirs:
        seen = np.asarray(theirs.read_region((0, 0), 0, (128, 128)).convert("RGB"))
    assert np.array_equal(seen, first)
    assert np.array_equal(read_image(path).rgb, first)
    with closing(open_slide(path)) as slide:
        assert slide.level_downsamples == (1,)
        assert np.array_equal(slide.read_region(0, 0, 128, 128), first)


def test_without_openslide_it_is_the_same(tmp_path, monkeypatch):
    ycbcr = np.asarray(PIL.Image.new("RGB", (128, 128), (140, 90, 50)).convert("YCbCr"))
    path = aperio(tmp_path / "a.svs", ycbcr, 33003)
    monkeypatch.setattr(_slides, "_LIBRARIES", ())
    assert np.abs(read_image(path).rgb.astype(int) - [140, 90, 50]).max() <= 1


def test_conversion_is_that_of_bt_601():
    y, cb, cr = np.meshgrid(*(np.arange(0, 256, 5, dtype=np.uint8),) * 3, indexing="ij")
    samples = np.stack([y, cb, cr], axis=-1)
    seen = np.asarray(PIL.Image.fromarray(samples.reshape(-1, 52, 3), "YCbCr").convert("RGB"))
    difference = from_ycbcr(samples).reshape(seen.shape).astype(int) - seen
    assert np.abs(difference).max() <= 1  # Pillow rounds down
    assert from_ycbcr(np.array([[[128, 128, 128], [76, 85, 255]]], np.uint8)).tolist() == [
        [[128, 128, 128], [254, 0, 0]]  # grey, and red: 76 + 1.402 * 127 = 254.05
    ]


# 64 x 64 pixels with half the columns of colour, as Aperio's scanners write, by opj_compress of
# OpenJPEG 2.5.0: Y, Cb, Cr are 213, 128, 128 on the left and 99, 100, 157 on the right.
HALF_THE_COLOUR = base64.b85decode(
    b"|4;u>051Rl0000$0000$00000000000000$0000$000000000000RdB0S5vB2Lb{AQUDA90003100aa80smY81VB"
    b"LlWB?@q0Yh?SVRU6=AYyqSPjF>!N>D{dAa-SPb7^mGATlmBE-?R)015yA0002500IA#&$Uz(09>q`XY7V1ZI}Ol^"
    b"i9SvH|wxMPyAH$0000000D%AyIn{C000000|^O#|9v-10000000D%Azy2Wj000000009C34i=S@Bjb+000065)%J"
    b"^!{<0;6%8vRGygO<fMFpo|9Y_t(trQ}000amCI5fJ=T2n74=W=x|1>v%VIeR7da(=AfB*mh01PB0|8f!l00000Fp"
    b"!u3fB)G"
)


def test_colour_of_half_the_columns_is_not_converted_twice(tmp_path):
    openslide = pytest.importorskip("openslide")
    path = tmp_path / "a.svs"
    with tifffile.TiffWriter(path) as file:
        file.write(
            iter([HALF_THE_COLOUR]), shape=(SIDE, SIDE, 3), dtype=np.uint8, tile=(SIDE, SIDE),
            photometric="rgb", compression=33003, metadata=None,
            description=APERIO.format("64x64", "J2K/YUV16"),
            extratags=[(530, "H", 2, (2, 2), True)],  # as some of them say
        )  # fmt: skip
    rgb = read_image(path).rgb
    expected = [99 + 1.402 * 29, 99 + 0.34414 * 28 - 0.71414 * 29, 99 - 1.772 * 28]
    assert (rgb[:, :32] == 213).all()
    assert np.abs(rgb[:, 32:] - expected).max() < 1.5  # imagecodecs rounds down
    with openslide.OpenSlide(path) as theirs:
        seen = np.asarray(theirs.read_region((0, 0), 0, (SIDE, SIDE)).convert("RGB"))
    assert np.abs(rgb.astype(int) - seen).max() <= 1


# The first bytes of a code stream (ISO/IEC 15444-1, annex A.5.1): SOC, SIZ, its length and
# capabilities, eight numbers of four bytes, three components of 8 bits with their steps.
def code_stream(*steps):
    components = b"".join(bytes([7, *step]) for step in steps)
    length = (38 + len(components)).to_bytes(2, "big")
    count = len(steps).to_bytes(2, "big")
    return b"\xff\x4f\xff\x51" + length + bytes(2) + bytes(32) + count + components


@pytest.mark.parametrize(
    ("data", "coarse"),
    [
        (code_stream((1, 1), (1, 1), (1, 1)), False),
        (code_stream((1, 1), (2, 1), (2, 1)), True),  # 4:2:2, as Aperio's scanners write
        (code_stream((1, 1), (2, 2), (2, 2)), True),
        (b"box of JP2" + code_stream((1, 1), (2, 1), (2, 1)), True),
        (code_stream((1, 1)), False),
        (b"", False),
        (b"no code stream", False),
    ],
)
def test_colour_that_the_decoder_has_converted(data, coarse):
    assert has_coarse_colour(data) == coarse
