"""One rule for labels at every door: equal values are one group, missing ones are refused."""

import datetime as dt
import decimal
import json

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai._backend.labels import is_missing, plain_label
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import (
    combine_nulls,
    group_codes,
    patients_needed,
    permutation_null,
    read_labels,
    shift_null,
    summarize_consistency,
    summarize_ratio,
)

torch = pytest.importorskip("torch")
jnp = pytest.importorskip("jax.numpy")
pd = pytest.importorskip("pandas")

N = 12
RNG = np.random.default_rng(3)
SCORES = RNG.random(N)
CAMS, MASKS = RNG.random((N, 5, 5)), RNG.random((N, 20, 20)) < 0.3
NUMBERS = [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
WORDS = [str(number) for number in NUMBERS]

OF_NUMBERS = {
    "tensor": torch.tensor(NUMBERS),
    "list of tensors": list(torch.tensor(NUMBERS)),
    "list of float tensors": [torch.tensor(float(x)) for x in NUMBERS],
    "tensors with gradient": [torch.tensor(float(x), requires_grad=True) for x in NUMBERS],
    "bfloat16": torch.tensor(NUMBERS, dtype=torch.bfloat16),
    "NumPy": np.array(NUMBERS),
    "uint16": np.array(NUMBERS, ">u2"),
    "list of NumPy": list(np.array(NUMBERS, np.int8)),
    "list of 0-d arrays": [np.array(x) for x in NUMBERS],
    "JAX": jnp.asarray(NUMBERS),
    "list of JAX": list(jnp.asarray(NUMBERS)),
    "floats": [float(x) for x in NUMBERS],
    "one of each": [0, 0.0, False, 1, np.int64(1), torch.tensor(1.0), 2, 2.0, jnp.asarray(2),
                    3, decimal.Decimal(3), np.float32(3)],
    "nothing masked": np.ma.masked_array(NUMBERS, [False] * N),
    "Int64": pd.array(NUMBERS, dtype="Int64"),
    "category": pd.Series(NUMBERS).astype("category"),
    "tuple": tuple(NUMBERS),
}  # fmt: skip
OF_WORDS = {
    "NumPy": np.array(WORDS),
    "objects": np.array(WORDS, object),
    "list of NumPy": list(np.array(WORDS)),
    "0-d arrays": [np.array(x) for x in WORDS],
    "string": pd.Series(WORDS, dtype="string"),
    "category": pd.Categorical(WORDS),
}


def accumulated(accumulator, *batch, groups):
    return accumulator.update(*batch, groups=groups).compute_groups()


def of_study(groups):
    images = [np.full((20, 20, 3), 90, np.uint8)] * N
    rows = mx.evaluate({"m": list(CAMS)}, images, list(MASKS), groups=groups).rows
    return [row["group"] for row in rows]


def of_metrics(groups):
    pytest.importorskip("sklearn")
    from her2_models.metrics import classification_metrics

    shares = np.tile([0.4, 0.6], (N, 1))
    found = classification_metrics([0, 1] * 6, shares, groups=groups, names=["0", "1"], draws=200)
    return found.n_groups, found.intervals["accuracy"]


DOORS = {
    "summarize": lambda x: mx.summarize(SCORES, x),
    "summarize_ratio": lambda x: summarize_ratio(SCORES, SCORES + 1, x),
    "compare_paired": lambda x: mx.compare_paired(SCORES, SCORES[::-1], x),
    "patients_needed": lambda x: patients_needed(SCORES, x, width=0.3),
    "combine_nulls": lambda x: combine_nulls(shift_null(CAMS, MASKS), x),
    "permutation_null": lambda x: permutation_null(CAMS, MASKS, x),
    "summarize_consistency": lambda x: summarize_consistency(CAMS, x),
    "ec_score": lambda x: mx.ec_score(CAMS, groups=x),
    "consistency": lambda x: mx.consistency(CAMS, groups=x),
    "MapAccumulator": lambda x: accumulated(mx.MapAccumulator(), CAMS, MASKS, groups=x),
    "EcAccumulator": lambda x: accumulated(mx.EcAccumulator(), CAMS, groups=x),
    "study": of_study,
    "her2_models.metrics": of_metrics,
}
STRICT = {name: door for name, door in DOORS.items() if name != "study"}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@doors
@pytest.mark.parametrize("labels", OF_NUMBERS.values(), ids=OF_NUMBERS)
def test_equal_numbers_are_one_group(door, labels):
    as_floats = door is of_study or str(door(NUMBERS)) != str(door([float(x) for x in NUMBERS]))
    found, expected = door(labels), door(NUMBERS)
    if as_floats:  # labels stay as they were first given: 0 and 0.0 are one
        assert str(found).replace(".0", "").replace("False", "0") == str(expected).replace(".0", "")
    else:
        assert str(found) == str(expected)


@doors
@pytest.mark.parametrize("labels", OF_WORDS.values(), ids=OF_WORDS)
def test_equal_words_are_one_group(door, labels):
    assert str(door(labels)) == str(door(WORDS))


MISSING = {
    "None": None,
    "NaN": float("nan"),
    "NaN of NumPy": np.float32("nan"),
    "NaN of torch": torch.tensor(float("nan")),
    "NaN of JAX": jnp.asarray(float("nan")),
    "Decimal": decimal.Decimal("nan"),
    "NA": pd.NA,
    "NaT": pd.NaT,
    "NaT of NumPy": np.datetime64("NaT"),
    "masked": np.ma.masked,
}
missing = pytest.mark.parametrize("label", MISSING.values(), ids=MISSING)


@missing
@pytest.mark.parametrize("door", STRICT.values(), ids=STRICT)
def test_missing_labels_are_refused(door, label):
    labels = ["3+"] * 4 + [label] * 3 + ["2+"] * 5
    with pytest.raises(InvalidInputError, match=r"groups\[4\] is .*\(3 of 12 have none\)"):
        door(labels)


@missing
def test_a_study_has_none_for_all_of_them(label):
    assert of_study(["a"] * 11 + [label]) == ["a"] * 11 + [None]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", None, "b"], object),
        np.array([0, np.nan, 1]),
        np.array(["2026-01-01", "NaT", "2026-01-01"], "M8[ns]"),
        np.ma.masked_array([1, 2, 3], [False, True, False]),
        np.ma.masked_array(["a", "b", "c"], [False, True, False]),
        torch.tensor([0, float("nan"), 1]),
        pd.Series([1, None, 2], dtype="Int64"),
        pd.Series(["a", None, "b"], dtype="string"),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Series(pd.to_datetime(["2026-01-01", None, "2026-01-01"])),
        pd.Index(["a", None, "b"]),
    ],
)
def test_columns_with_a_missing_label_are_refused(labels):
    with pytest.raises(InvalidInputError, match=r"groups\[1\] is .*\(1 of 3 have none\)"):
        group_codes(labels, 3)
    with pytest.raises(InvalidInputError, match=r"groups\[1\]"):
        mx.ec_score(CAMS[:3], groups=labels)


