"""Columns of pandas go wherever scores, labels and weights go, whatever their dtype and index."""

import json

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai._backend.arrays import to_numpy
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency import perturbation_consistency
from membrane_xai.perturb import horizontal_flip
from membrane_xai.statistics import (
    combine_nulls,
    holm,
    patients_needed,
    shift_null,
    summarize_consistency,
)

pd = pytest.importorskip("pandas")

N = 12
SLIDES = [slide for slide in "dbac" for _ in range(3)]
RNG = np.random.default_rng(7)
SCORES = RNG.random(N).round(3).tolist()
CAMS, MASKS = RNG.random((N, 5, 5)), RNG.random((N, 20, 20)) < 0.2
INDEX = list(range(100, 100 + N))[::-1]

NUMBERS = {
    "float64": lambda x: pd.Series(x, index=INDEX),
    "nullable": lambda x: pd.Series(x, dtype="Float64", index=INDEX),
    "category": lambda x: pd.Series(x, index=INDEX).astype("category"),
    "index": pd.Index,
    "array": lambda x: pd.array(x, dtype="Float64"),
    "one column of a table": lambda x: pd.DataFrame({"x": x, "y": 1}, index=INDEX)["x"],
}
LABELS = {
    "object": lambda x: pd.Series(x, dtype=object, index=INDEX),
    "string": lambda x: pd.Series(x, dtype="string", index=INDEX),
    "default": lambda x: pd.Series(x, index=INDEX),
    "category": lambda x: pd.Series(x, index=INDEX).astype("category"),
    "named index": lambda x: pd.Series(x, index=[f"image {i}" for i in INDEX]),
    "index": pd.Index,
    "categorical": pd.Categorical,
}
numbers = pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
words = pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)


def accumulated(accumulator, *batch, groups):
    return accumulator.update(*batch, groups=groups).compute_groups()


def same(found, expected):
    """Compare results of any kind, NaN equal to itself."""
    assert repr(found) == repr(expected)


@numbers
def test_scores_and_weights(number):
    column = number(SCORES)
    calls = [
        lambda x: mx.summarize(x),
        lambda x: mx.summarize(x, SLIDES, weights=x),
        lambda x: mx.compare_paired(x, SCORES[::-1], SLIDES),
        lambda x: mx.compare_paired(SCORES[::-1], x, weights=x),
        lambda x: patients_needed(x, SLIDES, width=0.3),
        lambda x: holm(x),
        lambda x: mx.ec_score(CAMS, weights=x),
        lambda x: mx.map_curve(CAMS, MASKS, thresholds=x).map,
    ]
    for call in calls:
        same(call(column), call(SCORES))


@words
def test_groups_and_statuses(label):
    column, nulls = label(SLIDES), shift_null(CAMS, MASKS)
    calls = [
        lambda x: mx.summarize(SCORES, x),
        lambda x: mx.compare_paired(SCORES, SCORES[::-1], x),
        lambda x: combine_nulls(nulls, x),
        lambda x: patients_needed(SCORES, x, width=0.3),
        lambda x: mx.ec_score(CAMS, groups=x),
        lambda x: summarize_consistency(CAMS, x),
        lambda x: accumulated(mx.MapAccumulator(), CAMS, MASKS, groups=x),
        lambda x: accumulated(mx.EcAccumulator(), CAMS, groups=x),
    ]
    for call in calls:
        same(call(column), call(SLIDES))
    some = [float("nan"), *SCORES[1:]]
    status = ["empty_mask", *["ok"] * (N - 1)]
    same(mx.summarize(some, status=label(status)), mx.summarize(some, status=status))


@pytest.mark.parametrize("dtype", ["Int64", "int32", "boolean", "Float64"])
def test_whole_numbers_are_labels(dtype):
    groups = [0] * 6 + [1] * 6
    found = mx.summarize(SCORES, pd.Series(groups, index=INDEX).astype(dtype))
    same(found, mx.summarize(SCORES, groups))


def test_days_stay_days():
    days = pd.Series(pd.to_datetime(["2026-01-01"] * 6 + ["2026-01-02"] * 6), index=INDEX)
    assert list(mx.ec_score(CAMS, groups=days)) == [pd.Timestamp(2026, 1, 1), days.iloc[-1]]


@pytest.mark.parametrize("dtype", ["float64", "Float64"])
def test_missing_scores_are_undefined(dtype):
    column = pd.Series([None, *SCORES[1:]], dtype=dtype, index=INDEX)
    same(mx.summarize(column, SLIDES), mx.summarize([float("nan"), *SCORES[1:]], SLIDES))


@pytest.mark.parametrize("dtype", [object, "string", "category", "Int64"])
def test_missing_labels_are_refused(dtype):
    column = pd.Series([1, None] if dtype == "Int64" else ["a", None], dtype=dtype)
    with pytest.raises(InvalidInputError, match=r"groups\[1\] is (nan|None|<NA>|NaT); every"):
        mx.summarize([0.1, 0.2], column)


