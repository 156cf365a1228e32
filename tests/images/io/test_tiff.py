"""TIFF: layouts, compressions, and what is missing or no RGB."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiff_files import OME, pyramid, write_tiff

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_image


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"tile": (32, 48)},
        {"tile": (32, 48), "compression": "zlib", "predictor": True},
        {"compression": "zlib", "rowsperstrip": 16, "byteorder": ">"},
        {"bigtiff": True, "tile": (16, 16)},
    ],
)
def test_tiff_layouts(tmp_path, rgb, options):
    path = write_tiff(tmp_path / "a.tif", rgb, **options)
    assert np.array_equal(read_image(path).rgb, rgb)


@pytest.mark.parametrize("tile", [None, (32, 16)])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_planes_of_colour(tmp_path, rgb, photometric, tile):
    path = tmp_path / "a.ome.tif"
    axes = "SYX" if photometric == "rgb" else "CYX"
    options = {"planarconfig": "separate"} if photometric == "rgb" else {}
    planes = np.moveaxis(rgb, -1, 0)
    write_tiff(
        path, planes, photometric=photometric, tile=tile, metadata=OME | {"axes": axes}, **options
    )
    image = read_image(path)
    assert np.array_equal(image.rgb, rgb)
    assert image.mpp == 0.25


@pytest.mark.parametrize("compression", ["jpeg", "lzw", "jpeg2000"])
def test_compression_by_imagecodecs(tmp_path, rgb, compression):
    pytest.importorskip("imagecodecs")
    path = write_tiff(tmp_path / "a.tif", rgb, compression=compression, tile=(32, 32))
    assert np.array_equal(read_image(path).rgb, tifffile.imread(path))


def test_a_pyramid_gives_its_level_0(tmp_path, rgb):
    image = read_image(pyramid(tmp_path / "a.ome.tif", rgb))
    assert np.array_equal(image.rgb, rgb)
    assert image.mpp == 0.25


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((4, 5), np.uint8), {"photometric": "minisblack"}, "MINISBLACK with 1 sample"),
        (np.zeros((4, 5, 3), np.float32), {}, "samples of float32"),
        (np.zeros((4, 5, 4), np.uint8), {"photometric": "separated"}, "SEPARATED with 4"),
        (np.zeros((5, 4, 6, 3), np.uint8), {}, "holds 5 pictures"),
        (
            np.zeros((2, 4, 6), np.uint8),
            {"photometric": "minisblack", "metadata": {"axes": "CYX"}},
            "holds 2 planes",
        ),
    ],
)
def test_tiff_that_is_not_rgb_is_refused(tmp_path, pixels, options, message):
    path = write_tiff(tmp_path / "a.ome.tif", pixels, **options)
    with pytest.raises(InvalidInputError, match=message):
        read_image(path)


def test_a_missing_tile_is_no_black_square(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.tif", rgb, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        counts[4] = 0
        file.pages[0].tags["TileByteCounts"].overwrite(counts)
    with pytest.raises(InvalidInputError, match="tile 4 is missing"):
        read_image(path)
    with closing(open_slide(path)) as slide:  # a scanner leaves out glass
        region = slide.read_region(0, 0, 90, 70)
    assert (region[32:64, 32:64] == 255).all()
    assert np.array_equal(region[:32], rgb[:32])


WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None
from membrane_xai.errors import MissingDependencyError
from membrane_xai.io import read_image
for path in sys.argv[1:]:
    try:
        image = read_image(path)
        print(image.rgb.shape, image.mpp, image.rgb.sum())
    except MissingDependencyError as error:
        print(error)
"""


def test_without_imagecodecs(tmp_path, rgb):
    pytest.importorskip("imagecodecs")
    lzw, jpeg, deflate, planes = (tmp_path / f"{name}.ome.tif" for name in "abcd")
    PIL.Image.fromarray(rgb).save(lzw, compression="tiff_lzw")
    write_tiff(jpeg, rgb, compression="jpeg", tile=(32, 32), metadata=OME)
    write_tiff(deflate, rgb, compression="zlib", tile=(32, 32), metadata=OME)
    three = {"photometric": "minisblack", "compression": "jpeg", "metadata": OME | {"axes": "CYX"}}
    write_tiff(planes, np.moveaxis(rgb, -1, 0), tile=(32, 32), **three)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_IMAGECODECS, lzw, jpeg, deflate, planes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    by_pillow, jpeg_by_pillow, by_zlib, missing = done.stdout.strip().split("\n")
    total = rgb.sum(dtype=int)
    assert by_pillow == f"(70, 90, 3) None {total}"
    assert by_zlib == f"(70, 90, 3) 0.25 {total}"
    *seen, jpeg_total = jpeg_by_pillow.rsplit(" ", 1)
    assert seen == ["(70, 90, 3) 0.25"]
    assert int(jpeg_total) == pytest.approx(read_image(jpeg).rgb.sum(dtype=int), rel=1e-3)
    assert missing == (
        f'{planes}: its compression needs imagecodecs: pip install "membrane-xai[slides]"'
    )


DATA = os.environ.get("MEMBRANE_XAI_DATA")


@pytest.mark.skipif(not DATA, reason="MEMBRANE_XAI_DATA is not set")
@pytest.mark.parametrize(
    ("name", "mpp"),
    [("OS-1-detail", 0.2271), ("OS-2-ndpi", 0.2271), ("OS-2-vsi", 0.34605)],
)
def test_files_of_bio_formats(name, mpp):
    path = Path(DATA) / "controls" / f"{name}.ome.tif"
    image = read_image(path)
    assert image.mpp == pytest.approx(mpp, rel=1e-4)
    assert np.array_equal(image.rgb, tifffile.imread(path))
    with closing(open_slide(path)) as slide:
        assert np.array_equal(slide.read_region(300, 500, 256, 400), image.rgb[500:900, 300:556])


@pytest.mark.parametrize("level", [-1, 1, 9])
def test_a_level_that_is_not_there(tmp_path, rgb, level):
    with closing(open_slide(write_tiff(tmp_path / "a.tif", rgb))) as slide:
        slide.read_region(0, 0, 1, 1, 0)
        with pytest.raises(InvalidInputError, match=rf"level is {level}; .*a\.tif has 0 to 0"):
            slide.read_region(0, 0, 1, 1, level)
