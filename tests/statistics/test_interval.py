"""Intervals by the jackknife: by hand, written out, sourced, and their properties."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from membrane_xai import summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import interval_of, summarize_ratio

NAN = float("nan")


def logit(x):
    return np.log(x) - np.log1p(-np.asarray(x))


def written_out(scores, groups, *, level=0.95, logits=False):
    """Jackknife, skewness and Hall's transformation group by group; the ends by root finding."""
    names = sorted(set(groups))
    of = {g: np.array([s for s, h in zip(scores, groups, strict=True) if h == g]) for g in names}
    value = np.mean(scores)
    rest = [np.mean(np.concatenate([of[h] for h in names if h != g])) for g in names]
    sizes, n = np.array([len(of[g]) for g in names]), len(names)
    n_eff = sizes.sum() ** 2 / (sizes**2).sum()

    def error(values):
        return np.sqrt((n - 1) / n * sum((v - np.mean(values)) ** 2 for v in values))

    skew = stats.skew([of[g].mean() for g in names], bias=False) / np.sqrt(n_eff)
    if logits:
        # of log x / (1 - x): second derivative over the first, times the plain standard error
        made_good = -1.5 * (2 * value - 1) / (value * (1 - value)) * error(rest)
        between = sorted([0, made_good])
        skew -= np.clip(skew, *between)
    to, back = (logit, lambda z: 1 / (1 + np.exp(-z))) if logits else (np.array, float)
    reach = stats.t.ppf((1 + level) / 2, max(n_eff - 1, 2))

    def end(sign, a):
        def away(z0):
            t = (to(value) - z0) / error(to(rest))
            return (t if abs(a) < 1e-9 else ((1 + a * t / 3) ** 3 - 1) / a) - sign * reach

        return optimize.brentq(away, -1e4, 1e4, xtol=1e-13)

    low = min(end(1, a) for a in (skew, skew / 2))
    high = max(end(-1, a) for a in (skew, skew / 2))
    return back(low), back(high), n_eff


# Counted by hand.


def test_three_groups_without_skewness():
    # means 0.2, 0.4, 0.6: standard error 0.2 / sqrt(3), t of 2 degrees 4.303
    found = summarize([0.2, 0.4, 0.6], list("ABC"), bounds=None)
    half = 0.2 / np.sqrt(3) * stats.t.ppf(0.975, 2)
    assert (found.low, found.high) == pytest.approx((0.4 - half, 0.4 + half))
    # at 0.5 the logit has slope 4 and no curve; without each: 0.55, 0.5 and 0.45
    found = summarize([0.4, 0.5, 0.6], list("ABC"))
    half = np.sqrt(2 / 3 * 2) * logit(0.55) * stats.t.ppf(0.975, 2)
    assert (logit(found.low), logit(found.high)) == pytest.approx((-half, half))


def test_one_group_that_outweighs_all_counts_as_little_more_than_one():
    groups = np.repeat(np.arange(10), [50, *[2] * 9])
    found = summarize(np.linspace(0.2, 0.3, 68), groups)
    assert (found.n_groups, found.n_eff) == (10, pytest.approx(68**2 / (50**2 + 9 * 4)))
    assert found.high - found.low > summarize(np.linspace(0.2, 0.3, 68)).high - found.low
    assert summarize(np.linspace(0.2, 0.3, 68), groups, average="groups").n_eff == 10
    assert summarize([0.1, 0.2, 0.4], weights=[1, 1, 4]).n_eff == pytest.approx(36 / 18)


