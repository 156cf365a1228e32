"""Write rows as CSV, Markdown, and JSON with provenance; read CSV."""

import csv
import hashlib
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._disk.atomic import write_text
from membrane_xai._disk.contents import HEAD, any_kind, as_text
from membrane_xai._disk.csv_rows import CsvTable, parse_csv
from membrane_xai._disk.naming import naming
from membrane_xai.errors import InvalidInputError

__all__ = [
    "CsvTable",
    "array_hash",
    "cells_text",
    "interval_text",
    "json_text",
    "null_text",
    "p_text",
    "provenance",
    "read_csv",
    "score_text",
    "specificity_text",
    "write_csv",
    "write_json",
    "write_markdown",
]

Row = Mapping[str, Any]


def read_csv(path: str | Path) -> CsvTable:
    r"""Read a table whose cells are separated by ``,``, ``;`` or tab.

    Parameters
    ----------
    path : path
        A file of UTF-8, or of UTF-16 with its mark, with a header, which tells what separates the
        cells, as does a line ``sep=;`` above it. Rows without any text are passed over.

    Returns
    -------
    CsvTable
        Names of the columns, cells by column, and the line of each row.

    Raises
    ------
    InvalidInputError
        Not text in UTF-8 or UTF-16, two columns of one name, or a row with more or fewer cells
        than the header.

    Examples
    --------
    >>> from membrane_xai.tables import read_csv
    >>> path = getfixture("tmp_path") / "groups.csv"
    >>> _ = path.write_text("name;group\none;A\ntwo;\n")
    >>> read_csv(path).rows
    [{'name': 'one', 'group': 'A'}, {'name': 'two', 'group': ''}]
    >>> _ = path.write_text("name,group\none,A,B\n")
    >>> read_csv(path)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...groups.csv: line 2 has 3 cells; it takes 2, ...
    """
    path = Path(path)
    try:
        with naming(path):
            return parse_csv(_text_of(path))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path}: is not UTF-8 text: {error.reason}; save it as UTF-8"
        ) from None


def _text_of(path: Path) -> str:
    if path.is_dir():
        raise InvalidInputError("is a folder; it takes a CSV")
    data = path.read_bytes()
    kind = any_kind(data[:HEAD])
    if kind not in (None, "empty", "text", "text in UTF-16"):
        sheet = " (a spreadsheet is one)" if kind == "a zip archive" else ""
        raise InvalidInputError(f"is {kind}{sheet}; it takes a CSV")
    return as_text(data)


def write_csv(path: str | Path, rows: Sequence[Row]) -> Path:
    """Write rows as CSV: one column per key, undefined scores as empty cells.

    Parameters
    ----------
    path : path
        Where to; its folder is made, and a file there is replaced whole or not at all.
    rows : sequence of mapping
        At least one, all with the same keys.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidInputError
        No rows, or rows of different keys.

    Examples
    --------
    >>> from membrane_xai.tables import write_csv
    >>> path = write_csv(getfixture("tmp_path") / "scores.csv", [{"map": 0.5, "ec": float("nan")}])
    >>> print(path.read_text())
    map,ec
    0.5,
    """
    names = _common_keys(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: "" if _is_nan(row[name]) else row[name] for name in names} for row in rows
    )
    write_text(Path(path), text.getvalue())
    return Path(path)


def write_json(path: str | Path, rows: Sequence[Row], provenance: Mapping[str, Any]) -> Path:
    """Write rows and what they were made from as JSON; undefined scores are null.

    Parameters
    ----------
    path : path
        Where to; its folder is made, and a file there is replaced whole or not at all.
    rows : sequence of mapping
        At least one, all with the same keys.
    provenance : mapping
        As :func:`provenance` returns it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidInputError
        No rows, or rows of different keys.

    Examples
    --------
    >>> from membrane_xai.tables import write_json
    >>> path = write_json(getfixture("tmp_path") / "scores.json", [{"map": float("nan")}], {})
    >>> print(path.read_text())
    {
      "provenance": {},
      "rows": [
        {
          "map": null
        }
      ]
    }
    """
    _common_keys(rows)
    write_text(Path(path), json_text({"provenance": provenance, "rows": rows}) + "\n")
    return Path(path)


def json_text(document: Any, *, indent: int | None = 2) -> str:
    """Write a document as JSON, in which undefined and infinite numbers are null.

    Parameters
    ----------
    document : mapping, list or plain value
        Arrays and tuples become lists.
    indent : int, optional
        None for a single line.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import json_text
    >>> json_text({"map": float("nan"), "grid": (7, 7)}, indent=None)
    '{"map": null, "grid": [7, 7]}'
    """
    return json.dumps(_json_value(document), indent=indent, allow_nan=False)


