"""Reading images and slides, writing masks: generated files, other readers, and broken files."""

import os
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from membrane_xai.errors import InvalidInputError, MembraneXAIWarning, MissingDependencyError
from membrane_xai.io import MAX_PIXELS, _slides, open_slide, read_image, write_mask
from membrane_xai.io._pixel_size import PixelSize, from_density, from_ome, from_text
from membrane_xai.io._tiff import over_white

OME = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
DPI = 25400 / 0.25  # of 0.25 micrometres


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)


def write_tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", **options})
    return path


# Formats


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


def pyramid(path, rgb, **options):
    """Write three levels, each every second pixel of the one before."""
    with tifffile.TiffWriter(path, ome=True) as file:
        layout = {"photometric": "rgb", "tile": (16, 16), **options}
        file.write(rgb, subifds=2, metadata=OME, **layout)
        for step in (2, 4):
            file.write(rgb[::step, ::step], subfiletype=1, metadata=None, **layout)
    return path


def test_a_pyramid_gives_its_level_0(tmp_path, rgb):
    image = read_image(pyramid(tmp_path / "a.ome.tif", rgb))
    assert np.array_equal(image.rgb, rgb)
    assert image.mpp == 0.25


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


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((4, 5), np.uint8), {"photometric": "minisblack"}, "MINISBLACK with 1 sample"),
        (np.zeros((4, 5, 3), np.float32), {}, "samples of float32"),
        (np.zeros((4, 5, 4), np.uint8), {"photometric": "separated"}, "SEPARATED with 4"),
        (np.zeros((5, 4, 6, 3), np.uint8), {}, "holds 5 planes"),
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


# Pixel size


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


