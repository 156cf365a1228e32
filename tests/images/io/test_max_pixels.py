"""`max_pixels` is the one limit: Pillow's own is lifted, and comes back."""

import warnings

import numpy as np
import PIL.Image
import pytest
from tiff_files import write_tiff

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_cam, read_image
from membrane_xai.io._slides import needs_tiles


@pytest.fixture
def pillows_limit(monkeypatch):
    """Let Pillow refuse more than 2 x 100 pixels, as it does beyond 179 million."""
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)


@pytest.mark.usefixtures("pillows_limit")
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
@pytest.mark.parametrize("shape", [(10, 15), (70, 90)])  # of which Pillow warns, and refuses
def test_pillows_limit_is_lifted(tmp_path, ending, shape):
    path = tmp_path / f"a.{ending}"
    PIL.Image.new("RGB", shape[::-1], (140, 90, 50)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path, max_pixels=shape[0] * shape[1]).rgb.shape == (*shape, 3)
    with pytest.raises(InvalidInputError, match=r"more than max_pixels=149; raise it"):
        read_image(path, max_pixels=149)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.usefixtures("pillows_limit")
def test_pillows_limit_comes_back_after_a_file_that_is_no_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    with pytest.raises(InvalidInputError, match="is not a PNG, JPEG, BMP or TIFF image"):
        read_image(path)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.usefixtures("pillows_limit")
def test_max_values_of_a_cam_too(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.new("L", (90, 70), 51).save(path)
    assert (read_cam(path) == 0.2).all()


def test_a_strip_may_be_as_large_as_the_image(tmp_path, monkeypatch):
    for module in ("_images", "_slides"):
        monkeypatch.setattr(f"membrane_xai.io.{module}.MAX_CHUNK", 100)
    path = write_tiff(tmp_path / "a.tif", np.full((70, 90, 3), 200, np.uint8), rowsperstrip=70)
    with pytest.raises(InvalidInputError, match="at once, with max_pixels=6300 or more"):
        read_image(path, max_pixels=6299)
    assert read_image(path, max_pixels=6300).rgb.shape == (70, 90, 3)
    assert not needs_tiles(path, 6300)
