"""Numbers from confusion matrices and probabilities: by hand, against scikit-learn, relations."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from her2_models.metrics import (
    PER_CLASS,
    SINGLE,
    classification_metrics,
    metrics_from_confusion,
)
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES

# Research Square rs-8867647, test set of HER2-IHC-40x, 2200 patches; rows true 0, 1+, 2+, 3+.
PUBLISHED = np.array([[732, 26, 0, 0], [24, 502, 12, 0], [0, 21, 203, 2], [0, 0, 3, 675]])
FROM_COUNTS = [*SINGLE[:9], *PER_CLASS[:4]]

matrices = arrays(np.int64, (4, 4), elements=st.integers(0, 30)).filter(lambda m: m.any())


def expand(matrix):
    """Write a confusion matrix out as labels and predictions."""
    true, called = np.indices(matrix.shape)
    return np.repeat(true.ravel(), matrix.ravel()), np.repeat(called.ravel(), matrix.ravel())


def sample(rng, n=300, *, ties=True):
    labels = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels]
    raw = np.exp(logits)
    if ties:
        raw = np.ceil(raw)  # few different values
    return labels, raw / raw.sum(axis=1, keepdims=True)


def sklearn_values(labels, called):
    ids, options = range(4), {"labels": range(4), "zero_division": np.nan}
    expected = {
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "quadratic_kappa": sk.cohen_kappa_score(labels, called, weights="quadratic", labels=ids),
        "specificity": [
            sk.recall_score(labels != c, called != c, zero_division=np.nan) for c in ids
        ],
    }
    for average in ("macro", "weighted", None):
        scores = sk.precision_recall_fscore_support(labels, called, average=average, **options)
        for name, value in zip(("precision", "recall", "f1"), scores, strict=False):
            expected[f"{average}_{name}" if average else name] = value
    return expected


def test_published_matrix_by_hand():
    result = metrics_from_confusion(PUBLISHED)
    assert result.accuracy == 2112 / 2200 == 0.96
    assert result.support.tolist() == [758, 538, 226, 678]
    np.testing.assert_allclose(result.recall, [732 / 758, 502 / 538, 203 / 226, 675 / 678])
    np.testing.assert_allclose(result.precision, [732 / 756, 502 / 549, 203 / 218, 675 / 677])
    np.testing.assert_allclose(
        result.specificity, [1418 / 1442, 1615 / 1662, 1959 / 1974, 1520 / 1522]
    )
    f1 = [1464 / 1514, 1004 / 1087, 406 / 444, 1350 / 1355]
    np.testing.assert_allclose(result.f1, f1)
    assert result.macro_f1 == pytest.approx(sum(f1) / 4)
    assert result.weighted_f1 == pytest.approx(np.dot(f1, [758, 538, 226, 678]) / 2200)
    # all 88 errors are off by one, so the observed penalty is 88
    by_chance = sum(
        (i - j) ** 2 * true * called
        for i, true in enumerate([758, 538, 226, 678])
        for j, called in enumerate([756, 549, 218, 677])
    )
    assert result.quadratic_kappa == pytest.approx(1 - 88 * 2200 / by_chance)


def test_published_matrix_has_no_auc():
    result = metrics_from_confusion(PUBLISHED)
    assert np.isnan(result.auc).all()
    for name in ("macro_auc", "ece", "brier", "nll"):
        assert np.isnan(getattr(result, name))
        assert result.undefined[name] == "needs probabilities"
    assert (result.intervals, result.draws, result.clustered) == ({}, 0, False)


@given(matrices)
def test_as_scikit_learn_on_expanded_labels(matrix):
    assume((matrix.sum(axis=0) > 0).all())
    assume((matrix.sum(axis=1) > 0).all())
    result = metrics_from_confusion(matrix)
    for name, value in sklearn_values(*expand(matrix)).items():
        np.testing.assert_allclose(getattr(result, name), value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("ties", [True, False])
def test_probabilities_as_scikit_learn(rng, ties):
    labels, probabilities = sample(rng, ties=ties)
    result = classification_metrics(labels, probabilities, draws=0)
    areas = [sk.roc_auc_score(labels == c, probabilities[:, c]) for c in range(4)]
    np.testing.assert_allclose(result.auc, areas, atol=1e-12)
    assert result.macro_auc == pytest.approx(
        sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert result.nll == pytest.approx(sk.log_loss(labels, probabilities))
    brier = sum(sk.brier_score_loss(labels == c, probabilities[:, c]) for c in range(4))
    assert result.brier == pytest.approx(brier)
    for name, value in sklearn_values(labels, probabilities.argmax(axis=1)).items():
        np.testing.assert_allclose(getattr(result, name), value, atol=1e-12, err_msg=name)


def test_ece_by_hand():
    # bins (4/15, 5/15]: none; 0.4 ends bin 6; 0.7 and 0.72 share bin 11; 1.0 ends bin 15
    probabilities = [[0.4, 0.3, 0.2, 0.1], [0.7, 0.3, 0, 0], [0.28, 0.72, 0, 0], [0, 0, 0, 1]]
    result = classification_metrics([1, 0, 0, 3], probabilities, draws=0)
    assert result.ece == pytest.approx((0.4 + abs(0.7 + 0.72 - 1) + 0) / 4)


def test_brier_and_log_loss_by_hand():
    result = classification_metrics([0, 1], [[0.5, 0.5, 0, 0], [0.75, 0.25, 0, 0]], draws=0)
    assert result.brier == pytest.approx((0.5 + 2 * 0.75**2) / 2)
    assert result.nll == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_a_true_class_of_probability_0_costs_infinitely_much():
    result = classification_metrics([0, 0, 1], [[1, 0, 0, 0]] * 3)
    assert result.nll == np.inf
    assert result.intervals["nll"].note == "infinite"
    assert np.isnan(result.intervals["nll"].low)
    result = classification_metrics([0, 0, 1], [[1, 0, 0, 0]] * 3, method="bca", draws=400)
    assert (result.intervals["nll"].low, result.intervals["nll"].high) == (0, np.inf)


def test_auc_by_hand():
    # class 0: positives 0.5, 0.2; negatives 0.5, 0.1: of four pairs two won, one tied
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9]])
    result = classification_metrics([0, 0, 1, 1], probabilities, names=["-", "+"], draws=0)
    np.testing.assert_array_equal(result.auc, [2.5 / 4, 2.5 / 4])


def test_a_perfect_prediction(rng):
    labels = np.repeat([0, 1, 2, 3], [5, 1, 3, 2])
    result = classification_metrics(labels, np.eye(4)[labels], draws=100)
    for name in [*FROM_COUNTS, "auc", "macro_auc"]:
        np.testing.assert_array_equal(getattr(result, name), 1, err_msg=name)
    assert (result.ece, result.brier, result.nll) == (0, 0, 0)


@given(matrices)
def test_kappa_does_not_see_who_is_the_reference_nor_the_direction(matrix):
    kappa = metrics_from_confusion(matrix).quadratic_kappa
    for other in (matrix.T, matrix[::-1, ::-1], 3 * matrix):
        np.testing.assert_allclose(metrics_from_confusion(other).quadratic_kappa, kappa, atol=1e-12)


@given(matrices)
def test_transposition_swaps_precision_and_recall(matrix):
    result, swapped = metrics_from_confusion(matrix), metrics_from_confusion(matrix.T)
    np.testing.assert_array_equal(result.precision, swapped.recall)
    np.testing.assert_array_equal(result.f1, swapped.f1)
    assert result.accuracy == swapped.accuracy


@given(matrices, st.permutations(range(4)))
def test_the_order_of_classes_matters_to_kappa_alone(matrix, order):
    names = [GRADES[i] for i in order]
    result = metrics_from_confusion(matrix)
    other = metrics_from_confusion(matrix[np.ix_(order, order)], names=names)
    for name in set(FROM_COUNTS) - {"quadratic_kappa"}:
        value = getattr(result, name)
        value = value[list(order)] if name in PER_CLASS else value
        np.testing.assert_allclose(getattr(other, name), value, atol=1e-12, err_msg=name)


@given(matrices, st.integers(0, 2))
def test_merging_neighbours_never_lowers_accuracy(matrix, first):
    merge = np.eye(4)[:, [i for i in range(4) if i != first + 1]].astype(int)
    merge[first + 1, first] = 1
    merged = metrics_from_confusion(merge.T @ matrix @ merge, names=["a", "b", "c"])
    assert merged.accuracy >= metrics_from_confusion(matrix).accuracy
    assert merged.confusion.sum() == matrix.sum()


@given(matrices)
def test_bounds_and_weighted_recall(matrix):
    result = metrics_from_confusion(matrix)
    assert result.weighted_recall == pytest.approx(result.accuracy)
    for name in set(FROM_COUNTS) - {"quadratic_kappa"}:
        values = np.atleast_1d(getattr(result, name))
        assert ((values >= 0) & (values <= 1 + 1e-12) | np.isnan(values)).all()
        assert not np.isnan(values).any() or name in result.undefined
    assert -1 - 1e-12 <= result.quadratic_kappa <= 1 or "quadratic_kappa" in result.undefined
    defined = {n for n in FROM_COUNTS if not np.isnan(getattr(result, n)).any()}
    assert not defined & set(result.undefined)  # and no reason without need


@given(st.integers(0, 2**32 - 1))
def test_the_order_and_number_of_copies_of_cases_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels, probabilities = sample(rng, 40)
    order = rng.permutation(np.tile(np.arange(40), 2))
    result = classification_metrics(labels, probabilities, draws=0)
    other = classification_metrics(labels[order], probabilities[order], draws=0)
    for name in SINGLE + PER_CLASS:
        np.testing.assert_allclose(
            getattr(other, name), getattr(result, name), atol=1e-12, err_msg=name
        )


@given(st.integers(0, 2**32 - 1))
def test_reversing_the_scores_reverses_the_area(seed):
    labels, probabilities = sample(np.random.default_rng(seed), 30)
    labels, first = (labels > 1).astype(int), probabilities[:, 0]
    assume(0 < labels.sum() < 30)
    areas = [
        classification_metrics(labels, np.stack([x, 1 - x], axis=1), names=["-", "+"], draws=0).auc[
            0
        ]
        for x in (first, 1 - first, np.round(first, 6) ** 3)  # a rising function changes no rank
    ]
    assert areas[0] == pytest.approx(1 - areas[1])
    assert areas[0] == pytest.approx(areas[2])


UNDEFINED = {
    "precision": "never predicted: 2+, 3+",
    "macro_precision": "never predicted: 2+, 3+",
    "weighted_precision": "never predicted: 2+",
    "recall": "no case of: 3+",
    "macro_recall": "no case of: 3+",
    "balanced_accuracy": "no case of: 3+",
    "auc": "no case of: 3+",
    "macro_auc": "no case of: 3+",
    "f1": "neither a case nor a prediction of: 3+",
    "macro_f1": "neither a case nor a prediction of: 3+",
}


def test_undefined_numbers_have_a_reason():
    result = classification_metrics(
        [0, 1, 2], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.4, 0.2, 0.3, 0.1]], draws=0
    )
    assert result.undefined == UNDEFINED
    nan = {n for n in SINGLE + PER_CLASS if np.isnan(getattr(result, n)).any()}
    assert nan == set(UNDEFINED)
    np.testing.assert_array_equal(result.precision, [0.5, 1, np.nan, np.nan])
    assert result.f1[2] == 0  # defined: the class has a case
    assert result.weighted_recall == pytest.approx(2 / 3)


def test_one_class_alone():
    result = metrics_from_confusion([[4, 0], [0, 0]], names=["-", "+"])
    assert result.accuracy == 1
    assert np.isnan(result.quadratic_kappa)
    assert result.undefined["quadratic_kappa"] == "every case and every prediction is: -"
    np.testing.assert_array_equal(result.specificity, [np.nan, 1])
    assert result.undefined["specificity"] == "every case is: -"
    # one class is true, another one is called: agreement no better than chance
    assert metrics_from_confusion([[0, 4], [0, 0]], names=["-", "+"]).quadratic_kappa == 0


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.ones((3, 3)), {}, "matrix has shape (3, 3); it takes (4, 4) for the classes 0, 1+"),
        (np.full((4, 4), 0.5), {}, "it takes counts, 0 or more"),
        (-np.ones((4, 4)), {}, "it takes counts, 0 or more"),
        (np.full((4, 4), np.nan), {}, "it takes counts, 0 or more"),
        (np.full((4, 4), "a"), {}, "it takes counts, 0 or more"),
        (np.zeros((4, 4)), {}, "matrix holds no case; it takes at least one"),
        ([[1]], {"names": ["a"]}, "names is ['a']; it takes at least two different names"),
        (np.ones((2, 2)), {"names": "ab"}, "names is 'ab'; it takes at least two"),
        (np.ones((2, 2)), {"names": ["a", "a"]}, "it takes at least two different names"),
    ],
)
def test_bad_matrices(matrix, options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        metrics_from_confusion(matrix, **options)


EVEN = np.full((2, 4), 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": []}, "labels has shape (0,); it takes (n,) with n at least 1"),
        ({"labels": [[0, 1]]}, "labels has shape (1, 2)"),
        ({"labels": [0.0, 1.0]}, "labels has dtype float64; it takes integer class indices"),
        ({"labels": ["0", "1+"]}, "it takes integer class indices"),
        ({"labels": [True, False]}, "labels has dtype bool"),
        ({"labels": [0, 4]}, "labels[1] is 4; it takes 0 to 3"),
        ({"labels": [-1, 0]}, "labels[0] is -1; it takes 0 to 3"),
        ({"labels": [0, 1, 2]}, "probabilities has shape (2, 4); it takes (3, 4): one row per"),
        ({"probabilities": EVEN[:, :3]}, "one column for each of 0, 1+, 2+, 3+"),
        ({"probabilities": [["a"]]}, "probabilities cannot be read as numbers"),
        ({"probabilities": [EVEN[0], [np.nan] * 4]}, "probabilities[1] is [nan, nan, nan, nan]"),
        ({"probabilities": [[2.0, -1, 0, 0], EVEN[0]]}, "it takes values in [0, 1]"),
        ({"probabilities": [EVEN[0], [0.6, 0.6, -0.2, 0]]}, "it takes values in [0, 1]"),
        ({"probabilities": EVEN / 2}, "probabilities[0] sums to 0.5; it takes rows that sum to 1"),
        ({"groups": ["a"]}, "groups has 1 labels for 2 cases"),
        ({"groups": [1.0, np.nan]}, "groups[1] is nan; every sample needs a label"),
        ({"groups": ["a", None]}, "groups[1] is None; every sample needs a label"),
        ({"groups": np.array(["a", 1], object)}, "groups mixes types"),
        ({"ci": 95}, "ci is 95; it takes a level between 0 and 1"),
        ({"ci": float("nan")}, "ci is nan"),
        ({"draws": -1}, "draws is -1; it takes a non-negative integer"),
        ({"draws": 10.0}, "draws is 10.0"),
        ({"draws": 99}, "draws is 99; it takes an integer from 100, or 0 for no intervals"),
        ({"seed": True}, "seed is True"),
    ],
)
def test_bad_predictions(arguments, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        classification_metrics(**({"labels": [0, 1], "probabilities": EVEN} | arguments))


def test_the_caller_s_arrays_are_not_altered(rng):
    labels, probabilities = sample(rng, 20)
    kept = labels.copy(), probabilities.copy()
    classification_metrics(labels, probabilities, draws=100)
    np.testing.assert_array_equal(labels, kept[0])
    np.testing.assert_array_equal(probabilities, kept[1])


def test_half_precision_probabilities_are_fine(rng):
    labels, probabilities = sample(rng, 50)
    result = classification_metrics(labels, probabilities.astype(np.float16), draws=0)
    assert result.brier == pytest.approx(
        classification_metrics(labels, probabilities, draws=0).brier, abs=1e-3
    )
