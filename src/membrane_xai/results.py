"""A folder that keeps finished work, so that what was stopped goes on where it was.

Settings in a manifest, so that no run mixes its results with those of others; finished rows as JSON
lines; arrays, and any other file, written whole or not at all.
"""

import json
import math
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.atomic import atomic_path, write_text
from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import json_text

__all__ = [
    "KeptRows",
    "atomic_path",
    "check_same",
    "check_settings",
    "read_arrays",
    "read_settings",
    "write_arrays",
]

_MANIFEST = "manifest.json"
_SHOWN = 3
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def check_settings(
    out: str | Path,
    settings: Mapping[str, Any],
    *,
    what: str = "results",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write the settings of a new folder, or raise unless those that are there are the same.

    Parameters
    ----------
    out : path
        The folder; it is made. The settings go into its ``manifest.json``.
    settings : mapping
        All that results depend on, in values that JSON has.
    what : str
        What the folder keeps, for messages.
    more : mapping, optional
        What may differ from run to run; that of the last one is kept beside the settings.

    Raises
    ------
    InvalidInputError
        The folder has other settings, or a damaged manifest.

    Examples
    --------
    >>> from membrane_xai.results import check_settings, read_settings
    >>> out = getfixture("tmp_path") / "run"
    >>> check_settings(out, {"similarity": "pearson", "network": {"seed": 1}})
    >>> check_settings(out, {"similarity": "pearson", "network": {"seed": 1}})
    >>> read_settings(out)["settings"]["network"]
    {'seed': 1}
    >>> check_settings(out, {"similarity": "pearson", "network": {"seed": 2}})
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: out has results of other settings: there network.seed is
    1, now 2; take another folder, or the settings in ...manifest.json
    """
    path = Path(out) / _MANIFEST
    plain, extra = json.loads(json.dumps([settings, more or {}]))
    before = read_settings(out, what=what) if path.exists() else None
    if before is not None:
        check_same(before["settings"], plain, what=what, where=path)
    manifest = {**(before or {}), "settings": plain, **extra}
    if manifest != before:
        write_text(path, json.dumps(manifest, indent=2) + "\n")


def read_settings(out: str | Path, *, what: str = "results") -> dict[str, Any]:
    """Read what :func:`check_settings` wrote.

    Parameters
    ----------
    out : path
        The folder.
    what : str
        What it keeps, for messages.

    Returns
    -------
    dict
        `settings`, and what else was given as `more`.

    Raises
    ------
    InvalidInputError
        There is no manifest, or a damaged one.
    """
    try:
        manifest = json.loads((Path(out) / _MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest.get("settings"), dict):
            raise ValueError("it has no settings")
    except OSError as error:
        raise InvalidInputError(f"out is {str(out)!r}; no {what} have been kept there") from error
    except ValueError as error:
        raise InvalidInputError(
            f"out is {str(out)!r}; its {_MANIFEST} is damaged: {error}"
        ) from error
    return manifest


def check_same(
    there: Mapping[str, Any], now: Mapping[str, Any], *, what: str, where: str | Path
) -> None:
    """Raise unless two settings are the same, and say in what they differ.

    Parameters
    ----------
    there, now : mapping
        Settings of before and of now, perhaps with mappings in them.
    what : str
        What is kept.
    where : path
        The file that says the settings of before.

    Raises
    ------
    InvalidInputError
        They differ; names the first three of those that do.
    """
    before, after = dict(_flat(there)), dict(_flat(now))
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if changed:
        said = ", ".join(
            f"there {name} is {before.get(name)!r}, now {after.get(name)!r}"
            for name in changed[:_SHOWN]
        )
        raise InvalidInputError(
            f"out has {what} of other settings: {said}; take another folder, or the settings in "
            f"{where}"
        )


def _flat(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


class KeptRows:
    """Rows by some of their columns, in memory and in a file of JSON lines.

    A row is in the file as soon as it is added. After a stop, or a kill in the middle of a line,
    the file is good up to its last whole line, and goes on from there.

    Parameters
    ----------
    path : path, optional
        The file, one row a line, of which later ones go before earlier ones of the same key.
        Without it rows are in memory alone.
    by : sequence of str
        The columns that are the key.
    numbers : collection of str, optional
        Columns in which ``null``, as the file has it, is NaN, also of rows within rows; by default
        all but those of the key.

    Raises
    ------
    InvalidInputError
        A whole line that is no such row.

    Examples
    --------
    >>> from membrane_xai.results import KeptRows
    >>> path = getfixture("tmp_path") / "rows.jsonl"
    >>> kept = KeptRows(path, by=["image", "method"])
    >>> kept.add([{"image": "a.png", "method": "GradCAM", "ec": 0.5}])
    >>> kept.add([{"image": "b.png", "method": "GradCAM", "ec": float("nan")}])

    A run that was killed leaves half a line:

    >>> with path.open("a") as file:
    ...     _ = file.write('{"image": "c.p')
    >>> again = KeptRows(path, by=["image", "method"])
    >>> again.get("b.png", "GradCAM")
    {'image': 'b.png', 'method': 'GradCAM', 'ec': nan}
    >>> print(again.get("c.png", "GradCAM"), len(list(again)))
    None 2
    """

    def __init__(
        self,
        path: str | Path | None,
        by: Sequence[str],
        *,
        numbers: Collection[str] | None = None,
    ) -> None:
        self._path = None if path is None else Path(path)
        self._by = tuple(by)
        self._numbers = None if numbers is None else frozenset(numbers)
        self._rows: dict[str, dict[str, Any]] = {}
        self._cut: int | None = None  # where a line begins that is not whole
        if self._path is not None and self._path.exists():
            self._read(self._path)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Give all rows, in the order in which their keys came."""
        return iter(self._rows.values())

    def get(self, *key: Any) -> dict[str, Any] | None:
        """Return the row of a key.

        Parameters
        ----------
        *key
            Values of the columns `by`, in their order.

        Returns
        -------
        dict or None
            None if it is not there.
        """
        return self._rows.get(_name(key))

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows; those of a key that is there are replaced.

        Parameters
        ----------
        rows : sequence of mapping
            In values that JSON has; NaN is ``null`` in the file.
        """
        if rows and self._path is not None:
            self._append(self._path, _lines(rows))
        self._rows |= {self._key(row): dict(row) for row in rows}

    def keep_only(self, keys: Iterable[Sequence[Any]]) -> None:
        """Leave out all rows but some.

        Parameters
        ----------
        keys : iterable of sequence
            Of the rows that stay. The file is replaced whole or not at all.
        """
        wanted = {_name(key) for key in keys}
        kept = {name: row for name, row in self._rows.items() if name in wanted}
        if self._path is not None and len(kept) < len(self._rows):
            write_text(self._path, _lines(kept.values()))
            self._cut = None
        self._rows = kept

    def _read(self, path: Path) -> None:
        start = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    self._cut = start  # removed with the next row: who only reads changes nothing
                    return
                try:
                    row = json.loads(line)
                    name = self._key(row)
                    self._rows[name] = self._with_nan(row)
                except (ValueError, TypeError, LookupError) as error:
                    raise InvalidInputError(
                        f"{path}: has a damaged line at byte {start}: {error}"
                    ) from error
                start += len(line)

    def _append(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._cut is not None:
            os.truncate(path, self._cut)
        self._cut = path.stat().st_size if path.exists() else 0
        with path.open("ab") as file:
            file.write(text.encode())
        self._cut = None  # else the disk is full, and there may be half a line

    def _key(self, row: Mapping[str, Any]) -> str:
        return _name([row[name] for name in self._by])

    def _with_nan(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value if name in self._by else _restored(name, value, self._numbers)
            for name, value in row.items()
        }


def write_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write NumPy arrays to one file, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.npz``; its folder is made.
    arrays : mapping of str to ndarray
        By name; no objects.
    compressed : bool
        Whether to take time for a smaller file.
    """
    save = np.savez_compressed if compressed else np.savez
    with atomic_path(Path(path)) as temporary:
        save(temporary, allow_pickle=False, **arrays)


def read_arrays(
    path: str | Path, names: Iterable[str] | None = None
) -> dict[str, NDArray[Any]] | None:
    """Read what :func:`write_arrays` wrote.

    Parameters
    ----------
    path : path
        The file.
    names : iterable of str, optional
        Of the arrays to read; by default all.

    Returns
    -------
    dict of str to ndarray, or None
        None if the file is not there, is damaged or lacks one of `names`: it has to be made.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in (file if names is None else names)}
    except _DAMAGED:
        return None


def _name(key: Sequence[Any]) -> str:
    return json.dumps(list(key), sort_keys=True)


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json_text(row, indent=None) + "\n" for row in rows)


def _restored(name: str, value: Any, numbers: frozenset[str] | None) -> Any:
    if value is None:
        return math.nan if numbers is None or name in numbers else None
    if isinstance(value, dict):
        return {inner: _restored(inner, one, numbers) for inner, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_restored(name, one, numbers) for one in value]
    return value
