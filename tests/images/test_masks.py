"""Membrane masks of drawn and synthetic cells whose membrane is known in micrometres."""

import re

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import find_boundaries

from membrane_xai import extract_membrane_mask
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import jpeg
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
    # The same pixels, said to be five times as large, show a band 10 micrometres wide.
    assert not extract_membrane_mask(ring(0.25), mpp=1.25).mask.any()


def test_a_blob_is_no_membrane():
    blob = drawn(8.0 - distance_from_centre(0.5), 0.5)
    inside = distance_from_centre(0.5) < 6
    assert not extract_membrane_mask(blob, mpp=0.5).mask[inside].any()


def test_faint_stain_counts_from_the_threshold_on():
    faint = drawn(1.0 - np.abs(distance_from_centre(0.5) - RADIUS), 0.5, dab=0.12)
    assert not extract_membrane_mask(faint, mpp=0.5).mask.any()
    less_faint = drawn(1.0 - np.abs(distance_from_centre(0.5) - RADIUS), 0.5, dab=0.3)
    assert extract_membrane_mask(less_faint, mpp=0.5).mask.any()
    assert not extract_membrane_mask(less_faint, mpp=0.5, thresholds=(0.35, 0.4, 0.6)).mask.any()


def test_the_result_says_what_it_was_made_from():
    found = extract_membrane_mask(ring(0.5), mpp=0.5, thresholds=(0.3, 0.5, 0.7))
    assert found.background == pytest.approx(GLASS, abs=1)
    assert (found.mpp, found.thresholds) == (0.5, (0.3, 0.5, 0.7))
    assert found.dab[found.mask].max() == pytest.approx(0.6, abs=0.02)
    assert found.stain_matrix.shape == (2, 3)


def test_membranes_are_as_wide_as_at_half_maximum_whatever_their_strength():
    widths = []
    for dab in (0.45, 0.9, 1.8):
        band = drawn(1.5 - np.abs(distance_from_centre(0.25) - RADIUS), 0.25, dab=dab)
        widths.append(extract_membrane_mask(band, mpp=0.25).width)
    assert widths == pytest.approx([3.0] * 3, abs=0.35)


def test_intensity_classes_counted_by_hand():
    bands = np.zeros((40, 160), np.float32)
    for column, density in zip((20, 60, 100, 140), (0.1, 0.3, 0.5, 1.0), strict=True):
        bands[:, column - 2 : column + 3] = density
    none = np.zeros_like(bands)
    image = combine_stains(StainDensities(none, bands, none), background=GLASS)
    found = extract_membrane_mask(image, mpp=0.5)
    assert found.intensity[20, [20, 60, 100, 140]].tolist() == [0, 1, 2, 3]
    assert found.mask[20, [20, 60, 100, 140]].tolist() == [False, True, True, True]
    assert found.intensity[found.mask].min() == 1


def test_haze_must_be_stood_out_of():
    haze = np.full((80, 80), 0.5, np.float32)
    haze[:, 38:41] += 0.12
    none = np.zeros_like(haze)
    image = combine_stains(StainDensities(none, haze, none), background=GLASS)
    assert not extract_membrane_mask(image, mpp=0.5, background=GLASS).mask.any()
    clear = combine_stains(
        StainDensities(none, haze - 0.5 + 0.3 * (haze > 0.5), none), background=GLASS
    )
    assert extract_membrane_mask(clear, mpp=0.5, background=GLASS).mask.any()


def test_a_short_piece_is_dropped():
    image = np.full((80, 80, 3), GLASS, np.uint8)
    image[38:41, 38:43] = (140, 90, 50)  # 2.5 micrometres
    assert not extract_membrane_mask(image, mpp=0.5).mask.any()
    image[38:41, 38:50] = (140, 90, 50)  # 6 micrometres
    assert extract_membrane_mask(image, mpp=0.5).mask.any()


def test_hematoxylin_lines_are_no_membrane():
    line = np.zeros((80, 80), np.float32)
    line[:, 38:41] = 0.8
    none = np.zeros_like(line)
    image = combine_stains(StainDensities(line, none, none), background=GLASS)
    assert not extract_membrane_mask(image, mpp=0.5).mask.any()


@pytest.fixture(scope="module")
def field():
    return synthetic_her2("2+", size=(300, 420), mpp=0.5, seed=3)


