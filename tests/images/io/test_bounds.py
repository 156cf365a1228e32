"""Slides that OpenSlide reports bounds of are cropped to them, so that (0, 0) is QuPath's."""

from contextlib import closing

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mirax_files import scanned_by_mirax
from tiff_files import scanned_by_leica

from membrane_xai.errors import MissingDependencyError
from membrane_xai.io import _slides, open_slide, read_image

CORNER, SHAPE = (80, 40), (70, 90, 3)
PIXELS = np.random.default_rng(11).integers(0, 255, SHAPE, dtype=np.uint8)


def test_an_scn_begins_at_its_bounds(tmp_path):
    openslide = pytest.importorskip("openslide")
    path = scanned_by_leica(tmp_path / "a.scn", PIXELS, corner=CORNER)
    with openslide.OpenSlide(path) as theirs:
        assert theirs.properties["openslide.bounds-x"] == "80"
        assert theirs.dimensions > (500, 300)
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == (90, 70)
        assert np.array_equal(slide.read_region(0, 0, 90, 70), PIXELS)
        assert np.array_equal(slide.read_region(17, 5, 20, 30), PIXELS[5:35, 17:37])
        assert slide.mpp == pytest.approx(0.25)


def test_an_image_of_an_scn_is_that_of_the_slide(tmp_path):
    pytest.importorskip("openslide")
    path = scanned_by_leica(tmp_path / "a.tif", PIXELS, corner=CORNER)
    image = read_image(path)
    assert np.array_equal(image.rgb, PIXELS)
    assert image.mpp == pytest.approx(0.25)


def test_two_areas_are_one_picture_with_glass_between(tmp_path):
    pytest.importorskip("openslide")
    second = PIXELS[::-1].copy()
    path = scanned_by_leica(
        tmp_path / "a.scn", PIXELS, corner=CORNER, extra=[(second, (300, 200))], macro=PIXELS // 2
    )
    whole = np.full((160 + 70, 220 + 90, 3), 255, np.uint8)  # from (80, 40) to (390, 270)
    whole[:70, :90], whole[160:, 220:] = PIXELS, second
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == (310, 230)
        assert np.array_equal(slide.read_region(0, 0, 310, 230), whole)
    assert np.array_equal(read_image(path).rgb, whole)


def test_without_a_library_one_picture_is_read_and_several_are_not_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(_slides, "_LIBRARIES", ())
    one = scanned_by_leica(tmp_path / "one.scn", PIXELS, corner=CORNER)
    several = scanned_by_leica(tmp_path / "several.scn", PIXELS, corner=CORNER, macro=PIXELS // 2)
    assert np.array_equal(read_image(one).rgb, PIXELS)
    for door in (read_image, open_slide):
        with pytest.raises(
            MissingDependencyError, match=r"several\.scn: a slide of this kind needs"
        ):
            door(several)


class Slide:
    """What OpenSlide or TiffSlide gives, of pixels in memory and of any properties."""

    level_downsamples = (1.0, 2.0)

    def __init__(self, whole, properties):
        self._whole, self.properties = whole, properties
        self.dimensions = whole.shape[1::-1]

    def read_region(self, corner, level, size):
        step = 2**level
        field = np.pad(self._whole, ((400, 400), (400, 400), (0, 0)), constant_values=9)
        left, top = corner[0] + 400, corner[1] + 400
        part = field[top : top + size[1] * step : step, left : left + size[0] * step : step]
        return PIL.Image.fromarray(part)


WHOLE = np.random.default_rng(2).integers(0, 255, (120, 200, 3), dtype=np.uint8)


def bounds(*values, library="openslide"):
    sides = ("x", "y", "width", "height")
    return {f"{library}.bounds-{side}": v for side, v in zip(sides, values, strict=True)}


@pytest.mark.parametrize("library", ["openslide", "tiffslide"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    box=st.tuples(*(st.integers(0, 50),) * 2, *(st.integers(1, 60),) * 2),
    x=st.integers(-60, 100), y=st.integers(-60, 100),
    width=st.integers(1, 90), height=st.integers(1, 90), level=st.integers(0, 1),
)  # fmt: skip
def test_any_region_is_a_cut_of_the_bounds(tmp_path, library, box, x, y, width, height, level):
    slide = _slides._LibrarySlide(Slide(WHOLE, bounds(*box, library=library)), tmp_path)
    left, top, wide, tall = box
    assert slide.dimensions == (wide, tall)
    step = 2**level
    expected = np.full((height, width, 3), 255, np.uint8)
    for row in range(height):
        for column in range(width):
            # The pixels of level 0 that one of the level stands for, which begin here.
            at_x, at_y = x + column * step, y + row * step
            if -step < at_x < wide and -step < at_y < tall:
                inside = 0 <= at_x + left < 200 and 0 <= at_y + top < 120
                expected[row, column] = WHOLE[at_y + top, at_x + left] if inside else 9
    assert np.array_equal(slide.read_region(x, y, width, height, level), expected)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        bounds("1", "2", "3", "many"),  # QuPath too takes all of the slide then
        bounds("1.5", "2", "30", "40"),
        bounds(None, None, None, None, library="tiffslide"),
        bounds("1", "2", "0", "40"),
        dict(list(bounds("1", "2", "30", "40").items())[:3]),
    ],
)
def test_without_bounds_that_can_be_read_it_is_all_of_the_slide(tmp_path, properties):
    slide = _slides._LibrarySlide(Slide(WHOLE, properties), tmp_path)
    assert slide.dimensions == (200, 120)
    assert np.array_equal(slide.read_region(0, 0, 200, 120), WHOLE)


def test_an_mrxs_begins_at_its_bounds(tmp_path):
    openslide = pytest.importorskip("openslide")
    pixels = np.random.default_rng(4).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    path = scanned_by_mirax(tmp_path / "a.mrxs", pixels, corner=(5, 2), tiles=(12, 9))
    with openslide.OpenSlide(path) as theirs:
        assert theirs.dimensions == (12 * 64, 9 * 64)
        assert theirs.properties["openslide.bounds-x"] == "320"
        assert theirs.properties["openslide.bounds-y"] == "128"
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == (192, 128)
        assert slide.mpp == 0.25
        assert np.array_equal(slide.read_region(0, 0, 192, 128), pixels)
        assert np.array_equal(slide.read_region(60, 30, 20, 10), pixels[30:40, 60:80])
    assert np.array_equal(read_image(path).rgb, pixels)
