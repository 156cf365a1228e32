"""Figures of the page: positions and words by hand."""

import math

import pytest
from report_pages import page_of
from report_rows import row, summed

from membrane_xai import summarize
from membrane_xai.html_report import _chart
from membrane_xai.html_report._chart import Axis, above
from membrane_xai.html_report._figures import context_chart, distribution_charts, ec_chart
from membrane_xai.html_report._series import Series

pytest.importorskip("jinja2")


def test_positions_by_hand():
    axis = Axis(-1, 1)
    assert [axis.at(x) for x in (-1, 0, 1, 2, -3)] == [6, 220, 434, 434, 6]
    assert axis.ticks() == ((6, "−1"), (113, "−0.5"), (220, "0"), (327, "0.5"), (434, "1"))
    assert [text for _, text in Axis(0, 0.3).ticks()] == [
        "0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3",
    ]  # fmt: skip
    assert [above(x) for x in ([0.31], [0.3], [1.7], [math.nan], [0.0])] == [0.4, 0.3, 1, 1, 0.1]


def test_numbers_as_text():
    shown = [_chart.number(x) for x in (-0.0004, -0.0006, 1.0, math.nan)]
    assert shown == ["0.000", "−0.001", "1.000", "–"]
    assert _chart.number(0.126, 2) == "0.13"


def test_long_names_are_cut_and_kept():
    cut = _chart.line("m" * 60, 0, 0, "")
    assert (cut.label, cut.full) == ("m" * 37 + "…", "m" * 60)
    whole = _chart.line("m" * 38, 0, 0, "")
    assert (whole.label, whole.full) == ("m" * 38, "")
    assert _chart.heading(3, "h" * 60).full == "h" * 60


def test_mean_between_chance_and_ideal_by_hand():
    rows = [row("a", group=1), row("b", group=2), row("c", group=3)]
    chart = context_chart(summed([Series("m", rows, 0)]))
    axis = Axis(0, 0.7)
    [drawn] = chart.lines
    assert drawn.band == (axis.at(0.1), axis.at(0.7)) == (67.1, 434.0)
    assert drawn.dot == axis.at(0.4)
    assert drawn.note == "0.400"
    assert chart.text == "m: MAP 0.400, chance 0.100, ideal 0.700."


def test_distributions_by_hand():
    values = [0.0, 0.1, 0.2, 0.3, 0.4]
    rows = [row(str(i), score="0", toward_ideal=x) for i, x in enumerate(values)]
    rows += [row("x", score="3+", toward_ideal=-2.0)]
    maps, toward = distribution_charts([Series("m", rows, 0)], "score")
    assert (maps.axis, toward.axis) == ("MAP", "toward ideal")
    assert [one.label for one in toward.lines] == ["score 0", "m", "score 3+", "m"]
    axis = Axis(-1, 1)
    first, last = toward.lines[1], toward.lines[3]
    assert first.whisker == (axis.at(0.1), axis.at(0.3))
    assert first.middle == axis.at(0.2)
    assert [x for x, _ in first.points] == [axis.at(x) for x in values]
    assert first.note == "median 0.200, n 5"
    assert last.note == "1 further left, median −2.000, n 1"
    assert {name: x for x, name in maps.lines[1].marks} == {
        "chance": Axis(0, 0.7).at(0.1), "ideal": Axis(0, 0.7).at(0.7),
    }  # fmt: skip
    assert not toward.lines[1].marks
    assert [one.y for one in toward.lines] == [0, 28, 80, 108]
    assert toward.height == 160 + 36


def test_many_values_are_a_histogram():
    values = [0.01] * 30 + [0.99] * 15
    rows = [row(str(i), toward_ideal=x) for i, x in enumerate(values)]
    chart = distribution_charts([Series("m", rows, 0)], None)[1]
    [drawn] = chart.lines
    assert drawn.area == "M6 0V-16.0H16.7V0z M423.3 0V-8.0H434V0z"
    assert not drawn.points


def test_undefined_scores_are_drawn_as_words():
    rows = [row("a", toward_ideal=math.nan) | {"map": math.nan, "ec_flip": math.nan}]
    series = [Series("m", rows, 0)]
    assert distribution_charts(series, None)[0].lines[0].note == "none of 1 defined"
    assert context_chart(summed(series)).lines[0].note == "undefined"
    assert ec_chart(summed(series), ["ec_flip"]) is None
    assert ec_chart(summed([Series("m", [row("a")], 0)]), []) is None


def test_consistency_by_perturbation():
    rows = [row(str(i), group=i) | {"ec_flip": x, "ec_blur_um": math.nan}
            for i, x in enumerate([-0.2, 0.2, 0.6])]  # fmt: skip
    chart = ec_chart(summed([Series("m", rows, 3)]), ["ec_flip", "ec_blur_um"])
    assert [one.label for one in chart.lines] == ["flip", "m", "blur um", "m"]
    drawn, undefined = chart.lines[1], chart.lines[3]
    want = summarize([-0.2, 0.2, 0.6], [0, 1, 2], bounds=(-1, 1))
    low = -1 if want.low < -0.5 else -0.5
    assert drawn.dot == Axis(low, 1).at(0.2)
    assert drawn.whisker == (Axis(low, 1).at(want.low), Axis(low, 1).at(want.high))
    assert (drawn.note, drawn.number) == ("0.200, n 3", 3)
    assert (undefined.note, undefined.dot) == ("undefined", None)


def test_every_figure_has_title_and_description(study, tmp_path):
    page = page_of(study, tmp_path)
    figures = page.all("svg")
    assert len(figures) == 1 + 2 * 3 + 1  # means; by method, score and <b>; EC
    for one in figures:
        title, text = one["attrs"]["aria-labelledby"].split()
        assert one["attrs"]["role"] == "img"
        assert page.by_id(title)["text"]
        assert "noise" in page.by_id(text)["text"]
