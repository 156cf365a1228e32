"""Masks from files: every way to write the same two values, and what is no mask."""

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiff_files import TURNS, orientation_tag

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import MASK_SUFFIXES, read_mask, write_mask
from membrane_xai.io._ome import write_pyramid

MASK = np.zeros((6, 9), bool)
MASK[1:3, 2:8] = MASK[4, 0] = True
GREY = MASK * np.uint8(255)
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 0, 0)


def colored(on, off=BLACK):
    return np.where(MASK[..., None], on, off).astype(np.uint8)


def palette(on, off, index=(1, 0)):
    picture = PIL.Image.fromarray(np.where(MASK, *map(np.uint8, index)), "L").convert("P")
    picture.putpalette([x for pair in sorted(zip(index, (on, off), strict=True)) for x in pair[1]])
    return picture


def picture(values):
    return PIL.Image.fromarray(values)


PNGS = {
    "1 bit": picture(MASK),
    "8 bits": picture(GREY),
    "8 bits, 0 and 1": picture(MASK.astype(np.uint8)),
    "8 bits, 0 and 17": picture(MASK * np.uint8(17)),
    "16 bits": picture(MASK * np.uint16(65535)),
    "16 bits, 0 and 1": picture(MASK.astype(np.uint16)),
    "RGB": picture(colored(WHITE)),
    "RGB, red": picture(colored(RED)),
    "RGBA": picture(np.dstack([colored(WHITE), np.full_like(GREY, 255)])),
    "red on what is clear": picture(np.dstack([colored(RED, RED), GREY])),
    "grey with alpha": picture(GREY).convert("LA"),
    "palette": palette(WHITE, BLACK),
    "palette, white first": palette(WHITE, BLACK, index=(0, 1)),
    "palette, red": palette(RED, BLACK),
}


@pytest.mark.parametrize("how", PNGS)
def test_png(how, tmp_path):
    PNGS[how].save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", shape=MASK.shape)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASK)


BITS = {"photometric": "minisblack"}
TIFFS = {
    "8 bits": (GREY, BITS),
    "0 and 1": (MASK.astype(np.uint8), BITS),
    "16 bits": (MASK * np.uint16(65535), BITS),
    "32 bits": (MASK.astype(np.int32), BITS),
    "1 bit": (MASK, BITS),
    "white is 0": (~GREY, {"photometric": "miniswhite"}),
    "1 bit, white is 0": (~MASK, {"photometric": "miniswhite", "software": "scan"}),
    "floats": (MASK.astype(np.float32), BITS),
    "floats to 255": (GREY.astype(np.float32), BITS),
    "RGB": (colored(WHITE), {"photometric": "rgb"}),
    "tiles": (GREY, {"tile": (16, 16), "compression": "zlib", **BITS}),
    "palette": (
        MASK.astype(np.uint8),
        {"photometric": "palette", "colormap": np.eye(1, 256, 1, dtype=np.uint16)[[0] * 3] * 65535},
    ),
}


@pytest.mark.parametrize("how", TIFFS)
def test_tiff(how, tmp_path):
    values, options = TIFFS[how]
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    found = read_mask(tmp_path / "a.tif", shape=MASK.shape)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASK)


@pytest.mark.parametrize("orientation", TURNS)
def test_a_mask_in_tiff_is_upright_like_its_image(orientation, tmp_path, rng):
    stored, path = rng.random((6, 9)) < 0.5, tmp_path / "a.tif"
    values = stored.astype(np.uint8) * 255
    turned = [orientation_tag(orientation)]
    tifffile.imwrite(path, values, photometric="minisblack", extratags=turned)
    upright = TURNS[orientation](stored)
    assert np.array_equal(read_mask(path, shape=upright.shape), upright)
    if upright.shape != stored.shape:
        with pytest.raises(InvalidInputError, match="is not resized here"):
            read_mask(path, shape=stored.shape)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_pillows_limit_does_not_count(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    PIL.Image.new("L", (9, 6), 255).save(tmp_path / f"a.{suffix}")
    assert read_mask(tmp_path / f"a.{suffix}").all()


def test_true_of_an_array_of_bool_is_membrane(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", MASK)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert int(file.pages[0].photometric) == 0  # white is 0, says tifffile of what is true
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), MASK)
    # as every other program means it: what is shown white is membrane
    tifffile.imwrite(tmp_path / "a.tif", ~MASK, software="scan")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), MASK)


