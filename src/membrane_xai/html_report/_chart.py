"""A chart as plain geometry: rows of marks above one axis, which the page draws as SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "HEADING",
    "ROOM",
    "Axis",
    "Chart",
    "Line",
    "above",
    "chart",
    "heading",
    "line",
    "number",
]

ROOM, HEADING = 52.0, 28.0
"""Heights of a row and of a heading."""
_WIDTH = 440.0
"""Of the drawing, in its own units; as wide as a phone, so that its text stays readable there."""
_LEFT, _RIGHT, _BELOW = 6.0, 434.0, 36.0  # ends of the axis, and the room for it
_LONGEST, _LONGEST_HEADING = 38, 58  # characters that fit into the width


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
    """Positions of chance and ideal, each with its name."""


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
    key: tuple[str, ...]
    """Kinds of marks, for the legend."""
    width: float = _WIDTH


class Axis:
    """From values to positions; values beyond its ends lie on them."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        """Return the position of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return at most seven round values with their positions."""
        length = self.high - self.low
        step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5) if length / s < 6.5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [round(i * step, 10) + 0.0 for i in range(first, last + 1)]
        return tuple((self.at(value), _minus(f"{value:g}")) for value in values)


def chart(
    title: str,
    words: Iterable[str],
    name: str,
    axis: Axis,
    lines: Sequence[Line],
    height: float,
    key: tuple[str, ...],
) -> Chart:
    """Return rows of a total height with their axis."""
    text = "; ".join(words) + "."
    return Chart(title, text, name, height + _BELOW, axis.ticks(), tuple(lines), key)


def heading(y: float, text: str) -> Line:
    """Return a row that names those below it."""
    cut = _cut(text, _LONGEST_HEADING)
    return Line(y, cut, "", -1, text if cut != text else "")


def line(name: str, number: int, y: float, note: str) -> Line:
    """Return a row with its text and no marks yet."""
    cut = _cut(name, _LONGEST)
    return Line(y, cut, note, number, name if cut != name else "")


def above(values: Iterable[float]) -> float:
    """Return the next tenth that no value exceeds, at most 1."""
    top = max((value for value in values if math.isfinite(value)), default=1.0)
    return min(1.0, max(0.1, math.ceil(top * 10 - 1e-9) / 10))


def number(value: float, digits: int = 3) -> str:
    """Return so many decimals, or a dash for a value that is undefined."""
    if not math.isfinite(value):
        return "–"
    return _minus(f"{round(value, digits) + 0.0:.{digits}f}")  # + 0.0 turns -0 into 0


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
