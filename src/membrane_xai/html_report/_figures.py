"""The figures of a report: means between chance and ideal, distributions, consistency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.html_report._chart import (
    HEADING,
    ROOM,
    Axis,
    Chart,
    Line,
    above,
    chart,
    heading,
    line,
    number,
)
from membrane_xai.html_report._series import Series, ec_name, values_of

__all__ = ["context_chart", "distribution_charts", "ec_chart"]

_BINS, _HIGH = 40, 16.0
"""Of histograms: bars, and the height of the highest."""
_FEW = 30
"""Values up to which each is drawn."""
_NAMES = {"map": "MAP", "toward_ideal": "toward ideal"}
_FURTHEST = 2.0
"""Of the axis toward the ideal; maps above twice the ideal lie on its end."""


Row = Mapping[str, Any]


def context_chart(parts: Sequence[Row]) -> Chart:
    """Draw mean MAP with its interval between chance and ideal, a row a series."""
    seen = [part[name] for part in parts for name in ("map", "map_high", "ideal")]
    axis = Axis(0, above(seen))
    lines, words = [], []
    for i, part in enumerate(parts):
        lines.append(_context(part, axis, i * ROOM))
        numbers = ", ".join(
            f"{word} {number(part[name])}"
            for name, word in (("map", "MAP"), ("chance", "chance"), ("ideal", "ideal"))
        )
        words.append(f"{part['name']}: {numbers}")
    title, height = "Mean MAP between chance and ideal", len(parts) * ROOM
    return chart(title, words, "MAP", axis, lines, height, ("dot", "band"))


def distribution_charts(series: Sequence[Series], label: str | None) -> list[Chart]:
    """Draw how MAP and the way toward the ideal spread, by method and by the values of a label."""
    rows = [row for one in series for row in one.rows]
    values = [None] if label is None else values_of(rows, label)
    parts = [(value, _having(series, label, value)) for value in values]
    by = "method" if label is None else f"{label} and method"
    top = above(row[name] for row in rows for name in ("map", "ideal"))
    toward = [row["toward_ideal"] for row in rows if math.isfinite(row["toward_ideal"])]
    low, high = min(toward, default=0.0), max(toward, default=1.0)
    room = Axis(
        max(-1.0, min(0.0, math.floor(low * 5) / 5)),
        min(_FURTHEST, max(1.0, math.ceil(high * 5 - 1e-9) / 5)),
    )
    return [
        _distribution(f"MAP by {by}", "map", Axis(0, top), label, parts),
        _distribution(f"Toward the ideal by {by}", "toward_ideal", room, label, parts),
    ]


def ec_chart(parts: Sequence[Row], columns: Sequence[str]) -> Chart | None:
    """Draw mean EC with its interval by axis and series; None where there is no EC."""
    ends = [part[end] for name in columns for part in parts for end in (name, f"{name}_low")]
    known = [end for end in ends if math.isfinite(end)]
    if not known:
        return None
    axis = Axis(-1 if min(known) < -0.5 else -0.5 if min(known) < 0 else 0, 1)
    lines: list[Line] = []
    words: list[str] = []
    y = 0.0
    for name in columns:
        lines.append(heading(y, ec_name(name)))
        y += HEADING
        for part in parts:
            lines.append(_mean(part, name, axis, y))
            words.append(f"{ec_name(name)}, {part['name']}: {number(part[name])}")
            y += ROOM
    return chart("EC skill, and EC by perturbation", words, "EC", axis, lines, y, ("dot",))


def _context(part: Row, axis: Axis, y: float) -> Line:
    if not math.isfinite(part["map"]):
        return line(part["name"], part["number"], y, "undefined")
    return replace(
        line(part["name"], part["number"], y, number(part["map"])),
        band=(axis.at(part["chance"]), axis.at(part["ideal"])),
        whisker=_ends(part, "map", axis),
        dot=axis.at(part["map"]),
    )


def _mean(part: Row, name: str, axis: Axis, y: float) -> Line:
    if not math.isfinite(part[name]):
        return line(part["name"], part["number"], y, "undefined")
    note = f"{number(part[name])}, n {part[f'{name}_n']}"
    return replace(
        line(part["name"], part["number"], y, note),
        whisker=_ends(part, name, axis),
        dot=axis.at(part[name]),
    )


def _distribution(
    title: str,
    column: str,
    axis: Axis,
    label: str | None,
    parts: Sequence[tuple[object, Sequence[Series]]],
) -> Chart:
    lines: list[Line] = []
    words: list[str] = []
    y = 0.0
    for value, members in parts:
        where = "" if label is None else f"{label} {value}"
        if where:
            lines.append(heading(y, where))
            y += HEADING
        for one in members:
            lines.append(_spread(one, column, axis, y))
            words.append(f"{where and f'{where}, '}{one.name}: {lines[-1].note}")
            y += ROOM
    key = ("spread", "marks") if column == "map" else ("spread",)
    return chart(title, words, _NAMES[column], axis, lines, y, key)


def _spread(series: Series, column: str, axis: Axis, y: float) -> Line:
    known = [row for row in series.rows if math.isfinite(row[column])]
    if not known:
        return line(series.name, series.number, y, f"none of {len(series.rows)} defined")
    values = np.array([row[column] for row in known])
    low, middle, high = (float(x) for x in np.quantile(values, (0.25, 0.5, 0.75)))
    beyond = int((values < axis.low).sum())
    note = f"median {number(middle)}, n {values.size}"
    return replace(
        line(series.name, series.number, y, f"{beyond} further left, {note}" if beyond else note),
        whisker=(axis.at(low), axis.at(high)),
        middle=axis.at(middle),
        area="" if values.size <= _FEW else _histogram(values, axis),
        points=_points(values, axis) if values.size <= _FEW else (),
        marks=tuple(
            (axis.at(float(np.median([row[name] for row in known]))), name)
            for name in (("chance", "ideal") if column == "map" else ())
        ),
    )


def _histogram(values: NDArray[np.float64], axis: Axis) -> str:
    """Return a path of bars on the line y = 0."""
    inside = np.clip(values, axis.low, axis.high)
    counts, edges = np.histogram(inside, _BINS, (axis.low, axis.high))
    heights = _HIGH * counts / counts.max()
    return " ".join(
        f"M{axis.at(a):g} 0V{-h:.1f}H{axis.at(b):g}V0z"
        for a, b, h in zip(edges[:-1], edges[1:], heights, strict=True)
        if h
    )


def _points(values: NDArray[np.float64], axis: Axis) -> tuple[tuple[float, float], ...]:
    """Spread points over three heights, the same at each call."""
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


def _ends(part: Row, name: str, axis: Axis) -> tuple[float, float] | None:
    low, high = part[f"{name}_low"], part[f"{name}_high"]
    return (axis.at(low), axis.at(high)) if math.isfinite(low) else None
