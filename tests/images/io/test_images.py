"""Images of every format against the pixels they were made of."""

import warnings

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from tiff_files import write_tiff

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image
from membrane_xai.io._tiff import over_white

DPI = 25400 / 0.25  # of 0.25 micrometres


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_lossless_formats_come_back_as_they_were(tmp_path, rgb, name):
    PIL.Image.fromarray(rgb).save(tmp_path / name, dpi=(DPI, DPI))
    image = read_image(tmp_path / name)
    assert np.array_equal(image.rgb, rgb)
    assert image.mpp == pytest.approx(0.25, rel=1e-4)
    assert image.source == str(tmp_path / name)


def test_jpeg_is_what_pillow_decodes(tmp_path, rgb):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(rgb).save(path, dpi=(72, 72))
    image = read_image(path)
    assert np.array_equal(image.rgb, np.asarray(PIL.Image.open(path)))
    assert image.mpp is None


def test_alpha_is_laid_over_white(tmp_path):
    rgba = np.array([[[100, 50, 0, 255], [100, 50, 0, 0], [100, 50, 0, 51]]], np.uint8)
    seen = [[100, 50, 0], [255, 255, 255], [224, 214, 204]]  # the last: a fifth of it, 4/5 white
    PIL.Image.fromarray(rgba).save(tmp_path / "a.png")
    write_tiff(tmp_path / "a.tif", rgba, extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        assert read_image(tmp_path / name).rgb[0].tolist() == seen
    premultiplied = np.array([[[20, 10, 0, 51]]], np.uint8)
    write_tiff(tmp_path / "b.tif", premultiplied, extrasamples=["assocalpha"])
    assert read_image(tmp_path / "b.tif").rgb[0].tolist() == [seen[2]]


@given(arrays(np.uint8, (3, 4)))
def test_laying_over_white_is_the_formula(rgba):
    alpha = rgba[:, 3:] / 255
    expected = rgba[:, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(over_white(rgba) - expected).max() <= 0.5 + 1e-9


def test_palettes(tmp_path, rgb):
    flat = PIL.Image.fromarray(rgb).quantize(16)
    expected = np.asarray(flat.convert("RGB"))
    for name in ("a.png", "a.tif"):
        flat.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name).rgb, expected)


def test_16_bits_become_8(tmp_path):
    deep = np.array([[[0, 128, 129], [257, 65535, 65407]]], np.uint16)
    path = write_tiff(tmp_path / "a.tif", deep)
    assert read_image(path).rgb.tolist() == [[[0, 0, 1], [1, 255, 255]]]
    write_tiff(path, deep // 16)
    with pytest.raises(InvalidInputError, match="at most 12 are used"):
        read_image(path)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16", "CMYK"])
def test_what_is_not_rgb_is_refused(tmp_path, mode):
    ending = "jpg" if mode == "CMYK" else "png"
    PIL.Image.new(mode, (4, 3)).save(tmp_path / f"a.{ending}")
    with pytest.raises(InvalidInputError, match="stains are told apart by colour"):
        read_image(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.jpg", {"quality": 100})])
@pytest.mark.parametrize("turned", [None, 1, 2, 3, 6, 8])
def test_an_orientation_in_exif_is_said_and_not_applied(tmp_path, rgb, name, options, turned):
    exif = PIL.Image.Exif()
    if turned is not None:
        exif[274] = turned
    PIL.Image.fromarray(rgb).save(tmp_path / name, exif=exif, **options)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        image = read_image(tmp_path / name)
    found = image.rgb
    assert image.flags == (() if turned in (None, 1) else ("exif_orientation",))
    stored = np.asarray(PIL.Image.open(tmp_path / name))
    np.testing.assert_array_equal(found, stored)
    told = [f"EXIF has orientation {turned}, which viewers" in str(one.message) for one in seen]
    assert told == ([] if turned in (None, 1) else [True])
