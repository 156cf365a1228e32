"""Rows of a CSV table, whichever of comma, semicolon and tab separates its cells."""

import csv
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from membrane_xai.errors import InvalidInputError

__all__ = ["CsvTable", "parse_csv"]

_DELIMITERS = (",", ";", "\t")
_SEP = re.compile(r"\"?sep=([,;\t])\"?[,;\t]*\r?\n", re.I)


class CsvTable(NamedTuple):
    """A table with a header, as :func:`membrane_xai.tables.read_csv` returns it."""

    columns: tuple[str, ...]
    """Names in the header, without spaces around them."""
    rows: list[dict[str, str]]
    """Cells by column, as they are written."""
    lines: list[int]
    """Where each row ends in the file, counted from 1."""


def parse_csv(text: str) -> CsvTable:
    """Return the rows of a table; blank ones are passed over."""
    body, stated = _without_sep(text.lstrip("\r\n"))
    above = text[: len(text) - len(body)].count("\n")
    rows, lines = [], []
    with _long_fields():
        reader = _reader(body, stated or _delimiter(body))
        try:
            columns = tuple(name.strip() for name in next(reader, ()))
            _check_columns(columns)
            for cells in reader:
                line = reader.line_num + above
                if "".join(cells).strip():
                    rows.append(_row(columns, cells, line))
                    lines.append(line)
        except csv.Error as error:
            raise InvalidInputError(f"line {reader.line_num + above}: {error}") from None
    return CsvTable(columns, rows, lines)


def _without_sep(body: str) -> tuple[str, str | None]:
    """Return the text without a first line such as ``sep=;``, as Excel has it, and what it says."""
    found = _SEP.match(body)
    return (body[found.end() :], found[1]) if found else (body, None)


def _delimiter(body: str) -> str:
    """Return what separates most cells of the header and, of several, as many of the first row."""

    def cells(delimiter: str) -> tuple[int, bool]:
        rows = _reader(body, delimiter)
        count = -1
        try:
            count = len(next(rows, []))
            return count, len(next(filter(None, rows), [])) == count
        except csv.Error:
            return count, False  # quoted with another one in mind, or broken

    return max(_DELIMITERS, key=cells)


def _reader(body: str, delimiter: str) -> Any:
    # A quote behind a blank would stand for itself; other blanks are part of their cells
    spaced = re.search(f'{delimiter} +"', body) is not None
    text = io.StringIO(body, newline="")
    return csv.reader(text, delimiter=delimiter, skipinitialspace=spaced, strict=True)


def _check_columns(columns: tuple[str, ...]) -> None:
    for name in columns:
        if name and columns.count(name) > 1:
            raise InvalidInputError(f"has two columns {name!r}; it takes different names")


def _row(columns: tuple[str, ...], cells: list[str], line: int) -> dict[str, str]:
    if not "".join(cells[len(columns) :]).strip():
        cells = cells[: len(columns)]  # a delimiter at the end of the row closes its last cell
    if len(cells) != len(columns):
        raise InvalidInputError(
            f"line {line} has {len(cells)} cells; it takes {len(columns)}, one for each column"
        )
    return dict(zip(columns, cells, strict=True))


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB, which a large polygon exceeds."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