def test_keys_are_plain_values():
    found = mx.ec_score(CAMS, groups=list(torch.tensor(NUMBERS)))
    assert [type(key) for key in found] == [int] * 4
    assert json.loads(json.dumps(found)) == {str(k): v for k, v in found.items()}
    assert [type(x) for x in read_labels(np.array(WORDS), "groups")] == [str] * N
    state = mx.EcAccumulator().update(CAMS, groups=torch.tensor(NUMBERS)).state_dict()
    assert state["labels"] == [0, 1, 2, 3]


def test_batches_of_different_kinds_meet_in_one_group():
    streamed = mx.MapAccumulator()
    for groups in ([7, 8], torch.tensor([7, 8]), np.array([7.0, 8.0]), [True + 6, np.uint8(8)]):
        streamed.update(CAMS[:2], MASKS[:2], groups=groups)
    assert {label: mean.n for label, mean in streamed.compute_groups().items()} == {7: 4, 8: 4}


def test_words_and_numbers_are_apart():
    assert group_codes(["1", 1, b"1", ("1",), "nan"], 5)[1] == ["1", 1, b"1", ("1",), "nan"]


def test_dates():
    day = dt.date(2026, 1, 1)
    assert read_labels(np.array(["2026-01-01"], "M8[D]"), "groups") == [day]
    assert read_labels(np.array(["2026-01-01"], "M8[ns]"), "groups") == [dt.datetime(2026, 1, 1)]
    assert plain_label(np.timedelta64(3, "s")) == dt.timedelta(seconds=3)
    exact = np.datetime64("2026-01-01T00:00:00.000000001")
    assert group_codes([exact, exact], 2)[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": 1, "b": 2, "c": 3}, "it takes a sequence, in the order of the samples"),
        ({"a", "b", "c"}, "it takes a sequence, in the order of the samples"),
        ("abc", "groups has 1 labels for 3 samples"),
        ([["a"], ["b"], ["c"]], r"groups has shape \(3, 1\), groups\[0\] is \['a'\]"),
        (list(torch.tensor([[0], [1], [2]])), r"groups\[0\] is tensor\(\[0\]\); it takes a single"),
        (np.zeros((3, 1)), r"groups has shape \(3, 1\)"),
        (torch.tensor(1), "groups has 1 labels"),
        ([{"a": 1}] * 3, r"groups\[0\] is \{'a': 1\}; it takes a single value"),
    ],
)
def test_what_is_no_column_of_labels(groups, message):
    with pytest.raises(InvalidInputError, match=message):
        mx.summarize(SCORES[:3], groups)


