"""Intervals of means and of EC: by hand, against SciPy, a textbook, and their properties."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_xai import EcAccumulator, alignment, ec_score, summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import patients_needed, summarize_consistency

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


@pytest.mark.parametrize("method", ["bca", "percentile", "studentized"])
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


# A sourced value.


def test_expanded_percentile_interval_of_hesterberg():
    # Hesterberg 2015, section 3.2: for n = 10, z becomes sqrt(10/9) t(0.975, 9), so that the
    # ends are the quantiles 0.0086 and 0.9914 rather than 0.025 and 0.975 of the draws.
    level = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
    assert level == pytest.approx(0.0086, abs=5e-5)
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
@given(cohort=COHORTS, data=st.data(), method=st.sampled_from(["bca", "percentile"]))
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
    first = summarize(*cohort, seed=4)
    assert first != summarize(*cohort, seed=5)
    monkeypatch.setattr("membrane_xai._bootstrap._BLOCK", 12 * 7)
    assert summarize(*cohort, seed=4).low == pytest.approx(first.low, abs=1e-12)


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


# Explanation Consistency.


@pytest.fixture
def patterns(rng):
    """CAMs of 7 patients who share a pattern in part; one is flat, one has NaN."""
    codes = np.repeat(np.arange(7), [4, 1, 3, 5, 2, 2, 3])
    shared = rng.normal(size=(5, 6))
    cams = shared + rng.normal(size=(7, 5, 6))[codes] + 0.5 * rng.normal(size=(20, 5, 6))
    cams[3], cams[9, 0, 0] = 1.0, np.nan
    return cams, codes


def drawn(matrix, groups, picks, pairs):
    """Mean over pairs of a resample written out: each drawn copy of a patient is its own."""
    items = [(copy, g, i) for copy, g in enumerate(picks) for i in groups[g]]
    scores = [
        matrix[i, j]
        for a, (copy, g, i) in enumerate(items)
        for other, h, j in items[a + 1 :]
        if (copy == other or g != h)
        and {"all": True, "between": copy != other, "within": copy == other}[pairs]
    ]
    return np.mean(scores) if scores else np.nan


@pytest.mark.parametrize("pairs", ["all", "between", "within"])
@pytest.mark.parametrize("similarity", ["pearson", "soft_iou"])
def test_resamples_equal_those_written_out(similarity, pairs, patterns, rng):
    from membrane_xai import pairwise_similarity
    from membrane_xai._group_sums import pair_sums, quadratic, unit_sums
    from membrane_xai._similarity import named_similarity

    cams, codes = patterns
    cams, codes = np.delete(cams, [3, 9], axis=0), np.delete(codes, [3, 9])
    compared = named_similarity(similarity, 0.1)
    if similarity == "pearson":
        sums, numbers = unit_sums(cams, codes, 7, compared).similarities()
    else:
        sums, numbers, _ = pair_sums(cams, codes, 7, compared)
    statistic = quadratic(sums, numbers, pairs)
    order = np.lexsort((sums.sum(axis=1), np.diag(numbers), numbers.sum(axis=1)))
    matrix = pairwise_similarity(cams, similarity=similarity)
    groups = [np.flatnonzero(codes == c) for c in order]
    for _ in range(5):
        picks = rng.integers(0, 7, 7)
        counts = np.bincount(picks, minlength=7)[None].astype(float)
        expected = drawn(matrix, groups, picks, pairs)
        assert statistic.of(counts)[0] == pytest.approx(expected, abs=1e-12)
    left_out = [drawn(matrix, groups, np.delete(np.arange(7), c), pairs) for c in range(7)]
    np.testing.assert_allclose(statistic.jackknife(), left_out, atol=1e-12)


@pytest.mark.parametrize("similarity", ["pearson", "spearman", "cosine", "ssim", "topk_iou"])
def test_ec_with_an_interval_is_ec(similarity, patterns):
    cams, codes = patterns
    result = summarize_consistency(cams, codes, similarity=similarity, draws=300)
    assert result.mean == pytest.approx(ec_score(cams, similarity=similarity), abs=1e-12)
    assert result.low < result.mean < result.high
    flat = {} if similarity == "cosine" else {"flat": 1}
    assert (result.n, result.undefined) == (19 - len(flat), {**flat, "non_finite": 1})
    alone = summarize_consistency(cams, similarity=similarity, draws=300)
    assert alone.n_groups == result.n


def test_identical_cams_agree_perfectly_and_a_copy_adds_nothing():
    cams = np.stack([np.arange(6.0).reshape(2, 3)] * 4)
    result = summarize_consistency(cams, list("AABB"))
    assert (result.mean, result.low, result.high) == pytest.approx((1, 1, 1))
    # Opposite CAMs: no draw may pair a CAM with itself, or some would be above -1.
    opposite = summarize_consistency(np.stack([cams[0], -cams[0]]), list("AB"))
    assert (opposite.mean, opposite.low, opposite.high) == pytest.approx((-1, -1, -1))


@settings(max_examples=20)
@given(data=st.data())
def test_ec_intervals_do_not_depend_on_order_or_labels(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    cams, codes = rng.random((9, 3, 4)), rng.integers(0, 4, 9)
    order = np.array(data.draw(st.permutations(range(9))))
    names = np.array(data.draw(st.permutations(["w", "x", "y", "z"])))
    expected = summarize_consistency(cams, codes, draws=200)
    result = summarize_consistency(3 * cams[order] + 1, names[codes[order]], draws=200)
    assert (result.mean, result.low, result.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), abs=1e-9
    )


def test_ec_of_every_library(backend, patterns):
    cams, codes = patterns
    result = summarize_consistency(backend.asarray(cams), codes, draws=200)
    expected = summarize_consistency(cams, codes, draws=200)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    streamed = EcAccumulator().update(cams, groups=codes).summarize(draws=200)
    assert streamed.high == pytest.approx(expected.high, abs=1e-9)


# Sample size.


def test_patients_needed_counted_by_hand():
    scores, groups = [0.2, 0.3, 0.5, 0.6, 0.4, 0.3, 0.6, 0.7], list("AABBCCDD")
    result = patients_needed([*scores, NAN], [*groups, "E"], width=0.1)
    # Mean squares 0.2/3 between and 0.005 within: variances (0.2/3 - 0.005)/2 and 0.005.
    assert result.between_sd**2 == pytest.approx((0.2 / 3 - 0.005) / 2)
    assert result.within_sd**2 == pytest.approx(0.005)
    of_one = result.between_sd**2 + 0.005 / 2
    widths = [2 * stats.t.ppf(0.975, g - 1) * np.sqrt(of_one / g) for g in (53, 54)]
    assert widths[1] <= 0.1 < widths[0]
    assert (result.patients, result.expected_width) == (54, pytest.approx(widths[1]))
    assert result.design_effect == pytest.approx(of_one * 2 / (result.between_sd**2 + 0.005))
    assert patients_needed([0.5, 0.5, 0.5], list("AAB"), width=0.1).patients == 2


def test_as_many_patients_as_it_says_give_the_width():
    rng = np.random.default_rng(0)

    def study(patients):
        codes = np.repeat(np.arange(patients), rng.integers(2, 9, patients))
        return 0.1 * rng.normal(size=patients)[codes] + 0.1 * rng.normal(size=codes.size), codes

    needed = patients_needed(*study(2000), width=0.06)
    results = [summarize(*study(needed.patients), draws=500) for _ in range(40)]
    widths = [r.high - r.low for r in results]
    assert np.mean(widths) == pytest.approx(0.06, rel=0.07)


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
        (lambda: summarize(SCORES, draws=10), "draws is 10; it takes an integer from 100"),
        (lambda: summarize(SCORES, draws=1e4), "draws is 10000.0"),
        (lambda: summarize(SCORES, method="basic"), "method is 'basic'; it takes one of 'bca'"),
        (lambda: summarize(SCORES, average="mean"), "average is 'mean'"),
        (lambda: summarize(SCORES, small_sample=1), "small_sample is 1; it takes a bool"),
        (lambda: summarize(SCORES, seed=-1), "seed is -1"),
        (lambda: summarize_consistency(np.ones((3, 3))), "cams has shape (3, 3)"),
        (lambda: summarize_consistency(np.ones((3, 3, 3)), pairs="some"), "pairs is 'some'"),
        (
            lambda: summarize_consistency(np.ones((3, 3, 3)), method="studentized"),
            "method is 'studentized'",
        ),
        (lambda: summarize_consistency(np.ones((3, 3, 3)), ["A"]), "groups has 1 labels for 3"),
        (lambda: patients_needed(SCORES, list("AAB"), width=0), "width is 0"),
        (lambda: patients_needed(SCORES, list("ABC"), width=1), "groups has 3 patients"),
        (lambda: patients_needed(SCORES, list("AAA"), width=1), "groups has 1 patients"),
        (lambda: patients_needed(SCORES, list("AAB"), width=1e-9), "more than 10,000,000"),
        (lambda: patients_needed(SCORES, list("AAB"), width=1, per_patient=0.5), "per_patient is"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()
