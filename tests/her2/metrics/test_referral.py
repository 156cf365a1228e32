"""Who is sent to in situ hybridisation: counted by hand, Wilson's formula, relations."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2_models.metrics import Proportion, metrics_from_confusion, refer_to_ish
from membrane_xai import her2_rule, statistics
from membrane_xai.errors import InvalidInputError

PUBLISHED = np.array([[732, 26, 0, 0], [24, 502, 12, 0], [0, 21, 203, 2], [0, 0, 3, 675]])


def from_matrix(matrix):
    true, called = np.indices(matrix.shape)
    repeated = np.repeat(called.ravel(), matrix.ravel())
    return np.repeat(true.ravel(), matrix.ravel()), 0.6 * np.eye(4)[repeated] + 0.1


def test_published_matrix_by_hand():
    summary = refer_to_ish(*from_matrix(PUBLISHED))
    counts = {row["quantity"]: (row["count"], row["total"]) for row in summary.rows()}
    assert counts == {
        "sent": (218, 2200),
        "sent_by_reference": (226, 2200),
        "sent_by_either": (226 + 218 - 203, 2200),
        "caught": (203, 226),
        "missed_as_negative": (21, 226),
        "missed_as_positive": (2, 226),
        "positive_sent": (3, 678),
        "negative_sent": (12, 758 + 538),
    }
    assert summary.caught.value == metrics_from_confusion(PUBLISHED).recall[2]


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (203, 226), (1, 2)])
@pytest.mark.parametrize(("ci", "z"), [(0.95, 1.959963984540054), (0.9, 1.6448536269514722)])
def test_interval_is_wilson_s(count, total, ci, z):
    share = Proportion.of(count, total, ci)
    p, n = count / total, total
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (share.low, share.high) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_interval_as_in_the_literature():
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3: 81/263 and 0/20
    share = Proportion.of(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    share = Proportion.of(0, 20)
    assert (round(share.low, 4), round(share.high, 4)) == (0, 0.1611)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2), "count is 3 of total 2; it takes integers, 0 <= count <= total"),
        ((-1, 2), "count is -1 of total 2"),
        ((1.0, 2), "count is 1.0 of total 2"),
        ((1, 2, 95), "ci is 95; it takes a number in (0, 1)"),
    ],
)
def test_bad_proportions(arguments, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        Proportion.of(*arguments)


def test_one_proportion_under_all_its_names():
    assert Proportion is statistics.Proportion is her2_rule.Share


def test_nobody_of_nobody_is_undefined():
    summary = refer_to_ish([0, 1], 0.6 * np.eye(4)[[0, 2]] + 0.1)
    for share in (summary.caught, summary.missed_as_negative, summary.positive_sent):
        assert share.total == 0
        assert np.isnan([share.value, share.low, share.high]).all()
    assert summary.negative_sent.value == 0.5


def test_threshold_by_hand():
    probabilities = [[0.5, 0.1, 0.3, 0.1], [0.1, 0.3, 0.4, 0.2], [0.1, 0.1, 0.2, 0.6]]
    for threshold, sent in [(None, 1), (0.45, 0), (0.4, 1), (0.3, 2), (0.01, 3)]:
        assert refer_to_ish([2, 2, 2], probabilities, threshold=threshold).sent.count == sent
    summary = refer_to_ish([2, 2, 2], probabilities, threshold=0.45)  # the second becomes 1+
    assert (summary.missed_as_negative.count, summary.missed_as_positive.count) == (2, 1)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1))
def test_relations(seed, threshold):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    order = rng.permutation(50)
    summary = refer_to_ish(labels, probabilities, threshold=threshold)
    permuted = refer_to_ish(labels[order], probabilities[order], threshold=threshold)
    np.testing.assert_equal(vars(permuted), vars(summary))
    s = summary
    assert s.sent_by_either.count == s.sent.count + s.sent_by_reference.count - s.caught.count
    assert s.sent.count == s.caught.count + s.positive_sent.count + s.negative_sent.count
    missed = s.missed_as_negative.count + s.missed_as_positive.count
    assert s.caught.count + missed == s.caught.total
    higher = refer_to_ish(labels, probabilities, threshold=min(1, threshold * 1.5))
    assert higher.sent.count <= s.sent.count
    assert higher.caught.count <= s.caught.count


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_bad_threshold(threshold):
    message = f"threshold is {threshold!r}; it takes a probability in (0, 1]"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        refer_to_ish([0], [[0.25] * 4], threshold=threshold)


def test_other_classes_are_refused():
    with pytest.raises(InvalidInputError, match=r"it takes \(1, 4\)"):
        refer_to_ish([0], [[0.5, 0.5]])
    with pytest.raises(InvalidInputError, match="ci is 0"):
        refer_to_ish([0], [[0.25] * 4], ci=0)
