"""One answer for every TIFF: ``read_image``, ``open_slide`` and the pixels that were written."""

import subprocess
import sys
from contextlib import closing

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiff_files import APERIO, OME, TURNS, orientation_tag, pyramid, with_tag, write_tiff

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_image

SHAPE = (70, 90, 3)
EIGHT = np.random.default_rng(5).integers(0, 256, SHAPE, dtype=np.uint8)
# Resolution, its unit, and the micrometres per pixel that a reader may believe.
RESOLUTIONS = [
    (None, None),
    ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
    ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
    ({"resolution": (10, 10), "resolutionunit": "CENTIMETER"}, None),  # libvips' default
    ({"resolution": (1, 1), "resolutionunit": "CENTIMETER"}, None),
    ({"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}, 0.25),
    ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
]
LOSSLESS = [None, "zlib", "lzw", "packbits", "zstd", "lzma", "png", "jpeg2000", "jpegxl", "webp"]
WITHOUT_LOSS = {
    "jpeg2000": {"level": 0},
    "jpegxl": {"lossless": True},
    "webp": {"lossless": True},
}
FOR_8_BITS = ["webp", "packbits"]


def everything(path):
    """Return pixels, size and pixel size by both doors, which are the same."""
    image = read_image(path)
    height, width = image.rgb.shape[:2]
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == (width, height)
        assert slide.mpp == image.mpp
        assert np.array_equal(slide.read_region(0, 0, width, height), image.rgb)
    return image


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    compression=st.sampled_from(LOSSLESS),
    bits=st.sampled_from([8, 12, 16]),
    layout=st.sampled_from([{"tile": (32, 48)}, {"tile": (16, 16)}, {"rowsperstrip": 16}, {}]),
    apart=st.booleans(),
    orientation=st.integers(1, 8),
    resolution=st.sampled_from(RESOLUTIONS),
)
def test_every_door_gives_what_was_written(
    tmp_path, compression, bits, layout, apart, orientation, resolution
):
    if compression not in (None, "zlib"):
        pytest.importorskip("imagecodecs")
    whole = compression in FOR_8_BITS
    pixels, white = EIGHT, 2**bits - 1
    tags = [orientation_tag(orientation)]
    if bits > 8 and not whole:
        pixels = ((EIGHT.astype(np.uint32) * white + 127) // 255).astype(np.uint16)
        tags.append((281, "H", 3, (white,) * 3, True))  # MaxSampleValue
    options = {"planarconfig": "separate"} if apart and not whole else {}
    if compression in WITHOUT_LOSS:
        options["compressionargs"] = WITHOUT_LOSS[compression]
    stored = np.moveaxis(pixels, -1, 0) if "planarconfig" in options else pixels
    about, mpp = resolution
    path = write_tiff(
        tmp_path / "a.tif", stored, compression=compression, metadata=None,
        extratags=tags, **layout, **options, **(about or {}),
    )  # fmt: skip
    image = everything(path)
    assert np.array_equal(image.rgb, TURNS[orientation](EIGHT))
    assert image.mpp == (None if mpp is None else pytest.approx(mpp))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(
        ["jpeg", "jpeg of planes", "palette", "planes of OME", "white is 0 in planes of OME"]
    ),
    tile=st.sampled_from([(32, 48), None]),
    orientation=st.integers(1, 8),
    resolution=st.sampled_from(RESOLUTIONS),
)
def test_every_door_gives_what_tifffile_or_the_palette_says(
    tmp_path, kind, tile, orientation, resolution
):
    pytest.importorskip("imagecodecs")
    about, mpp = resolution
    options = {
        "tile": tile,
        "metadata": None,
        "extratags": [orientation_tag(orientation)],
        **(about or {}),
    }
    path = tmp_path / "a.tif"
    if kind == "palette":
        colors = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint8)
        options |= {"photometric": "palette", "colormap": colors.astype(np.uint16) * 257}
        write_tiff(path, EIGHT[..., 0], **options)
        expected = colors.T[EIGHT[..., 0]]
    elif kind.endswith("planes of OME"):
        path, mpp = tmp_path / "a.ome.tif", 0.25
        inverted = kind.startswith("white is 0")
        options["photometric"] = "miniswhite" if inverted else "minisblack"
        options["metadata"] = OME | {"axes": "CYX"}
        write_tiff(path, np.moveaxis(EIGHT, -1, 0), **options)
        expected = 255 - EIGHT if inverted else EIGHT
    else:
        apart = {"planarconfig": "separate"} if kind == "jpeg of planes" else {}
        pixels = np.moveaxis(EIGHT, -1, 0) if apart else EIGHT
        write_tiff(path, pixels, compression="jpeg", **apart, **options)
        expected = tifffile.imread(path)
        expected = np.moveaxis(expected, 0, -1) if apart else expected
    image = everything(path)
    assert np.array_equal(image.rgb, TURNS[orientation](expected))
    assert image.mpp == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_what_pillow_makes_of_it(tmp_path, rgb, orientation):
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(rgb).save(path, tiffinfo={274: orientation})
    with PIL.Image.open(path) as image:
        upright = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(everything(path).rgb, upright)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orientation=st.integers(2, 8), level=st.integers(0, 2),
    x=st.integers(-40, 120), y=st.integers(-40, 120),
    width=st.integers(1, 130), height=st.integers(1, 130),
)  # fmt: skip
def test_any_region_of_a_turned_slide_is_a_cut(tmp_path, orientation, level, x, y, width, height):
    path, step = tmp_path / f"{orientation}.tif", 2**level
    stored = np.random.default_rng(orientation).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    if not path.exists():
        pyramid(path, stored, compression="zlib", extratags=[orientation_tag(orientation)])
    upright = TURNS[orientation](stored[::step, ::step])
    field = np.full((310, 310, 3), 255, np.uint8)
    field[40 : 40 + upright.shape[0], 40 : 40 + upright.shape[1]] = upright
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == TURNS[orientation](stored).shape[1::-1]
        assert slide.level_downsamples == (1, 2, 4)
        region = slide.read_region(x * step, y * step, width, height, level)
    assert np.array_equal(region, field[y + 40 : y + 40 + height, x + 40 : x + 40 + width])


