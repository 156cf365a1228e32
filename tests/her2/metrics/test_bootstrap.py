"""Intervals: against explicit resampling, their width under clustering, and what is left out."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from her2_models.metrics import (
    PER_CLASS,
    SINGLE,
    _resampling,
    classification_metrics,
    cross_table,
    write_tables,
)
from her2_models.metrics._cases import Cases
from her2_models.metrics._resampling import Weighing
from her2_models.metrics._roc import RankedClass
from membrane_xai import summarize
from membrane_xai.statistics import interval_of


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
    index = np.unique(groups, return_inverse=True)[1]
    weights = rng.integers(0, 4, (3, index.max() + 1)).astype(float)
    ranked = [RankedClass.of(probabilities[:, c], labels == c, index) for c in range(4)]
    areas = np.stack([one.auc(weights) for one in ranked], axis=1)
    for row, counts in zip(areas, weights.astype(int), strict=True):
        copies = np.repeat(np.arange(30), counts[index])
        for c in range(4):
            positive = labels[copies] == c
            if not 0 < positive.sum() < len(copies):
                assert np.isnan(row[c])
                continue
            expected = sk.roc_auc_score(positive, probabilities[copies, c])
            assert row[c] == pytest.approx(expected, abs=1e-12)


def columns(row):
    """Name the values of a row, as the metrics are named."""
    single = dict(zip(SINGLE, row[: len(SINGLE)], strict=True))
    by_class = row[len(SINGLE) :].reshape(len(PER_CLASS), -1)
    return single | dict(zip(PER_CLASS, by_class, strict=True))


def groups_in_order(p, weighing):
    """Return for each group of the weighing which of the predictions it is, by its sums."""
    sums = Weighing.summed(p)
    own = [np.bincount(p.labels[p.groups == g] * 4 + p.called[p.groups == g], minlength=16)
           for g in range(p.n_groups)]  # fmt: skip
    brier = ((p.probabilities - np.eye(4)[p.labels]) ** 2).sum(axis=1)
    return [
        next(
            g
            for g in range(p.n_groups)
            if (own[g] == sums.confusion[i]).all()
            and np.isclose(brier[p.groups == g].sum(), weighing.losses[i, 0])
        )
        for i in range(p.n_groups)
    ]


@pytest.mark.parametrize("grouped", [True, False])
def test_a_draw_is_the_metric_of_the_resampled_cases(rng, grouped, monkeypatch):
    monkeypatch.setattr(_resampling, "_BLOCK", 150)  # blocks of two draws
    labels, probabilities = sample(rng, 60, digits=8)
    groups = rng.integers(0, 9, 60) if grouped else None
    p = Cases.of(labels, probabilities, groups=groups)
    weighing = Weighing.summed(p)
    names = groups_in_order(p, weighing)
    counts = rng.multinomial(p.n_groups, np.full(p.n_groups, 1 / p.n_groups), size=5)
    for row, weights in zip(weighing.of(counts.astype(float)), counts, strict=True):
        of_group = np.empty(p.n_groups, int)
        of_group[names] = weights
        copies = np.repeat(np.arange(60), of_group[p.groups])
        expected = classification_metrics(labels[copies], probabilities[copies], draws=0)
        for name, value in columns(row).items():
            np.testing.assert_allclose(value, getattr(expected, name), atol=1e-12, err_msg=name)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8]))
def test_the_jackknife_leaves_out_each_group(seed, digits):
    rng = np.random.default_rng(seed)
    labels, probabilities = sample(rng, 40, digits=digits)
    weighing = Weighing.summed(Cases.of(labels, probabilities, groups=rng.integers(0, 9, 40)))
    expected = weighing.of(1 - np.eye(weighing.n_groups))
    np.testing.assert_allclose(weighing.jackknife(), expected, atol=1e-12)


@pytest.mark.parametrize("method", ["jackknife", "bca"])
def test_intervals_are_those_of_every_number(rng, method):
    labels, probabilities, slide = clustered_sample(rng, 12, 6, 2)
    options = {"method": method, "draws": 8000}
    result = classification_metrics(labels, probabilities, groups=slide, seed=3, **options)
    right = np.bincount(slide, probabilities.argmax(axis=1) == labels)
    accuracy = summarize(right / 6, range(12), weights=np.full(12, 6), **options)
    interval = result.intervals["accuracy"]
    near = 1e-12 if method == "jackknife" else 0.02
    assert (interval.low, interval.high) == pytest.approx((accuracy.low, accuracy.high), abs=near)
    assert interval.n_eff == pytest.approx(12)
    weighing = Weighing.summed(Cases.of(labels, probabilities, groups=slide))
    found = interval_of(weighing, seed=3, bounds=_resampling.bounds(4), **options)
    for part in ("low", "high", "undefined_draws", "n_eff", "note"):
        for name, value in columns(getattr(found, part)).items():
            np.testing.assert_array_equal(getattr(result.intervals[name], part), value)


def test_of_a_class_those_groups_count_that_have_cases_of_it():
    labels = np.array([0, 0, 1, 0, 1, 1, 1, 0, 0, 1])
    called = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0, 1])
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    probabilities = np.where(called[:, None] == [0, 1], 0.8, 0.2)
    found = classification_metrics(labels, probabilities, groups=groups, names=["-", "+"])
    found = found.intervals
    effective = {  # cases by group -> sum squared over sum of squares
        ("accuracy", None): 100 / (9 + 4 + 4 + 9),
        ("recall", 0): 25 / (4 + 1 + 0 + 4),
        ("recall", 1): 25 / (1 + 1 + 4 + 1),
        ("precision", 1): 25 / (4 + 0 + 4 + 1),
        ("specificity", 0): 25 / (1 + 1 + 4 + 1),
        ("f1", 0): 100 / (9 + 9 + 0 + 16),
        ("auc", 0): 25 / (4 + 1 + 0 + 4),
    }
    for (name, of), expected in effective.items():
        n_eff = found[name].n_eff if of is None else found[name].n_eff[of]
        assert n_eff == pytest.approx(expected), (name, of)
    assert set(found["recall"].note) == {"small_sample"}


def test_neither_order_nor_names_of_groups_matter(rng):
    labels, probabilities, slide = clustered_sample(rng, 11, 5, 2)
    order = rng.permutation(len(labels))
    first = classification_metrics(labels, probabilities, groups=slide, draws=200)
    mixed = classification_metrics(
        labels[order], probabilities[order], groups=[f"s{-g}" for g in slide[order]], draws=200
    )
    for name in SINGLE + PER_CLASS:
        np.testing.assert_allclose(
            mixed.intervals[name].high, first.intervals[name].high, atol=1e-9, err_msg=name
        )


def test_few_groups_are_marked_and_fewer_have_no_interval(rng, tmp_path):
    labels, probabilities = sample(rng, 60)
    said = {}
    for n in (1, 2, 3, 9, 10):
        result = classification_metrics(labels, probabilities, groups=np.arange(60) % n, draws=100)
        said[n] = {str(x) for i in result.intervals.values() for x in np.ravel(i.note)}
        assert np.isnan(result.intervals["accuracy"].low) == (n < 3)
        assert result.undefined.get("intervals") == ("few_groups" if n < 3 else None)
        assert {row["note"] for row in result.rows()} == said[n]
        text = write_tables(result, tmp_path)["metrics.md"].read_text()
        assert (f"| accuracy | {result.accuracy:.4f} (few_groups) |" in text) == (n < 3)
        assert ("jackknife over groups, small_sample" in text) == (3 <= n < 10)
        assert cross_table({("a", "b"): result})[0]["note"] == result.intervals["accuracy"].note
    assert said.pop(10) == {"", "small_sample"}  # nine of the ten have cases of every class
    assert said == {1: {"few_groups"}, 2: {"few_groups"}, 3: {"small_sample"}, 9: {"small_sample"}}


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
    alone = classification_metrics(labels, probabilities, draws=100)
    named = classification_metrics(
        labels, probabilities, draws=100, groups=[f"slide {i:02}" for i in range(50)]
    )
    for name in SINGLE + PER_CLASS:
        np.testing.assert_array_equal(alone.intervals[name].low, named.intervals[name].low)
    assert (alone.clustered, named.clustered) == (False, True)


def test_the_seed_fixes_the_intervals(rng):
    labels, probabilities = sample(rng, 50)
    first, same, other = (
        classification_metrics(labels, probabilities, method="bca", draws=100, seed=seed).intervals[
            "brier"
        ]
        for seed in (1, 1, 2)
    )
    assert (first.low, first.high) == (same.low, same.high) != (other.low, other.high)
    first, other = (
        classification_metrics(labels, probabilities, draws=draws, seed=seed).intervals["brier"]
        for draws, seed in ((100, 1), (200, 2))
    )
    assert (first.low, first.high) == (other.low, other.high)  # the jackknife draws nothing


def test_draws_without_the_class_are_counted_and_left_out():
    # one case in 10 is 3+: a draw misses it with probability 0.9^10
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])
    probabilities = 0.6 * np.eye(4)[labels] + 0.1
    result = classification_metrics(labels, probabilities, method="bca", draws=4000)
    recall = result.intervals["recall"]
    assert recall.undefined_draws[3] / 4000 == pytest.approx(0.9**10, abs=0.03)
    assert recall.undefined_draws[0] / 4000 == pytest.approx(0.7**10, abs=0.01)
    np.testing.assert_array_equal([recall.low[:3], recall.high[:3]], 1)
    assert (np.isnan(recall.low[3]), recall.note[3]) == (True, "few_groups")
    assert result.intervals["auc"].undefined_draws[3] == recall.undefined_draws[3]
    assert result.intervals["macro_recall"].undefined_draws >= recall.undefined_draws.max()
    assert result.intervals["accuracy"].undefined_draws == 0


def test_a_class_that_never_occurs_has_no_interval():
    labels = np.array([0, 1, 2] * 5)
    result = classification_metrics(labels, 0.6 * np.eye(4)[labels] + 0.1)
    assert np.isnan(result.intervals["auc"].low[3])
    assert result.intervals["auc"].note[3] == "few_groups"
    assert np.isnan(result.intervals["macro_auc"].high)


def test_what_one_slide_alone_decides_has_no_interval(rng):
    labels, probabilities = sample(rng, 60)
    slides = np.arange(60) % 12
    labels[labels == 3] = 2
    labels[slides == 5] = 3  # without this slide there is no recall of 3+, and no mean of recalls
    found = classification_metrics(labels, probabilities, groups=slides).intervals
    assert (np.isnan(found["recall"].low[3]), found["recall"].note[3]) == (True, "few_groups")
    assert (np.isnan(found["macro_recall"].low), found["macro_recall"].note) == (True, "few_groups")
    assert np.isfinite([found["accuracy"].low, found["recall"].low[0]]).all()


def test_a_single_group_has_no_interval(rng):
    labels, probabilities = sample(rng, 50)
    result = classification_metrics(labels, probabilities, groups=["slide"] * 50, draws=100)
    for interval in result.intervals.values():
        assert np.isnan([interval.low, interval.high]).all()
    assert result.undefined["intervals"] == "few_groups"
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
