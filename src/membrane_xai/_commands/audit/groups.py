"""Read the table of labels of an audit, such as group and class of each image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from membrane_xai._disk.names import plain
from membrane_xai.errors import InvalidInputError
from membrane_xai.study._rows import CHANCE_TEST, COLUMNS, CONTROL_COLUMNS
from membrane_xai.tables import CsvTable, read_csv

__all__ = ["GroupTable", "read_groups"]

_NAME = "name"
_UNNAMED = re.compile(r"(?:unnamed: \d+)?", re.I)
_MISSING = frozenset({"", "nan", "NaN", "<NA>", "NaT"})
_TAKEN = frozenset((*COLUMNS, *CHANCE_TEST)) - {"group", "class"}


@dataclass(frozen=True)
class GroupTable:
    """Rows by name of the image."""

    columns: tuple[str, ...]
    """Without that of the names."""
    rows: Mapping[str, Mapping[str, str | None]]


def read_groups(path: Path) -> GroupTable:
    """Read a CSV with the column ``name`` and others, separated by ``,``, ``;`` or tab."""
    table = read_csv(path)
    columns = tuple(name for name in table.columns if not _is_index(table, name))
    _check_columns(path, columns)
    found: dict[str, dict[str, str | None]] = {}
    lines: dict[str, int] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        name = plain(row[_NAME].strip())
        if not name:
            raise InvalidInputError(f"{path}: line {line} has no name")
        if name in found:
            raise InvalidInputError(f"{path}: lines {lines[name]} and {line} are both of {name!r}")
        lines[name] = line
        found[name] = {key: _value(row[key]) for key in columns if key != _NAME}
    return GroupTable(tuple(name for name in columns if name != _NAME), found)


def _is_index(table: CsvTable, name: str) -> bool:
    """Tell the column of row numbers that pandas and R write without a name, or "Unnamed: 0"."""
    if not _UNNAMED.fullmatch(name):
        return False
    numbers = [row[name].strip() for row in table.rows]
    return any(numbers == [str(i) for i in range(n, n + len(numbers))] for n in (0, 1))


def _value(text: str) -> str | None:
    """Return a cell; None where it is empty, or pandas wrote that its value is missing."""
    bare = text.strip()
    return None if bare in _MISSING else bare


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    if _NAME not in columns or len(columns) < 2:
        raise InvalidInputError(
            f"{path}: has columns {list(columns)}; it takes {_NAME!r} and others, such as 'group'"
        )
    for name in columns:
        if not name:
            raise InvalidInputError(f"{path}: has columns {list(columns)}; each takes a name")
        if name in _TAKEN or name.startswith(("ec_", "ec0", *CONTROL_COLUMNS)):
            raise InvalidInputError(f"{path}: has a column {name!r}, as the results have already")
