"""Three grey planes are a picture only if they are red, green and blue."""

import numpy as np
import pytest
import tifffile
from tiff_files import OME, write_tiff

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_image

FLUORESCENCE = {"Name": ["DAPI", "FITC", "Cy3"]}
COLORS = {"Name": ["Red", "Green", "Blue"]}
RED_GREEN_BLUE = [-16776961, 16711935, 65535]  # as OME writes them


@pytest.fixture
def planes(rgb):
    return np.moveaxis(rgb, -1, 0)


def grey(path, planes, **options):
    return write_tiff(path, planes, **{"photometric": "minisblack", **options})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.ome.tif", {"metadata": OME | {"axes": "ZYX"}}, "three slices of a stack"),
        ("a.ome.tif", {"metadata": OME | {"axes": "TYX"}}, "three time points"),
        (
            "a.ome.tif",
            {"metadata": OME | {"axes": "CYX", "Channel": FLUORESCENCE}},
            r"three channels \(DAPI, FITC, Cy3\) that are no colours",
        ),
        (
            "a.ome.tif",
            {"metadata": OME | {"axes": "CYX", "Channel": {"EmissionWavelength": [461, 519, 570]}}},
            "three channels that are no colours",
        ),
        (
            "a.ome.tif",
            {"metadata": OME | {"axes": "CYX", "Channel": {"Color": RED_GREEN_BLUE[::-1]}}},
            "not red, green and blue",
        ),
        ("a.tif", {"imagej": True, "metadata": {"axes": "ZYX"}}, "three slices of a stack"),
        ("a.tif", {"imagej": True, "metadata": {"axes": "TYX"}}, "three time points"),
        ("a.tif", {"imagej": True, "metadata": {"axes": "CYX"}}, "three channels of ImageJ"),
        ("a.tif", {"metadata": {"axes": "ZYX"}}, "three slices of a stack"),
        ("a.tif", {"metadata": {"axes": "CYX"}}, "three channels without names"),
        ("a.tif", {"metadata": None}, "three grey pictures"),
        ("a.tif", {"photometric": "miniswhite", "metadata": None}, "three grey pictures"),
        ("a.tif", {"planarconfig": "separate"}, "MINISBLACK with 3 samples"),
    ],
)
def test_what_is_no_colour(tmp_path, planes, name, options, message):
    with pytest.raises(InvalidInputError, match=f"{name}: .*{message}"):
        read_image(grey(tmp_path / name, planes, **options), mpp=0.5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ome.tif", {"metadata": OME | {"axes": "CYX", "Channel": COLORS}}),
        ("a.ome.tif", {"metadata": OME | {"axes": "CYX", "Channel": {"Name": list("rgb")}}}),
        ("a.ome.tif", {"metadata": OME | {"axes": "CYX", "Channel": {"Color": RED_GREEN_BLUE}}}),
        ("a.ome.tif", {"metadata": OME | {"axes": "CYX"}}),  # as libvips writes slides
        ("a.tif", {"imagej": True, "metadata": {"axes": "CYX", "Labels": COLORS["Name"]}}),
        ("a.tif", {"photometric": "rgb", "planarconfig": "separate"}),
        ("a.ome.tif", {"photometric": "rgb", "planarconfig": "separate"}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*mpp=")
def test_red_green_and_blue_stay_a_picture(tmp_path, planes, rgb, name, options):
    path = grey(tmp_path / name, planes, **options)
    assert np.array_equal(read_image(path, mpp=0.25).rgb, rgb)


def test_channels_without_names_that_are_dark_or_deep(tmp_path, planes):
    metadata = OME | {"axes": "CYX"}
    dark = grey(tmp_path / "a.ome.tif", planes // 5, metadata=metadata)
    with pytest.raises(InvalidInputError, match="dark like those of fluorescence"):
        read_image(dark)
    deep = grey(tmp_path / "b.ome.tif", planes.astype(np.uint16) * 200, metadata=metadata)
    with pytest.raises(InvalidInputError, match="three channels of 16 bits without names"):
        read_image(deep)
    named = OME | {"axes": "CYX", "Channel": COLORS}
    grey(deep, planes.astype(np.uint16) * 257, metadata=named)
    assert np.array_equal(read_image(deep).rgb, np.moveaxis(planes, 0, -1))


def test_white_is_0(tmp_path, planes, rgb):
    """Colours of which 0 is the brightest are turned round."""
    path = tmp_path / "a.ome.tif"
    metadata = OME | {"axes": "CYX", "Channel": COLORS}
    grey(path, 255 - planes, photometric="miniswhite", metadata=metadata)
    assert np.array_equal(read_image(path).rgb, rgb)
    deep = 65535 - planes.astype(np.uint16) * 257
    grey(path, deep, photometric="miniswhite", metadata=metadata)
    assert np.array_equal(read_image(path).rgb, rgb)


@pytest.mark.parametrize("pages", [2, 3, 4])
def test_several_pictures(tmp_path, rgb, pages):
    path = write_tiff(tmp_path / "a.tif", np.stack([rgb] * pages), metadata=None)
    with pytest.raises(InvalidInputError, match=rf"a.tif: holds {pages} pictures"):
        read_image(path)


def in_turn(path, *pictures, ome):
    with tifffile.TiffWriter(path) as file:
        for i, picture in enumerate(pictures):
            metadata = {"axes": "YXS", "Name": str(i)} if ome else None
            file.write(picture, photometric="rgb", metadata=metadata)
    return path


@pytest.mark.parametrize(("name", "ome"), [("a.ome.tif", True), ("a.tif", False)])
@pytest.mark.parametrize("read", [read_image, open_slide])
def test_a_label_before_the_slide_is_not_taken_for_it(tmp_path, rgb, read, name, ome):
    small = np.ascontiguousarray(rgb[::2, ::3])
    path = in_turn(tmp_path / name, small, rgb, ome=ome)
    with pytest.raises(InvalidInputError, match="holds 2 pictures, of which the first has"):
        read(path)


def test_a_label_behind_the_slide_is_passed_over(tmp_path, rgb):
    path = in_turn(tmp_path / "a.ome.tif", rgb, np.ascontiguousarray(rgb[::2, ::3]), ome=True)
    np.testing.assert_array_equal(read_image(path).rgb, rgb)


def test_two_fields_of_one_size_are_two_pictures(tmp_path, rgb):
    path = in_turn(tmp_path / "a.ome.tif", rgb, rgb, ome=True)
    with pytest.raises(InvalidInputError, match="holds 2 pictures"):
        read_image(path)