def test_resolution_of_imagej(tmp_path, rgb):
    path = write_tiff(
        tmp_path / "a.tif", rgb, imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    assert read_image(path).mpp == 0.25


@given(st.floats(1e-3, 1e9), st.floats(1e-3, 1e9))
def test_only_plausible_resolutions_count(x, y):
    found = from_density(x, y, 25400)
    assert (found is not None) == all(0.05 <= 25400 / side <= 2 for side in (x, y))


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


# Broken and hostile files


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


def with_tag(path, code, value):
    """Overwrite a TIFF tag that holds one number."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[code].overwrite(value)


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


def test_a_missing_tile_is_no_black_square(tmp_path, rgb):
    path = write_tiff(tmp_path / "a.tif", rgb, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        counts[4] = 0
        file.pages[0].tags["TileByteCounts"].overwrite(counts)
    with pytest.raises(InvalidInputError, match="tile 4 is missing"):
        read_image(path)
    with closing(_slides._TiffSlideReader(path, 0.25)) as slide:  # a scanner leaves out glass
        region = slide.read_region(0, 0, 90, 70)
    assert (region[32:64, 32:64] == 255).all()
    assert np.array_equal(region[:32], rgb[:32])


def test_other_files(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    (tmp_path / "a.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    for name in ("a.png", "a.tif"):
        with pytest.raises(InvalidInputError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


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
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
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


# Slides


def test_regions_of_a_pyramid(tmp_path, rgb):
    with closing(open_slide(pyramid(tmp_path / "a.ome.tif", rgb))) as slide:
        assert slide.dimensions == (90, 70)
        assert slide.mpp == 0.25
        assert slide.level_downsamples == pytest.approx((1, 2, 90 / 23))
        assert np.array_equal(slide.read_region(17, 5, 40, 50), rgb[5:55, 17:57])
        assert np.array_equal(slide.read_region(20, 10, 8, 6, 1), rgb[10:22:2, 20:36:2])


@pytest.mark.parametrize("library", ["openslide", "tifffile"])
def test_what_is_beyond_the_edge_is_white(tmp_path, rgb, library, monkeypatch):
    if library == "openslide":
        pytest.importorskip("openslide")
    else:
        monkeypatch.setattr(_slides, "_LIBRARIES", ())
    path = write_tiff(tmp_path / "a.tif", rgb, tile=(16, 16), compression="zlib")
    with closing(open_slide(path, mpp=0.5)) as slide:
        reader = {"openslide": "_OpenSlideReader", "tifffile": "_TiffSlideReader"}
        assert type(slide).__name__ == reader[library]
        region = slide.read_region(-10, -20, 120, 110)
        assert slide.mpp == 0.5
    inside = region[20:90, 10:100]
    assert np.array_equal(inside, rgb)
    assert region.sum(dtype=int) - inside.sum(dtype=int) == 255 * 3 * (120 * 110 - 90 * 70)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    x=st.integers(-40, 120), y=st.integers(-40, 120),
    width=st.integers(1, 130), height=st.integers(1, 130),
)  # fmt: skip
def test_any_region_is_a_cut_of_the_whole(tmp_path, x, y, width, height):
    rgb = np.random.default_rng(3).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    path = tmp_path / "a.ome.tif"
    if not path.exists():
        write_tiff(path, rgb, tile=(32, 16), metadata=OME)
    field = np.full((310, 310, 3), 255, np.uint8)
    field[40:110, 40:130] = rgb
    with closing(open_slide(path)) as slide:
        region = slide.read_region(x, y, width, height)
    assert np.array_equal(region, field[y + 40 : y + 40 + height, x + 40 : x + 40 + width])


def test_pixel_size_by_openslide(tmp_path, rgb):
    pytest.importorskip("openslide")
    path = write_tiff(
        tmp_path / "a.tif", rgb, tile=(16, 16), resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    with closing(open_slide(path)) as slide:
        assert type(slide).__name__ == "_OpenSlideReader"
        assert slide.mpp == pytest.approx(0.5)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with (  # on opening or on reading, as the version of OpenSlide has it
        pytest.raises(InvalidInputError, match=r"a.tif: cannot be read"),
        closing(open_slide(path)) as slide,
    ):
        slide.read_region(0, 0, 90, 70)


def test_no_slide(tmp_path, monkeypatch):
    path = tmp_path / "a.mrxs"
    path.write_text("not a slide")
    if _has("openslide"):
        with pytest.raises(InvalidInputError, match="is not a slide that OpenSlide"):
            open_slide(path)
    monkeypatch.setattr(_slides, "_LIBRARIES", ())
    with pytest.raises(MissingDependencyError, match=r"pip install .membrane-xai\[slides\]"):
        open_slide(path)


def _has(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


# Masks


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.floats(0.1, 2))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_masks_come_back_from_other_readers(tmp_path, mask, mpp):
    tiff = write_mask(tmp_path / "a.ome.tif", mask, mpp=mpp)
    png = write_mask(tmp_path / "a.png", mask, mpp=mpp)
    expected = np.where(mask, 255, 0)
    assert np.array_equal(tifffile.imread(tiff).reshape(mask.shape), expected)
    with PIL.Image.open(png) as image:
        assert np.array_equal(np.asarray(image), expected)
        assert image.info["dpi"][0] == pytest.approx(25400 / mpp, rel=1e-4)
    with tifffile.TiffFile(tiff) as file:
        assert from_ome(file.ome_metadata) == pytest.approx((mpp, mpp))
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"


def test_classes_are_written_as_they_are(tmp_path):
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for name in ("a.ome.tiff", "a.png"):
        path = write_mask(tmp_path / "new" / name, classes)
        read = tifffile.imread(path) if "tif" in name else np.asarray(PIL.Image.open(path))
        assert np.array_equal(read, classes)
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"a.ome.tiff", "a.png"}


@pytest.mark.parametrize(
    ("path", "mask", "message"),
    [
        ("a.tif", np.ones((2, 2), bool), "it takes .png, .ome.tif or .ome.tiff"),
        ("a.png", np.ones((2, 2)), r"dtype float64; it takes \(H, W\)"),
        ("a.png", np.ones((2, 2, 1), bool), r"shape \(2, 2, 1\)"),
        ("a.png", np.ones((0, 2), bool), "not empty"),
    ],
)
def test_what_cannot_be_written(tmp_path, path, mask, message):
    with pytest.raises(InvalidInputError, match=message):
        write_mask(tmp_path / path, mask)
    assert not list(tmp_path.iterdir())


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
