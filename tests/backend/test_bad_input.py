"""Bad input: an error that names the argument, what it got and what it takes."""

import re

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError, MembraneXAIError, UndefinedScoreError

CAM, MASK = np.ones((3, 4, 4)), np.ones((3, 8, 8), bool)
CASES = {
    "batch": (CAM, MASK[:2], {}, "batch sizes differ: cam has 3, mask has 2"),
    "batch of one": (CAM, MASK[:1], {}, "batch sizes differ: cam has 3, mask has 1"),
    "region batch": (CAM, MASK, {"region": MASK[:2]}, "region has 2"),
    "one axis": (CAM[0, 0], MASK, {}, "cam has shape (4,); it takes (h, w)"),
    "channels": (np.ones((2, 3, 4, 4)), MASK, {}, "cam has shape (2, 3, 4, 4); it takes"),
    "five axes": (np.ones((1, 1, 1, 4, 4)), MASK, {}, "cam has shape (1, 1, 1, 4, 4)"),
    "mask axes": (CAM, MASK[0, 0], {}, "mask has shape (8,)"),
    "complex": (CAM + 0j, MASK, {}, "cam has dtype complex128; it takes bool, integer or real"),
    "string": (np.full((4, 4), "a"), MASK[0], {}, "cam has dtype <U1"),
    "object": (np.full((4, 4), None), MASK[0], {}, "cam has dtype object"),
    "empty cam": (np.ones((3, 0, 4)), MASK, {}, "cam is empty: its shape is (3, 0, 4)"),
    "empty batch": (CAM[:0], MASK[:0], {}, "cam is empty"),
    "empty list": ([], MASK, {}, "cam has shape (0,)"),
    "mask of 255": (CAM, MASK * 255, {}, "mask has values from 255 to 255; it takes bool or"),
    "hint": (CAM, MASK * 255, {}, "divide a 0/255 image by 255"),
    "negative mask": (CAM, MASK * -0.5, {}, "mask has values from -0.5 to -0.5"),
    "region range": (CAM, MASK, {"region": MASK * 2.0}, "region has values from 2 to 2"),
    "no mask": (CAM, None, {}, "mask is None; it takes an array of shape (..., h, w)"),
    "no cam": (None, MASK, {}, "cam is None; it takes an array"),
    "region size": (CAM, MASK, {"region": MASK[:, :5]}, "region has shape (3, 5, 8), mask has"),
    "negative": (CAM, MASK, {"negative": "drop"}, "negative is 'drop'; it takes one of 'clip', "),
    "raise": (-CAM, MASK, {"negative": "raise"}, "cam has negative values down to -1"),
    "undefined": (CAM, MASK, {"on_undefined": 0}, "on_undefined is 0; it takes one of 'nan', "),
    "threshold": (CAM, MASK, {"threshold": 1.5}, "threshold is 1.5; it takes numbers in [0, 1]"),
    "threshold nan": (CAM, MASK, {"threshold": np.nan}, "threshold is nan"),
    "threshold bool": (CAM, MASK, {"threshold": True}, "threshold is True"),
    "list sizes": ([CAM[0]] * 2, [MASK[0]] * 3, {}, "mask has 3 maps for a list of 2"),
    "list ndim": ([CAM, CAM], [MASK, MASK], {}, "cam[0] has shape (3, 4, 4); in a list each"),
}


@pytest.mark.parametrize("case", CASES)
def test_map_score(case):
    cam, mask, options, message = CASES[case]
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        mx.map_score(cam, mask, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mx.map_ceiling(MASK, (0, 7)), "grid is (0, 7); it takes two positive integers"),
        (lambda: mx.map_ceiling(MASK, 7), "grid is 7"),
        (lambda: mx.pool_mask(MASK, (7.5, 7)), "grid is (7.5, 7)"),
        (lambda: mx.map_curve(CAM, MASK, thresholds=[]), "thresholds is []"),
        (lambda: mx.map_curve(CAM, MASK, thresholds=[0.1, 2]), "thresholds is np.float64(2.0)"),
        (
            lambda: mx.topk_intersection(CAM, MASK, k=0),
            "k is 0; it takes a positive number of pixels",
        ),
        (lambda: mx.topk_intersection(CAM, MASK, k=1.5), "k is 1.5"),
        (lambda: mx.topk_intersection(CAM, MASK, k=65), "k is 65, but the mask has 64 pixels"),
        (
            lambda: mx.pointing_game(CAM, MASK, tolerance=-1),
            "tolerance is -1; it takes a non-negative number",
        ),
        (lambda: mx.pointing_game(CAM, MASK, tolerance="2"), "tolerance is '2'"),
        (lambda: mx.pixel_auc(CAM, MASK, region=MASK * 0.5), "region has fractional values"),
        (lambda: mx.ec_score(CAM[0]), "cams has shape (4, 4); it takes (N, h, w)"),
        (
            lambda: mx.ec_score(CAM, similarity="l2"),
            "similarity is 'l2'; it takes one of 'pearson'",
        ),
        (lambda: mx.ec_score(CAM, groups=[1, 2]), "groups has 2 labels for 3 maps"),
        (lambda: mx.ec_score(CAM, weights=[1, 2]), "weights has shape (2,); it takes (3,)"),
        (lambda: mx.ec_score(CAM, weights=[1, 2, -1]), "none negative"),
        (lambda: mx.ec_score(CAM, weights=[0, 0, 0]), "weights is all zero"),
        (lambda: mx.ec_score(CAM, weights=[1, np.nan, 1]), "finite numbers"),
        (lambda: mx.ec_score(CAM, reference=3), "reference is 3; it takes a map or an index below"),
        (lambda: mx.ec_score(CAM, reference="a"), "reference is 'a'"),
        (lambda: mx.ec_score(CAM, reference=np.ones((2, 2))), "reference has shape (2, 2)"),
        (lambda: mx.ec_score(CAM, similarity="topk_iou", k=17), "k is 17, but the maps have 16"),
        (lambda: mx.ec_score(CAM[:, :2], similarity="ssim"), "needs maps of at least 3x3"),
        (lambda: mx.ec_score([CAM[0], CAM]), "cams[1] has shape (3, 4, 4)"),
    ],
)
def test_other_functions(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()


def test_arrays_of_two_libraries():
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    with pytest.raises(InvalidInputError, match=r"mask is an array of .*jax.*, but the first"):
        mx.map_score(torch.tensor(CAM), jax.numpy.ones((3, 8, 8)))


def test_undefined_samples_are_listed():
    cam = np.stack([np.zeros((2, 2))] * 12 + [np.ones((2, 2))])
    with pytest.raises(UndefinedScoreError) as caught:
        mx.map_score(cam, np.ones((2, 2), bool), on_undefined="raise")
    assert "12 of 13 samples have no score: 0 (no_activation), 1 " in str(caught.value)
    assert "9 (no_activation) and 2 more" in str(caught.value)


def test_errors_are_one_family():
    assert issubclass(InvalidInputError, MembraneXAIError)
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(UndefinedScoreError, ValueError)
