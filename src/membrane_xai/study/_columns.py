"""Columns measured after a study, kept beside its rows."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from membrane_xai._disk.atomic import write_text
from membrane_xai.errors import InvalidInputError
from membrane_xai.study._finished import Rows
from membrane_xai.tables import json_text

__all__ = ["Columns", "read_columns", "with_columns", "write_columns"]

Columns = Mapping[str, Mapping[tuple[str, str, Any], float]]
"""By name, numbers by a row's key, method and class."""

_FILE = "columns.json"
_BEFORE = "mask_share"


def with_columns(rows: Rows, columns: Columns) -> Rows:
    """Return rows with more columns; NaN where a column has no number for a row."""
    if not columns:
        return rows
    taken = [name for name in columns if rows and name in rows[0]]
    if taken:
        raise InvalidInputError(f"columns has {taken[0]!r}, which the table has already")
    return [_with_columns(row, columns) for row in rows]


def write_columns(out: Path, columns: Columns) -> None:
    """Keep columns in the folder of a study, instead of those that were kept before."""
    places = dict.fromkeys(place for values in columns.values() for place in values)
    rows = [
        [*place, *(values.get(place, math.nan) for values in columns.values())] for place in places
    ]
    write_text(out / _FILE, json_text({"names": list(columns), "rows": rows}, indent=None) + "\n")


def read_columns(out: Path) -> dict[str, dict[tuple[str, str, Any], float]]:
    """Return the columns that a folder keeps."""
    if not (out / _FILE).exists():
        return {}
    kept = json.loads((out / _FILE).read_text(encoding="utf-8"))
    return {
        name: {tuple(row[:3]): math.nan if row[i] is None else row[i] for row in kept["rows"]}
        for i, name in enumerate(kept["names"], start=3)
    }


def _with_columns(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    place = (row["key"], row["method"], row["class"])
    found = {name: float(values.get(place, math.nan)) for name, values in columns.items()}
    at = list(row).index(_BEFORE)
    items = list(row.items())
    return {**dict(items[:at]), **found, **dict(items[at:])}
