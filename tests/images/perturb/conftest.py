"""A crop of the real sample for all perturbations."""

import pytest

from membrane_xai.datasets import ihc_sample


@pytest.fixture(scope="module")
def rgb():
    crop = ihc_sample().rgb[100:164, 200:296].copy()
    crop.flags.writeable = False
    return crop
