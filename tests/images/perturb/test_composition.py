"""Perturbations one after another, those of the caller, and the standard set."""

import numpy as np
import pytest

from membrane_xai import ec_score
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    Perturbation,
    blur,
    compose,
    horizontal_flip,
    jpeg,
    rotation,
    standard_perturbations,
    translation,
)


def test_composition_applies_in_order_and_restores_in_reverse(rgb, rng):
    first, second = rotation(90), translation(0.25, 0.125)
    both = compose(first, second)
    np.testing.assert_array_equal(both.apply(rgb), second.apply(first.apply(rgb)))
    cam = rng.random((8, 12))
    valid = both.valid((8, 12))
    expected = first.restore(second.restore(cam))
    np.testing.assert_array_equal(both.restore(cam), np.where(valid, expected, 0))
    np.testing.assert_array_equal(valid, first.restore(second.valid((8, 12)).astype(int)) == 1)
    assert valid.shape == (12, 8)


def test_undefined_cells_do_not_leak_through_a_composition():
    both = compose(rotation(30), translation(0.25, 0))
    restored = both.restore(np.ones((16, 16)))
    valid = both.valid((16, 16))
    assert 0 < valid.sum() < rotation(30).valid((16, 16)).sum()
    assert (restored[valid] == 1).all()
    assert (restored[~valid] == 0).all()


def test_photometric_steps_change_no_cam(rng):
    cam = rng.random((5, 5))
    assert compose(blur(0.5, mpp=0.5), jpeg(50)).restore(cam) is cam


def test_composition_names_its_steps():
    both = compose(jpeg(50), horizontal_flip())
    assert both.name == "JPEG (quality 50), then horizontal flip"
    assert both.parameters["steps"] == [
        {"name": one.name, **one.parameters} for one in (jpeg(50), horizontal_flip())
    ]


@pytest.mark.parametrize("bad", [(), (jpeg,), (jpeg(50), "flip")])
def test_composition_of_something_else(bad):
    with pytest.raises(InvalidInputError, match="perturbations"):
        compose(*bad)


def test_own_perturbations_need_no_valid_region():
    own = Perturbation("original", lambda image: image, lambda cam: cam)
    assert own.valid((2, 3)).tolist() == [[True] * 3] * 2
    assert own.parameters == {}
    assert compose(own, horizontal_flip()).restore(np.array([[1, 2]])).tolist() == [[2, 1]]


def test_standard_set_is_what_it_documents():
    ones = standard_perturbations(mpp=0.25, seed=3)
    assert [one.parameters["perturbation"] for one in ones] == [
        "stain jitter",
        "stain jitter",
        "illumination jitter",
        "blur",
        "noise",
        "JPEG",
        "horizontal flip",
        "rotation",
    ]
    assert all(one.valid((7, 5)).all() for one in ones)
    assert ones[3].parameters == {"perturbation": "blur", "sigma_um": 0.5, "mpp": 0.25}


def test_standard_sets_of_two_seeds_share_no_draw(rgb):
    first, again, other = (standard_perturbations(mpp=0.5, seed=seed) for seed in (0, 0, 1))
    assert [one.parameters for one in first] == [one.parameters for one in again]
    seeds = [one.parameters["seed"] for one in (*first, *other) if "seed" in one.parameters]
    assert len(set(seeds)) == len(seeds) == 8
    assert len({one.name for one in first}) == 8
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.apply(rgb), same.apply(rgb))


def test_a_model_that_sees_the_stain_is_consistent(rgb):
    """The darkness of blocks, a stand-in for a CAM, survives the standard set."""

    def explain(image):
        blocks = 255.0 - image.mean(axis=2)
        return blocks.reshape(blocks.shape[0] // 8, 8, -1, 8).mean(axis=(1, 3))

    ones = standard_perturbations(mpp=0.5)
    cams = np.stack([explain(rgb), *(one.restore(explain(one.apply(rgb))) for one in ones)])
    assert ec_score(cams) > 0.98
    unrestored = np.stack([explain(rgb), explain(horizontal_flip().apply(rgb))])
    assert ec_score(unrestored) < 0.9