def interval_text(value: float, low: float, high: float, note: str = "") -> str:
    """Show a number with its interval, to three decimals.

    Parameters
    ----------
    value, low, high : float
        NaN where undefined.
    note : str
        What is to be known of the interval, as in :class:`membrane_xai.statistics.Summary`: it
        stands in the place of one that is withheld, or behind it.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import interval_text
    >>> interval_text(0.25, 0.1, 0.375), interval_text(float("nan"), float("nan"), float("nan"))
    ('0.250 [0.100, 0.375]', 'undefined')

    A mean over one patient has no interval, and over five a rough one:

    >>> interval_text(0.25, float("nan"), float("nan"), "few_groups")
    '0.250 [few_groups]'
    >>> interval_text(0.25, 0.1, 0.375, "small_sample")
    '0.250 [0.100, 0.375] small_sample'
    """
    if math.isnan(value):
        return "undefined"
    if math.isnan(low) or math.isnan(high):
        return f"{value:z.3f} [{note or 'undefined'}]"
    return f"{value:z.3f} [{low:z.3f}, {high:z.3f}]" + (f" {note}" if note else "")


def score_text(row: Row, name: str) -> str:
    """Show a score of a summary with its interval, as :func:`interval_text` does.

    Parameters
    ----------
    row : mapping
        As :meth:`membrane_xai.StudyResult.summary` gives them.
    name : str
        Of the score.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import score_text
    >>> row = {"map": 0.25, "map_low": 0.1, "map_high": 0.375, "map_n": 20, "map_note": ""}
    >>> score_text(row, "map")
    '0.250 [0.100, 0.375]'
    """
    return interval_text(*(row[f"{name}{end}"] for end in ("", "_low", "_high", "_note")))


def cells_text(row: Row) -> str:
    """Say how large the cells of maps are, and where they lie: what MAP can tell depends on it.

    Parameters
    ----------
    row : mapping
        With `grid`, `cam_grid` and `cell_um`, of a study or of its summary.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import cells_text
    >>> cells_text({"grid": "7x7", "cam_grid": "", "cell_um": 36.57})
    '7x7 cells of 37 um'
    >>> cells_text({"grid": "7x7", "cam_grid": "32,0,224", "cell_um": 36.57})
    '7x7 cells of 37 um, 0.48 of a cell up and left of half-pixel centres'

    An input of 32 k + 1 pixels makes such a grid symmetric; the pixel size may not be known:

    >>> cells_text({"grid": "8x8", "cam_grid": "32,0,225", "cell_um": float("nan")})
    '8x8 cells of unknown size, symmetric, beginning on the border'
    >>> cells_text({"grid": "several", "cam_grid": "", "cell_um": 20.0})
    'cells of several grids'
    """
    if "several" in (row["grid"], row["cam_grid"]):
        return "cells of several grids"
    if not row["grid"]:
        return "no map"
    side = row["cell_um"]
    size = "unknown size" if side is None or math.isnan(side) else f"{side:.{_digits(side)}f} um"
    text = f"{row['grid']} cells of {size}"
    if not row["cam_grid"]:
        return text
    return f"{text}, {_place(CamGrid.from_text(row['cam_grid']), row['grid'])}"


def _digits(value: float) -> int:
    """Return decimals that leave two figures at least."""
    return 0 if value >= 9.5 else 1


def _place(grid: CamGrid, cells: str) -> str:
    """Say how far the middle of the cells is from the middle of the image, in cells."""
    off = [
        (first + step * (int(count) - 1) / 2 - (side - 1) / 2) / step
        for first, step, side, count in zip(
            grid.offset, grid.spacing, grid.size, cells.split("x"), strict=True
        )
    ]
    down, right = (round(x, 2) for x in off)
    if not down and not right:
        return "symmetric, beginning on the border"
    words = "down" if down > 0 else "up", "right" if right > 0 else "left"
    if abs(down) == abs(right):
        return f"{abs(down):.2f} of a cell {' and '.join(words)} of half-pixel centres"
    return (
        f"{abs(down):.2f} of a cell {words[0]} and {abs(right):.2f} {words[1]} of half-pixel "
        f"centres"
    )


def specificity_text(row: Row, control: str) -> str:
    """Show the specificity against a control mask, of how many maps, and how many cannot tell.

    Parameters
    ----------
    row : mapping
        As :meth:`membrane_xai.StudyResult.summary` gives them, of a study with `controls`.
    control : str
        Such as "inside".

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import specificity_text
    >>> row = {"specificity_inside": 0.25, "specificity_inside_low": 0.1, "specificity_inside_n": 9}
    >>> row |= {"specificity_inside_high": 0.375, "specificity_inside_note": ""}
    >>> specificity_text({**row, "specificity_inside_cannot_tell": 0}, "inside")
    '0.250 [0.100, 0.375] of 9'
    >>> specificity_text({**row, "specificity_inside_cannot_tell": 3}, "inside")
    '0.250 [0.100, 0.375] of 9, 3 cannot tell'

    Where no map has one, their grids cannot tell, or there is no control or no membrane:

    >>> none = {**row, "specificity_inside_n": 0}
    >>> specificity_text({**none, "specificity_inside_cannot_tell": 3}, "inside")
    'cannot tell'
    >>> specificity_text({**none, "specificity_inside_cannot_tell": 0}, "inside")
    'undefined'
    """
    name = f"specificity_{control}"
    count, untold = row[f"{name}_n"], row[f"{name}_cannot_tell"]
    if not count:
        return "cannot tell" if untold else "undefined"
    return f"{score_text(row, name)} of {count}" + (f", {untold} cannot tell" if untold else "")


