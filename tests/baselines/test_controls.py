"""Control masks and the tumour against the truth of synthetic fields."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.data import immunohistochemistry

from membrane_xai import extract_membrane_mask, separate_stains
from membrane_xai.baselines import CONTROLS, control_masks, tumour_region
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError


def _dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.fixture(scope="module")
def field():
    return synthetic_her2("2+", size=512, mpp=0.5, seed=901)


@pytest.fixture(scope="module")
def stained_cells(field):
    return np.isin(field.territories, field.cells["id"][field.cells["intensity"] > 0])


@pytest.fixture(scope="module")
def controls(field):
    membrane = extract_membrane_mask(field.rgb, mpp=0.5).mask
    return control_masks(field.rgb, membrane, mpp=0.5)


def test_insides_and_nuclei_are_those_of_the_truth(field, stained_cells, controls):
    assert _dice(controls["inside"], stained_cells & ~field.membrane) > 0.8
    assert _dice(controls["nuclei"], (field.nuclei > 0) & ~field.membrane) > 0.85


def test_stained_tissue_covers_the_stained_cells_and_not_the_unstained(
    field, stained_cells, controls
):
    inside = stained_cells & ~field.membrane
    assert controls["stained"][inside].mean() > 0.85
    away = distance_transform_edt(~field.membrane) * field.mpp > 20
    assert controls["stained"][away].mean() < 0.05


def test_stained_tissue_reaches_a_cell_beyond_the_stain():
    image = np.full((80, 80, 3), 240, np.uint8)
    image[:, :40] = (110, 70, 40)
    image[40, 78] = (110, 70, 40)  # a speck
    found = control_masks(image, np.zeros((80, 80), bool), mpp=0.5, names=["stained"])["stained"]
    brown = gaussian_filter(separate_stains(image).dab[40, :60], 1, mode="nearest") >= 0.2
    assert 40 <= brown.sum() <= 42
    assert np.flatnonzero(found[40]).tolist() == list(range(brown.sum() + 16))  # 8 um of 0.5


def test_no_control_has_a_pixel_of_the_membrane(field, controls):
    membrane = extract_membrane_mask(field.rgb, mpp=0.5).mask
    assert tuple(controls) != ()
    assert not any((one & membrane).any() for one in controls.values())


def test_names_choose_and_change_nothing(field):
    every = control_masks(field.rgb, field.membrane, mpp=0.5)
    for name in CONTROLS:
        alone = control_masks(field.rgb, field.membrane, mpp=0.5, names=name)
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name], every[name])


@pytest.mark.parametrize("turn", [np.rot90, np.fliplr])
def test_controls_turn_with_the_image(field, turn):
    crop = (slice(100, 356), slice(50, 306))
    rgb, membrane = field.rgb[crop], field.membrane[crop]
    found = control_masks(rgb, membrane, mpp=0.5, names=["nuclei", "stained"])
    turned = control_masks(turn(rgb), turn(membrane), mpp=0.5, names=["nuclei", "stained"])
    np.testing.assert_array_equal(turned["stained"], turn(found["stained"]))
    assert _dice(turned["nuclei"], turn(found["nuclei"])) > 0.99


def test_fractions_are_membrane_from_a_half_on(field):
    half = np.where(field.membrane, 0.5, 0.4)
    found, plain = (
        control_masks(field.rgb, x, mpp=0.5, names=["inside"]) for x in (half, field.membrane)
    )
    np.testing.assert_array_equal(found["inside"], plain["inside"])


def test_tumour_is_the_nests_of_stained_cells_without_their_gaps(field):
    region = tumour_region(field.rgb, field.membrane, mpp=0.5)
    nests = np.isin(field.territories, field.cells["id"][field.cells["tumour"]])
    assert region[field.membrane].all()
    assert region[nests].mean() > 0.85
    assert region.mean() < 0.9
    empty = tumour_region(field.rgb, np.zeros_like(field.membrane), mpp=0.5)
    assert not empty.any()


def test_a_real_field():
    image = immunohistochemistry()
    membrane = extract_membrane_mask(image, mpp=0.5).mask
    found = control_masks(image, membrane, mpp=0.5)
    assert all(0.01 < one.mean() < 0.9 for one in found.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"membrane": np.zeros((8, 9), bool)}, r"membrane has shape \(8, 9\)"),
        ({"names": ["cells"]}, r"names is \['cells'\]; it takes some of"),
        ({"mpp": 2.0}, "mpp is 2.0"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    given = {"membrane": np.zeros((8, 8), bool), "mpp": 0.5} | change
    with pytest.raises(InvalidInputError, match=words):
        control_masks(np.full((8, 8, 3), 240, np.uint8), **given)