def test_at_a_bound_the_interval_is_wilsons():
    # Wilson (1927): of none in ten cases up to 0.2775, the value that R's prop.test gives, too
    none, all_ = summarize([0.0] * 10), summarize([1.0] * 10)
    assert (none.low, round(none.high, 4), none.note) == (0, 0.2775, "at_bound")
    assert (round(all_.low, 4), all_.high) == (0.7225, 1)
    assert none.standard_error == 0
    heavy = summarize([0.0] * 13, [*range(9)] + [9] * 4)
    assert heavy.high == pytest.approx(1.96**2 / (heavy.n_eff + 1.96**2), abs=1e-4)
    few = summarize([0.0] * 4)
    assert (few.low, few.note) == (0, "small_sample")
    no_bound = interval_of(Mean([0.0] * 12), bounds=(0, np.inf))  # what is above is not known
    assert (np.isnan(no_bound.high), no_bound.note) == (True, "at_bound")


def test_a_score_that_one_group_alone_lifts_off_a_bound():
    # without the last group the logit is infinite: its slope stands in, 1 / (v (1 - v))
    scores = np.r_[np.zeros(9), 0.2]
    found = summarize(scores)
    error = 0.02 / (0.02 * 0.98)
    spread = stats.t.ppf(0.975, 9) * error
    assert found.low < 0.02 < found.high < 0.3
    assert logit(found.low) <= logit(0.02) - spread + 1e-9  # skewness moves ends outward alone
    assert logit(found.high) >= logit(0.02) + spread / 2


class Mean:
    def __init__(self, values, masses=None):
        self.values = np.asarray(values, float)
        self.n_groups = len(self.values)
        if masses is not None:
            self.masses = np.asarray(masses)

    def of(self, counts):
        return counts @ self.values / self.n_groups

    def jackknife(self):
        return (self.values.sum() - self.values) / (self.n_groups - 1)


def test_groups_without_mass_do_not_bear_on_the_number():
    values = np.array([0.2, 0.5, 0.4, 0.3, 0.6])
    found = interval_of(Mean(values, [1, 1, 0, 0, 0]))
    assert (np.isnan(found.low), found.note, found.n_eff) == (True, "few_groups", 2)
    assert interval_of(Mean(values, [1, 1, 1, 0, 0])).note == "small_sample"
    nothing = interval_of(Mean(values, np.zeros(5)))
    assert (nothing.note, nothing.n_eff) == ("few_groups", 0)


def test_few_groups_far_above_all_others_are_marked():
    scores = np.r_[np.linspace(0.1, 0.2, 18), 5, 0.15]
    skewed = summarize(scores, bounds=None)
    assert skewed.note == "skewed"
    assert skewed.high - skewed.mean > 1.5 * (skewed.mean - skewed.low)
    assert summarize(np.linspace(0.1, 0.2, 20)).note == ""


# Independent implementations.


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("law", ["gamma", "uniform", "high"])
def test_written_out(rng, law, logits):
    groups = np.repeat(np.arange(9), rng.integers(1, 12, 9)).tolist()
    draws = {"gamma": rng.gamma(0.5, 0.02, 9), "uniform": rng.random(9)}
    effects = draws.get(law, 1 - rng.gamma(0.5, 0.02, 9))
    scores = np.clip(effects[groups] + 0.01 * rng.random(len(groups)), 1e-4, 1 - 1e-4)
    found = summarize(scores, groups, bounds=(0, 1) if logits else None)
    low, high, n_eff = written_out(scores.tolist(), groups, logits=logits)
    assert (found.low, found.high, found.n_eff) == pytest.approx((low, high, n_eff), abs=1e-9)


def test_without_skewness_it_is_students_interval():
    values = np.r_[-0.9:1:0.3]  # evenly spaced
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    ours = interval_of(Mean(values), ci=0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


# Properties.

COHORTS = st.lists(
    st.tuples(st.integers(1, 99).map(lambda x: x / 100), st.integers(0, 5)),
    min_size=4,
    max_size=20,
)


@given(COHORTS)
def test_the_mirror_image_has_the_mirrored_interval(cohort):
    scores, groups = np.array([s for s, _ in cohort]), [g for _, g in cohort]
    assume(len(set(groups)) > 2)
    found, mirrored = summarize(scores, groups), summarize(1 - scores, groups)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-9)
    assert 0 <= found.low <= found.mean <= found.high <= 1