def null_text(row: Row) -> str:
    """Show the p-value of a summary, of how many maps, and by which null.

    Parameters
    ----------
    row : mapping
        As :meth:`membrane_xai.StudyResult.summary` gives them after a chance test.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import null_text
    >>> row = {"p_value": 0.0312, "p_value_n": 24, "p_value_null": "permutation"}
    >>> null_text({**row, "p_value_note": ""})
    '0.031 of 24 by permutation'
    >>> null_text({**row, "p_value": float("nan"), "p_value_note": "few_groups"})
    'undefined of 24 by permutation few_groups'
    """
    shown = f"{p_text(row['p_value'])} of {row['p_value_n']} by {row['p_value_null']}"
    return f"{shown} {row['p_value_note']}".rstrip()


def p_text(value: float) -> str:
    """Show a p-value, to three decimals.

    Parameters
    ----------
    value : float
        NaN where undefined.

    Returns
    -------
    str

    Examples
    --------
    >>> from membrane_xai.tables import p_text
    >>> p_text(0.0312), p_text(0.0004), p_text(float("nan"))
    ('0.031', '< 0.001', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def write_markdown(path: str | Path, tables: Mapping[str, Sequence[Row]]) -> Path:
    r"""Write tables as Markdown, each under its heading; undefined scores as empty cells.

    Parameters
    ----------
    path : path
        Where to; its folder is made, and a file there is replaced whole or not at all.
    tables : mapping of str to sequence of mapping
        Rows by heading; at least one row each, all rows of a table with the same keys.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidInputError
        A table has no rows, or rows of different keys.

    Examples
    --------
    >>> from membrane_xai.tables import write_markdown
    >>> rows = [{"view": "a|b", "map": 0.5}, {"view": "c", "map": float("nan")}]
    >>> path = write_markdown(getfixture("tmp_path") / "scores.md", {"Scores": rows})
    >>> print(path.read_text())
    ## Scores
    <BLANKLINE>
    | view | map |
    | --- | --- |
    | a\|b | 0.5 |
    | c |  |
    """
    parts = [f"## {heading}\n\n{_markdown_table(rows)}" for heading, rows in tables.items()]
    write_text(Path(path), "\n".join(parts))
    return Path(path)


def provenance(
    parameters: Mapping[str, Any], *, packages: Sequence[str] = (), inputs: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Describe how numbers came about: parameters, versions, and hashes of the inputs.

    Parameters
    ----------
    parameters : mapping
        Everything that was chosen.
    packages : sequence of str
        Distributions whose versions matter, beside membrane-xai, NumPy and SciPy; those that are
        not installed are null.
    inputs : mapping of str to array
        Arrays to identify by :func:`array_hash`.

    Returns
    -------
    dict
        Plain values, ready for :func:`write_json`.

    Examples
    --------
    >>> from membrane_xai.tables import provenance
    >>> record = provenance({"mpp": 0.5}, packages=["no-such-package"])
    >>> record["parameters"], record["versions"]["no-such-package"]
    ({'mpp': 0.5}, None)
    """
    names = ("membrane-xai", "numpy", "scipy", *packages)
    return {
        "parameters": dict(parameters),
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in names}},
        "platform": platform.platform(),
        "inputs": {name: array_hash(array) for name, array in inputs.items()},
    }


def array_hash(array: Any) -> str:
    """Return the SHA-256 of an array's shape, dtype and values, whatever its memory order.

    Parameters
    ----------
    array : array
        Anything NumPy can read.

    Returns
    -------
    str
        ``"sha256:"`` and 64 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.tables import array_hash
    >>> image = np.arange(6).reshape(2, 3)
    >>> array_hash(image) == array_hash(np.asfortranarray(image))
    True
    >>> array_hash(image) == array_hash(image.astype(float))
    False
    """
    values = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{values.shape} {values.dtype.str} ".encode())
    digest.update(values.data)
    return f"sha256:{digest.hexdigest()}"


def _markdown_table(rows: Sequence[Row]) -> str:
    names = _common_keys(rows)
    cells = [names, ["---"] * len(names)]
    cells += [["" if _is_nan(row[name]) else str(row[name]) for name in names] for row in rows]
    lines = ("| " + " | ".join(map(_markdown_cell, line)) + " |\n" for line in cells)
    return "".join(lines)


def _markdown_cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").splitlines())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _common_keys(rows: Sequence[Row]) -> list[str]:
    if not rows:
        raise InvalidInputError("rows is empty; it takes at least one row")
    names = list(rows[0])
    for i, row in enumerate(rows):
        if list(row) != names:
            raise InvalidInputError(f"rows[{i}] has keys {list(row)}; the first row has {names}")
    return names


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _json_value(value: Any) -> Any:
    """Replace what JSON has no word for: NaN and infinity by null, arrays and tuples by lists."""
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _json_value(value.tolist())
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
