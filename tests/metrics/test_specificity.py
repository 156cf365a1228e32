"""Specificity: MAP on the membrane against MAP on a control, each toward its own ideal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from membrane_xai import CamGrid, alignment, pool_mask
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError


def _on_one_grid(cam, mask, control):
    """Specificity from the definition, for arrays on the grid of the CAM."""
    both = np.minimum(control, 1 - mask)
    return _toward(cam, mask) - _toward(cam, both)


def _toward(cam, mask):
    cam = np.maximum(cam, 0)
    score = (cam * mask).sum() / cam.sum()
    ideal = (mask**2).sum() / mask.sum()
    return (score - mask.mean()) / (ideal - mask.mean())


def test_counted_by_hand():
    mask, control = np.array([[1.0, 0], [0, 0]]), np.array([[1.0, 1], [0, 0]])
    found = alignment(np.array([[3.0, 1], [0, 0]]), mask, against=control)
    # The control without the mask is the second cell: MAP 3/4 and 1/4, both of chance 1/4, ideal 1.
    assert found.control == 1 / 4
    assert found.toward_ideal == pytest.approx(2 / 3)
    assert found.toward_control == 0
    assert found.specificity == pytest.approx(2 / 3)
    assert found.ideals_alike == pytest.approx(-1 / 3)
    assert found.specificity_ideal == pytest.approx(1 + 1 / 3)
    assert found.specificity_status == "ok"


@given(st.integers(0, 2**32 - 1))
def test_equals_the_definition_and_the_exact_followers_have_their_ends(seed):
    rng = np.random.default_rng(seed)
    mask, control = rng.random((2, 5, 6)) ** 3
    cam = rng.normal(size=(5, 6))
    found = alignment(cam, mask, against=control)
    both = np.minimum(control, 1 - mask)
    assert found.ideals_alike == pytest.approx(np.corrcoef(mask.ravel(), both.ravel())[0, 1])
    best = alignment(mask, mask, against=control)
    assert best.specificity_ideal == found.specificity_ideal
    if found.specificity_status == "ok":
        assert found.specificity == pytest.approx(_on_one_grid(cam, mask, control))
        assert best.specificity == pytest.approx(best.specificity_ideal)
        assert best.specificity >= 0.2 - 1e-9
        assert alignment(both, mask, against=control).specificity <= -0.2 + 1e-9
    else:
        assert np.isnan(found.specificity)


@pytest.mark.parametrize("offset", [15.5, 0.0])
def test_pooled_masks_and_a_grid_give_the_same(offset):
    rng = np.random.default_rng(3)
    mask, control = rng.random((2, 64, 96)) < 0.2
    region = rng.random((64, 96)) < 0.7
    cam, grid = rng.random((2, 3)), CamGrid(32.0, offset, (64, 96))
    direct = alignment(cam, mask, region=region, against=control, grid=grid)
    pooled, other = (pool_mask(x, grid, region=region) for x in (mask, control & ~mask))
    on_grid = [alignment(cam, x.mask, region=x.region) for x in (pooled, other)]
    assert direct.toward_ideal == pytest.approx(on_grid[0].toward_ideal)
    assert direct.toward_control == pytest.approx(on_grid[1].toward_ideal)
    weight = pooled.region.ravel()
    x, y = (one.mask.ravel() for one in (pooled, other))
    covariance = np.cov(x, y, aweights=weight)
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert direct.ideals_alike == pytest.approx(expected)


def test_insides_are_told_from_membranes_on_a_fine_grid_and_not_on_a_coarse_one():
    field = synthetic_her2("2+", size=256, mpp=0.5, seed=2)
    stained = field.cells["id"][field.cells["intensity"] > 0]
    inside = np.isin(field.territories, stained) & ~field.membrane
    for side, status in ((4, "cannot_tell"), (64, "ok")):
        follower = pool_mask(field.membrane, (side, side)).mask
        wrong = pool_mask(inside, (side, side)).mask
        right, other = (alignment(x, field.membrane, against=inside) for x in (follower, wrong))
        assert right.specificity_status == other.specificity_status == status
        assert right.toward_ideal == pytest.approx(1)
        assert other.toward_control == pytest.approx(1)
        if status == "ok":
            assert right.specificity > 0.2
            assert other.specificity < -0.2


def test_a_control_that_hardly_varies_says_that_it_cannot_tell():
    rng = np.random.default_rng(0)
    mask = np.zeros((6, 6))
    mask[:3, :3] = 0.3
    even = 0.3 + 0.02 * (mask > 0) + rng.uniform(0, 0.03, (6, 6))
    found = alignment(mask, mask, against=even)
    assert found.ideals_alike < 0.8 < found.toward_control  # the membrane map would look wrong
    assert (found.specificity_status, np.isnan(found.specificity)) == ("cannot_tell", True)
    other = alignment(mask, even, against=mask)
    assert other.ideals_alike < 0.8 < other.toward_ideal  # and so would that of the control
    assert other.specificity_status == "cannot_tell"


@pytest.mark.parametrize(("shift", "alike", "status"), [(6, 0.76, "ok"), (4, 0.84, "cannot_tell")])
def test_the_limit_is_a_correlation_of_four_fifths(shift, alike, status):
    """Of 100 cells half are of the mask and half of the control, most of them of both."""
    mask = np.where(np.arange(100) < 50, 0.25, 0).reshape(10, 10)
    control = np.roll(mask, shift)
    found = alignment(np.eye(10), mask, against=control)
    assert found.ideals_alike == pytest.approx(alike)
    assert found.specificity_status == status


@pytest.mark.parametrize(
    ("cam", "mask", "control", "status"),
    [
        ("ramp", "left", "left", "empty_control"),
        ("ramp", "left", "none", "empty_control"),
        ("ramp", "none", "left", "empty_mask"),
        ("none", "left", "right", "no_activation"),
        ("ramp", "left", "nan", "non_finite"),
        ("nan", "left", "right", "non_finite"),
        ("ramp", "even", "right", "cannot_tell"),
        ("ramp", "left", "right", "ok"),
    ],
)
def test_each_reason_has_a_word_and_its_batch_mates_stay(cam, mask, control, status):
    ramp = np.arange(16.0).reshape(4, 4)
    shapes = {
        "ramp": ramp,
        "none": 0 * ramp,
        "left": (ramp % 4 < 1) * 1.0,
        "right": (ramp % 4 > 2) * 1.0,
        "even": 0 * ramp + 0.5,
        "nan": np.where(ramp == 5, np.nan, 0.5),
    }
    pairs = [(cam, mask, control), ("ramp", "left", "right")]
    cams, masks, controls = (
        np.stack([shapes[name] for name in names]) for names in zip(*pairs, strict=True)
    )
    found = alignment(cams, masks, against=controls)
    assert found.specificity_status.tolist() == [status, "ok"]
    assert np.isnan(found.specificity).tolist() == [status != "ok", False]
    plain = alignment(cams, masks)
    np.testing.assert_array_equal(found.map, plain.map)


def test_negative_values_count_as_asked_on_both_masks():
    rng = np.random.default_rng(4)
    cam, mask, control = rng.normal(size=(6, 6)), rng.random((6, 6)) < 0.3, np.eye(6)
    found = alignment(cam, mask, against=control, negative="abs")
    plain = alignment(abs(cam), mask, against=control)
    assert (found.control, found.specificity) == (plain.control, plain.specificity)


def test_a_mask_that_varies_by_rounding_alone_has_no_correlation():
    found = alignment(np.eye(3), np.full((3, 3), 0.1), against=np.eye(3))
    assert np.isnan(found.ideals_alike)


def test_without_a_control_there_are_no_such_fields():
    found = alignment(np.ones((2, 2)), np.eye(2)).to_dict()
    assert found["specificity"] is found["specificity_status"] is found["control"] is None


def test_every_library_agrees(backend):
    rng = np.random.default_rng(1)
    cam, mask, control = rng.random((3, 2, 2)), rng.random((3, 8, 8)), rng.random((3, 8, 8)) < 0.3
    expected = alignment(cam, mask, against=control)
    found = alignment(*(backend.asarray(x) for x in (cam, mask)), against=backend.asarray(control))
    for name in ("control", "toward_control", "specificity", "specificity_ideal", "ideals_alike"):
        given = backend.to_numpy(getattr(found, name))
        np.testing.assert_allclose(given, getattr(expected, name), rtol=1e-5, atol=1e-6)
    assert np.asarray(found.specificity_status).tolist() == expected.specificity_status.tolist()


def test_a_list_of_unequal_sizes():
    cams = [np.eye(2), np.eye(3)]
    masks = [np.eye(2) > 0, np.eye(3) > 0]
    controls = [np.eye(2)[::-1] > 0, np.ones((3, 3)) > 0]
    assert alignment(cams, masks, against=controls).specificity_status.tolist() == ["ok", "ok"]


@pytest.mark.parametrize(
    ("against", "words"),
    [(np.ones((3, 3)), r"against has shape \(1, 3, 3\)"), (np.full((2, 2), 2.0), "against")],
)
def test_controls_that_do_not_fit_are_refused(against, words):
    with pytest.raises(InvalidInputError, match=words):
        alignment(np.ones((2, 2)), np.eye(2), against=against)
