"""EC with an interval, and how many patients an interval takes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_xai import EcAccumulator, ec_score, pairwise_similarity, summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.metrics._unit_sums import unit_sums_on_host
from membrane_xai.statistics import patients_needed, summarize_consistency
from membrane_xai.statistics._consistency import pair_sums, quadratic

NAN = float("nan")


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
    cams, codes = patterns
    cams, codes = np.delete(cams, [3, 9], axis=0), np.delete(codes, [3, 9])
    compared = named_similarity(similarity, 0.1)
    if similarity == "pearson":
        sums, numbers = unit_sums_on_host(cams, compared, codes, 7).similarities()
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
    result = summarize_consistency(cams, list("AABC"))
    assert result.mean == pytest.approx(1)
    # Nothing varies, and 1 is a bound: Wilson's interval of cases that are all there.
    n, z2 = 4**2 / (2**2 + 1 + 1), stats.norm.ppf(0.975) ** 2
    assert result.n_eff == pytest.approx(n)
    assert (result.low, result.high) == pytest.approx((1 - 2 * z2 / (n + z2), 1))
    # Three CAMs 120 degrees apart: no draw may pair a CAM with itself, or some would be above -0.5.
    apart = np.zeros((3, 2, 3))
    for cam, (up, down) in zip(apart, ((0, 1), (1, 2), (2, 0)), strict=True):
        cam[0, up], cam[0, down] = 1, -1
    found = summarize_consistency(apart, list("ABC"))
    assert (found.mean, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5))
    assert found.note == result.note == "small_sample"
    two = summarize_consistency(cams, list("AABB"))
    assert (two.mean, np.isnan(two.low), two.note) == (pytest.approx(1), True, "few_groups")


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
        (expected.mean, expected.low, expected.high), abs=1e-9, nan_ok=True
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
    same = patients_needed([0.5, 0.5, 0.5], list("AAB"), width=0.1)
    assert (same.patients_low, same.patients, same.patients_high) == (2, 2, 2)


def test_patients_needed_prints_its_range():
    # groups of two: the variance of one patient is half the mean square between, of 3 degrees
    scores, groups = [0.2, 0.3, 0.5, 0.6, 0.4, 0.3, 0.6, 0.7], list("AABBCCDD")
    result = patients_needed(scores, groups, width=0.1)
    for end, level in ((result.patients_low, 0.975), (result.patients_high, 0.025)):
        of_one = 0.1 / 3 * 3 / stats.chi2.ppf(level, 3)
        widths = [2 * stats.t.ppf(0.975, g - 1) * np.sqrt(of_one / g) for g in (end - 1, end)]
        assert widths[1] <= 0.1 < widths[0]
    assert result.patients_low < result.patients < result.patients_high
    tiny = patients_needed(scores[:4], groups[:4], width=0.005)
    assert tiny.patients_high == 10_000_000  # two patients say next to nothing


def test_as_many_patients_as_it_says_give_the_width():
    rng = np.random.default_rng(0)

    def study(patients):
        codes = np.repeat(np.arange(patients), rng.integers(2, 9, patients))
        return 0.1 * rng.normal(size=patients)[codes] + 0.1 * rng.normal(size=codes.size), codes

    needed = patients_needed(*study(2000), width=0.06)
    results = [summarize(*study(needed.patients), draws=500) for _ in range(40)]
    widths = [r.high - r.low for r in results]
    assert np.mean(widths) == pytest.approx(0.06, rel=0.07)


SCORES = np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