def test_objects_of_imagej_are_255_whatever_shows_them_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True)
    data = (tmp_path / "a.tif").read_bytes()
    # tag 262 (photometric), of one short: 1 is black at 0; ImageJ's inverting table writes 0
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    order = tag if tag in data else b"\x01\x06\x00\x03\x00\x00\x00\x01"
    place = data.index(order) + 8
    assert data[place : place + 2] in (b"\x01\x00", b"\x00\x01")
    (tmp_path / "a.tif").write_bytes(data[:place] + b"\0\0" + data[place + 2 :])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert (file.is_imagej, int(file.pages[0].photometric)) == (True, 0)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), MASK)


@pytest.mark.parametrize(
    "values",
    [MASK, GREY, MASK.astype(float), MASK.astype(np.int64), MASK[None], MASK[..., None],
     np.asfortranarray(GREY)],
)  # fmt: skip
def test_npy(values, tmp_path):
    np.save(tmp_path / "a.npy", values)
    found = read_mask(tmp_path / "a.npy", shape=MASK.shape)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASK)


def test_shares_stay_shares(tmp_path):
    np.save(tmp_path / "a.npy", MASK * 0.25)
    tifffile.imwrite(tmp_path / "a.tif", (MASK * 0.25).astype(np.float32))
    for name in ("a.npy", "a.tif"):
        found = read_mask(tmp_path / name)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, MASK * 0.25)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_all_or_nothing(value, tmp_path):
    picture(np.full((4, 5), value, np.uint8)).save(tmp_path / "a.png")
    assert (read_mask(tmp_path / "a.png") == bool(value)).all()


@pytest.mark.parametrize("values", [MASK, np.arange(54, dtype=np.uint8).reshape(6, 9) % 4])
@pytest.mark.parametrize("name", ["a.ome.tif", "a.png"])
def test_what_write_mask_writes(values, name, tmp_path):
    write_mask(tmp_path / name, values, mpp=0.25)
    if name == "a.png" and values.dtype == np.uint8:
        with pytest.raises(InvalidInputError, match="the values 0, 1, 2, 3: shades or labels"):
            read_mask(tmp_path / name)
    else:
        np.testing.assert_array_equal(read_mask(tmp_path / name), values > 0)


def test_a_pyramid_is_read_at_full_resolution(tmp_path, rng):
    classes = rng.integers(0, 4, (200, 300), np.uint8)
    tiles = (np.pad(classes, ((0, 56), (0, 212)))[y : y + 64, x : x + 64]
             for y in range(0, 200, 64) for x in range(0, 300, 64))  # fmt: skip
    write_pyramid(tmp_path / "a.ome.tif", tiles, shape=classes.shape, tile=64, mpp=0.5)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert len(file.series[0].levels) > 1
    np.testing.assert_array_equal(read_mask(tmp_path / "a.ome.tif"), classes > 0)


def test_labels_are_taken_by_number(tmp_path):
    labels = np.arange(54, dtype=np.uint16).reshape(6, 9)
    tifffile.imwrite(tmp_path / "a.tif", labels, **BITS)
    with pytest.raises(InvalidInputError, match="0, 1, 2, 3, 4, 5 and 48 more: shades or labels"):
        read_mask(tmp_path / "a.tif")
    found = read_mask(tmp_path / "a.tif", labels=[3, 50])
    assert np.flatnonzero(found).tolist() == [3, 50]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_labels_with_a_palette_are_its_indices(suffix, tmp_path):
    labels = np.arange(54, dtype=np.uint8).reshape(6, 9) % 3
    colors = np.array([WHITE, RED, (0, 0, 200)])
    if suffix == ".png":
        saved = PIL.Image.fromarray(labels).convert("P")
        saved.putpalette(colors.ravel().tolist())
        saved.save(tmp_path / "a.png")
    else:
        table = np.pad(colors.T * 257, ((0, 0), (0, 253))).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", labels, photometric="palette", colormap=table)
    path = tmp_path / f"a{suffix}"
    np.testing.assert_array_equal(read_mask(path, labels=[1]), labels == 1)
    with pytest.raises(InvalidInputError, match="has the colours"):
        read_mask(path)


