"""Membrane masks of drawn cells whose membrane is known in micrometres."""

import re

import numpy as np
import pytest

from membrane_xai import extract_membrane_mask
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import StainDensities, combine_stains

FIELD, RADIUS = 40.0, 12.0  # micrometres
GLASS = (235, 235, 232)


def distance_from_centre(mpp):
    n = round(FIELD / mpp)
    axis = (np.arange(n) + 0.5) * mpp - FIELD / 2
    return np.hypot(*np.meshgrid(axis, axis))


def drawn(dab_where, mpp, dab=0.6):
    """Draw DAB of one density on glass, with a pixel or so of blur at its edge."""
    amount = np.float32(dab) * np.clip(dab_where / mpp + 0.5, 0, 1)
    none = np.zeros_like(amount)
    return combine_stains(StainDensities(none, amount, none), background=GLASS)


def ring(mpp, width=2.0):
    """Draw the membrane of one cell: `width` micrometres around its outline."""
    return drawn(width / 2 - np.abs(distance_from_centre(mpp) - RADIUS), mpp)


def test_blank_fields_give_an_empty_mask():
    glass = np.full((80, 80, 3), GLASS, np.uint8)
    for field in (glass, glass // 2, np.full((80, 80, 3), (150, 160, 205), np.uint8)):
        assert not extract_membrane_mask(field, mpp=0.5).mask.any()


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_a_membrane_is_found_at_its_place_with_its_width(mpp):
    found = extract_membrane_mask(ring(mpp), mpp=mpp)
    distance = distance_from_centre(mpp)
    assert found.mask.dtype == bool
    assert found.mask[np.abs(distance - RADIUS) < 0.5].all()
    assert not found.mask[np.abs(distance - RADIUS) > 2].any()
    area = 2 * np.pi * RADIUS * 2.0
    assert found.mask.sum() * mpp**2 == pytest.approx(area, rel=0.25)


def test_sizes_are_in_micrometres():
    fine, coarse = (extract_membrane_mask(ring(mpp), mpp=mpp).mask.sum() * mpp**2
                    for mpp in (0.25, 0.5))  # fmt: skip
    assert fine == pytest.approx(coarse, rel=0.1)
    # The same pixels, said to be four times as large, show a band 8 micrometres wide.
    assert not extract_membrane_mask(ring(0.25), mpp=1.0).mask.any()


def test_a_blob_is_no_membrane():
    blob = drawn(8.0 - distance_from_centre(0.5), 0.5)
    inside = distance_from_centre(0.5) < 6
    assert not extract_membrane_mask(blob, mpp=0.5).mask[inside].any()


def test_faint_stain_counts_from_the_threshold_on():
    faint = drawn(1.0 - np.abs(distance_from_centre(0.5) - RADIUS), 0.5, dab=0.12)
    assert not extract_membrane_mask(faint, mpp=0.5, dab_threshold=0.2).mask.any()
    assert extract_membrane_mask(faint, mpp=0.5, dab_threshold=0.05).mask.any()


def test_the_result_says_what_it_was_made_from():
    found = extract_membrane_mask(ring(0.5), mpp=0.5, dab_threshold=0.3)
    assert found.background == pytest.approx(GLASS, abs=1)
    assert (found.mpp, found.dab_threshold) == (0.5, 0.3)
    assert found.dab[found.mask].max() == pytest.approx(0.6, abs=0.02)
    assert found.stain_matrix.shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mpp": 0}, "mpp is 0; it takes a positive number, micrometres per pixel"),
        ({"mpp": -0.5}, "mpp is -0.5"),
        ({"mpp": np.nan}, "mpp is nan"),
        ({"mpp": "0.5"}, "mpp is '0.5'"),
        ({"mpp": True}, "mpp is True"),
        ({"mpp": 2.0}, "mpp is 2.0"),
        ({"dab_threshold": 0}, "dab_threshold is 0; it takes a positive number"),
        ({"background": "white"}, "background is 'white'; it takes 'auto' or three numbers"),
        ({"background": (0, 0, 0)}, "background is (0, 0, 0)"),
        ({"stain_matrix": "hed"}, "stain_matrix is 'hed'"),
    ],
    ids=str,
)
def test_bad_options(options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        extract_membrane_mask(ring(0.5), **{"mpp": 0.5, **options})


def test_bad_image():
    with pytest.raises(InvalidInputError, match=r"rgb has shape \(4, 4\)"):
        extract_membrane_mask(np.ones((4, 4)), mpp=0.5)
