"""Masks that were written, seen by other readers."""

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from membrane_xai.errors import InvalidInputError
from membrane_xai.io import write_mask
from membrane_xai.io._pixel_size import from_ome


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
