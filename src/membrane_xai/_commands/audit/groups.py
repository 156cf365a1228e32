"""The table that says what each image of an audit belongs to."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from membrane_xai._disk.names import plain
from membrane_xai.errors import InvalidInputError
from membrane_xai.study._rows import COLUMNS

__all__ = ["GroupTable", "read_groups"]

_NAME = "name"
_TAKEN = frozenset(COLUMNS) - {"group", "class"}


@dataclass(frozen=True)
class GroupTable:
    """Rows by name of the image."""

    columns: tuple[str, ...]
    """Without that of the names."""
    rows: Mapping[str, Mapping[str, str | None]]


def read_groups(path: Path) -> GroupTable:
    """Read a CSV with the column ``name`` and others, separated by ``,``, ``;`` or tab."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: is not UTF-8 text: {error.reason}") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(first), strict=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    _check_columns(path, columns)
    reader.fieldnames = columns
    found: dict[str, dict[str, str | None]] = {}
    lines: dict[str, int] = {}
    try:
        for row in reader:
            name = _checked_name(path, reader.line_num, row)
            if name in found:
                raise InvalidInputError(
                    f"{path}: lines {lines[name]} and {reader.line_num} are both of {name!r}"
                )
            lines[name] = reader.line_num
            found[name] = {key: row[key].strip() or None for key in columns if key != _NAME}
    except csv.Error as error:
        raise InvalidInputError(f"{path}: line {reader.line_num}: {error}") from None
    return GroupTable(tuple(name for name in columns if name != _NAME), found)


def _delimiter(header: str) -> str:
    return max((",", ";", "\t"), key=header.count)


def _check_columns(path: Path, columns: list[str]) -> None:
    if _NAME not in columns or len(columns) < 2:
        raise InvalidInputError(
            f"{path}: has columns {columns}; it takes {_NAME!r} and others, such as 'group'"
        )
    for name in columns:
        if not name or columns.count(name) > 1:
            raise InvalidInputError(f"{path}: has columns {columns}; it takes different names")
        if name in _TAKEN or name.startswith("ec "):
            raise InvalidInputError(f"{path}: has a column {name!r}, as the results have already")


def _checked_name(path: Path, line: int, row: Mapping[str | None, object]) -> str:
    """Return the name in a row; raise unless the row has a cell for each column."""
    name = row[_NAME]
    if None in row or None in row.values() or not isinstance(name, str) or not name.strip():
        raise InvalidInputError(
            f"{path}: line {line} has no name, or not as many cells as there are columns"
        )
    return plain(name.strip())
