"""A folder that keeps the rows of a study batch by batch, so that a stopped one can go on."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from membrane_xai._disk.atomic import write_text
from membrane_xai._disk.manifest import check_manifest, read_manifest
from membrane_xai.tables import json_text

__all__ = ["Parts", "Rows", "keep_only", "read_parts"]

Rows = list[dict[str, Any]]

_WHAT = "rows"
_PARTS = "part-*.jsonl"


class Parts:
    """Rows by image and method, in memory, and in a folder if there is one.

    The folder has a manifest with the settings and how intervals are made, and a file of JSON lines
    for every batch. Each line has the rows of one image by one method, and the hash of what they
    were made from.
    """

    def __init__(
        self,
        out: Path | None,
        settings: Mapping[str, Any],
        numbers: Sequence[str],
        intervals: Mapping[str, Any],
    ) -> None:
        self._out = out
        self._numbers = frozenset(numbers)
        self._found: dict[tuple[str, str], Rows] = {}
        self._count = 0
        if out is not None:
            check_manifest(
                out, settings, what=_WHAT, numbers=sorted(self._numbers), intervals=intervals
            )
            self._found, self._count = _read(out, self._numbers)

    def get(self, key: str, method: str) -> Rows | None:
        """Return the rows of a finished image, or None."""
        return self._found.get((key, method))

    def add(self, batch: Mapping[tuple[str, str], Rows]) -> None:
        """Keep the rows of a batch, whole or not at all."""
        self._found.update(batch)
        if self._out is None or not batch:
            return
        _write(self._out, self._count, batch)
        self._count += 1


def read_parts(out: Path) -> tuple[dict[str, Any], Rows]:
    """Return the settings and all rows of a folder."""
    manifest = read_manifest(out, what=_WHAT)
    found, _ = _read(out, frozenset(manifest["numbers"]))
    settings = manifest["settings"] | manifest.get("intervals", {})
    return settings, [row for rows in found.values() for row in rows]


def keep_only(out: Path, pairs: Collection[tuple[str, str]]) -> set[str]:
    """Leave out rows by input and method that are not among `pairs`; return the inputs without any.

    The rows that stay come into one part before the others go, so that a stop loses none.
    """
    manifest = read_manifest(out, what=_WHAT)
    found, count = _read(out, frozenset(manifest["numbers"]))
    kept = {pair: rows for pair, rows in found.items() if pair in pairs}
    if len(kept) == len(found):
        return set()
    before = sorted(out.glob(_PARTS))
    if kept:
        _write(out, count, kept)
    for path in before:
        path.unlink()
    return {key for key, _ in found} - {key for key, _ in kept}


def _write(out: Path, number: int, batch: Mapping[tuple[str, str], Rows]) -> None:
    lines = [
        json_text({"input": key, "method": method, "rows": rows}, indent=None)
        for (key, method), rows in batch.items()
    ]
    write_text(out / f"part-{number:06d}.jsonl", "\n".join(lines) + "\n")


def _read(out: Path, numbers: frozenset[str]) -> tuple[dict[tuple[str, str], Rows], int]:
    """Return rows by image and method, later parts over earlier ones, and the next part."""
    found: dict[tuple[str, str], Rows] = {}
    count = 0
    for path in sorted(out.glob(_PARTS)):
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
