"""Temperature and reliability: closed forms, scikit-learn, relations."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve

from her2_models.metrics import classification_metrics, fit_temperature, reliability
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning


def sample(rng, n=4000, temperature=1.0):
    """Draw labels from the softmax of logits, then scale the logits by the temperature."""
    logits = 2 * rng.normal(size=(n, 4))
    labels = (rng.random((n, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    return temperature * logits, np.minimum(labels, 3)


@pytest.mark.parametrize(("right", "odds"), [(3, 9), (3, 2), (9, 100)])
def test_temperature_by_hand(right, odds):
    # right of right + 1 calls are right: softmax gives that at log(odds) / T = log(right)
    logits = np.log([[odds, 1.0]] * (right + 1))
    labels = [0] * right + [1]
    assert fit_temperature(logits, labels) == pytest.approx(np.log(odds) / np.log(right), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.2, 1, 5])
def test_temperature_is_recovered(rng, temperature):
    logits, labels = sample(rng, temperature=temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3))
def test_no_temperature_nearby_is_better_and_scale_passes_through(seed, scale):
    logits, labels = sample(np.random.default_rng(seed), 60)
    found = fit_temperature(logits, labels)

    def loss(t):
        return -log_softmax(logits / t, axis=1)[np.arange(60), labels].mean()

    assert loss(found) <= min(loss(found * 1.01), loss(found / 1.01), loss(1))
    assert fit_temperature(scale * logits + 5, labels) == pytest.approx(scale * found, rel=1e-3)


def test_temperature_lowers_the_calibration_error_and_keeps_the_calls(rng):
    logits, labels = sample(rng, temperature=4)
    sharp = softmax(logits, axis=1)
    mild = softmax(logits / fit_temperature(logits, labels), axis=1)
    before, after = (classification_metrics(labels, p, draws=0) for p in (sharp, mild))
    assert before.accuracy == after.accuracy
    assert after.ece < 0.05 < before.ece
    assert after.nll < before.nll


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (5 * np.eye(4), [0, 1, 2, 3]),  # all right
        (100 * np.eye(4), [0, 1, 2, 3]),
        (np.eye(4), [1, 2, 3, 0]),  # all wrong
        (np.zeros((4, 4)), [0, 1, 2, 3]),  # nothing said
    ],
)
def test_no_best_temperature_is_a_warning(logits, labels):
    with pytest.warns(MembraneXAIWarning, match="is not an optimum"):
        found = fit_temperature(logits, labels)
    assert 0.01 <= found <= 100


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0, np.nan]], [0], "logits[0] is [0.0, nan]; it takes finite numbers"),
        ([[0, 1], [0, np.inf]], [0, 0], "logits[1] is [0.0, inf]; it takes finite numbers"),
        ([0, 1], [0], "logits has shape (2,); it takes (n, K), K at least 2"),
        ([[1]], [0], "logits has shape (1, 1)"),
        (np.zeros((0, 4)), [], "logits has shape (0, 4)"),
        ([[0, 1]], [0, 1], "labels has 2 entries for 1 rows of logits"),
        ([[0, 1]], [2], "labels[0] is 2; it takes 0 to 1"),
    ],
)
def test_bad_logits(logits, labels, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        fit_temperature(logits, labels)


def test_reliability_by_hand():
    # in 4 bins 0.5 belongs to (0.25, 0.5], 0.6 and 0.75 to (0.5, 0.75]
    probabilities = [[0.5, 0.5], [0.6, 0.4], [0.25, 0.75], [0.25, 0.75]]
    rows = reliability([0, 1, 1, 1], probabilities, bins=4)
    assert [row["count"] for row in rows] == [0, 1, 3, 0]
    assert [row["bin_low"] for row in rows] == [0, 0.25, 0.5, 0.75]
    assert rows[2]["confidence"] == pytest.approx(0.7)
    assert rows[2]["accuracy"] == pytest.approx(2 / 3)
    assert rows[1]["accuracy"] == 1
    for name in ("confidence", "accuracy", "accuracy_low", "accuracy_high"):
        assert np.isnan([rows[0][name], rows[3][name]]).all()


def test_reliability_as_scikit_learn(rng):
    logits, labels = sample(rng, 800)
    probabilities = softmax(logits, axis=1)
    rows = [row for row in reliability(labels, probabilities, bins=10) if row["count"]]
    accuracy, confidence = calibration_curve(
        probabilities.argmax(axis=1) == labels, probabilities.max(axis=1), n_bins=10
    )
    np.testing.assert_allclose([row["accuracy"] for row in rows], accuracy)
    np.testing.assert_allclose([row["confidence"] for row in rows], confidence)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_reliability_adds_up_to_the_calibration_error(seed, n):
    logits, labels = sample(np.random.default_rng(seed), n)
    probabilities = softmax(logits, axis=1)
    rows = [row for row in reliability(labels, probabilities) if row["count"]]
    error = sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / n
    result = classification_metrics(labels, probabilities, draws=0)
    assert error == pytest.approx(result.ece, abs=1e-12)
    assert sum(row["count"] for row in rows) == n
    assert sum(row["count"] * row["accuracy"] for row in rows) / n == pytest.approx(result.accuracy)
    for row in rows:
        assert row["bin_low"] < row["confidence"] <= row["bin_high"]
        ends = [0, row["accuracy_low"], row["accuracy"], row["accuracy_high"], 1]
        assert (np.diff(ends) >= -1e-12).all()


def test_bad_options():
    with pytest.raises(InvalidInputError, match="bins is 0; it takes a positive integer"):
        reliability([0], [[0.5, 0.5]], bins=0)
    with pytest.raises(InvalidInputError, match="ci is 2"):
        reliability([0], [[0.5, 0.5]], ci=2)
    with pytest.raises(InvalidInputError, match="probabilities has shape"):
        reliability([0], [0.5])
