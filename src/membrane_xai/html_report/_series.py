"""Group the rows of a study into series, images, columns and cases for the page."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from membrane_xai._backend.labels import is_missing
from membrane_xai.io import scale_text
from membrane_xai.study._finished import Rows
from membrane_xai.study._permuted import OnGrid
from membrane_xai.study._rows import CHANCE_TEST, COLUMNS, CONTROL_COLUMNS
from membrane_xai.study._summary import Part, summary_of
from membrane_xai.study._zero import SKILLS

__all__ = [
    "Patch",
    "Series",
    "by_image",
    "cases_of",
    "ec_name",
    "input_scale",
    "label_columns",
    "patches_of",
    "series_of",
    "shown_columns",
    "summaries_of",
    "values_of",
]

_EC, _EC_ZERO = "ec_", "ec0"
_FIRST = ("status", "toward_ideal", "map", "chance", "ideal", *SKILLS[:-1], "ec", "ec0")
_INPUT = "input_um_per_pixel"
_MOST_VALUES = 12  # of a label that the page lists; set by hand


@dataclass(frozen=True, slots=True)
class Series:
    """Rows that are averaged together: one method, or one class of a method that explains many."""

    name: str
    rows: Rows
    number: int
    """Its place among all, from 0; colours go by it."""


@dataclass(frozen=True, slots=True)
class Patch:
    """An image of the study with the numbers of its rows in the table."""

    number: int
    key: str
    rows: tuple[int, ...]


def by_image(rows: Rows) -> Rows:
    """Put the rows of an image together; images in the order of their first rows."""
    places: dict[str, int] = {}
    for row in rows:
        places.setdefault(row["key"], len(places))
    return sorted(rows, key=lambda row: places[row["key"]])


def series_of(rows: Rows) -> list[Series]:
    """Split by method; by class as well where a method has several rows for an image."""
    times = Counter((row["key"], row["method"]) for row in rows)
    many = {method for (_, method), count in times.items() if count > 1}
    found: dict[tuple[str, Any], Rows] = {}
    for row in rows:
        label = row["class"] if row["method"] in many and row["class"] is not None else ""
        found.setdefault((row["method"], label), []).append(row)
    return [
        Series(f"{method}, class {label}" if label != "" else method, part, number)
        for number, ((method, label), part) in enumerate(found.items())
    ]


def patches_of(rows: Rows) -> list[Patch]:
    """Return the images in the order of their first rows."""
    found: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        found.setdefault(row["key"], []).append(i)
    return [Patch(i, key, tuple(numbers)) for i, (key, numbers) in enumerate(found.items())]


def summaries_of(
    series: Sequence[Series], *, draws: int, seed: int, on_grid: OnGrid | None = None
) -> Rows:
    """Return the summary of each series with its `name` and `number`."""
    parts = [Part({"name": one.name, "number": one.number}, one.rows) for one in series]
    return summary_of(parts, draws=draws, seed=seed, on_grid=on_grid)


def label_columns(rows: Rows, added: Collection[str] = ()) -> list[str]:
    """Return the names of the columns by which the user tells images apart, such as score.

    Columns that were `added` later are numbers that were measured, and so is the scale at a
    network's input.
    """
    others = {*COLUMNS, *CHANCE_TEST, *added, _INPUT}
    measured = (_EC, _EC_ZERO, *CONTROL_COLUMNS)
    return [name for name in rows[0] if name not in others and not name.startswith(measured)]


def input_scale(rows: Rows) -> str | None:
    """Return the scale at the networks' input as it is printed; None if no row says it."""
    told = [row[_INPUT] for row in rows if not is_missing(row.get(_INPUT))]
    return scale_text(map(_number, told)) if told else None


def ec_name(column: str) -> str:
    """Return what a column of EC is of: "horizontal flip" for ec_horizontal_flip."""
    return column.removeprefix(_EC).replace("_", " ")


def shown_columns(rows: Rows, added: Collection[str] = ()) -> list[str]:
    """Return the columns that say anything, what is read first before the rest."""
    first = ["id", "group", "method", "class", *label_columns(rows, added), *_FIRST]
    names = dict.fromkeys(name for name in (*first, *rows[0]) if name in rows[0])
    return [name for name in names if any(row[name] not in (None, "") for row in rows)]


def values_of(rows: Rows, column: str) -> list[Any]:
    """Return the different values of a label, in natural order; none if they are too many."""
    values = {row[column] for row in rows if not is_missing(row[column])}
    return sorted(values, key=_natural) if len(values) <= _MOST_VALUES else []


def cases_of(series: Series, count: int) -> tuple[Rows, Rows]:
    """Return the rows least and most toward the ideal; no row is in both."""
    known = [row for row in series.rows if math.isfinite(row["toward_ideal"])]
    ranked = sorted(known, key=lambda row: (row["toward_ideal"], str(row["id"])))
    low = ranked[: min(count, (len(ranked) + 1) // 2)]
    high = ranked[max(len(low), len(ranked) - count) :]
    return low, high[::-1]


def _number(value: Any) -> float:
    """Return a number, also one that came as text; NaN for other text."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def _natural(value: Any) -> list[tuple[int, float, str]]:
    """Order 2 before 10, also inside text."""
    parts = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(parts)]
