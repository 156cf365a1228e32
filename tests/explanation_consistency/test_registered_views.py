"""EC of explainers whose cells do not lie at half-pixel centres."""

import numpy as np
import pytest
from scipy import ndimage

from membrane_xai import CamGrid, evaluate, perturbation_consistency
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    blur,
    compose,
    horizontal_flip,
    jpeg,
    rotation,
    translation,
    vertical_flip,
)

RESNET = CamGrid(32, 0, 224)
MOVES = (horizontal_flip(), vertical_flip(), rotation(90), rotation(180))


class Eye:
    """Sees brightness on pixels 0, 32, 64 and so on of each side."""

    def __init__(self, grid=None):
        if grid is not None:
            self.grid = grid

    def __call__(self, rgb, targets=None):
        return rgb[:, ::32, ::32].mean(-1)


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(0).standard_normal((3, 224, 224, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 32, 32, 0))
    return (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def test_registered_views_of_an_equivariant_explainer_agree(images):
    as_computed = perturbation_consistency(Eye(), images, MOVES)
    registered = perturbation_consistency(Eye(), images, MOVES, grid=RESNET)
    assert as_computed.ec.max() < 0.8
    assert registered.ec.min() > 0.999
    # An outer row or column of the original is not on the map of the view; after half a turn both.
    np.testing.assert_allclose(registered.valid_share[0], [42 / 49] * 3 + [36 / 49])


def test_the_explainer_says_it_itself_and_grid_goes_first(images):
    given = perturbation_consistency(Eye(), images, MOVES, grid=RESNET)
    own = perturbation_consistency(Eye(RESNET), images, MOVES)
    np.testing.assert_array_equal(own.similarity, given.similarity)
    half = CamGrid.half_pixel((7, 7), (224, 224))
    first = perturbation_consistency(Eye(RESNET), images, MOVES, grid=half)
    plain = perturbation_consistency(Eye(), images, MOVES)
    np.testing.assert_array_equal(first.similarity, plain.similarity)


def test_photometric_views_do_not_change(images):
    steps = (blur(1.0, mpp=0.5), jpeg(60))
    plain = perturbation_consistency(Eye(), images, steps)
    registered = perturbation_consistency(Eye(RESNET), images, steps)
    np.testing.assert_array_equal(plain.similarity, registered.similarity)
    assert (registered.valid_share == 1).all()


def test_moves_and_their_compositions(images):
    steps = (translation(0, 1 / 7), compose(horizontal_flip(), translation(1 / 7, 0)))
    found = perturbation_consistency(Eye(RESNET), images, steps)
    assert found.similarity.min() > 0.999
    assert perturbation_consistency(Eye(), images, steps).similarity[:, 1].max() < 0.8


def test_all_pairs_of_views(images):
    found = perturbation_consistency(Eye(RESNET), images, MOVES, reference=None)
    assert found.ec.min() > 0.998


def test_a_study_goes_by_its_grid_or_the_explainers_own(images):
    masks = [np.eye(224, dtype=bool)] * len(images)
    registered = perturbation_consistency(Eye(), images, MOVES, grid=RESNET).ec
    plain = perturbation_consistency(Eye(), images, MOVES).ec
    for eye, grid, expected in (
        (Eye(RESNET), None, registered),
        (Eye(), RESNET, registered),
        (Eye(RESNET), {"eye": None}, plain),
    ):
        rows = evaluate({"eye": eye}, images, masks, perturbations=MOVES, grid=grid).rows
        np.testing.assert_allclose([row["ec"] for row in rows], expected)


def test_a_grid_that_is_none_is_refused(images):
    with pytest.raises(InvalidInputError, match="grid is 32; it takes a membrane_xai"):
        perturbation_consistency(Eye(), images, MOVES, grid=32)


def test_an_attribute_of_another_kind_says_nothing(images):
    eye, plain = Eye(), perturbation_consistency(Eye(), images, MOVES)
    eye.grid = "resnet"
    found = perturbation_consistency(eye, images, MOVES)
    np.testing.assert_array_equal(found.similarity, plain.similarity)