@given(COHORTS, st.floats(-3, 3), st.floats(0.1, 4))
def test_bounds_move_and_stretch_with_the_scores(cohort, shift, factor):
    scores, groups = np.array([s for s, _ in cohort]), [g for _, g in cohort]
    assume(len(set(groups)) > 2)
    found = summarize(scores, groups)
    bounds = (shift, shift + factor)
    moved = summarize(np.clip(shift + factor * scores, *bounds), groups, bounds=bounds)
    expected = (shift + factor * found.low, shift + factor * found.high)
    assert (moved.low, moved.high) == pytest.approx(expected, abs=1e-7)


def test_one_bound_is_a_log_scale(rng):
    values = rng.gamma(0.7, 1, 12)
    above = interval_of(Mean(values), bounds=(0, np.inf))
    below = interval_of(Mean(-values), bounds=(-np.inf, 0))
    assert (-below.high, -below.low) == pytest.approx((above.low, above.high))
    assert 0 < above.low < values.mean() < above.high
    # far from the bound the scale is straight
    far = interval_of(Mean(values + 1e4), bounds=(0, np.inf))
    plain = interval_of(Mean(values))
    assert (far.low - 1e4, far.high - 1e4) == pytest.approx((plain.low, plain.high), rel=1e-3)


@pytest.mark.parametrize("sizes", ["equal", "heavy"])
@pytest.mark.parametrize("law", ["exponential", "Beta"])
def test_ten_patients_of_awkward_laws_cover(law, sizes):
    """A few hundred cohorts; the benchmark has thousands, of more laws."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        patches = (
            10 if sizes == "equal" else np.maximum(np.exp(rng.normal(2, 1.2, 10)).astype(int), 1)
        )
        codes = np.repeat(np.arange(10), patches)
        exponential = law == "exponential"
        effects = 0.2 + 0.05 * rng.exponential(size=10) if exponential else rng.beta(0.3, 9.7, 10)
        found = summarize(effects[codes], codes, bounds=None if exponential else (0, 1))
        hits += found.low <= (0.25 if exponential else 0.03) <= found.high
    assert 0.91 <= hits / 400 <= 0.985


# A ratio of sums.


def test_ratio_of_sums_by_hand():
    gain, room = [0.1, 0.2, 0.3, NAN, 0.1, 0.2], [0.4, 0.4, 0.5, 0.5, NAN, 0.3]
    found = summarize_ratio(
        gain, room, list("AABBCC"), status=[*["ok"] * 3, "empty_mask", *["ok"] * 2]
    )
    assert found.mean == pytest.approx(0.8 / 1.6)
    assert (found.n, found.n_groups) == (4, 3)
    assert found.undefined == {"empty_mask": 1, "undefined": 1}
    assert found.n_eff == pytest.approx(1.6**2 / (0.8**2 + 0.5**2 + 0.3**2))


@given(COHORTS)
def test_a_mean_is_a_ratio_of_sums(cohort):
    scores, groups = np.array([s for s, _ in cohort]), [g for _, g in cohort]
    mean = summarize(scores, groups)
    ratio = summarize_ratio(scores, np.ones(len(scores)), groups, bounds=(0, 1))
    assert (ratio.mean, ratio.low, ratio.high, ratio.n_eff) == pytest.approx(
        (mean.mean, mean.low, mean.high, mean.n_eff), nan_ok=True
    )


def test_a_ratio_whose_sign_hangs_on_one_group_has_no_interval():
    found = summarize_ratio([1.0, 1, 1, 1], [5.0, -1, -1, -1])
    assert (found.mean, found.note) == (2, "few_groups")
    assert np.isnan(found.low)
    assert np.isnan(summarize_ratio([1.0, 1], [1.0, -1]).mean)
    assert np.isnan(summarize_ratio([NAN], [1.0]).mean)
    with pytest.raises(InvalidInputError, match="above has 1 numbers, below has 2"):
        summarize_ratio([1.0], [1.0, 2])
