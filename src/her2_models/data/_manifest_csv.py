"""Read a manifest from a CSV with the columns path and score, and optional ones."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from her2_models.data._manifest import Manifest, Record
from her2_models.data._names import read_score
from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import read_csv

__all__ = ["manifest_from_csv"]

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_REQUIRED = ("path", "score")
_COLUMNS = (*_REQUIRED, "split", "group", "magnification", "mpp", "source", "label_level", "scheme")
# As pandas, Python, databases and spreadsheets write what is missing; "NA" may be initials
_NO_WORD = frozenset({"nan", "NaN", "<NA>", "NaT", "None", "null", "NULL", "N/A", "#N/A"})


def manifest_from_csv(path: str | Path) -> Manifest:
    r"""Read a manifest from a CSV.

    Parameters
    ----------
    path : path
        A file with a header, as :func:`membrane_xai.tables.read_csv` reads it. The columns
        ``path`` and ``score`` ("2", "2+", "2.0", "class_2+", ...) are needed; ``split``, ``group``,
        ``magnification`` ("40", "40x"), ``mpp``, ``source``, ``label_level`` ("slide" or "patch")
        and ``scheme`` may be there, others are passed over. "nan", "<NA>", "None", "null" and
        "N/A" are empty in ``split``, ``group``, ``source``, ``label_level`` and ``scheme``.
        Relative paths start at the folder of the CSV, and may have the backslashes of Windows, or
        capitals that the files do not.

    Returns
    -------
    Manifest
        One record a row. Whether the images are there is for :func:`check` to say.

    Raises
    ------
    InvalidInputError
        A column or a cell is missing, two columns have one name, a cell says nothing sensible, a
        path is one of another system or occurs twice, or there are no rows.

    Examples
    --------
    >>> from her2_models.data import manifest_from_csv
    >>> path = getfixture("tmp_path") / "labels.csv"
    >>> _ = path.write_text("path,score,split\na.png,2+,Validation\n")
    >>> [record] = manifest_from_csv(path).records
    >>> record.score, record.split, record.source, record.path.parent == path.parent
    (2, 'val', 'csv', True)
    >>> _ = path.write_text("path,score\na.png,5+\n")
    >>> manifest_from_csv(path)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...labels.csv, line 2: score is '5+'; it takes ...
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise InvalidInputError(f"{path}: has no rows; it takes one for each image")
    disk = _Disk(path.parent)
    records = [_record(row, f"{path}, line {line}", disk) for line, row in rows]
    schemes = {_word(row, "scheme") for _, row in rows}
    try:
        return Manifest(tuple(records), schemes.pop() if len(schemes) == 1 else None)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    table = read_csv(path)
    names = [name.lower() for name in table.columns]
    if missing := [name for name in _REQUIRED if name not in names]:
        raise InvalidInputError(
            f"{path}: has no column {' and '.join(missing)} but {', '.join(names) or 'none'}; "
            f"it takes a header with path and score"
        )
    for name in _COLUMNS:
        if names.count(name) > 1:
            raise InvalidInputError(f"{path}: has {names.count(name)} columns {name}; it takes one")
    rows = ({key.lower(): cell for key, cell in row.items()} for row in table.rows)
    return list(zip(table.lines, rows, strict=True))


def _record(row: Mapping[str, str], where: str, disk: "_Disk") -> Record:
    name = _cell(row, "path")
    if name is None:
        raise InvalidInputError(f"{where}: path is empty; it takes the path of an image")
    text = _cell(row, "score")
    grade = read_score(text or "")
    if grade is None:
        raise InvalidInputError(f"{where}: score is {text!r}; it takes 0, 1+, 2+ or 3+")
    try:
        return Record(
            disk.path(name),
            grade,
            _split(_word(row, "split")),
            _word(row, "group"),
            _number(row, "magnification", unit="x"),
            _number(row, "mpp"),
            _word(row, "source") or "csv",
            _word(row, "label_level"),
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None


def _cell(row: Mapping[str, str], name: str) -> str | None:
    return row.get(name, "").strip() or None


def _word(row: Mapping[str, str], name: str) -> str | None:
    text = _cell(row, name)
    return None if text is None or text in _NO_WORD else text


class _Disk:
    """The files that a table names, however Windows would have spelled them."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def path(self, text: str) -> Path:
        """Return the path of an image."""
        path = self._base / text
        if os.name == "nt" or path.exists():
            return path
        windows = PureWindowsPath(text)
        if "\\" in text and (windows.drive or windows.root):
            raise InvalidInputError(
                f"path is {text!r}, which is one of Windows; it takes one of this system, or one "
                f"that starts at the folder of the table"
            )
        spelled = windows.as_posix() if "\\" in text else text
        return self._in_any_case(spelled) or self._base / spelled

    def _in_any_case(self, text: str) -> Path | None:
        """Return the one file whose path differs in case alone, if there is one."""
        here = self._base
        for part in PurePosixPath(text).parts:
            found = [part] if (here / part).exists() else self._names_in(here).get(part.lower(), [])
            if len(found) != 1:
                return None
            here /= found[0]
        return here

    def _names_in(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            names = self._listed[folder] = {}
            for one in folder.iterdir() if folder.is_dir() else ():
                names.setdefault(one.name.lower(), []).append(one.name)
        return self._listed[folder]


def _split(text: str | None) -> str | None:
    return None if text is None else _SPLITS.get(text.lower(), text)


def _number(row: Mapping[str, str], name: str, *, unit: str = "") -> float | None:
    text = _cell(row, name)
    if text is None:
        return None
    try:
        # Tables with semicolons have decimal commas; thousands have none to part here
        return float(text.lower().removesuffix(unit).replace(",", ".", 1))
    except ValueError:
        raise InvalidInputError(f"{name} is {text!r}; it takes a positive number") from None
