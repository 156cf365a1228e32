"""Paired comparisons and Holm's correction."""

import itertools
import re

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_xai import compare_paired, summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import holm
from membrane_xai.statistics._permutation import sign_flip

NAN = float("nan")


def test_counted_by_hand():
    a = [5.0, 3.0, 4.0, 1.0, NAN, 2.0, NAN]
    b = [4.0, 1.0, 1.0, 2.0, 3.0, NAN, NAN]
    result = compare_paired(a, b, list("AABCCCC"), method="bca")
    # Differences 1, 2 | 3 | -1: sums 3, 3, -1, whose absolute sum 5 is reached by 4 of 8 patterns.
    assert result.difference == 5 / 4
    assert (result.p_value, result.exact) == (0.5, True)
    assert (result.n, result.n_groups, result.n_undefined) == (4, 3, 3)
    assert result.undefined == {"a": 1, "b": 1, "both": 1}
    means = np.array([1.5, 3, -1])
    assert result.effect_size == pytest.approx(means.mean() / means.std(ddof=1))


def test_exact_test_equals_scipy(rng):
    a, b = rng.normal(0.5, 1, 11), rng.normal(size=11)
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    ours = compare_paired(a, b, method="bca", draws=100)
    assert (ours.p_value, ours.exact) == (pytest.approx(theirs.pvalue, abs=1e-12), True)
    assert not ours.clustered


def test_groups_flip_together(rng):
    codes = np.repeat(np.arange(6), [1, 4, 2, 3, 5, 2])
    a, b = rng.normal(0.3, 1, 17), rng.normal(size=17)
    sums = np.bincount(codes, a - b)
    flipped = [abs(np.dot(s, sums)) for s in itertools.product((-1, 1), repeat=6)]
    expected = np.mean(np.array(flipped) >= abs(sums.sum()) - 1e-12)
    found = compare_paired(a, b, codes, method="percentile", draws=100)
    assert found.p_value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("repeat", range(20))
def test_every_pattern_written_out_with_ties(repeat):
    # tenths have no exact binary value: their sums tie in all but the last digit
    rng = np.random.default_rng(repeat)
    sums = rng.integers(-6, 7, rng.integers(2, 10)) / 10
    found = sign_flip(sums, 10_000, seed=0)
    assert (found.p_value, found.exact) == (reference.sign_flip(sums), True)


def test_rounding_of_the_observed_sum_breaks_no_tie():
    # the sum is 0, in floats 5.6e-17: patterns whose floats sum to 0 are as extreme
    sums = np.array([-0.2, -0.2, -0.3, 0.3, 0.4])
    assert sums.sum() != 0
    assert sign_flip(sums, 100, 0).p_value == reference.sign_flip(sums) == 1


def test_one_group_and_none():
    assert sign_flip(np.array([0.4]), 100, 0) == (1.0, True)
    nothing = sign_flip(np.empty(0), 100, 0)
    assert np.isnan(nothing.p_value)
    assert not nothing.exact


def test_signs_come_in_blocks(monkeypatch):
    sums = np.random.default_rng(1).normal(0.2, 1, 40)
    sizes = []
    real = stats.permutation_test
    monkeypatch.setattr("membrane_xai.statistics._permutation._BLOCK", 40 * 7)
    monkeypatch.setattr(
        "scipy.stats.permutation_test",
        lambda data, size, **options: real(
            data, lambda x, axis: sizes.append(x.size) or size(x, axis), **options
        ),
    )
    found = sign_flip(sums, 1000, 3)
    assert max(sizes) == 40 * 7  # signs held at a time
    assert found == sign_flip(sums, 1000, 3) != sign_flip(sums, 1000, 4)


def test_random_signs_come_close_to_all_signs(rng):
    a, b = rng.normal(0.6, 1, 12), rng.normal(size=12)
    options = {"method": "percentile", "draws": 100}
    exact = compare_paired(a, b, **options)
    drawn = compare_paired(a, b, permutations=4000, **options)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.025)
    clear = compare_paired(np.arange(30.0) + 5, np.zeros(30), permutations=999, **options)
    assert clear.p_value == 1 / 1000  # never 0


def test_the_interval_is_that_of_the_differences(rng):
    codes = np.repeat(np.arange(9), 3)
    a, b, w = rng.random((3, 27))
    for average in ("samples", "groups"):
        result = compare_paired(a, b, codes, weights=w, average=average)
        expected = summarize(a - b, codes, weights=w, average=average, bounds=None)
        assert (result.difference, result.low, result.high) == (
            expected.mean, expected.low, expected.high,
        )  # fmt: skip


def test_the_test_of_symmetric_differences_is_students():
    a = np.array([-0.1, 0.1, 0.3, 0.5, 0.7])  # evenly spaced: no skewness to correct
    theirs = stats.ttest_1samp(a, 0.0)
    ours = compare_paired(a, np.zeros(5))
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval(), abs=1e-12)
    assert (ours.exact, ours.n_eff) == (False, 5)


