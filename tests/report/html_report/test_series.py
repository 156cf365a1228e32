"""Rows into series, their order, and the cases shown first."""

import math

from hypothesis import given
from hypothesis import strategies as st
from report_rows import row

from membrane_xai.html_report._series import Series, by_image, cases_of, series_of, values_of
from membrane_xai.study._summary import groups_of


def test_classes_are_apart_only_where_an_image_has_several():
    one_each = [row("a", label="0"), row("b", label="3+")]
    assert [one.name for one in series_of(one_each)] == ["m"]
    several = [row("a", label="0"), row("a", label="3+"), row("b", "n", "0"), row("b", label="0")]
    found = series_of(several)
    assert [(one.name, len(one.rows), one.number) for one in found] == [
        ("m, class 0", 2, 0), ("m, class 3+", 1, 1), ("n", 1, 2),
    ]  # fmt: skip


def test_rows_of_an_image_stay_together_in_the_order_of_methods():
    rows = [row("b", "m"), row("a", "m"), row("a", "n"), row("b", "n")]
    assert [(r["key"], r["method"]) for r in by_image(rows)] == [
        ("b", "m"), ("b", "n"), ("a", "m"), ("a", "n"),
    ]  # fmt: skip


def test_a_class_that_counts_as_false_is_a_class(tmp_path):
    found = series_of([row("a", label=0), row("a", label=1)])
    assert [one.name for one in found] == ["m, class 0", "m, class 1"]


def test_values_are_in_natural_order_and_not_too_many():
    rows = [row("a", score=value) for value in ("x10", "x2", None, "x2", math.nan, 40, 5)]
    assert values_of(rows, "score") == [5, 40, "x2", "x10"]
    assert values_of([row("a", score=x) for x in ("3+", "0", "2+", "1+")], "score") == [
        "0", "1+", "2+", "3+",
    ]  # fmt: skip
    assert len(values_of([row("a", n=i) for i in range(12)], "n")) == 12
    assert values_of([row("a", n=i) for i in range(13)], "n") == []


def test_groups_are_known_only_if_all_are():
    assert groups_of([row("a", group=0), row("b", group="x")]) == [0, "x"]
    assert groups_of([row("a", group="x"), row("b")]) is None
    assert groups_of([row("a", group="x"), row("b", group=math.nan)]) is None


@given(st.lists(st.floats(-1, 1) | st.just(math.nan), max_size=20), st.integers(1, 8))
def test_cases_are_the_ends_and_no_row_twice(values, count):
    rows = [row(f"{i:02}", toward_ideal=value) for i, value in enumerate(values)]
    low, high = cases_of(Series("m", rows, 0), count)
    known = sorted(x for x in values if not math.isnan(x))
    got = [r["toward_ideal"] for r in low], [r["toward_ideal"] for r in high]
    assert got[0] == known[: len(low)]
    assert got[1] == known[::-1][: len(high)]
    assert len(low) == min(count, -(-len(known) // 2))
    assert len(high) == min(count, len(known) - len(low))