def test_what_is_missing():
    assert all(map(is_missing, [None, float("nan"), pd.NA, pd.NaT, np.ma.masked]))
    assert not any(map(is_missing, ["", "nan", 0, False, (), float("inf")]))


def test_columns_of_polars():
    """Stand-in: the library itself is no dependency of the tests."""

    class Series:
        def __init__(self, values):
            self.values = values
            self.shape = (len(values),)

        def to_list(self):
            return list(self.values)

        def to_numpy(self):
            return np.array([np.nan if x is None else x for x in self.values])

    Series.__module__ = "polars.series.series"
    assert group_codes(Series(["a", "b", "a"]), 3)[1] == ["a", "b"]
    with pytest.raises(InvalidInputError, match=r"groups\[1\] is None"):
        group_codes(Series([1, None, 2]), 3)
    found = mx.summarize(Series([0.1, None, 0.3]))
    assert (found.n, found.n_undefined) == (2, 1)


def test_targets_of_a_study_are_plain():
    images, asked = [np.full((20, 20, 3), 90, np.uint8)] * 3, []

    def explain(rgb, targets):
        asked.extend(targets)
        return rgb.mean(axis=-1)

    for targets in (torch.tensor([2, 0, 1]), list(jnp.asarray([2, 0, 1])), np.array([2, 0, 1])):
        asked.clear()
        mx.evaluate({"m": explain}, images, list(MASKS[:3]), targets=targets)
        assert asked == [2, 0, 1]
        assert [type(x) for x in asked] == [int] * 3
        asked.clear()
        found = mx.explanation_consistency.perturbation_consistency(
            explain, images, [mx.perturb.horizontal_flip()], targets=targets
        )
        assert len(found.ec) == 3
        assert [type(x) for x in asked] == [int] * 6


def test_classes_of_an_explainer_are_plain():
    image = np.full((20, 20, 3), 90, np.uint8)

    def explain(rgb):
        return {label: rgb.mean(axis=-1) for label in torch.tensor([0, 3])}

    rows = mx.evaluate({"m": explain}, [image], [MASKS[0]]).rows
    assert [row["class"] for row in rows] == [0, 3]

    def twice(rgb):
        return {label: rgb.mean(axis=-1) for label in torch.tensor([3, 3])}

    [row] = mx.evaluate({"m": twice}, [image], [MASKS[0]]).rows
    assert "two sets of maps of the class 3" in row["error"]


@pytest.mark.parametrize(
    "given",
    [{"groups": "ab"}, {"targets": "ab"}, {"labels": {"grade": "ab"}}, {"groups": {"a": 1, "b": 2}},
     {"labels": "ab"}, {"targets": {"a", "b"}}],
)  # fmt: skip
def test_columns_of_a_study_are_sequences(given):
    images = [np.full((20, 20, 3), 90, np.uint8)] * 2
    with pytest.raises(InvalidInputError, match="it takes"):
        mx.evaluate({"m": list(CAMS[:2])}, images, list(MASKS[:2]), **given)
