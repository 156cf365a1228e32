"""Rows of a CSV table, whichever of comma, semicolon and tab separates its cells."""

import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from membrane_xai.errors import InvalidInputError

__all__ = ["CsvTable", "parse_csv"]

_DELIMITERS = (",", ";", "\t")


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
    body = text.lstrip("\r\n")
    above = text[: len(text) - len(body)].count("\n")
    header = body.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    rows, lines = [], []
    with _long_fields():
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


def _check_columns(columns: tuple[str, ...]) -> None:
    for name in columns:
        if name and columns.count(name) > 1:
            raise InvalidInputError(f"has two columns {name!r}; it takes different names")


def _row(columns: tuple[str, ...], cells: list[str], line: int) -> dict[str, str]:
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
