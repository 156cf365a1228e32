"""A folder that keeps the rows of a study batch by batch, so that a stopped one can go on."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from membrane_xai._files import write_text
from membrane_xai._manifest import check_manifest, read_manifest

__all__ = ["Parts", "Rows", "read_parts"]

Rows = list[dict[str, Any]]

_WHAT = "rows"


class Parts:
    """Rows by image and method, in memory, and in a folder if there is one.

    The folder has a manifest with the settings, and a file of JSON lines for every batch. Each line
    has the rows of one image by one method, and the hash of what they were made from.
    """

    def __init__(
        self, out: Path | None, settings: Mapping[str, Any], numbers: Sequence[str]
    ) -> None:
        self._out = out
        self._numbers = frozenset(numbers)
        self._found: dict[tuple[str, str], Rows] = {}
        self._count = 0
        if out is not None:
            check_manifest(out, settings, what=_WHAT, numbers=sorted(self._numbers))
            self._found, self._count = _read(out, self._numbers)

    def get(self, key: str, method: str) -> Rows | None:
        """Return the rows of a finished image, or None."""
        return self._found.get((key, method))

    def add(self, batch: Mapping[tuple[str, str], Rows]) -> None:
        """Keep the rows of a batch, whole or not at all."""
        self._found.update(batch)
        if self._out is None or not batch:
            return
        lines = [
            json.dumps({"input": key, "method": method, "rows": [_without_nan(r) for r in rows]})
            for (key, method), rows in batch.items()
        ]
        write_text(self._out / f"part-{self._count:06d}.jsonl", "\n".join(lines) + "\n")
        self._count += 1


def read_parts(out: Path) -> tuple[dict[str, Any], Rows]:
    """Return the settings and all rows of a folder."""
    manifest = read_manifest(out, what=_WHAT)
    found, _ = _read(out, frozenset(manifest["numbers"]))
    return manifest["settings"], [row for rows in found.values() for row in rows]


def _read(out: Path, numbers: frozenset[str]) -> tuple[dict[tuple[str, str], Rows], int]:
    """Return rows by image and method, later parts over earlier ones, and the next part."""
    found: dict[tuple[str, str], Rows] = {}
    count = 0
    for path in sorted(out.glob("part-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            part = json.loads(line)
            rows = [_with_nan(row, numbers) for row in part["rows"]]
            found[part["input"], part["method"]] = rows
        count = int(path.stem.removeprefix("part-")) + 1
    return found, count


def _with_nan(row: Mapping[str, Any], numbers: frozenset[str]) -> dict[str, Any]:
    return {
        name: math.nan if value is None and name in numbers else value
        for name, value in row.items()
    }


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can write it: undefined numbers are null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
