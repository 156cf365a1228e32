"""Optical density, background and stain separation: by hand, against scikit-image, properties."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from membrane_xai import estimate_background, estimate_stain_matrix, separate_stains
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.stain import (
    HDAB,
    StainDensities,
    combine_stains,
    optical_density,
    stain_vectors,
    to_hed_units,
)

IMAGE = np.full((4, 5, 3), (120, 90, 60), np.uint8)
OTHER_MATRIX = [[0.55, 0.76, 0.35], [0.71, 1.42, 1.9]]  # not of unit length
SMALL_IMAGES = arrays(np.uint8, (3, 4, 3), elements=st.integers(10, 120))


def test_density_counted_by_hand():
    image = np.array([[[200, 20, 2], [255, 100, 0]]], np.uint8)
    found = optical_density(image, background=(200, 200, 200))
    # 0 is read as 1: log10(200); lighter than glass is no stain.
    expected = [[[0, 1, 2], [0, np.log10(2), np.log10(200)]]]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_density_of_each_channel_has_its_own_background():
    image = np.full((1, 1, 3), 10, np.uint8)
    found = optical_density(image, background=(10, 100, 200))
    np.testing.assert_allclose(found[0, 0], [0, 1, 1 + np.log10(2)], atol=1e-6)


def test_unmixing_counted_by_hand():
    # Stains that each absorb one channel: the amounts are the densities of the channels.
    image = np.array([[[100, 50, 25]]], np.uint8)
    found = separate_stains(image, stain_matrix=[[1, 0, 0], [0, 3, 0]], background=(200,) * 3)
    amounts = [found.hematoxylin, found.dab, found.residual]
    np.testing.assert_allclose(np.ravel(amounts), np.log10([2, 4, 8]), atol=1e-6)


def test_known_amounts_are_recovered(rng):
    amounts = rng.uniform(0, 0.8, (2, 6, 7))
    light = 250 * 10.0 ** -np.einsum("shw,sc->hwc", amounts, stain_vectors("hdab"))
    found = separate_stains(light / 255, background=(250, 250, 250))
    np.testing.assert_allclose(found.hematoxylin, amounts[0], atol=2e-5)
    np.testing.assert_allclose(found.dab, amounts[1], atol=2e-5)
    np.testing.assert_allclose(found.residual, 0, atol=2e-5)


def test_equals_scikit_image(rng):
    color = pytest.importorskip("skimage.color")
    image = rng.integers(2, 240, (20, 30, 3), dtype=np.uint8)
    white = np.array([240.0, 238.0, 235.0])
    image = np.minimum(image, white).astype(np.uint8)
    for matrix in ("hdab", OTHER_MATRIX):
        vectors = stain_vectors(matrix)
        residual = np.cross(*vectors)
        mixing = np.vstack([vectors, residual / np.linalg.norm(residual)])
        # Its unit is ln(1e-6), not ln(10), and it sets negative amounts to 0.
        theirs = 6 * color.separate_stains(image / white, np.linalg.inv(mixing))
        ours = np.stack(separate_stains(image, stain_matrix=matrix, background=white), axis=-1)
        np.testing.assert_allclose(np.maximum(ours, 0), theirs, atol=1e-5)


def test_vectors_are_those_of_qupath():
    # Its default for H-DAB, to five digits.
    qupath = [[0.65111, 0.70119, 0.29049], [0.26917, 0.56824, 0.77759]]
    np.testing.assert_allclose(stain_vectors("hdab"), qupath, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(stain_vectors(OTHER_MATRIX), axis=1), 1)


def test_the_default_vectors_cannot_be_altered():
    with pytest.raises(ValueError, match="read-only"):
        HDAB[0, 0] = 1
    stain_vectors("hdab")[0, 0] = 0
    assert stain_vectors("hdab")[0, 0] > 0.6


@pytest.mark.parametrize("matrix", ["hdab", OTHER_MATRIX])
def test_round_trip(matrix, rng):
    image = rng.integers(5, 221, (30, 40, 3), dtype=np.uint8)
    background = (220, 225, 230)
    stains = separate_stains(image, stain_matrix=matrix, background=background)
    back = combine_stains(stains, stain_matrix=matrix, background=background)
    assert back.dtype == np.uint8
    assert (back == image).all()


def test_combination_counted_by_hand():
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    matrix = [[1, 0, 0], [0, 1, 0]]
    found = combine_stains(
        StainDensities(one, 2 * one, none), stain_matrix=matrix, background=(200, 250, 240)
    )
    assert found.tolist() == [[[20, 2, 240]]]  # 2.5 is rounded to even
    lighter = combine_stains(StainDensities(-one, none, none), background=(200, 200, 200))
    assert lighter.max() == 255


@pytest.mark.parametrize(
    "glass", [(255, 255, 255), (175, 175, 175), (240, 236, 228), (190, 182, 175)]
)
def test_background_is_the_glass_in_view(glass, rng):
    image = np.empty((60, 60, 3), np.uint8)
    image[:] = glass
    image[:40] = rng.integers(20, 150, (40, 60, 3))
    assert estimate_background(image) == pytest.approx(glass, abs=1)


def test_few_saturated_pixels_are_not_the_glass():
    image = np.full((100, 100, 3), 180, np.uint8)
    image[0, :20] = 255  # 0.2 %
    assert estimate_background(image).tolist() == [180, 180, 180]


@pytest.mark.parametrize(
    ("stain", "expected"), [((190, 150, 100), 190), ((150, 160, 220), 220), ((60, 40, 20), 80)]
)
def test_without_glass_the_stain_is_not_the_background(stain, expected):
    image = np.full((20, 20, 3), stain, np.uint8)
    assert estimate_background(image).tolist() == [expected] * 3
    assert optical_density(image).max() > 0.05


def test_auto_is_the_estimate(rng):
    image = rng.integers(0, 200, (20, 20, 3), dtype=np.uint8)
    image[:5] = (185, 180, 178)
    known = separate_stains(image, background=estimate_background(image))
    for auto, other in zip(separate_stains(image), known, strict=True):
        assert auto.dtype == np.float32
        assert (auto == other).all()


@given(SMALL_IMAGES, st.integers(121, 127))
def test_image_and_background_scale_together(image, glass):
    dark = separate_stains(image, background=(glass,) * 3)
    light = separate_stains(2 * image, background=(2 * glass,) * 3)
    for one, other in zip(dark, light, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@given(SMALL_IMAGES)
def test_floats_equal_uint8(image):
    for one, other in zip(separate_stains(image), separate_stains(image / 255), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@given(SMALL_IMAGES, st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_length_of_the_vectors_does_not_matter(image, first, second):
    longer = stain_vectors("hdab") * [[first], [second]]
    for one, other in zip(
        separate_stains(image), separate_stains(image, stain_matrix=longer), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)


@given(SMALL_IMAGES, st.floats(0.05, 0.6))
def test_a_denser_stain_adds_its_density(image, extra):
    before = separate_stains(image / 255, background=(255,) * 3)
    darker = image / 255 * 10 ** (-extra * stain_vectors("hdab")[1])
    if darker.min() < 1 / 255 or darker[..., 2].min() <= 0.02:  # densities end there
        return
    after = separate_stains(darker, background=(255,) * 3)
    np.testing.assert_allclose(after.dab, before.dab + extra, atol=2e-5)
    np.testing.assert_allclose(after.hematoxylin, before.hematoxylin, atol=2e-5)


@given(SMALL_IMAGES)
def test_pixels_do_not_see_each_other_and_the_image_stays(image):
    original = image.copy()
    whole = separate_stains(image, background=(200,) * 3)
    flipped = separate_stains(image[::-1, ::-1], background=(200,) * 3)
    assert (image == original).all()
    for one, other in zip(whole, flipped, strict=True):
        np.testing.assert_allclose(one, other[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("tint", [(0.6, 0.6, 0.6), (1, 0.8, 0.6), (0.7, 1, 0.9)])
def test_tinted_glass_leaves_densities(tint, rng):
    image = np.full((80, 80, 3), (235, 238, 240), np.uint8)
    image[20:60] = rng.integers(60, 200, (40, 80, 3))
    tinted = np.rint(image * tint).astype(np.uint8)
    for one, other in zip(separate_stains(tinted), separate_stains(image), strict=True):
        np.testing.assert_allclose(one, other, atol=0.03)


def test_noise_and_bright_rims_do_not_raise_the_background(rng):
    image = np.clip(rng.normal(200, 6, (200, 200, 3)), 0, 255).astype(np.uint8)
    image[100, :60] = 250  # as sharpening leaves beside an edge
    assert estimate_background(image) == pytest.approx([200] * 3, abs=5)


def test_saturated_blue_is_solved_from_red_and_green():
    vectors = stain_vectors("hdab")
    for hematoxylin, dab in [(0.0, 3.5), (0.3, 3.2)]:
        light = 250 * 10 ** -(np.array([hematoxylin, dab]) @ vectors)
        assert light[2] < 1  # darker than a recorded value can tell
        found = separate_stains(light.reshape(1, 1, 3) / 255, background=(250,) * 3)
        assert found.dab[0, 0] == pytest.approx(dab, abs=0.01)
        assert found.hematoxylin[0, 0] == pytest.approx(hematoxylin, abs=0.01)
        all_three = np.linalg.solve(
            np.vstack([vectors, np.cross(*vectors) / np.linalg.norm(np.cross(*vectors))]).T,
            np.log10(250 / np.maximum(light, 1)),
        )
        assert all_three[1] < dab - 0.2  # what three channels would give


def test_hed_units_are_those_of_scikit_image(rng):
    color = pytest.importorskip("skimage.color")
    image = rng.integers(20, 250, (6, 7, 3), dtype=np.uint8)
    mixing = np.vstack([stain_vectors("hdab"), np.cross(*stain_vectors("hdab"))])
    mixing[2] /= np.linalg.norm(mixing[2])
    theirs = color.separate_stains(image, np.linalg.inv(mixing))
    ours = separate_stains(image, background=(255,) * 3)
    np.testing.assert_allclose(np.maximum(to_hed_units(ours.dab), 0), theirs[..., 1], atol=1e-5)
    assert to_hed_units(6.0) == pytest.approx(1)


def mixture(vectors, rng, hematoxylin=1.0, dab=1.0, shape=(60, 60)):
    """Draw pixels of both stains pure and mixed, and some glass."""
    amounts = rng.random((*shape, 2)) * (hematoxylin, dab) * (rng.random((*shape, 2)) < 0.6)
    return np.rint(240 * 10 ** -(amounts @ vectors)).astype(np.uint8)


def test_stain_vectors_are_found(rng):
    true = stain_vectors([[0.60, 0.75, 0.28], [0.32, 0.60, 0.73]])
    found = estimate_stain_matrix(mixture(true, rng), background=(240,) * 3)
    angles = np.degrees(np.arccos(np.clip((found * true).sum(axis=1), -1, 1)))
    assert angles.max() < 1.5
    several = [mixture(true, rng, dab=0.0, shape=(40, 40)), mixture(true, rng), mixture(true, rng)]
    found = estimate_stain_matrix(several, background=(240,) * 3)
    assert np.degrees(np.arccos((found * true).sum(axis=1))).max() < 1.5
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("amounts", "absent"),
    [
        ({"dab": 0.0}, "no DAB found in 1 image"),
        ({"hematoxylin": 0.0}, "no hematoxylin found in 1 image"),
        ({"dab": 0.0, "hematoxylin": 0.0}, "no hematoxylin and no DAB found in 1 image"),
    ],
)
def test_an_absent_stain_keeps_its_reference(amounts, absent, rng):
    reference = stain_vectors("hdab")
    image = mixture(reference, rng, **amounts)
    with pytest.warns(MembraneXAIWarning, match=absent):
        found = estimate_stain_matrix(image, background=(240,) * 3)
    angles = np.degrees(np.arccos(np.clip((found * reference).sum(axis=1), -1, 1)))
    assert angles.max() < 1.5  # the order holds, whichever stain is there


@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_any_tile_gives_two_stains(image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MembraneXAIWarning)
        found = estimate_stain_matrix(image)
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()
    assert found[1, 2] - found[1, 0] > found[0, 2] - found[0, 0]


@pytest.mark.parametrize("images", [[], np.zeros((2, 2)), ()])
def test_no_images(images):
    with pytest.raises(InvalidInputError, match="images is empty"):
        estimate_stain_matrix(images)


NONE = np.zeros((1, 1), np.float32)


@pytest.mark.parametrize(
    "function", [estimate_background, optical_density, separate_stains], ids=lambda f: f.__name__
)
@pytest.mark.parametrize(
    ("rgb", "message"),
    [
        (IMAGE[..., 0], "rgb has shape (4, 5); it takes (H, W, 3), not empty"),
        (np.ones((4, 5, 4)), "rgb has shape (4, 5, 4); it takes (H, W, 3)"),
        (IMAGE[:0], "rgb has shape (0, 5, 3); it takes (H, W, 3), not empty"),
        (IMAGE.astype(int), "rgb has dtype int64; it takes uint8 or floats in [0, 1]"),
        (IMAGE.astype(float), "rgb has values from 60 to 120; floats lie in [0, 1]"),
        (IMAGE / -255, "rgb has values from -0.470588 to -0.235294; floats lie in [0, 1]"),
        (IMAGE * np.nan, "rgb has values from nan to nan; floats lie in [0, 1]"),
    ],
    ids=["grey", "rgba", "empty", "integers", "0 to 255", "negative", "nan"],
)
def test_bad_images(function, rgb, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        function(rgb)


@pytest.mark.parametrize(
    "background",
    ["white", 240, (240, 240), (0, 240, 240), (240, 256, 240), (np.nan, 240, 240), None, [[1], []]],
    ids=repr,
)
def test_bad_backgrounds(background):
    message = f"background is {background!r}; it takes 'auto' or three numbers in [1, 255]"
    for function in (optical_density, separate_stains):
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            function(IMAGE, background=background)
    with pytest.raises(InvalidInputError, match=re.escape(f"background is {background!r}")):
        combine_stains(StainDensities(NONE, NONE, NONE), background=background)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("hed", "stain_matrix is 'hed'; it takes 'hdab' or an array of shape (2, 3)"),
        (np.eye(3), "stain_matrix has shape (3, 3); it takes (2, 3) finite numbers"),
        ([[1, 0, 0], [0, np.nan, 1]], "it takes (2, 3) finite numbers"),
        ([[1, 0, 0], [0, 1]], "it takes (2, 3) finite numbers"),
        ([["a", "b", "c"]] * 2, "it takes (2, 3) finite numbers"),
        (None, "it takes (2, 3) finite numbers"),
        ([[1, 2, 3], [2, 4, 6]], "stain_matrix has parallel or zero rows; two stains need two"),
        ([[1, 2, 3], [-1, -2, -3]], "stain_matrix has parallel or zero rows"),
        ([[0, 0, 0], [1, 2, 3]], "stain_matrix has parallel or zero rows"),
    ],
)
def test_bad_matrices(matrix, message):
    for call in (
        lambda: stain_vectors(matrix),
        lambda: separate_stains(IMAGE, stain_matrix=matrix),
        lambda: combine_stains(
            StainDensities(NONE, NONE, NONE), stain_matrix=matrix, background=(240, 240, 240)
        ),
    ):
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            call()