def blended(values):
    return picture(values).resize((7, 5), PIL.Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (blended(GREY), "shades or labels"),
        (picture(MASK * np.uint8(2) + 1), "has the values 1, 3"),
        (picture(np.full((6, 9), 7, np.uint8)), "has the values 7"),
        (picture(colored(WHITE, RED)), "has the colours"),
        (picture(colored(RED, RED)), "has the colours"),
        (picture(np.dstack([colored(WHITE), GREY // 2])), "partly transparent"),
        (palette(RED, WHITE), "has the colours"),
    ],
)
def test_what_is_no_mask(saved, words, tmp_path):
    saved.save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match=rf"a\.png: .*{words}"):
        read_mask(tmp_path / "a.png")


def test_other_sizes_are_refused_and_not_resized(tmp_path):
    picture(GREY).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", GREY, **BITS)
    np.save(tmp_path / "a.npy", GREY)
    for suffix in (".png", ".tif", ".npy"):
        words = rf"a\{suffix}: is 9 x 6 pixels, and its image 18 x 12; a mask has the size"
        with pytest.raises(InvalidInputError, match=words):
            read_mask(tmp_path / f"a{suffix}", shape=(12, 18))


def test_jpeg_pages_nan_and_other_things_are_refused(tmp_path):
    picture(GREY).save(tmp_path / "a.png", format="JPEG")
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([GREY, GREY, GREY, GREY]), **BITS)
    np.save(tmp_path / "nan.npy", np.where(MASK, np.nan, 0))
    np.save(tmp_path / "far.npy", MASK * 2.5)
    np.save(tmp_path / "stack.npy", np.zeros((4, 6, 9), bool))
    np.save(tmp_path / "object.npy", np.array([[None]], dtype=object))
    (tmp_path / "text.png").write_text("{}")
    for name, words in {
        "a.png": "is JPEG, which alters the values of a mask",
        "pages.tif": "holds 4 planes; a mask takes one",
        "nan.npy": "has NaN or infinity",
        "far.npy": r"has the values 0\.0, 2\.5",
        "stack.npy": r"has shape \(4, 6, 9\)",
        "object.npy": "Python objects in dtype",
        "text.png": "not a PNG, JPEG, BMP or TIFF image",
    }.items():
        with pytest.raises(InvalidInputError, match=words):
            read_mask(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_mask(tmp_path / "none.png")


@pytest.mark.parametrize("kept", [40, 70])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_a_file_that_is_cut_off_is_no_mask(suffix, kept, tmp_path, rng):
    noise = rng.random((64, 64)) < 0.5
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, noise)
    elif suffix == ".tif":
        tifffile.imwrite(path, noise * np.uint8(255), tile=(16, 16), compression="zlib")
    else:
        picture(noise * np.uint8(255)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * kept // 100])
    with pytest.raises(InvalidInputError, match=r"truncated or damaged"):
        read_mask(path)


def test_altered_bytes_of_png_are_noticed(tmp_path, rng):
    path = tmp_path / "a.png"
    picture((rng.random((64, 64)) < 0.5) * np.uint8(255)).save(path)
    data = bytearray(path.read_bytes())
    for place in range(60, len(data) - 16, 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(InvalidInputError, match="damaged"):
            read_mask(path)


def test_tiles_that_a_file_lacks_are_no_background(tmp_path):
    tiles = iter([np.full((16, 16), 255, np.uint8), None])
    tifffile.imwrite(
        tmp_path / "a.tif", tiles, shape=(16, 32), dtype=np.uint8, tile=(16, 16), **BITS
    )
    with pytest.raises(InvalidInputError, match="a part of it is missing"):
        read_mask(tmp_path / "a.tif")


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
from membrane_xai.io import read_mask
for path in sys.argv[1:]:
    try:
        print(read_mask(path).sum())
    except ImportError as error:
        print(type(error).__name__)
"""


def test_without_imagecodecs_pillow_decodes_or_it_is_named(tmp_path):
    pytest.importorskip("imagecodecs")
    picture(MASK).save(tmp_path / "fax.tif", compression="group4")
    picture(GREY).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "zstd.tif", GREY, compression="jpeg2000", **BITS)
    names = [tmp_path / f"{name}.tif" for name in ("fax", "lzw", "zstd")]
    for path in names[:2]:
        np.testing.assert_array_equal(read_mask(path), MASK)
    command = [sys.executable, "-c", WITHOUT, *map(str, names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(MASK.sum())] * 2 + ["MissingDependencyError"]


def test_suffixes():
    assert {".png", ".tif", ".tiff", ".npy", ".bmp"} == set(MASK_SUFFIXES)
