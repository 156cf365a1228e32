"""Regions of slides by every reader, and beyond their edges."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiff_files import OME, pyramid, scanned_by_leica, write_tiff

from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.io import _slides, open_slide


def test_regions_of_a_pyramid(tmp_path, rgb):
    with closing(open_slide(pyramid(tmp_path / "a.ome.tif", rgb))) as slide:
        assert slide.dimensions == (90, 70)
        assert slide.mpp == 0.25
        assert slide.level_downsamples == pytest.approx((1, 2, 90 / 23))
        assert np.array_equal(slide.read_region(17, 5, 40, 50), rgb[5:55, 17:57])
        assert np.array_equal(slide.read_region(20, 10, 8, 6, 1), rgb[10:22:2, 20:36:2])


@pytest.mark.parametrize("library", ["openslide", "tifffile"])
def test_what_is_beyond_the_edge_is_white(tmp_path, rgb, library):
    if library == "openslide":
        pytest.importorskip("openslide")
        path = scanned_by_leica(tmp_path / "a.scn", rgb, corner=(0, 0))
    else:
        path = write_tiff(tmp_path / "a.tif", rgb, tile=(16, 16), compression="zlib")
    with closing(open_slide(path, mpp=0.25)) as slide:
        reader = {"openslide": _slides._LibrarySlide, "tifffile": _slides._TiffSlide}
        assert type(slide) is reader[library]
        region = slide.read_region(-10, -20, 120, 110)
        assert slide.mpp == 0.25
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
    path = scanned_by_leica(tmp_path / "a.scn", rgb, corner=(0, 0))
    with closing(open_slide(path)) as slide:
        assert type(slide) is _slides._LibrarySlide
        assert slide.mpp == pytest.approx(0.25)
    data = path.read_bytes()
    path.write_bytes(data[:-4000])
    with (  # on opening or on reading, as the version of OpenSlide has it
        pytest.raises(InvalidInputError, match=r"a.scn: cannot be read"),
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
