"""Intervals: against explicit resampling, their width under clustering, and what is left out."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from her2_models import _resampling
from her2_models.metrics import PER_CLASS, SINGLE, classification_metrics
from her2_models.metrics._predictions import Predictions
from her2_models.metrics._resampling import Weighing, bootstrap, percentiles


def softmax(logits):
    raw = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raw / raw.sum(axis=1, keepdims=True)


def sample(rng, n=200, *, digits=2):
    labels = rng.integers(0, 4, n)
    logits = np.round(rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels], digits)
    return labels, softmax(logits)


def clustered_sample(rng, slides, patches, spread):
    """Make patches whose slide shares one difficulty: right with a probability of its own."""
    slide = np.repeat(np.arange(slides), patches)
    labels = rng.integers(0, 4, slides)[slide]
    ease = 1 + spread * rng.normal(size=slides)
    logits = rng.normal(size=(len(slide), 4)) + ease[slide][:, None] * np.eye(4)[labels]
    return labels, softmax(logits), slide


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8]))
def test_weighted_area_is_the_area_of_copies(seed, digits):
    rng = np.random.default_rng(seed)
    labels, probabilities = sample(rng, 30, digits=digits)
    groups = rng.integers(0, 8, 30)
    weighing = Weighing.of(Predictions.of(labels, probabilities, groups=groups))
    weights = rng.integers(0, 4, (3, weighing.n_groups)).astype(float)
    index = np.unique(groups, return_inverse=True)[1]
    areas = np.stack([ranked.auc(weights) for ranked in weighing.ranked], axis=1)
    for row, counts in zip(areas, weights.astype(int), strict=True):
        copies = np.repeat(np.arange(30), counts[index])
        for c in range(4):
            positive = labels[copies] == c
            if not 0 < positive.sum() < len(copies):
                assert np.isnan(row[c])
                continue
            expected = sk.roc_auc_score(positive, probabilities[copies, c])
            assert row[c] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_draw_is_the_metric_of_the_resampled_cases(rng, grouped, monkeypatch):
    monkeypatch.setattr(_resampling, "_BLOCK", 150)  # blocks of two draws
    labels, probabilities = sample(rng, 60)
    groups = rng.integers(0, 9, 60) if grouped else None
    p = Predictions.of(labels, probabilities, groups=groups)
    draws = bootstrap(Weighing.of(p), 5, 7)
    counts = np.random.default_rng(7).multinomial(
        p.n_groups, np.full(p.n_groups, 1 / p.n_groups), size=5
    )
    for i, weights in enumerate(counts):
        assert weights.sum() == p.n_groups
        copies = np.repeat(np.arange(60), weights[p.groups])
        expected = classification_metrics(labels[copies], probabilities[copies], draws=0)
        assert set(draws) == set(SINGLE + PER_CLASS)
        for name, values in draws.items():
            np.testing.assert_allclose(values[i], getattr(expected, name), atol=1e-12, err_msg=name)


def test_percentiles_by_hand():
    values = np.arange(1000.0)[::-1]
    assert [float(x) for x in percentiles(values, 0.95)] == [24, 974, 0]
    values[values < 500] = np.nan
    low, high, undefined = percentiles(values, 0.9)
    assert (low, high, undefined) == (524, 974, 500)
    columns = np.array([[np.nan, 1.0], [np.nan, np.inf]])
    low, high, undefined = percentiles(columns, 0.5)
    np.testing.assert_array_equal(low, [np.nan, 1])
    np.testing.assert_array_equal(high, [np.nan, np.inf])
    assert undefined.tolist() == [2, 0]


def test_interval_of_accuracy_is_near_the_binomial_one(rng):
    labels, probabilities = sample(rng, 2000)
    result = classification_metrics(labels, probabilities, draws=2000)
    spread = np.sqrt(result.accuracy * (1 - result.accuracy) / 2000)
    interval = result.intervals["accuracy"]
    assert interval.low == pytest.approx(result.accuracy - 1.96 * spread, abs=0.2 * spread)
    assert interval.high == pytest.approx(result.accuracy + 1.96 * spread, abs=0.2 * spread)
    assert (result.clustered, result.n_groups, result.draws) == (False, 2000, 2000)


def test_intervals_by_slide_cover_where_intervals_by_patch_do_not():
    rng = np.random.default_rng(3)
    truth = _right(*clustered_sample(rng, 20000, 5, 2)[:2])
    covered = {True: 0, False: 0}
    for _ in range(100):
        labels, probabilities, slide = clustered_sample(rng, 40, 12, 2)
        for by_slide in covered:
            interval = classification_metrics(
                labels, probabilities, groups=slide if by_slide else None, draws=200
            ).intervals["accuracy"]
            covered[by_slide] += interval.low <= truth <= interval.high
    assert covered[True] >= 86
    assert covered[False] <= 75


def _right(labels, probabilities):
    return (probabilities.argmax(axis=1) == labels).mean()


def test_clusters_widen_every_interval(rng):
    labels, probabilities, slide = clustered_sample(rng, 60, 20, 2)
    by_slide = classification_metrics(labels, probabilities, groups=slide)
    by_patch = classification_metrics(labels, probabilities)
    assert (by_slide.clustered, by_slide.n_groups) == (True, 60)
    for name in ("accuracy", "macro_f1", "quadratic_kappa", "macro_auc", "brier", "nll"):
        wide, narrow = by_slide.intervals[name], by_patch.intervals[name]
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low), name


def test_groups_of_one_are_no_groups(rng):
    labels, probabilities = sample(rng, 50)
    alone = classification_metrics(labels, probabilities, draws=50)
    named = classification_metrics(
        labels, probabilities, draws=50, groups=[f"slide {i:02}" for i in range(50)]
    )
    for name in SINGLE + PER_CLASS:
        np.testing.assert_array_equal(alone.intervals[name].low, named.intervals[name].low)
    assert (alone.clustered, named.clustered) == (False, True)


def test_the_seed_fixes_the_intervals(rng):
    labels, probabilities = sample(rng, 50)
    first, same, other = (
        classification_metrics(labels, probabilities, draws=50, seed=seed).intervals["brier"]
        for seed in (1, 1, 2)
    )
    assert (first.low, first.high) == (same.low, same.high) != (other.low, other.high)


def test_draws_without_the_class_are_counted_and_left_out():
    # one case in 10 is 3+: a draw misses it with probability 0.9^10
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])
    probabilities = 0.6 * np.eye(4)[labels] + 0.1
    result = classification_metrics(labels, probabilities, draws=4000)
    recall = result.intervals["recall"]
    assert recall.undefined_draws[3] / 4000 == pytest.approx(0.9**10, abs=0.03)
    assert recall.undefined_draws[0] / 4000 == pytest.approx(0.7**10, abs=0.01)
    np.testing.assert_array_equal([recall.low, recall.high], 1)
    assert result.intervals["auc"].undefined_draws[3] == recall.undefined_draws[3]
    assert result.intervals["macro_recall"].undefined_draws >= recall.undefined_draws.max()
    assert result.intervals["accuracy"].undefined_draws == 0


def test_a_class_that_never_occurs_has_no_interval():
    labels = np.array([0, 1, 2] * 5)
    result = classification_metrics(labels, 0.6 * np.eye(4)[labels] + 0.1, draws=30)
    assert np.isnan(result.intervals["auc"].low[3])
    assert result.intervals["auc"].undefined_draws[3] == 30
    assert np.isnan(result.intervals["macro_auc"].high)


def test_a_single_group_has_no_interval(rng):
    labels, probabilities = sample(rng, 50)
    result = classification_metrics(labels, probabilities, groups=["slide"] * 50, draws=30)
    for interval in result.intervals.values():
        assert np.isnan([interval.low, interval.high]).all()
    assert result.undefined["intervals"] == "a single group has nothing to draw from"
    assert 0 < result.accuracy < 1


def test_without_draws_there_are_no_intervals(rng):
    result = classification_metrics(*sample(rng, 50), draws=0)
    assert (result.intervals, result.draws, result.n_groups) == ({}, 0, 0)
    assert np.isnan(result.ci)


def test_more_confidence_is_wider(rng):
    labels, probabilities = sample(rng, 80)
    narrow, wide = (
        classification_metrics(labels, probabilities, ci=ci, draws=300).intervals["accuracy"]
        for ci in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_thousand_draws_of_two_thousand_cases_are_fast(rng):
    labels, probabilities = sample(rng, 2000)
    start = time.perf_counter()
    classification_metrics(labels, probabilities, draws=1000)
    assert time.perf_counter() - start < 10  # 0.6 s on an idle machine
