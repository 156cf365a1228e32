"""Maps that ignore the network."""

import numpy as np
import pytest

from membrane_xai import alignment, evaluate, separate_stains
from membrane_xai.baselines import TRIVIAL_MAPS, brownness, center, darkness, flat
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError


@pytest.fixture(scope="module")
def field():
    return synthetic_her2("3+", size=224, mpp=1.0, seed=4)


def test_a_flat_map_has_map_at_chance(field):
    found = alignment(flat(field.rgb), field.membrane)
    assert found.map == pytest.approx(found.chance)
    assert found.toward_ideal == pytest.approx(0, abs=1e-12)


def test_the_blob_is_a_gaussian_of_a_quarter_of_the_sides():
    blob = center(np.zeros((10, 20, 3), np.uint8), cells=(4, 8))
    assert blob[0, 0] == pytest.approx(np.exp(-((0.375**2 + 0.4375**2) / 0.25**2) / 2))
    np.testing.assert_allclose(blob, blob[::-1, ::-1])


def test_brownness_is_mean_density_on_cells_of_their_own(field):
    dab = np.maximum(separate_stains(field.rgb).dab, 0)
    np.testing.assert_allclose(brownness(field.rgb, cells=(224, 224)), dab, atol=1e-6)
    assert brownness(field.rgb).shape == (7, 7)
    assert brownness(field.rgb, cells=(1, 1))[0, 0] == pytest.approx(dab.mean(), rel=1e-5)


def test_brown_maps_find_membrane_without_a_network(field):
    assert alignment(brownness(field.rgb), field.membrane).toward_ideal > 0.7
    assert alignment(darkness(field.rgb), field.membrane).toward_ideal > 0.3


@pytest.mark.parametrize("name", TRIVIAL_MAPS)
def test_a_batch_is_its_images(name, field):
    images = np.stack([field.rgb, field.rgb[::-1]])
    maps = TRIVIAL_MAPS[name](images, ["2+", "3+"], cells=(3, 5))
    assert maps.shape == (2, 3, 5)
    np.testing.assert_allclose(maps[1], TRIVIAL_MAPS[name](images[1], cells=(3, 5)))
    np.testing.assert_allclose(maps[1], maps[0][::-1], atol=1e-6)


def test_they_are_explainers_of_a_study(field):
    rows = evaluate(TRIVIAL_MAPS, [field.rgb], [field.membrane], targets=["3+"]).rows
    assert [(row["method"], row["status"]) for row in rows] == [(x, "ok") for x in TRIVIAL_MAPS]


@pytest.mark.parametrize("name", TRIVIAL_MAPS)
def test_what_is_no_image_is_refused(name):
    with pytest.raises(InvalidInputError, match=r"rgb has shape \(8, 8\)"):
        TRIVIAL_MAPS[name](np.zeros((8, 8)))
