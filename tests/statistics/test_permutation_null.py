"""CAMs permuted among patients: by hand, written out, its properties, and how often it is wrong."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from membrane_xai import alignment, map_score, pool_mask
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import permutation_null


def made_up(rng, counts, side=4, mask_side=8):
    """CAMs, masks, regions and patients."""
    codes = np.repeat(np.arange(len(counts)), counts)
    cams = rng.random((codes.size, side, side)) ** 2
    masks = rng.random((codes.size, mask_side, mask_side)) < 0.4
    region = rng.random(masks.shape) < 0.9
    return cams, masks, region, codes


def written_out(cams, masks, region, codes):
    """Every order of the patients, pair by pair; means by patient, then the ratio of sums."""
    of = [np.flatnonzero(codes == c) for c in np.unique(codes)]
    each = alignment(cams, masks, region=region)
    room = sum((each.ideal - each.chance)[of[b]].mean() for b in range(len(of)))

    def score(order):
        total = 0.0
        for owner, giver in enumerate(order):
            given = [of[giver][k % len(of[giver])] for k in range(len(of[owner]))]
            maps = [
                map_score(cams[i], masks[j], region=region[j])
                for i, j in zip(given, of[owner], strict=True)
            ]
            total += np.mean(maps - each.chance[of[owner]])
        return total / room

    orders = itertools.permutations(range(len(of)))
    return score(range(len(of))), np.array([score(order) for order in orders])


def test_four_patients_counted_by_hand():
    # Each has one bright cell on its own membrane: 1 of 24 orders is as good as the given one.
    masks = np.eye(4).reshape(4, 2, 2)
    found = permutation_null(masks, masks, list("ABCD"))
    assert (found.score, found.p_value, found.n_null, found.exact) == (1, 1 / 24, 24, True)
    assert found.least_p == 1 / 24
    # on another's mask MAP is 0, chance 1/4, ideal 1: over all orders the mean is 1/4 of the cells
    assert found.null_mean == pytest.approx((0.25 * 1 - 0.25) / 0.75)
    worst = permutation_null(masks[[1, 0, 3, 2]], masks, list("ABCD"))
    assert (worst.score, worst.p_value) == (pytest.approx(-1 / 3), 1)


@pytest.mark.parametrize("counts", [(2, 2, 2, 2), (3, 1, 4, 2, 1)])
def test_every_order_written_out(rng, counts):
    cams, masks, region, codes = made_up(rng, counts)
    found = permutation_null(cams, masks, codes, region=region)
    score, scores = written_out(cams, masks, region, codes)
    assert found.score == pytest.approx(score, abs=1e-12)
    assert found.p_value == pytest.approx(np.mean(scores >= score - 1e-12))
    assert (found.null_mean, found.null_sd) == pytest.approx((scores.mean(), scores.std()))


def test_drawn_orders_come_close_to_all(rng):
    cams, masks, region, codes = made_up(rng, (2, 3, 1, 2, 2, 3))
    every = permutation_null(cams, masks, codes, region=region)
    drawn = permutation_null(cams, masks, codes, region=region, permutations=700)
    assert (every.exact, every.n_null, drawn.exact, drawn.n_null) == (True, 720, False, 701)
    assert drawn.p_value == pytest.approx(every.p_value, abs=0.06)
    again = permutation_null(cams, masks, codes, region=region, permutations=700)
    other = permutation_null(cams, masks, codes, region=region, permutations=700, seed=1)
    assert again.null_sd == drawn.null_sd != other.null_sd


def test_pooled_masks_give_the_same(rng):
    cams, masks, region, codes = made_up(rng, (2, 1, 3, 2))
    pooled = pool_mask(masks, (4, 4), region=region)
    full = permutation_null(cams, masks, codes, region=region)
    small = permutation_null(cams, pooled.mask, codes, region=pooled.region)
    assert small.p_value == full.p_value
    assert (small.score, small.null_sd) == pytest.approx((full.score, full.null_sd), abs=1e-12)


def test_of_every_library(backend, rng):
    cams, masks, _, codes = made_up(rng, (2, 1, 3, 2))
    expected = permutation_null(cams, masks, codes)
    found = permutation_null(backend.asarray(cams), backend.asarray(masks), codes)
    assert found.p_value == pytest.approx(expected.p_value)
    assert found.score == pytest.approx(expected.score, abs=1e-5)
    assert permutation_null(list(cams), list(masks), codes).score == pytest.approx(expected.score)


def test_what_has_no_score_is_left_out_and_counted(rng):
    cams, masks, _, codes = made_up(rng, (2, 2, 2, 2, 2))
    cams[0], masks[3], cams[8:] = 0, False, np.nan
    found = permutation_null(cams, masks, codes)
    assert (found.n, found.n_groups, found.n_undefined) == (6, 4, 4)
    assert found.undefined == {"empty_mask": 1, "no_activation": 1, "non_finite": 2}
    kept = [1, 2, 4, 5, 6, 7]
    assert found.score == permutation_null(cams[kept], masks[kept], codes[kept]).score


def test_three_patients_are_too_few_and_flat_masks_leave_nothing(rng):
    cams, masks, _, codes = made_up(rng, (2, 2, 2))
    few = permutation_null(cams, masks, codes)
    assert (np.isnan(few.p_value), few.status, few.least_p) == (True, "few_groups", 1 / 6)
    assert np.isfinite(few.score)
    none = permutation_null(np.zeros((4, 2, 2)), masks[:4], range(4))
    assert (np.isnan(none.score), none.status, none.n) == (True, "few_groups", 0)
    flat = permutation_null(rng.random((5, 4, 4)), np.ones((5, 8, 8)), range(5))
    assert (np.isnan(flat.p_value), flat.status) == (True, "flat_masks")


def test_a_cam_without_activation_in_anothers_region_counts_as_chance_there():
    masks, region = np.zeros((2, 4, 1, 2, 2))[0, :, 0], np.zeros((4, 2, 2))
    masks[:, 0, 0] = 1
    region[:, 0] = 1
    region[3] = 1
    cams = np.zeros((4, 2, 2))
    cams[:3, 0, 0] = 1
    cams[3, 1, 1] = 1  # seen in the region of the last alone
    found = permutation_null(cams, masks, range(4), region=region)
    excess = np.full((4, 4), 0.5)  # of a hit, on masks of chance 1/2; 3/4 on the last
    excess[:, 3] = 0.75
    excess[3] = [0, 0, 0, -0.25]
    room = 3 * 0.5 + 0.75
    scores = [
        sum(excess[giver, owner] for owner, giver in enumerate(order)) / room
        for order in itertools.permutations(range(4))
    ]
    score = scores[0]
    assert found.score == pytest.approx(score)
    assert found.p_value == pytest.approx(np.mean(np.array(scores) >= score - 1e-12))


@settings(max_examples=20)
@given(seed=st.integers(0, 99), data=st.data())
def test_labels_and_scales_do_not_matter(seed, data):
    rng = np.random.default_rng(seed)
    cams, masks, region, codes = made_up(rng, (2, 1, 2, 3))
    names = np.array(data.draw(st.permutations(["v", "w", "x", "y"])))[codes]
    expected = permutation_null(cams, masks, codes, region=region)
    factors = rng.uniform(0.1, 9, (len(cams), 1, 1))
    found = permutation_null(factors * cams, masks, names, region=region)
    assert found.p_value == pytest.approx(expected.p_value)
    assert found.score == pytest.approx(expected.score, abs=1e-9)


def test_a_habit_of_looking_at_the_centre_is_no_finding_and_knowledge_is():
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[:7, :7] - 3) / 3
    centre = np.exp(-2 * (x**2 + y**2))
    codes = np.repeat(np.arange(6), 4)
    alarms = found = 0
    for _ in range(150):
        masks = np.clip(centre * rng.random((24, 7, 7)), 0, 1)
        noise = gaussian_filter(rng.normal(size=(24, 7, 7)), (0, 1, 1))
        habit = centre * (0.2 + np.maximum(noise, 0))
        alarms += permutation_null(habit, masks, codes).p_value <= 0.05
        found += permutation_null(habit * (0.4 + masks), masks, codes).p_value <= 0.05
    assert alarms / 150 <= 0.1
    assert found / 150 >= 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, m: permutation_null(c, m, range(3)), "groups has 3 labels for 4 samples"),
        (lambda c, m: permutation_null(c, m, range(4), permutations=9), "permutations is 9; it"),
        (lambda c, m: permutation_null(c, m, range(4), seed=-1), "seed is -1"),
        (lambda c, m: permutation_null(c, m, range(4), negative="no"), "negative is 'no'"),
        (lambda c, m: permutation_null(c[0], m[0], [1]), "cams and masks are a single pair; they"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call(np.ones((4, 2, 2)), np.eye(4).reshape(4, 2, 2))
