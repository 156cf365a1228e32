"""Scores, weights, p-values, thresholds, counts and options as numbers of any library."""

import decimal
import fractions

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai._backend.checks import is_count, is_real
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import (
    Proportion,
    combine_nulls,
    holm,
    patients_needed,
    read_numbers,
    shift_null,
    summarize_ratio,
)

torch = pytest.importorskip("torch")
jnp = pytest.importorskip("jax.numpy")
pd = pytest.importorskip("pandas")

VALUES = [0.5, 0.25, 0.75, 0.125, 0.0, 1.0]
GROUPS = list("aabbcc")
RNG = np.random.default_rng(9)
CAMS, MASKS = RNG.random((6, 5, 5)), RNG.random((6, 20, 20)) < 0.3

KINDS = {
    "NumPy": np.array(VALUES),
    "float16": np.array(VALUES, np.float16),
    "big-endian": np.array(VALUES, ">f4"),
    "longdouble": np.array(VALUES, np.longdouble),
    "flipped": np.array(VALUES[::-1])[::-1],
    "objects": np.array(VALUES, object),
    "nothing masked": np.ma.masked_array(VALUES, [False] * 6),
    "tensor": torch.tensor(VALUES),
    "bfloat16": torch.tensor(VALUES, dtype=torch.bfloat16),
    "with gradient": torch.tensor(VALUES, requires_grad=True),
    "list of tensors": list(torch.tensor(VALUES)),
    "list of tensors with gradient": [torch.tensor(x, requires_grad=True) for x in VALUES],
    "list of NumPy": [np.float32(x) for x in VALUES],
    "list of 0-d arrays": [np.array(x) for x in VALUES],
    "JAX": jnp.asarray(VALUES),
    "list of JAX": list(jnp.asarray(VALUES)),
    "fractions": [fractions.Fraction(x) for x in VALUES],
    "decimals": [decimal.Decimal(x) for x in VALUES],
    "Series": pd.Series(VALUES, index=range(6, 0, -1)),
    "Float64": pd.array(VALUES, dtype="Float64"),
    "category": pd.Series(VALUES).astype("category"),
    "object column": pd.Series(VALUES, dtype=object),
}
DOORS = {
    "summarize": lambda x: mx.summarize(x, GROUPS),
    "weights of summarize": lambda x: mx.summarize(VALUES, GROUPS, weights=x),
    "summarize_ratio": lambda x: summarize_ratio(VALUES, x, GROUPS),
    "compare_paired": lambda x: mx.compare_paired(x, VALUES[::-1], GROUPS),
    "patients_needed": lambda x: patients_needed(x, GROUPS, width=0.3),
    "holm": lambda x: holm(x),
    "weights of ec_score": lambda x: mx.ec_score(CAMS, weights=x),
    "thresholds": lambda x: mx.map_curve(CAMS, MASKS, thresholds=x).map,
}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@doors
@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_numbers_of_every_kind(door, values):
    assert repr(door(values)) == repr(door(VALUES))


@doors
@pytest.mark.parametrize(
    "values",
    [
        [str(x) for x in VALUES],
        np.array([str(x) for x in VALUES]),
        pd.Series([str(x) for x in VALUES], dtype="string"),
        [*VALUES[:5], "1.0"],
        np.array(VALUES) + 0j,
        np.array(["2026-01-01"] * 6, "M8[D]"),
        pd.Series(pd.to_datetime(["2026-01-01"] * 6)),
        [[0.5], [0.5, 0.25], [], [], [], []],
        [{"a": 1}] * 6,
    ],
)
def test_what_is_no_number_is_refused(door, values):
    with pytest.raises(InvalidInputError):
        door(values)


MISSING = {
    "None": [0.5, None, 0.75],
    "NA": [0.5, pd.NA, 0.75],
    "Float64": pd.array([0.5, None, 0.75], dtype="Float64"),
    "Int64": pd.array([1, None, 0], dtype="Int64"),
    "object column": pd.Series([0.5, None, 0.75], dtype=object),
    "masked": np.ma.masked_array([0.5, 0.6, 0.75], [False, True, False]),
    "masked integers": np.ma.masked_array([1, 7, 0], [False, True, False]),
    "NaN of torch": [0.5, torch.tensor(float("nan")), 0.75],
}
missing = pytest.mark.parametrize("values", MISSING.values(), ids=MISSING)


@missing
def test_missing_scores_are_undefined(values):
    found = mx.summarize(values, list("abc"))
    assert (found.n, found.n_undefined, found.undefined) == (2, 1, {"undefined": 1})
    known = [float(read_numbers(values, "scores")[i]) for i in (0, 2)]
    assert found.mean == sum(known) / 2
    assert np.isnan(holm(values)).tolist() == [False, True, False]


@missing
def test_missing_weights_are_refused(values):
    with pytest.raises(InvalidInputError, match="weights"):
        mx.summarize([0.1, 0.2, 0.3], weights=values)
    with pytest.raises(InvalidInputError, match="weights"):
        mx.ec_score(CAMS[:3], weights=values)