@given(
    st.lists(st.floats(-1, 1).map(lambda x: round(x, 2)), min_size=3, max_size=12),
    st.integers(0, 99),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_p_and_interval_agree(differences, seed, ci):
    codes = np.random.default_rng(seed).integers(0, 6, len(differences))
    result = compare_paired(differences, np.zeros(len(differences)), codes, ci=ci)
    if result.note == "few_groups":
        assert np.isnan([result.p_value, result.low]).all()
    else:
        assert (result.p_value <= 1 - ci) == (not result.low <= 0 <= result.high)


def test_a_difference_that_never_varies():
    same = compare_paired([0.5, 0.6, 0.7], [0.25, 0.35, 0.45])
    assert (same.low, same.high) == pytest.approx((0.25, 0.25))
    assert same.p_value == 0


@pytest.mark.parametrize("law", ["exponential", "normal"])
def test_false_positives_of_skewed_and_of_gaussian_patients(law):
    rng = np.random.default_rng(3)
    found = flipped = 0
    for _ in range(600):
        a = rng.exponential(size=10) - 1 if law == "exponential" else rng.normal(size=10)
        found += compare_paired(a, np.zeros(10)).p_value <= 0.05
        flipped += sign_flip(a, 1024, 0).p_value <= 0.05
    assert 0.025 <= found / 600 <= 0.085
    if law == "exponential":
        assert found < flipped  # which tests that they are symmetric, and they are not


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999), data=st.data(), method=st.sampled_from(["jackknife", "percentile"])
)
def test_swapping_reverses_and_order_and_labels_do_not_matter(seed, data, method):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 12)).round(2)
    codes = rng.integers(0, 5, 12)
    result = compare_paired(a, b, codes, draws=200, method=method)
    swapped = compare_paired(b, a, codes, draws=200, method=method)
    assert swapped.p_value == pytest.approx(result.p_value, nan_ok=True, abs=1e-9)
    assert swapped.difference == pytest.approx(-result.difference, abs=1e-12)
    assert swapped.effect_size == pytest.approx(-result.effect_size, nan_ok=True)
    order = np.array(data.draw(st.permutations(range(12))))
    names = [f"p{-c}" for c in codes[order]]
    mixed = compare_paired(a[order], b[order], names, draws=200, method=method)
    assert (mixed.p_value, mixed.low, mixed.high) == pytest.approx(
        (result.p_value, result.low, result.high), abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize(
    ("n", "note"), [(2, "few_groups"), (3, "small_sample"), (9, "small_sample"), (10, "")]
)
def test_the_interval_of_few_groups_is_withheld_or_marked(rng, n, note):
    result = compare_paired(*rng.random((2, 2 * n)), np.arange(2 * n) % n, draws=100)
    assert (result.n_groups, result.note) == (n, note)
    assert np.isnan([result.low, result.high]).all() == (note == "few_groups")
    assert np.isnan(result.p_value) == (note == "few_groups")
    assert np.isfinite([result.difference, result.effect_size]).all()


def test_no_difference_and_nothing_to_compare():
    same = compare_paired([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.difference, same.p_value) == (0, 1)
    assert np.isnan(same.effect_size)
    nothing = compare_paired([NAN, 0.2], [0.1, NAN], ["A", "B"])
    assert np.isnan([nothing.difference, nothing.low, nothing.p_value]).all()
    assert nothing.n_undefined == 2


def test_false_positives_under_the_null_are_rare_only_with_groups():
    rng = np.random.default_rng(0)
    with_groups = without = 0
    for _ in range(250):
        codes = np.repeat(np.arange(12), 6)
        a = rng.normal(size=12)[codes] + 0.3 * rng.normal(size=72)
        options = {"draws": 100, "permutations": 4096, "method": "percentile"}
        with_groups += compare_paired(a, np.zeros(72), codes, **options).p_value <= 0.05
        without += compare_paired(a, np.zeros(72), draws=100, permutations=500).p_value <= 0.05
    assert 0.02 <= with_groups / 250 <= 0.085
    assert without / 250 > 0.25


def test_holm_sourced():
    # Worked example at www.geeksforgeeks.org/data-science/holm-bonferroni-method: of four
    # hypotheses the first and the fourth are rejected at 0.05.
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_array_equal(corrected <= 0.05, [True, False, False, True])


def test_holm_leaves_what_is_no_test():
    np.testing.assert_array_equal(holm([NAN, 0.2, NAN]), [NAN, 0.2, NAN])
    assert holm([]).shape == (0,)
    np.testing.assert_array_equal(holm([0.9, 0.8, 1.0]), 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_written_out(p):
    corrected = holm(p)
    ranked = sorted(p)
    for value, got in zip(p, corrected, strict=True):
        steps = [(len(p) - j) * q for j, q in enumerate(ranked) if q <= value]
        assert got == pytest.approx(min(1, max(steps)))
        assert value <= got <= min(1, value * len(p)) + 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_paired([1.0, 2.0], [1.0]), "a has 2 scores, b has 1"),
        (lambda: compare_paired([1.0], [np.inf]), "b[0] is inf"),
        (lambda: compare_paired([1.0], [1.0], permutations=5), "permutations is 5; it takes an"),
        (lambda: compare_paired([1.0], [1.0], method="t"), "method is 't'"),
        (lambda: holm([1.2]), "p_values is [1.2]; it takes a row of numbers in [0, 1]"),
        (lambda: holm([[0.1]]), "p_values is [[0.1]]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()
