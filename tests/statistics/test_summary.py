"""Intervals of means and of EC: by hand, against SciPy, a textbook, and their properties."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_xai import alignment, summarize
from membrane_xai.errors import InvalidInputError

NAN = float("nan")


@pytest.fixture
def cohort(rng):
    """Scores of 12 patients with 1 to 9 patches each."""
    codes = np.repeat(np.arange(12), rng.integers(1, 10, 12))
    return 0.4 + 0.1 * rng.normal(size=12)[codes] + 0.05 * rng.normal(size=codes.size), codes


# Counted by hand.


def test_mean_over_samples_and_over_groups():
    scores, groups = [1.0, 2.0, 3.0, 6.0, NAN], ["A", "A", "A", "B", "C"]
    over_samples = summarize(scores, groups, status=["ok", "ok", "ok", "ok", "empty_mask"])
    assert over_samples.mean == 3.0
    assert (over_samples.n, over_samples.n_groups, over_samples.n_undefined) == (4, 2, 1)
    assert over_samples.undefined == {"empty_mask": 1}
    assert summarize(scores, groups, average="groups").mean == 4.0
    assert summarize(scores, groups, weights=[0, 1, 1, 2, 1]).mean == (2 + 3 + 12) / 4
    assert summarize(scores, groups, weights=[1, 1, 1, 0, 1]).n_groups == 1


def test_standard_error_of_equal_groups_is_that_of_their_means():
    scores, groups = [1.0, 3.0, 4.0, 6.0, 2.0, 2.0], [0, 0, 1, 1, 2, 2]
    assert summarize(scores, groups).standard_error == pytest.approx(stats.sem([2, 5, 2]))


def test_three_groups_draw_ten_equally_spaced_means():
    # Means of 3 of {0, 3, 6}: 0 with chance 1/27, then 1 with 3/27, so 4/27 lie at 1 or below.
    result = summarize(
        [0.0, 3.0, 6.0], [0, 1, 2], ci=0.8, method="percentile", small_sample=False, draws=50_000
    )
    assert (result.low, result.high) == (1.0, 5.0)


def test_samples_without_groups_are_said_to_be_independent(cohort):
    scores, codes = cohort
    alone, grouped = summarize(scores), summarize(scores, codes)
    assert (alone.clustered, grouped.clustered) == (False, True)
    assert alone.n_groups == scores.size
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(
    ("n", "note"), [(2, "few_groups"), (3, "small_sample"), (9, "small_sample"), (10, "")]
)
def test_the_interval_of_few_groups_is_withheld_or_marked(rng, n, note, grouped):
    """Without groups each sample is one; a group without a defined score does not count."""
    scores = rng.random(n).tolist() * (1 + grouped) + [NAN]
    groups = [*range(n)] * (1 + grouped) + [n]
    result = summarize(scores, groups if grouped else None, draws=100, small_sample=False)
    assert (result.n_groups, result.note, result.small_sample) == (n, note, False)
    assert np.isnan([result.low, result.high]).all() == (note == "few_groups")
    assert np.isfinite([result.mean, result.standard_error]).all()


@pytest.mark.parametrize("method", ["jackknife", "bca", "percentile", "studentized"])
def test_awkward_sets(method):
    for scores, groups in (([0.5, 0.7], ["A", "A"]), ([NAN], ["A"]), ([NAN, 0.4], ["A", "B"])):
        result = summarize(scores, groups, method=method)
        assert np.isnan([result.low, result.high]).all()
    assert np.isnan(summarize([NAN, NAN]).mean)
    assert summarize([NAN, NAN], status=["ok", "non_finite"]).undefined == {
        "non_finite": 1,
        "undefined": 1,
    }
    same = summarize([0.25] * 6, list("AABBCC"), method=method)
    assert (same.low, same.mean, same.high) == (0.25, 0.25, 0.25)
    two = summarize([0.0, 1.0], ["A", "B"], method=method)
    assert not two.low > 0.5


def test_takes_scores_of_any_library(backend):
    scores = np.array([0.25, 0.5, np.nan, 1.0])
    result = summarize(backend.asarray(scores), ["A", "B", "B", "C"])
    assert result == summarize(scores, ["A", "B", "B", "C"])


def test_summarises_what_alignment_returns(rng):
    cams, masks = rng.random((6, 4, 4)), rng.random((6, 8, 8)) < 0.4
    masks[2] = False
    scored = alignment(cams, masks)
    result = summarize(scored.map, list("AABBCC"), status=scored.status)
    assert result.undefined == {"empty_mask": 1}
    assert result.mean == pytest.approx(np.nanmean(scored.map))


# Independent implementations.


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_equals_scipy_without_groups(method, rng):
    scores = rng.gamma(2, size=40)
    ours = summarize(scores, method=method, small_sample=False, draws=40_000, ci=0.9)
    theirs = stats.bootstrap(
        (scores,), np.mean, method=method, n_resamples=40_000, confidence_level=0.9, rng=1
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_equals_scipy_on_sums_of_unequal_groups(method, cohort):
    scores, codes = cohort
    sums, sizes = np.bincount(codes, scores), np.bincount(codes)
    theirs = stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        method=method,
        n_resamples=40_000,
        rng=1,
    ).confidence_interval
    ours = summarize(scores, codes, method=method, small_sample=False, draws=40_000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=2e-3)


def test_bootstrap_t_written_out(cohort, rng):
    scores, codes = cohort
    groups = [scores[codes == c] for c in range(12)]

    def value_and_error(drawn):
        sums, sizes = np.array([g.sum() for g in drawn]), np.array([g.size for g in drawn])
        value = sums.sum() / sizes.sum()
        return value, np.sqrt(12 / 11 * ((sums - value * sizes) ** 2).sum()) / sizes.sum()

    value, error = value_and_error(groups)
    draws = (value_and_error([groups[i] for i in rng.integers(0, 12, 12)]) for _ in range(8000))
    ts = [(v - value) / e for v, e in draws]
    high, low = np.quantile(ts, [0.025, 0.975])
    result = summarize(scores, codes, method="studentized")
    assert result.standard_error == pytest.approx(error)
    assert result.low == pytest.approx(value - low * error, abs=4e-3)
    assert result.high == pytest.approx(value - high * error, abs=6e-3)


# Sourced values.


@pytest.mark.parametrize(
    ("days", "mean", "error"),
    [
        ([94, 197, 16, 38, 99, 141, 23], 86.86, 25.24),
        ([52, 104, 146, 10, 50, 31, 40, 27, 46], 56.22, 14.14),
    ],
)
def test_mouse_data_of_efron_and_tibshirani(days, mean, error):
    # "An Introduction to the Bootstrap", 1993, table 2.1.
    result = summarize(days)
    assert (result.mean, result.standard_error) == pytest.approx((mean, error), abs=5e-3)


def test_expanded_percentile_interval_of_hesterberg():
    # His R package resample 0.6, ExpandProbs: pnorm(qt(p, n - 1) sqrt(n / (n - 1))).
    level = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
    scores = np.random.default_rng(3).normal(size=10)
    wide = summarize(scores, method="percentile", draws=40_000)
    plain = summarize(
        scores, method="percentile", draws=40_000, ci=1 - 2 * level, small_sample=False
    )
    assert (wide.low, wide.high) == pytest.approx((plain.low, plain.high), abs=0.02)


# Properties.

COHORTS = st.lists(
    st.tuples(st.floats(-5, 5).map(lambda x: round(x, 3)), st.integers(0, 4)), min_size=2,
    max_size=25,
)  # fmt: skip


@settings(max_examples=30)
@given(cohort=COHORTS, data=st.data(), method=st.sampled_from(["jackknife", "bca", "percentile"]))
def test_neither_order_nor_labels_nor_the_like_matter(cohort, data, method):
    scores, codes = np.array([s for s, _ in cohort]), np.array([c for _, c in cohort])
    expected = summarize(scores, codes, method=method, draws=200)
    order = np.array(data.draw(st.permutations(range(len(cohort)))))
    names = np.array(data.draw(st.permutations(["v", "w", "x", "y", "z"])))
    result = summarize(scores[order], names[codes][order], method=method, draws=200)
    assert (result.mean, result.low, result.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), nan_ok=True, abs=1e-9
    )
    assert result.n_groups == expected.n_groups == len(set(codes.tolist()))


@settings(max_examples=30)
@given(cohort=COHORTS, method=st.sampled_from(["bca", "percentile", "studentized"]))
def test_the_interval_moves_and_stretches_with_the_scores(cohort, method):
    scores, codes = np.array([s for s, _ in cohort]), np.array([c for _, c in cohort])
    plain = summarize(scores, codes, method=method, draws=200, average="groups")
    moved = summarize(4 * scores + 1, codes, method=method, draws=200, average="groups")
    assert (moved.mean, moved.low, moved.high) == pytest.approx(
        (4 * plain.mean + 1, 4 * plain.low + 1, 4 * plain.high + 1), nan_ok=True, abs=1e-7
    )


def test_seed_and_blocks(cohort, monkeypatch):
    assert summarize(*cohort, seed=4).low == summarize(*cohort, seed=5, draws=100).low
    first = summarize(*cohort, method="bca", seed=4)
    assert first != summarize(*cohort, method="bca", seed=5)
    monkeypatch.setattr("membrane_xai.statistics._bootstrap._BLOCK", 12 * 7)
    assert summarize(*cohort, method="bca", seed=4).low == pytest.approx(first.low, abs=1e-12)


def test_a_wider_interval_for_more_confidence(cohort):
    narrow, wide = summarize(*cohort, ci=0.8), summarize(*cohort, ci=0.99)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


@pytest.mark.parametrize("average", ["samples", "groups"])
def test_intervals_of_forty_patients_cover(average):
    rng = np.random.default_rng(0)
    hits = naive = 0
    for _ in range(300):
        codes = np.repeat(np.arange(40), 8)
        scores = 0.1 * rng.normal(size=40)[codes] + 0.05 * rng.normal(size=320)
        result = summarize(scores, codes, draws=400, average=average)
        hits += result.low <= 0 <= result.high
        result = summarize(scores, draws=400)
        naive += result.low <= 0 <= result.high
    assert 0.91 <= hits / 300 <= 0.985
    assert naive / 300 < 0.7


# Bad input.

SCORES = np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: summarize([]), "scores has shape (0,); it takes (N,)"),
        (lambda: summarize(np.ones((2, 2))), "scores has shape (2, 2)"),
        (lambda: summarize(["a"]), "scores has dtype <U1"),
        (lambda: summarize([0.1, np.inf]), "scores[1] is inf; it takes finite numbers, and NaN"),
        (lambda: summarize(SCORES, ["A"]), "groups has 1 labels for 3 samples"),
        (lambda: summarize(SCORES, "ABC"), "groups has 1 labels"),
        (lambda: summarize(SCORES, ["A", None, "B"]), "groups[1] is None; every sample needs a"),
        (lambda: summarize(SCORES, np.array([1, np.nan, 2])), "groups[1] is nan"),
        (lambda: summarize(SCORES, weights=[1, 2]), "weights has shape (2,); it takes (3,)"),
        (lambda: summarize(SCORES, weights=[1, -1, 2]), "none negative"),
        (lambda: summarize(SCORES, weights=[0, 0, 0]), "not all zero"),
        (lambda: summarize(SCORES, status=["ok"]), "status has shape (1,)"),
        (lambda: summarize(SCORES, ci=95), "ci is 95; it takes a number in (0, 1)"),
        (lambda: summarize(SCORES, draws=10), "draws is 10; it takes an integer of at least 100"),
        (lambda: summarize(SCORES, draws=1e4), "draws is 10000.0"),
        (
            lambda: summarize(SCORES, method="basic"),
            "method is 'basic'; it takes one of 'ja",
        ),
        (lambda: summarize(SCORES, average="mean"), "average is 'mean'"),
        (lambda: summarize(SCORES, small_sample=1), "small_sample is 1; it takes a bool"),
        (lambda: summarize(SCORES, seed=-1), "seed is -1"),
        (lambda: summarize(SCORES, bounds="logit"), "bounds is 'logit'; it takes two increasing"),
        (
            lambda: summarize(SCORES, bounds=(0.2, 1)),
            "scores[0] is 0.1; bounds (0.2, 1.0) take what lies between them",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()