def test_tables():
    table = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, 0.25]})
    np.testing.assert_array_equal(read_numbers(table, "table"), [[1, 0.5], [np.nan, 0.25]])
    with pytest.raises(InvalidInputError, match="table has dtype object"):
        read_numbers(table.assign(c=["x", "y"]), "table")


def test_predictions_of_every_kind():
    pytest.importorskip("sklearn")
    from her2_models.metrics import (
        classification_metrics,
        fit_temperature,
        metrics_from_confusion,
        reliability,
    )

    labels, shares = [0, 1, 2, 3, 3, 2], 0.5 * np.eye(4)[[0, 1, 2, 3, 3, 1]] + 0.125
    expected = str(classification_metrics(labels, shares, groups=GROUPS, draws=200))
    for given in (
        (torch.tensor(labels), torch.tensor(shares, requires_grad=True)),
        (list(torch.tensor(labels)), list(torch.tensor(shares))),
        (pd.array(labels, dtype="Int64"), pd.DataFrame(shares).astype("Float64")),
        (np.array(labels, np.uint16), jnp.asarray(shares)),
        (np.ma.masked_array(labels, [False] * 6), shares[::-1][::-1]),
    ):
        assert str(classification_metrics(*given, groups=GROUPS, draws=200)) == expected
        assert reliability(*given) == reliability(labels, shares)
        assert fit_temperature(np.log(shares), given[0]) == fit_temperature(np.log(shares), labels)
    matrix = [[3, 1], [0, 2]]
    for counts in (torch.tensor(matrix), pd.DataFrame(matrix), list(torch.tensor(matrix))):
        found = metrics_from_confusion(counts, names=["0", "1"])
        assert found.confusion.tolist() == matrix
    with pytest.raises(InvalidInputError, match=r"labels\[1\] is .*\(1 of 6 have none\)"):
        classification_metrics(pd.array([0, None, 1, 1, 1, 1], dtype="Int64"), shares)
    with pytest.raises(InvalidInputError, match="labels has dtype <U1"):
        classification_metrics(["0", "1", "2", "3", "3", "2"], shares)


def test_counts_are_plain():
    expected = Proportion.of(3, 10)
    for count, total in ((np.int64(3), np.uint8(10)), (torch.tensor(3), jnp.asarray(10))):
        found = Proportion.of(count, total)
        assert found == expected
        assert type(found.count) is type(found.total) is int


def test_nulls_as_tensors():
    nulls = shift_null(CAMS, MASKS)
    as_tensors = type(nulls)(*(torch.as_tensor(x) if x.dtype.kind == "f" else x for x in nulls)) \
        if isinstance(nulls, tuple) else nulls  # fmt: skip
    assert combine_nulls(as_tensors) == combine_nulls(nulls)


@pytest.mark.parametrize(
    "one", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), jnp.asarray(0.5)]
)
def test_options_are_numbers_of_any_library(one):
    assert mx.map_score(CAMS[0], MASKS[0], threshold=one) == mx.map_score(
        CAMS[0], MASKS[0], threshold=0.5
    )
    assert mx.summarize(VALUES, GROUPS, ci=one) == mx.summarize(VALUES, GROUPS, ci=0.5)
    image = np.full((20, 20, 3), 90, np.uint8)
    found = mx.evaluate({"m": [CAMS[0]]}, [image], [MASKS[0]], mpp=one)
    assert found.rows[0]["cell_um"] == 2.0
    assert found.settings["mpp"] == 0.5
    assert mx.CamGrid(one, 0, 20).spacing == (0.5, 0.5)


@pytest.mark.parametrize("two", [np.int16(2), np.array(2), torch.tensor(2), jnp.asarray(2)])
def test_options_are_counts_of_any_library(two):
    assert is_count(two)
    assert mx.topk_intersection(CAMS[0], MASKS[0], k=two) == mx.topk_intersection(
        CAMS[0], MASKS[0], k=2
    )
    assert mx.map_ceiling(MASKS[0], (two, two)) == mx.map_ceiling(MASKS[0], (2, 2))
    assert mx.ec_score(CAMS, reference=two) == mx.ec_score(CAMS, reference=2)
    assert mx.summarize(VALUES, GROUPS, method="bca", seed=two) == mx.summarize(
        VALUES, GROUPS, method="bca", seed=2
    )


@pytest.mark.parametrize(
    "value", [True, np.True_, torch.tensor(True), np.array(True), "1", np.array("1"), b"1", [1],
              np.array([1]), torch.tensor([1]), None, pd.NA, 1 + 0j]
)  # fmt: skip
def test_what_is_no_number_of_an_option(value):
    assert not is_real(value)
    assert not is_count(value) or getattr(value, "ndim", 0)
    with pytest.raises(InvalidInputError):
        mx.summarize(VALUES, GROUPS, ci=value)
    with pytest.raises(InvalidInputError):
        mx.topk_intersection(CAMS[0], MASKS[0], k=value)
