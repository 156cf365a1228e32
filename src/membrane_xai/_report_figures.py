"""Figures of a report as plain geometry: rows of marks on one axis, which the page draws as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from membrane_xai._report_series import Series, ec_columns, values_of
from membrane_xai._report_summary import Part, mean_with_interval
from membrane_xai._summary import Summary

__all__ = ["Chart", "Line", "context_chart", "distribution_charts", "ec_chart"]

WIDTH = 440.0
"""Of the drawing, in its own units; as wide as a phone, so that its text stays readable there."""
_LEFT, _RIGHT = 6.0, 434.0
_ROOM, _HEADING, _AXIS = 46.0, 28.0, 34.0
_BINS = 40
_FEW = 30
"""Values up to which each is drawn."""
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a chart. Positions are in units of the drawing."""

    y: float
    label: str
    note: str
    number: int
    """Of the series, for the colour; -1 for a heading."""
    full: str = ""
    """The label before it was cut."""
    band: tuple[float, float] | None = None
    whisker: tuple[float, float] | None = None
    dot: float | None = None
    middle: float | None = None
    area: str = ""
    """Path of a histogram."""
    points: tuple[tuple[float, float], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    """Positions of chance and ceiling, each with its name."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows above one axis."""

    title: str
    text: str
    """The same in words."""
    axis: str
    height: float
    ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    key: tuple[str, ...] = ()
    """What of the legend is in it."""
    width: float = field(default=WIDTH)


class _Axis:
    """From values to positions; values beyond its ends lie on them."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if (self.high - self.low) / s <= 6)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [round(i * step, 10) + 0.0 for i in range(first, last + 1)]
        return tuple(
            (self.at(value), f"{value:g}".replace("-", "\N{MINUS SIGN}")) for value in values
        )


def context_chart(parts: Sequence[Part]) -> Chart:
    """Draw mean MAP with its interval between chance and ceiling, a row a series."""
    ends = [s.high for part in parts for s in part.scores.values() if math.isfinite(s.high)]
    tops = [part.scores[name].mean for part in parts for name in ("map", "ceiling")]
    axis = _Axis(0, _above([*tops, *(e for e in ends if e <= 1)]))
    lines, words = [], []
    for i, part in enumerate(parts):
        score, chance, ceiling = (part.scores[name] for name in ("map", "chance", "ceiling"))
        known = math.isfinite(score.mean)
        lines.append(
            Line(
                y=i * _ROOM,
                **_labelled(part.name),
                note=_number(score.mean) if known else "undefined",
                number=part.number,
                band=(axis.at(chance.mean), axis.at(ceiling.mean)) if known else None,
                whisker=_ends(score, axis),
                dot=axis.at(score.mean) if known else None,
            )
        )
        words.append(
            f"{part.name}: MAP {_number(score.mean)}, chance {_number(chance.mean)}, "
            f"ceiling {_number(ceiling.mean)}"
        )
    title, height = "Mean MAP between chance and ceiling", len(parts) * _ROOM
    return _chart(title, words, "MAP", axis, lines, height, ("dot", "band"))


def distribution_charts(series: Sequence[Series], label: str | None) -> list[Chart]:
    """Draw how MAP and relative MAP spread, by method and by the values of a label."""
    everything = [row for one in series for row in one.rows]
    values = [None] if label is None else values_of(everything, label)
    parts = [(value, _having(series, label, value)) for value in values]
    by = "method" if label is None else f"{label} and method"
    top = _above(x for one in series for row in one.rows for x in (row["map"], row["ceiling"]))
    low = min((row["relative"] for row in everything if math.isfinite(row["relative"])), default=0)
    room = _Axis(max(-1.0, min(0.0, math.floor(low * 5) / 5)), 1.0)
    return [
        _distribution(f"MAP by {by}", "map", _Axis(0, top), label, parts),
        _distribution(f"Relative MAP by {by}", "relative", room, label, parts),
    ]


def ec_chart(series: Sequence[Series]) -> Chart | None:
    """Draw mean EC with its interval by perturbation and method; None without perturbations."""
    names = ec_columns(series[0].rows)
    found = [(name, one, mean_with_interval(one.rows, name)) for name in names for one in series]
    if not any(math.isfinite(summary.mean) for _, _, summary in found):
        return None
    lowest = min(x for _, _, s in found for x in (s.mean, s.low, 0.0) if math.isfinite(x))
    axis = _Axis(-1 if lowest < -0.5 else -0.5 if lowest < 0 else 0, 1)
    lines: list[Line] = []
    words: list[str] = []
    y, before = 0.0, ""
    for name, one, summary in found:
        if name != before:
            lines.append(_heading(y, name.removeprefix("ec ")))
            y, before = y + _HEADING, name
        known = math.isfinite(summary.mean)
        dot = axis.at(summary.mean) if known else None
        note = f"{_number(summary.mean)}, n {summary.n}" if known else "undefined"
        lines.append(Line(y=y, **_labelled(one.name), note=note, number=one.number,
                          whisker=_ends(summary, axis), dot=dot))  # fmt: skip
        words.append(f"{name}, {one.name}: {_number(summary.mean)}")
        y += _ROOM
    return _chart("EC by perturbation", words, "EC", axis, lines, y, ("dot",))


def _distribution(
    title: str,
    column: str,
    axis: _Axis,
    label: str | None,
    parts: Sequence[tuple[object, Sequence[Series]]],
) -> Chart:
    lines: list[Line] = []
    words: list[str] = []
    y = 0.0
    for value, members in parts:
        if label is not None:
            lines.append(_heading(y, f"{label} {value}"))
            y += _HEADING
        for one in members:
            line = _spread(one, column, axis, y)
            lines.append(line)
            where = one.name if label is None else f"{label} {value}, {one.name}"
            words.append(f"{where}: {line.note}")
            y += _ROOM
    key = ("spread", "marks") if column == "map" else ("spread",)
    name = {"map": "MAP", "relative": "relative MAP"}[column]
    return _chart(title, words, name, axis, lines, y, key)


def _spread(series: Series, column: str, axis: _Axis, y: float) -> Line:
    known = [row for row in series.rows if math.isfinite(row[column])]
    values = np.array([row[column] for row in known])
    if not known:
        note = f"none of {len(series.rows)} defined"
        return Line(y=y, **_labelled(series.name), note=note, number=series.number)
    low, middle, high = (float(x) for x in np.quantile(values, (0.25, 0.5, 0.75)))
    few = values.size <= _FEW
    marks = [
        (axis.at(float(np.median([row[name] for row in known]))), name)
        for name in (("chance", "ceiling") if column == "map" else ())
    ]
    return Line(
        y=y,
        **_labelled(series.name),
        note=f"median {_number(middle)}, n {values.size}",
        number=series.number,
        whisker=(axis.at(low), axis.at(high)),
        middle=axis.at(middle),
        area="" if few else _histogram(values, axis),
        points=_points(values, axis) if few else (),
        marks=tuple(marks),
    )


def _histogram(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", axis: _Axis) -> str:
    """Return a path of bars, 16 high at most, on the line y = 0."""
    inside = np.clip(values, axis.low, axis.high)
    counts, edges = np.histogram(inside, _BINS, (axis.low, axis.high))
    heights = 16 * counts / counts.max()
    return " ".join(
        f"M{axis.at(a):g} 0V{-h:.1f}H{axis.at(b):g}V0z"
        for a, b, h in zip(edges, edges[1:], heights, strict=False)
        if h
    )


def _points(
    values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", axis: _Axis
) -> tuple[tuple[float, float], ...]:
    """Spread points over a few heights, the same at each call."""
    ordered = np.sort(values)
    return tuple((axis.at(float(x)), -4.0 - 5.0 * (i % 3)) for i, x in enumerate(ordered))


def _having(series: Sequence[Series], label: str | None, value: object) -> list[Series]:
    if label is None:
        return list(series)
    parts = [
        Series(one.name, [row for row in one.rows if row[label] == value], one.number)
        for one in series
    ]
    return [part for part in parts if part.rows]


def _chart(
    title: str,
    words: Iterable[str],
    name: str,
    axis: _Axis,
    lines: Sequence[Line],
    height: float,
    key: tuple[str, ...],
) -> Chart:
    text = "; ".join(words) + "."
    return Chart(title, text, name, height + _AXIS, axis.ticks(), tuple(lines), key)


def _heading(y: float, text: str) -> Line:
    cut = _cut(text, 62)
    return Line(y=y, label=cut, note="", number=-1, full=text if cut != text else "")


def _labelled(name: str) -> dict[str, str]:
    cut = _cut(name, _LONGEST)
    return {"label": cut, "full": name if cut != name else ""}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _ends(summary: Summary, axis: _Axis) -> tuple[float, float] | None:
    if not math.isfinite(summary.low):
        return None
    return axis.at(summary.low), axis.at(summary.high)


def _above(values: Iterable[float]) -> float:
    """Return the next tenth, at most 1."""
    top = max((value for value in values if math.isfinite(value)), default=1.0)
    return min(1.0, max(0.1, math.ceil(top * 10 - 1e-9) / 10))


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "–"
