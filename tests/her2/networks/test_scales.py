"""Micrometres per pixel at a network's input: counted by hand, and what is said of them."""

import math

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from her2_models.data import Record
from her2_models.models import InputSpec, input_mpp, scale_notes, windows
from her2_models.train import ViewedPatches, input_mpps
from membrane_xai.errors import InvalidInputError


def test_a_patch_of_40x_in_224_pixels_is_seen_at_8_75x():
    found = input_mpp((1024, 1024, 3), mpp=0.25, size=224)
    assert found == pytest.approx(8 / 7)
    assert 10 / found == pytest.approx(8.75)
    assert input_mpp((400, 100), mpp=0.5, size=100) == 1.0  # 2 and 0.5 um
    assert math.isnan(input_mpp((400, 100), mpp=None, size=100))


@pytest.mark.parametrize(
    ("magnification", "um", "note"),
    [
        (40, 0.25, ""),
        (20, 0.5, ""),
        (10, 1.0, ""),
        (9, 1.0, ""),  # as far as scanners differ
        (5, 1.0, "fields are smaller than the input shows at 5x"),
        (60, 0.17, "finer than the images, which have 0.25 um/px (40x)"),
    ],
)
def test_an_input_that_is_not_its_objective_is_told(magnification, um, note):
    assert scale_notes({magnification: np.array([um, um])}, 0.25) == {magnification: note}


def test_inputs_of_one_scale_are_told():
    sizes = {5: 1.14, 10: 1.0, 8.75: 1.143, 2.5: 1.14}
    found = scale_notes({m: np.array([um]) for m, um in sizes.items()}, 0.25)
    assert found[10] == ""
    assert found[8.75] == "same scale at the input as 5x; same scale at the input as 2.5x"
    assert found[5].startswith("fields are smaller than the input shows at 5x; same scale")


@pytest.mark.parametrize("magnification", [0.0, -5.0, float("nan"), float("inf"), 4000.0])
def test_a_magnification_is_a_positive_number(magnification):
    with pytest.raises(InvalidInputError, match=r"magnification is .*; it takes a positive number"):
        windows((96, 160), mpp=0.5, magnification=magnification, size=32)


def test_views_headers_and_windows_agree(tmp_path, rng):
    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256, (96, 160, 3), np.uint8)).save(path)
    known, unknown = Record(path, 0, mpp=0.5), Record(path, 1)
    spec = InputSpec(32, (0.5,) * 3, (0.5,) * 3)
    whole = ViewedPatches([known, unknown], spec)
    np.testing.assert_allclose(whole[0].um_per_pixel, [0.5 * math.sqrt(96 * 160) / 32])
    assert whole[1].um_per_pixel.isnan().all()
    np.testing.assert_allclose(
        input_mpps([known, unknown], 32), [whole[0].um_per_pixel.item(), np.nan]
    )
    seen = ViewedPatches([known], spec, (20, 10, 2.5))[0].um_per_pixel
    count = [len(windows((96, 160), mpp=0.5, magnification=m, size=32)) for m in (20, 10, 2.5)]
    assert count == [15, 2, 1]
    cut = 0.5 * math.sqrt(96 * 160) / 32  # 2.5x takes 256 pixels, more than there are
    np.testing.assert_allclose(seen, [0.5] * 15 + [1.0] * 2 + [cut], rtol=1e-6)
    np.testing.assert_allclose(input_mpps([known], 32, (20, 10, 2.5)), [0.5, 1, cut])
    gone = Record(tmp_path / "none.png", 0, mpp=0.5)
    assert np.isnan(input_mpps([gone], 32, (10, 20))).tolist() == [True]
