"""The finished rows of a study in a folder, so that a stopped one can go on."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from membrane_xai.errors import InvalidInputError
from membrane_xai.results import KeptRows, check_same, check_settings, read_settings

__all__ = ["ON_GRID", "Finished", "Rows", "prune_rows", "read_finished"]

Rows = list[dict[str, Any]]

ON_GRID = "on_grid"
"""Of a new row, what the test of a set against chance needs of it; kept beside the rows."""
_WHAT = "rows"
_FILE = "rows.jsonl"
_KEY = ("input", "method")
_OF_A_STUDY = (_FILE, "columns.json", "ec_zero.json", "manifest.json")


class Finished:
    """Rows by image and method, in memory, and in a folder if there is one.

    The folder has a manifest with the settings and how intervals are made, and a file of JSON
    lines. Each line has the rows of one image by one method, and the hash of what they were made
    from.
    """

    def __init__(
        self,
        out: Path | None,
        settings: Mapping[str, Any],
        numbers: Sequence[str],
        intervals: Mapping[str, Any],
        grids: Mapping[str, str | None],
    ) -> None:
        if out is not None:
            _free(out, settings, numbers)
            more = {
                "numbers": sorted(numbers),
                "intervals": intervals,
                "grids": _with_those_before(out, settings, grids),
            }
            check_settings(out, settings, what=_WHAT, more=more)
        self._kept = _kept(out, numbers)
        self._out, self._settings = out, json.loads(json.dumps(settings))

    def get(self, key: str, method: str) -> Rows | None:
        """Return the rows of a finished image, or None."""
        found = self._kept.get(key, method)
        return None if found is None else found["rows"]

    def add(self, batch: Mapping[tuple[str, str], Rows]) -> None:
        """Keep the rows of a batch, unless a study of other settings has taken the folder since."""
        if self._out is not None:
            before = read_settings(self._out, what=_WHAT)["settings"]
            check_same(before, self._settings, what=_WHAT, where=self._out / "manifest.json")
        self._kept.add(
            [
                {
                    "input": key,
                    "method": method,
                    ON_GRID: [row.pop(ON_GRID, None) for row in rows],
                    "rows": rows,
                }
                for (key, method), rows in batch.items()
            ]
        )

    def on_grid(self) -> dict[tuple[str, str, Any], str]:
        """Return what the test of a set against chance needs, by a row's key, method and class."""
        return _on_grid(self._kept)


def read_finished(out: Path) -> tuple[dict[str, Any], Rows, dict[tuple[str, str, Any], str]]:
    """Return the settings of a folder, all its rows, and what tests of sets need of them."""
    manifest = read_settings(out, what=_WHAT)
    settings = manifest["settings"] | manifest.get("intervals", {})
    settings |= {"grids": manifest["grids"]} if "grids" in manifest else {}
    kept = _kept(out, manifest["numbers"])
    return settings, [row for one in kept for row in one["rows"]], _on_grid(kept)


def prune_rows(out: Path, pairs: Collection[tuple[str, str]]) -> set[str]:
    """Leave out rows by input and method that are not among `pairs`; return the inputs without any.

    A stop loses none of the rows that stay.
    """
    kept = _kept(out, read_settings(out, what=_WHAT)["numbers"])
    before = {one["input"] for one in kept}
    kept.keep_only(pairs)
    return before - {one["input"] for one in kept}


def _free(out: Path, settings: Mapping[str, Any], numbers: Collection[str]) -> None:
    """Remove what a study of other settings has left that scored nothing, such as of a wrong path.

    A damaged manifest is left to those that read it.
    """
    try:
        before = read_settings(out, what=_WHAT)["settings"]
    except InvalidInputError:
        return
    if before == json.loads(json.dumps(settings)):
        return
    if all(row["status"] == "error" for one in _kept(out, numbers) for row in one["rows"]):
        for name in _OF_A_STUDY:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "views", ignore_errors=True)


def _with_those_before(
    out: Path, settings: Mapping[str, Any], grids: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the grids of all methods of a folder; raise where one has rows of another grid.

    They are told apart by method, for a study may get more methods.
    """
    try:
        manifest = read_settings(out, what=_WHAT)
    except InvalidInputError:
        return dict(grids)  # a new folder, or one that the check of its settings refuses
    before: dict[str, str | None] = manifest.get("grids", {})
    if manifest["settings"] == json.loads(json.dumps(settings)):
        both = [name for name in grids if name in before]
        check_same(
            {"grid": {name: before[name] or "half-pixel" for name in both}},
            {"grid": {name: grids[name] or "half-pixel" for name in both}},
            what=_WHAT,
            where=out / "manifest.json",
        )
    return {**before, **grids}


def _on_grid(kept: KeptRows) -> dict[tuple[str, str, Any], str]:
    return {
        (row["key"], row["method"], row["class"]): text
        for one in kept
        for row, text in zip(one["rows"], one.get(ON_GRID, ()), strict=False)
        if text is not None
    }


def _kept(out: Path | None, numbers: Collection[str]) -> KeptRows:
    return KeptRows(None if out is None else out / _FILE, by=_KEY, numbers=numbers)
