"""Flips and stain jitter: exact ways back, announced factors, the same result each time."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane_xai import separate_stains
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import horizontal_flip, stain_jitter, vertical_flip
from membrane_xai.stain import StainDensities, combine_stains

GLASS = (240, 240, 240)


@pytest.fixture
def image(rng):
    """Make tissue of both stains below a third of glass."""
    stains = rng.uniform(0.1, 0.5, (2, 60, 60)).astype(np.float32)
    stains[:, :20] = 0
    return combine_stains(StainDensities(*stains, np.zeros_like(stains[0])), background=GLASS)


@pytest.mark.parametrize("flip", [horizontal_flip(), vertical_flip()], ids=lambda p: p.name)
def test_flips_come_back(flip, image, rng):
    assert (flip.apply(image) != image).any()
    assert (flip.apply(flip.apply(image)) == image).all()
    cams = rng.random((2, 5, 7))
    changed = np.stack([flip.apply(cam[..., None])[..., 0] for cam in cams])  # equivariant network
    assert (flip.restore(changed) == cams).all()


def test_flips_turn_the_axis_they_name():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert horizontal_flip().apply(image)[0, 0].tolist() == [3, 4, 5]
    assert vertical_flip().apply(image)[0, 0].tolist() == [6, 7, 8]


def announced(jitter):
    return [float(x) for x in re.search(r"H x(\S+), DAB x(\S+)\)", jitter.name).groups()]


@pytest.mark.parametrize("seed", range(4))
def test_jitter_changes_each_stain_by_the_announced_factor(seed, image):
    jitter = stain_jitter(0.3, seed=seed)
    before = separate_stains(image, background=GLASS)
    after = separate_stains(jitter.apply(image), background=GLASS)
    found = [
        getattr(after, name)[20:].mean() / getattr(before, name)[20:].mean()
        for name in ("hematoxylin", "dab")
    ]
    assert found == pytest.approx(announced(jitter), abs=0.01)  # the name has two decimals


def test_jitter_leaves_glass_image_and_cam(image):
    original = image.copy()
    jitter = stain_jitter(0.3, seed=0)
    changed = jitter.apply(image)
    assert (image == original).all()
    assert changed.dtype == np.uint8
    assert (changed[:20] == GLASS).all()
    assert (changed[20:] != image[20:]).any()
    cam = np.eye(3)
    assert (jitter.restore(cam) == cam).all()


def test_jitter_is_determined_by_its_seed(image):
    jitter = stain_jitter(0.2, seed=5)
    first = jitter.apply(image)
    assert (jitter.apply(image) == first).all()
    assert (stain_jitter(0.2, seed=5).apply(image) == first).all()
    assert (stain_jitter(0.2, seed=6).apply(image) != first).any()


@given(st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_factors_stay_within_the_strength(strength, seed):
    hematoxylin, dab = announced(stain_jitter(strength, seed=seed))
    assert abs(hematoxylin - 1) <= strength + 0.005
    assert abs(dab - 1) <= strength + 0.005


@pytest.mark.parametrize("strength", [0, 1, -0.1, 1.5, np.nan])
def test_bad_strength(strength):
    message = f"strength is {strength!r}; it takes a number in (0, 1)"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        stain_jitter(strength, seed=0)
