"""Rows of long work in a file of JSON lines, each appended when it is done."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from membrane_xai.tables import json_text

__all__ = ["KeptRows"]


class KeptRows:
    """Rows by some of their columns; those that are in the file already need not be done again.

    A line that a stop has cut is left out, and the file goes on after the last whole one.
    """

    def __init__(self, path: Path, by: Sequence[str]) -> None:
        self._path, self._by = path, tuple(by)
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.exists():
            text = path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) < len(text):
                with path.open("r+b") as file:
                    file.truncate(len(whole))
            for line in whole.decode().splitlines():
                row = {k: math.nan if v is None else v for k, v in json.loads(line).items()}
                self._rows[self._key(row)] = row

    def get(self, *key: Any) -> dict[str, Any] | None:
        """Return the row of a key, or None."""
        return self._rows.get(key)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows; NaN is null in the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json_text(row, indent=None) + "\n" for row in rows)
        self._rows |= {self._key(row): dict(row) for row in rows}

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self._by)
