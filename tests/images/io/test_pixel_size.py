"""The pixel size, from whatever a file says and from the caller."""

from contextlib import closing

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from tiff_files import OME, write_tiff

from membrane_xai import extract_membrane_mask
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.io import MPP_LIMITS, open_slide, read_image, scale_text, write_mask
from membrane_xai.io._pixel_size import PixelSize, from_density, from_ome, from_text


@pytest.mark.parametrize(
    ("unit", "value", "micrometres"),
    [
        ("nm", 250, 0.25),
        ("mm", 0.00025, 0.25),
        ("\N{MICRO SIGN}m", 0.25, 0.25),
        ("\N{GREEK SMALL LETTER MU}m", 0.25, 0.25),
        (None, 0.25, 0.25),
        ("in", 1e-5, 0.254),
        ("pixel", 1, None),
        ("\N{MICRO SIGN}m", 0, None),
        ("\N{MICRO SIGN}m", "inf", None),
        ("\N{MICRO SIGN}m", "wide", None),
    ],
)
def test_units_of_ome(unit, value, micrometres):
    units = "" if unit is None else f'PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}"'
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels '
        f'PhysicalSizeX="{value}" PhysicalSizeY="{value}" {units}/></Image></OME>'
    )
    found = from_ome(xml)
    assert found == (None if micrometres is None else pytest.approx((micrometres,) * 2))


@pytest.mark.parametrize("xml", ["", "<OME>", "<OME/>", "<OME><Pixels/></OME>"])
def test_ome_that_says_nothing(xml):
    assert from_ome(xml) is None


def test_aperio_says_it_in_words():
    description = "Aperio Image Library v11\n46000x32914 -> |AppMag = 20|MPP = 0.4990|Left = 25"
    assert from_text(description) == PixelSize(0.499, 0.499)
    assert from_text("MPP") is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "mpp"),
    [("INCH", 25400 / 0.5, 0.5), ("CENTIMETER", 1e4 / 0.5, 0.5), ("INCH", 96, None),
     ("INCH", 300, None), ("NONE", 2, None)],
)  # fmt: skip
def test_resolution_of_tiff(tmp_path, rgb, unit, per_unit, mpp):
    path = write_tiff(tmp_path / "a.tif", rgb, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert read_image(path).mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-6))


@pytest.mark.parametrize(
    ("unit", "per_unit", "mpp"),
    [("um", 4, 0.25), ("micron", 4, 0.25), ("microns", 4, 0.25), ("\\u00B5m", 4, 0.25),
     ("mm", 4000, 0.25), ("cm", 40000, 0.25), ("nm", 0.004, 0.25), ("inch", 101600, 0.25),
     ("pixel", 4, None), ("mm", 4, None), ("px", 1, None)],
)  # fmt: skip
def test_resolution_of_imagej(tmp_path, rgb, unit, per_unit, mpp):
    path = write_tiff(
        tmp_path / "a.tif", rgb, imagej=True, resolution=(per_unit,) * 2, metadata={"unit": unit}
    )
    assert read_image(path).mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-6))


@given(st.floats(1e-3, 1e9), st.floats(1e-3, 1e9))
def test_only_plausible_resolutions_count(x, y):
    found = from_density(x, y, 25400)
    assert (found is not None) == all(0.05 <= 25400 / side <= 5 for side in (x, y))


@pytest.mark.parametrize(
    ("text", "mpp"),
    [
        ("MPP = 2.52e-01", 0.252),
        ("MPP = 2.52E-1", 0.252),
        ("MPP=0.2498", 0.2498),
        ("MPP = .25", 0.25),
        ("MPP = 0,2498", 0.2498),
        ("MPP = 0.25um", 0.25),
        ("MPP = +0.5", 0.5),
        ("MPP = -0.5", None),
        ("MPP = 0", None),
        ("MPP = ", None),
        ("MPP = unknown", None),
    ],
)
def test_numbers_of_aperio(text, mpp):
    found = from_text(f"Aperio Image Library|AppMag = 40|{text}|Left = 2")
    assert found == (None if mpp is None else (mpp, mpp))


IMPOSSIBLE = [0.00025, 0.0499, 5.01, 352.777, 1e6]


