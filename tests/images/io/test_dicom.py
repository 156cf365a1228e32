"""Slides in DICOM, of which each level is a file."""

from contextlib import closing

import numpy as np
import pytest
from dicom_files import dicom_slide

from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.io import _slides, open_slide, read_image

pytest.importorskip("openslide")


@pytest.mark.parametrize("level", [0, 1])
def test_each_file_opens_the_slide(tmp_path, rgb, level):
    path = dicom_slide(tmp_path / "a", rgb)[level]
    with closing(open_slide(path)) as slide:
        assert slide.dimensions == (90, 70)
        assert slide.mpp == pytest.approx(0.25)
        assert slide.level_downsamples == (1, 2)
        assert np.array_equal(slide.read_region(0, 0, 90, 70), rgb)
        assert np.array_equal(slide.read_region(0, 0, 45, 35, 1), rgb[::2, ::2])


def test_an_image_of_it_is_level_0(tmp_path, rgb):
    image = read_image(dicom_slide(tmp_path, rgb)[0])
    assert np.array_equal(image.rgb, rgb)
    assert image.mpp == pytest.approx(0.25)
    with pytest.raises(
        InvalidInputError, match=r"more than max_pixels=6299; raise it, or read reg"
    ):
        read_image(tmp_path / "1.dcm", max_pixels=6299)


def test_files_of_a_series_are_one_slide(tmp_path, rgb):
    first, second = dicom_slide(tmp_path / "a", rgb)
    other, _ = dicom_slide(tmp_path / "b", rgb, series="1.2.4")
    copy, _ = dicom_slide(tmp_path / "c", rgb)
    assert _slides.slide_key(first) == _slides.slide_key(second)
    assert len({_slides.slide_key(one) for one in (first, other, copy)}) == 3
    radiology = tmp_path / "a" / "x.dcm"
    radiology.write_bytes(bytes(128) + b"DICM")
    assert _slides.slide_key(radiology) == (str(radiology.resolve()),)


def test_a_name_without_its_ending_is_told_by_what_is_in_it(tmp_path, rgb):
    coarse, fine = dicom_slide(tmp_path, rgb)
    path = fine.rename(tmp_path / "1.2.840.10008")
    assert _slides.needs_tiles(path, 2**26)
    assert _slides.slide_key(path) == _slides.slide_key(coarse)
    assert _slides.slide_key(tmp_path / "none") == (str(tmp_path / "none"),)


def test_without_openslide_the_error_says_what_to_install(tmp_path, rgb, monkeypatch):
    path = dicom_slide(tmp_path, rgb)[0]
    monkeypatch.setattr(_slides, "_LIBRARIES", ())
    with pytest.raises(MissingDependencyError, match=r"pip install .membrane-xai\[slides\]"):
        open_slide(path)


def test_dicom_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "ct.dcm"
    path.write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InvalidInputError, match="is not a slide that OpenSlide"):
        open_slide(path)