def test_the_sides_of_a_pixel_turn_with_it(tmp_path, rgb):
    sides = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}  # 0.25 by 0.5 um
    path = write_tiff(tmp_path / "a.tif", rgb, extratags=[orientation_tag(6)], **sides)
    with pytest.raises(InvalidInputError, match=r"pixels are 0\.5 by 0\.25 um"):
        read_image(path)


def test_planes_of_several_orientations_are_refused(tmp_path, rgb):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        planes = np.moveaxis(rgb, -1, 0)
        about = {"metadata": OME | {"axes": "CYX"}, "extratags": [(*orientation_tag(3)[:4], False)]}
        file.write(planes, photometric="minisblack", **about)
    assert np.array_equal(everything(path).rgb, TURNS[3](rgb))
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[1].aspage().tags[274].overwrite(4)
    for door in (read_image, open_slide):
        with pytest.raises(InvalidInputError, match="planes of several orientations"):
            door(path)


def levels_of(path, layout, steps, **options):
    with tifffile.TiffWriter(path) as file:
        for step in steps:
            file.write(
                np.repeat(np.repeat(EIGHT, 4, 0), 4, 1)[::step, ::step].copy(),
                photometric="rgb", metadata=layout, tile=(64, 64), compression="zlib",
                subfiletype=int(step > 1), **(options if step == 1 else {}),
            )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("name", "layout", "steps", "options"),
    [
        ("in order", None, (1, 2, 4), {}),
        ("with shapes", {}, (1, 2, 4), {}),
        ("in another order", None, (1, 4, 2), {}),
        ("Aperio", None, (1, 2, 4), {"description": APERIO.format("360x280", "J2K/KDU")}),
        ("described by ImageJ", None, (1, 2, 4), {"description": "ImageJ=1.53t\n"}),
    ],
)
def test_levels_are_those_of_openslide(tmp_path, name, layout, steps, options):
    openslide = pytest.importorskip("openslide")
    path = levels_of(tmp_path / f"{name}.tif", layout, steps, **options)
    with openslide.OpenSlide(path) as theirs, closing(open_slide(path)) as slide:
        assert slide.level_downsamples == pytest.approx(theirs.level_downsamples)
        for level, (width, height) in enumerate(theirs.level_dimensions):
            seen = np.asarray(theirs.read_region((0, 0), level, (width, height)).convert("RGB"))
            assert np.array_equal(slide.read_region(0, 0, width, height, level), seen)


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "lzw", None])
def test_plain_pixels_are_those_of_openslide(tmp_path, compression):
    openslide = pytest.importorskip("openslide")
    smooth = np.asarray(PIL.Image.fromarray(EIGHT).resize((300, 200)))
    path = write_tiff(tmp_path / "a.tif", smooth, tile=(64, 64), compression=compression)
    with openslide.OpenSlide(path) as theirs:
        seen = np.asarray(theirs.read_region((0, 0), 0, (300, 200)).convert("RGB"))
    assert np.array_equal(everything(path).rgb, seen)


