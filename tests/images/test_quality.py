"""Flags: each is raised by what it names, and by that alone."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from membrane_xai import extract_membrane_mask
from membrane_xai.datasets import ihc_sample, synthetic_her2
from membrane_xai.masks import QUALITY_FLAGS
from membrane_xai.masks._quality import block_means
from membrane_xai.stain import StainDensities, combine_stains
from membrane_xai.stain._density import whole_block_means

GLASS = (235, 235, 232)


def flags(image, mpp=0.5):
    return extract_membrane_mask(image, mpp=mpp).flags


@pytest.fixture(scope="module", params=["0", "1+", "2+", "3+"])
def field(request):
    return synthetic_her2(request.param, size=400, mpp=0.5, seed=5).rgb


def test_good_images_have_no_flags(field):
    assert flags(field) == ()
    assert flags(ihc_sample().rgb) == ()


def test_blank():
    assert flags(np.full((200, 200, 3), GLASS, np.uint8)) == ("blank",)


def test_too_small(field):
    assert "too_small" in flags(np.ascontiguousarray(field[:30, :]))
    assert "too_small" not in flags(np.ascontiguousarray(field[:41, :]))


def test_out_of_focus(field):
    blurred = gaussian_filter(field.astype(float), (8, 8, 0)).astype(np.uint8)  # 4 micrometres
    assert "out_of_focus" in flags(blurred)


def test_saturated():
    dark = np.full((200, 200, 3), GLASS, np.uint8)
    dark[:, ::10] = (90, 30, 2)
    assert "saturated" in flags(dark)
    dark[:, ::10] = (90, 50, 20)
    assert "saturated" not in flags(dark)


def blobs(colour_of, radius=4.0, spacing=32):
    y, x = np.mgrid[:400, :400] % spacing - spacing / 2
    amount = np.clip(radius / 0.5 - np.hypot(y, x), 0, 1).astype(np.float32)
    return colour_of(amount)


def test_nuclear_stain():
    def dab(amount):
        none = np.zeros_like(amount)
        return combine_stains(StainDensities(none, 0.8 * amount, none), background=GLASS)

    assert flags(blobs(dab)) == ("nuclear_stain",)
    assert "nuclear_stain" not in flags(blobs(dab, radius=10.0, spacing=50))  # larger than nuclei


def test_not_ihc():
    def eosin(amount):
        pink = np.array([0.07, 0.99, 0.11]) * 0.4
        density = (1 - amount)[..., None] * pink + amount[..., None] * [0.65, 0.70, 0.29]
        density[:40] = 0
        return np.rint(235 * 10**-density).astype(np.uint8)

    assert "not_ihc" in flags(blobs(eosin))


def swapped(image):
    """Exchange red and blue, as OpenCV reads images."""
    return np.ascontiguousarray(image[..., ::-1])


def test_channels_swapped(field):
    assert "channels_swapped" in flags(swapped(field))
    assert "channels_swapped" in flags(swapped(ihc_sample().rgb), ihc_sample().mpp)


def stained(brown, blue, share):
    """Draw rows of brown, by its share of all, and of blue, each of a density of three channels."""
    density = np.where((np.arange(200) < 200 * share)[:, None, None], brown, blue)
    image = np.full((240, 200, 3), 235.0)
    image[40:] = 235 * 10.0**-density
    return np.rint(image).astype(np.uint8)


HEMATOXYLIN, DAB = np.array([0.65, 0.70, 0.29]), np.array([0.27, 0.57, 0.78])
CYAN = np.array([0.85, 0.50, 0.20])  # hematoxylin as some scanners show it
VIOLET, OCHRE = np.array([0.70, 0.55, 0.35]), np.array([0.27, 0.50, 0.90])  # of other scanners
BURNT = np.array([0.60, 0.76, 0.80])  # DAB beside it, dark


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_stains_of_every_share_are_right_one_way_round(share):
    image = stained(DAB * 0.8, HEMATOXYLIN * 0.6, share)
    assert "channels_swapped" not in flags(image)
    assert ("channels_swapped" in flags(swapped(image))) == (share < 1)  # DAB alone could be blue


@pytest.mark.parametrize(
    ("brown", "blue"),
    [(0.4 * DAB, 0.9 * HEMATOXYLIN), (0.8 * OCHRE, 0.6 * VIOLET)],
    ids=["pale brown", "hematoxylin with little green"],
)
def test_swapped_by_one_sign_alone(brown, blue):
    image = stained(brown, blue, 0.3)
    assert "channels_swapped" not in flags(image)
    assert "channels_swapped" in flags(swapped(image))


def test_blue_with_little_green_is_not_swapped():
    assert "channels_swapped" not in flags(stained(1.2 * BURNT, 0.3 * CYAN, 0.3))
    assert "channels_swapped" not in flags(stained(DAB, CYAN * 0.5, 0.0))


def test_names_are_those_announced(field):
    assert set(flags(field)) <= set(QUALITY_FLAGS)


@pytest.mark.parametrize("shape", [(12, 20), (13, 19, 3), (3, 2)])
@pytest.mark.parametrize("side", [1, 4, 5])
def test_block_means_counted_by_hand(shape, side, rng):
    plane = rng.random(shape)
    means = block_means(plane, side)
    for row in range(-(-shape[0] // side)):
        for column in range(-(-shape[1] // side)):
            block = plane[row * side : (row + 1) * side, column * side : (column + 1) * side]
            np.testing.assert_allclose(means[row, column], block.mean(axis=(0, 1)), rtol=1e-5)
    whole = whole_block_means(plane, side)
    rows, columns = (length // side for length in shape[:2])
    np.testing.assert_allclose(whole, means[:rows, :columns], rtol=1e-5)


def test_grey(field):
    grey = np.repeat(field[..., 1:2], 3, axis=-1)
    assert "grey" in flags(grey)
    grey[201, 203, 0] ^= 8  # one pixel with a colour, between those that are looked at first
    assert "grey" not in flags(grey)
    assert "grey" not in flags(np.full((200, 200, 3), 235, np.uint8))  # which is blank