@pytest.mark.parametrize("tile", [64, 100, 333])
def test_tiles_change_nothing(tile, field):
    whole = extract_membrane_mask(field.rgb, mpp=0.5)
    tiled = extract_membrane_mask(field.rgb, mpp=0.5, tile=tile)
    for name in ("mask", "dab", "intensity", "tissue"):
        np.testing.assert_array_equal(getattr(tiled, name), getattr(whole, name))
    assert (tiled.width, tiled.flags) == (whole.width, whole.flags)
    assert whole.mask.any()


def test_a_batch_is_each_alone_with_its_own_background(field):
    images = np.stack([field.rgb[:200, :200], (field.rgb[:200, :200] * 0.7).astype(np.uint8)])
    batch = extract_membrane_mask(images, mpp=0.5)
    for found, image in zip(batch, images, strict=True):
        alone = extract_membrane_mask(image, mpp=0.5)
        np.testing.assert_array_equal(found.mask, alone.mask)
        assert found.background.tolist() == alone.background.tolist()
    assert batch[0].background[0] > batch[1].background[0] + 20


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("tint", [(0.6, 0.6, 0.6), (1.0, 0.8, 0.6), (0.7, 0.9, 1.0)])
def test_grey_and_tinted_glass_hardly_change_the_mask(tint, field):
    tinted = np.rint(field.rgb * tint).astype(np.uint8)
    masks = [extract_membrane_mask(x, mpp=0.5).mask for x in (field.rgb, tinted)]
    assert iou(*masks) > 0.9


@pytest.mark.parametrize(("score", "least"), [("3+", 0.85), ("2+", 0.8)])
def test_jpeg_hardly_changes_the_mask(score, least):
    image = synthetic_her2(score, size=(300, 420), mpp=0.5, seed=3).rgb
    masks = [extract_membrane_mask(x, mpp=0.5).mask for x in (image, jpeg(70).apply(image))]
    assert iou(*masks) > least


def test_flips_and_turns_come_back(field):
    mask = extract_membrane_mask(field.rgb, mpp=0.5).mask
    for turn in (np.fliplr, np.flipud, np.rot90):
        assert iou(extract_membrane_mask(turn(field.rgb), mpp=0.5).mask, turn(mask)) > 0.97


@pytest.mark.parametrize(("score", "least"), [("3+", 0.85), ("2+", 0.75)])
def test_boundaries_of_synthetic_membranes(score, least):
    field = synthetic_her2(score, size=400, mpp=0.5, seed=11)
    found = extract_membrane_mask(field.rgb, mpp=0.5).mask
    edges = [find_boundaries(mask, mode="inner") for mask in (found, field.membrane)]
    near = [distance_transform_edt(~edge) * 0.5 <= 1.0 for edge in edges]
    precision, recall = near[1][edges[0]].mean(), near[0][edges[1]].mean()
    assert 2 * precision * recall / (precision + recall) > least


def test_unstained_synthetic_fields_have_hardly_any_membrane():
    for seed in range(3):
        field = synthetic_her2("0", size=400, mpp=0.5, seed=seed)
        assert extract_membrane_mask(field.rgb, mpp=0.5).mask.mean() < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mpp": 0}, "mpp is 0; it takes a positive number, micrometres per pixel"),
        ({"mpp": -0.5}, "mpp is -0.5"),
        ({"mpp": np.nan}, "mpp is nan"),
        ({"mpp": "0.5"}, "mpp is '0.5'"),
        ({"mpp": True}, "mpp is True"),
        ({"mpp": 2.0}, "mpp is 2.0"),
        ({"thresholds": (0, 0.4, 0.6)}, "thresholds is (0, 0.4, 0.6); it takes three increasing"),
        ({"thresholds": (0.2, 0.2, 0.6)}, "thresholds is (0.2, 0.2, 0.6)"),
        ({"thresholds": (0.2, 0.4)}, "thresholds is (0.2, 0.4)"),
        ({"thresholds": 0.2}, "thresholds is 0.2"),
        ({"thresholds": (0.2, 0.4, np.nan)}, "thresholds is (0.2, 0.4, nan)"),
        ({"tile": 63}, "tile is 63; it takes an integer of at least 64"),
        ({"tile": 2048.0}, "tile is 2048.0"),
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
