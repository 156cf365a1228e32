"""Arguments of a study that do not fit."""

import numpy as np
import pytest
from study_cases import STEPS, darkness

from membrane_xai import evaluate
from membrane_xai.errors import InvalidInputError

OK = {"m": darkness}
TWO = np.zeros((2, 8, 8, 3), np.uint8)
MASKS = np.ones((2, 8, 8), bool)


@pytest.mark.parametrize(
    ("explainers", "images", "masks", "options", "words"),
    [
        ({}, TWO, MASKS, {}, r"explainers is \{\}; it takes a mapping"),
        (darkness, TWO, MASKS, {}, "it takes a mapping from names to callables"),
        ({"m": 3}, TWO, MASKS, {}, "explainers has 'm': 3; it takes names and callables"),
        (OK, TWO[0], MASKS, {}, "images is array"),
        (OK, "folder", MASKS, {}, "images is 'folder'; it takes"),
        (OK, [], [], {}, "images is empty"),
        (OK, TWO, None, {}, "masks is None; it takes 'extract' or one mask an image"),
        (OK, TWO, "auto", {}, "masks is 'auto'"),
        (OK, TWO, MASKS[:1], {}, "masks has 1 values, but there are more images"),
        (OK, TWO[:1], MASKS, {}, "masks has more values than there are images"),
        (OK, TWO, MASKS, {"groups": ["a"]}, "groups has 1 values"),
        (OK, TWO, MASKS, {"ids": ["a", "a"]}, "ids has 'a' more than once"),
        (OK, TWO, MASKS, {"regions": "cells"}, "regions is 'cells'; it takes 'tissue', 'tumour'"),
        (OK, TWO, MASKS, {"perturbations": [STEPS[0]] * 2}, "of different names"),
        (OK, TWO, MASKS, {"perturbations": ["flip"]}, "it takes Perturbation objects"),
        (OK, TWO, MASKS, {"similarity": "near"}, "similarity is 'near'"),
        (OK, TWO, MASKS, {"negative": "drop"}, "negative is 'drop'"),
        (OK, TWO, MASKS, {"batch_size": 1.5}, "batch_size is 1.5"),
        (OK, TWO, MASKS, {"mpp": -1}, "mpp is -1; it takes a positive number"),
    ],
)
def test_arguments_that_do_not_fit(explainers, images, masks, options, words):
    with pytest.raises(InvalidInputError, match=words):
        evaluate(explainers, images, masks, **options)