def test_ycbcr_without_jpeg_is_what_openslide_makes_of_it(tmp_path):
    openslide = pytest.importorskip("openslide")
    path = write_tiff(
        tmp_path / "a.tif", EIGHT, tile=(32, 32), compression="zlib", resolution=(40000, 40000),
        resolutionunit="CENTIMETER", extratags=[(530, "H", 2, (1, 1), True)],
    )  # fmt: skip
    with_tag(path, 262, 6)
    with openslide.OpenSlide(path) as theirs:
        seen = np.asarray(theirs.read_region((0, 0), 0, (90, 70)).convert("RGB"))
    by_pillow = np.asarray(PIL.Image.fromarray(EIGHT, "YCbCr").convert("RGB"))
    assert np.abs(seen.astype(int) - by_pillow).max() <= 2
    image = everything(path)
    assert np.array_equal(image.rgb, seen)
    assert image.mpp == pytest.approx(0.25)
    stripped = write_tiff(tmp_path / "b.tif", EIGHT, compression="zlib")
    with_tag(stripped, 262, 6)
    with pytest.raises(InvalidInputError, match="is YCBCR with 3 samples a pixel"):
        read_image(stripped)


WITHOUT_IMAGECODECS = """
import sys
from contextlib import closing
sys.modules["imagecodecs"] = None
from membrane_xai.errors import MissingDependencyError
from membrane_xai.io import open_slide, read_image
for path in sys.argv[1:]:
    image = read_image(path)
    print(image.rgb.shape, image.rgb.astype(int).cumsum().sum(), image.mpp)
    try:
        with closing(open_slide(path)) as slide:
            region = slide.read_region(0, 0, *slide.dimensions)
            print(region.shape, region.astype(int).cumsum().sum(), slide.mpp)
    except MissingDependencyError:
        print("imagecodecs")
"""


def test_without_imagecodecs_it_is_the_same_or_an_error(tmp_path):
    pytest.importorskip("imagecodecs")
    pytest.importorskip("openslide")
    paths = [
        write_tiff(
            tmp_path / f"{number}.tif", EIGHT, tile=(32, 32), compression="lzw",
            extratags=[orientation_tag(number)], resolution=(72, 72), resolutionunit="INCH",
        )
        for number in TURNS
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_IMAGECODECS, *paths],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().split("\n")
    for path, *seen in zip(paths, lines[::2], lines[1::2], strict=True):
        image = everything(path)
        same = f"{image.rgb.shape} {image.rgb.astype(int).cumsum().sum()} None"
        assert seen == [same, same if path == paths[0] else "imagecodecs"]
