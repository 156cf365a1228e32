"""A pixel size that is wrong is told by the nuclei, whatever else is in view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from membrane_xai import extract_membrane_mask, membrane_completeness, segment_nuclei
from membrane_xai.cells import NuclearSize, measure_nuclei
from membrane_xai.datasets import ihc_sample, synthetic_her2
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import StainDensities, combine_stains

GLASS = (240, 240, 240)


def disks(diameter, spacing, shape=(300, 300), dab=0.0):
    """Draw hematoxylin disks, all lengths in pixels; each lies whole in its square."""
    y, x = (np.indices(shape) % spacing - (spacing - 1) / 2).astype(np.float32)
    blue = np.where(np.hypot(y, x) <= diameter / 2, 0.4, 0.0).astype(np.float32)
    brown = np.full_like(blue, dab)
    return combine_stains(StainDensities(blue, brown, np.zeros_like(blue)), background=GLASS)


def sized(diameters):
    return NuclearSize(np.asarray(diameters, float), np.ones(len(diameters)))


@pytest.mark.parametrize("diameter", [7, 9, 14, 20, 30])
def test_disks_have_the_diameter_they_are_drawn_with(diameter):
    spacing = 2 * diameter + 1
    found = measure_nuclei(disks(diameter, spacing, (12 * spacing,) * 2), mpp=0.5)
    assert found.count >= 30
    assert found.median == pytest.approx(diameter * 0.5, rel=0.12)


@pytest.mark.parametrize(
    ("diameters", "implausible"),
    [
        (30 * [3.99], True),
        (29 * [3.99], False),  # too few to tell
        (30 * [4.0], False),
        (30 * [12.0], False),
        (30 * [12.01], True),
        (16 * [8.0] + 14 * [40.0], False),
        (14 * [8.0] + 16 * [40.0], True),
        ([], False),
    ],
)
def test_the_limits_by_hand(diameters, implausible):
    size = sized(diameters)
    assert size.implausible == implausible
    assert size.flags == (("pixel_size",) if implausible else ())


def test_the_median_goes_by_weight():
    specks = NuclearSize(np.array([1.0, 1.0, 1.0, 8.0]), np.array([1.0, 1.0, 1.0, 64.0]))
    assert (specks.count, specks.median) == (4, 8.0)
    assert np.isnan(sized([]).median)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=60))
def test_a_median_of_equal_weights_is_that_of_numpy(diameters):
    assert sized(diameters).median == np.quantile(diameters, 0.5, method="inverted_cdf")


def test_several_images_are_put_together():
    both = NuclearSize.together([sized(20 * [3.0]), sized([]), sized(20 * [3.0])])
    assert (both.count, both.implausible) == (40, True)
    assert NuclearSize.together([]).count == 0


@pytest.fixture(scope="module", params=[("0", 0.25), ("1+", 0.5), ("2+", 0.25), ("3+", 0.5)])
def field(request):
    score, mpp = request.param
    return synthetic_her2(score, size=round(200 / mpp), mpp=mpp, seed=11)


def flags_of(field, stated):
    """Return the flags of mask and of cells."""
    found = extract_membrane_mask(field.rgb, mpp=stated)
    nuclei = segment_nuclei(field.rgb, mpp=stated)
    cells = membrane_completeness(found.mask, nuclei, mpp=stated, dab=found.dab)
    return found.flags, cells.flags


def test_true_pixels_have_no_flag(field):
    assert flags_of(field, field.mpp) == ((), ())


@pytest.mark.parametrize("factor", [0.5, 2, 4])
def test_wrong_pixels_are_flagged_in_masks_and_cells(field, factor):
    if field.mpp * factor > 1.5:
        pytest.skip("refused for its size")
    of_mask, of_cells = flags_of(field, field.mpp * factor)
    assert "pixel_size" in of_mask
    assert of_cells == ("pixel_size",)


def test_the_diameter_is_that_of_the_true_nuclei(field):
    """By the truth of the field: areas of the nuclei that the border does not cut."""
    area = np.bincount(field.nuclei.ravel())
    for edge in (field.nuclei[0], field.nuclei[-1], field.nuclei[:, 0], field.nuclei[:, -1]):
        area[edge] = 0
    true = np.median(2 * np.sqrt(area[1:][area[1:] > 0] / np.pi)) * field.mpp
    assert measure_nuclei(field.rgb, mpp=field.mpp).median == pytest.approx(true, rel=0.15)


def test_labels_keep_their_pixels_where_the_pixel_size_is_wrong(field):
    """The search follows the nuclei: about as many, and as large, as at the true pixel size."""
    right, wrong = (
        np.bincount(segment_nuclei(field.rgb, mpp=field.mpp * k).ravel())[1:] for k in (1, 2)
    )
    assert len(wrong) == pytest.approx(len(right), rel=0.25)
    assert np.median(wrong) == pytest.approx(np.median(right), rel=0.25)


def test_the_real_image_that_ships_with_scikit_image():
    sample = ihc_sample()
    at = {k: extract_membrane_mask(sample.rgb, mpp=sample.mpp * k).flags for k in (0.5, 1)}
    assert at == {0.5: ("pixel_size",), 1: ()}
    assert measure_nuclei(sample.rgb, mpp=1.5).flags == ("pixel_size",)


def test_labels_of_another_program_are_measured_as_they_are():
    spacing = 24
    y, x = np.indices((240, 240)) % spacing - spacing / 2
    cell = np.indices((240, 240)) // spacing
    nuclei = np.where(np.hypot(y, x) < 7, 1 + cell[0] * 10 + cell[1], 0)
    none = np.zeros(nuclei.shape, bool)
    for mpp, flags in ((0.5, ()), (0.25, ("pixel_size",)), (1.0, ("pixel_size",))):
        cells = membrane_completeness(none, nuclei, mpp=mpp, dab=none.astype(float))
        assert cells.nuclear_diameter == pytest.approx(14 * mpp, rel=0.05)
        assert cells.flags == flags
    few = membrane_completeness(none, np.where(nuclei < 20, nuclei, 0), mpp=0.25, dab=0.0 * none)
    assert np.isnan(few.nuclear_diameter)
    assert few.flags == ()


def test_lines_glass_noise_and_few_nuclei_say_nothing():
    rng = np.random.default_rng(0)
    lines = np.full((300, 300, 3), GLASS, np.uint8)
    lines[::12], lines[:, ::40] = (130, 120, 190), (130, 120, 190)
    noise = np.clip(rng.normal(225, 6, (300, 300, 3)), 0, 255).astype(np.uint8)
    glass = np.full((300, 300, 3), GLASS, np.uint8)
    few = disks(30, 75)
    for image in (lines, noise, glass, few, glass[:1, :1], glass[:5, :200]):
        assert not measure_nuclei(image, mpp=0.1).implausible
        assert not measure_nuclei(image, mpp=1.5).implausible


def test_brown_is_no_nucleus():
    y, x = np.indices((300, 300)) % 20 - 10.0
    brown = np.where(np.hypot(y, x) < 5, 0.8, 0.0).astype(np.float32)
    none = np.zeros_like(brown)
    image = combine_stains(StainDensities(none, brown, none), background=GLASS)
    assert measure_nuclei(image, mpp=0.5).count == 0


@settings(max_examples=10, deadline=None)
@given(st.floats(0.34, 1.4))
def test_the_size_in_pixels_does_not_depend_on_what_was_stated(mpp):
    """Up to the grid, which is coarser than the image below a third of a micrometre a pixel."""
    image = disks(11, 25, (225, 225))
    assert measure_nuclei(image, mpp=mpp).median / mpp == pytest.approx(
        measure_nuclei(image, mpp=0.5).median / 0.5
    )


def test_large_images_are_looked_at_where_nuclei_are():
    image = np.full((1400, 700, 3), GLASS, np.uint8)
    image[900:1200, 300:600] = disks(14, 25)
    found = measure_nuclei(image, mpp=0.5)
    assert found.count >= 100
    assert found.median == pytest.approx(7, rel=0.1)


def test_turning_the_image_changes_little_and_floats_nothing():
    field = synthetic_her2("1+", size=400, mpp=0.5, seed=2).rgb
    found = measure_nuclei(field, mpp=0.5)
    turned = measure_nuclei(np.ascontiguousarray(np.rot90(field)), mpp=0.5)
    assert turned.median == pytest.approx(found.median, rel=0.05)
    assert_array_equal(measure_nuclei(field / 255, mpp=0.5).diameters, found.diameters)


def test_coarse_pixels_are_refused():
    with pytest.raises(InvalidInputError, match="mpp is 2"):
        measure_nuclei(np.full((9, 9, 3), 240, np.uint8), mpp=2.0)