@pytest.mark.parametrize("size", IMPOSSIBLE)
@pytest.mark.parametrize("source", ["its OME-XML", "Aperio's description"])
def test_sizes_that_no_microscope_gives(tmp_path, rgb, source, size):
    if source == "its OME-XML":
        options = {"metadata": OME | {"PhysicalSizeX": size, "PhysicalSizeY": size}}
        path = write_tiff(tmp_path / "a.ome.tif", rgb, **options)
    else:
        text = f"Aperio Image Library|AppMag = 40|MPP = {size}|"
        path = write_tiff(tmp_path / "a.tif", rgb, description=text, metadata=None)
    message = rf"{source}.* states pixels of .* \(0.05 to 5\): give the true size, mpp or --mpp"
    for reads in (read_image, open_slide):
        with pytest.raises(InvalidInputError, match=message):
            reads(path)
    with pytest.warns(MembraneXAIWarning, match="mpp=0.25 was given and is used"):
        assert read_image(path, mpp=0.25).mpp == 0.25
    with (
        pytest.warns(MembraneXAIWarning, match="mpp=0.25"),
        closing(open_slide(path, mpp=0.25)) as s,
    ):
        assert s.mpp == 0.25


def test_a_size_of_one_side_that_is_impossible(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.ome.tif", rgb, metadata=OME | {"PhysicalSizeY": 250})
    with pytest.raises(InvalidInputError, match=r"states pixels of 0.25 by 250 um"):
        read_image(path)


@pytest.mark.parametrize("mpp", [0.05, 5.0])
def test_the_limits_are_sizes(tmp_path, rgb, mpp):
    metadata = OME | {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    path = write_tiff(tmp_path / "a.ome.tif", rgb, metadata=metadata)
    assert read_image(path).mpp == read_image(path, mpp=mpp).mpp == mpp
    assert MPP_LIMITS[0] <= mpp <= MPP_LIMITS[1]


@pytest.mark.parametrize("mpp", IMPOSSIBLE)
def test_the_caller_is_held_to_them_too(tmp_path, rgb, mpp):
    PIL.Image.fromarray(rgb).save(tmp_path / "a.png")
    message = f"mpp is {mpp!r}; it takes .* 0.05 to 5"
    for reads in (read_image, open_slide):
        with pytest.raises(InvalidInputError, match=message):
            reads(tmp_path / "a.png", mpp=mpp)
    with pytest.raises(InvalidInputError, match=message):
        extract_membrane_mask(rgb, mpp=mpp)


def test_a_mask_may_be_coarser_than_any_image(tmp_path):
    path = write_mask(tmp_path / "a.ome.tif", np.ones((2, 2), bool), mpp=16)
    with tifffile.TiffFile(path) as file:
        assert from_ome(file.ome_metadata) == (16, 16)


def test_what_the_caller_says_goes_first(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.ome.tif", rgb, metadata=OME)
    assert read_image(path, mpp=0.26).mpp == 0.26  # 4 % off
    with pytest.warns(MembraneXAIWarning, match=r"mpp=0.5 was given and is used; the file says"):
        assert read_image(path, mpp=0.5).mpp == 0.5
    with pytest.warns(MembraneXAIWarning, match="mpp=0.5"), closing(open_slide(path, mpp=0.5)) as s:
        assert s.mpp == 0.5


def test_pixels_have_to_be_square(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.ome.tif", rgb, metadata=OME | {"PhysicalSizeY": 0.254})
    assert read_image(path).mpp == pytest.approx(0.252, rel=1e-3)
    write_tiff(path, rgb, metadata=OME | {"PhysicalSizeY": 0.26})
    with pytest.raises(InvalidInputError, match=r"pixels are 0.25 by 0.26 um; .*square within 2 %"):
        read_image(path)
    with pytest.raises(InvalidInputError, match="square"):
        open_slide(path)
    assert read_image(path, mpp=0.255).mpp == 0.255


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), float("inf"), "0.25", True])
def test_mpp_is_checked(tmp_path, mpp):
    with pytest.raises(InvalidInputError, match="mpp is"):
        read_image(tmp_path / "none.png", mpp=mpp)
    with pytest.raises(InvalidInputError, match="mpp is"):
        write_mask(tmp_path / "a.png", np.ones((2, 2), bool), mpp=mpp)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (0.25 * 1024 / 224, "1.14 um/px (8.75x)"),
        (0.25, "0.25 um/px (40x)"),
        ([0.5, 0.505], "0.502 um/px (19.9x)"),  # within 2 %: the geometric mean
        ([1.0, 0.25, 0.5], "0.25 to 1 um/px (40x to 10x)"),
        ([0.5, float("nan")], "0.5 um/px (20x), some unknown"),
        (float("nan"), "unknown um/px"),
        ([0.0, float("inf")], "unknown um/px"),
        ([], "unknown um/px"),
    ],
)
def test_scales_are_printed_in_micrometres_and_as_objectives(sizes, words):
    assert scale_text(sizes) == words
    assert scale_text(iter([sizes] if isinstance(sizes, float) else sizes)) == words