def test_missing_statuses_count_as_undefined():
    status = pd.Series(["empty_mask", None, "ok"], dtype="string")
    found = mx.summarize([float("nan"), float("nan"), 0.5], status=status)
    assert found.undefined == {"empty_mask": 1, "undefined": 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mx.summarize(pd.Series(["a", "b"])), "scores has dtype"),
        (lambda: mx.summarize(pd.DataFrame({"x": [0.1, 0.2]})), "scores has shape (2, 1)"),
        (lambda: mx.summarize([0.1, 0.2], pd.DataFrame({"x": list("ab")})), "groups has shape (2,"),
        (lambda: mx.ec_score(CAMS, groups=pd.DataFrame({"x": SLIDES})), "groups has shape (12, 1)"),
        (lambda: mx.summarize([0.1], weights=pd.Series(["a"])), "weights cannot be read as numb"),
        (lambda: mx.summarize({"a": 1}), "scores has shape ()"),
    ],
)
def test_what_is_no_column_of_scores(call, message):
    with pytest.raises(InvalidInputError) as caught:
        call()
    assert message in str(caught.value)


@words
def test_columns_of_a_study(label, tmp_path):
    from PIL import Image

    field = mx.datasets.synthetic_her2("3+", size=128, mpp=0.5, seed=1)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(np.roll(field.rgb, i, axis=0)).save(path)

    def study(columns, images, table):
        asked = []

        def dark(rgb, targets):
            asked.extend(targets)
            return 255.0 - rgb.mean(axis=-1)

        found = mx.evaluate(
            {"dark": dark}, images, [field.membrane] * 3, groups=columns[0], ids=columns[1],
            targets=columns[2], labels=table,
        )  # fmt: skip
        return json.dumps(found.rows), asked

    values = [list("aab"), list("xyz"), list("ppq")]
    found = study(
        [label(one * 4)[:3] for one in values],
        label([str(path) for path in paths] * 4)[:3],
        pd.DataFrame({"scanner": values[0]}, index=[5, 4, 3]),
    )
    assert found == study(values, [str(path) for path in paths], {"scanner": values[0]})


def test_a_missing_label_of_a_study_is_none():
    image = np.full((8, 8, 3), 90, np.uint8)
    group = pd.Series([pd.NA, "b"], dtype="string", index=[3, 2])
    methods = {"dark": lambda rgb: 255.0 - rgb.mean(axis=-1)}
    found = mx.evaluate(methods, [image, image], [np.eye(8, dtype=bool)] * 2, groups=group)
    assert [row["group"] for row in found.rows] == [None, "b"]


def test_targets_of_views_go_by_position():
    images, asked = RNG.integers(0, 255, (3, 8, 8, 3)).astype(np.uint8), []

    def explain(rgb, targets):
        asked.append(targets)
        return rgb.mean(axis=-1)

    targets = pd.Series([4, 5, 6], index=[0.5, 1.5, 2.5])
    perturbation_consistency(explain, images, [horizontal_flip()], targets=targets, batch_size=2)
    assert sorted({x for batch in asked for x in batch}) == [4, 5, 6]


def test_tumour_cells_of_a_table():
    field = mx.datasets.synthetic_her2("3+", size=128, mpp=0.5, seed=1)
    dab = mx.separate_stains(field.rgb).dab
    cells = mx.membrane_completeness(field.membrane, field.nuclei, mpp=0.5, dab=dab)
    which = np.arange(len(cells)) % 2 == 0
    column = pd.Series(which, dtype="boolean", index=np.arange(len(cells))[::-1])
    found = mx.her2_rule_score(cells, tumour=column, min_cells=1)
    same(found, mx.her2_rule_score(cells, tumour=which, min_cells=1))


def test_torchmetrics():
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchmetrics")
    from membrane_xai.integrations.torchmetrics import ExplanationConsistency

    def found(groups, weights):
        metric = ExplanationConsistency((5, 5), num_groups=2)
        metric.update(torch.tensor(CAMS), groups=groups, weights=weights)
        return metric.compute().tolist()

    groups, weights = [0] * 6 + [1] * 6, np.array(SCORES)
    assert found(groups, weights) == found(
        pd.Series(groups, index=INDEX), pd.Series(SCORES, index=INDEX)
    )


def test_groups_of_predictions():
    pytest.importorskip("sklearn")
    from her2_models.metrics import classification_metrics

    labels, shares = [0, 1] * 6, np.tile([0.4, 0.6], (N, 1))
    asked = {"names": ["0", "1"], "draws": 200}
    found = classification_metrics(
        pd.Series(labels, dtype="Int64", index=INDEX),
        pd.DataFrame(shares, index=INDEX),
        groups=pd.Series(SLIDES, dtype="string", index=INDEX),
        **asked,
    )
    same(found, classification_metrics(labels, shares, groups=SLIDES, **asked))
    missing = pd.Series([pd.NA, *SLIDES[1:]], dtype="string", index=INDEX)
    with pytest.raises(InvalidInputError, match=r"groups\[0\] is <NA>"):
        classification_metrics(labels, shares, groups=missing, **asked)


def test_cupy_is_known_by_its_module():
    """Stand-ins: other libraries have a method `get` that takes an argument."""

    class OnDevice:
        def get(self):
            return np.arange(3.0)

        def __array__(self, *args, **kwargs):
            raise TypeError("implicit conversion to a NumPy array is not allowed")

    OnDevice.__module__ = "cupy._core.core"
    derived = type("Mine", (OnDevice,), {"__module__": "mine"})
    other = type("Column", (), {"get": lambda self, key: key, "__array__": None})
    other.__array__ = lambda self, dtype=None, copy=None: np.arange(2.0)
    assert to_numpy(OnDevice()).tolist() == to_numpy(derived()).tolist() == [0, 1, 2]
    assert to_numpy(other()).tolist() == [0, 1]
    assert mx.summarize(OnDevice()).mean == 1.0
