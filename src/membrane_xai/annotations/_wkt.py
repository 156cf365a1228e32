"""Well-known text as Cytomine gives it: one object a line, or a column of a CSV table.

Cytomine counts y upwards from the lower edge of the image.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_xai._disk.csv_rows import CsvTable, parse_csv
from membrane_xai.annotations._annotation import (
    Annotation,
    NothingThereError,
    Remarks,
    check_geometries,
    named,
)
from membrane_xai.annotations._images import of_image
from membrane_xai.errors import InvalidInputError

__all__ = ["looks_like_wkt", "read_csv", "read_table", "read_wkt"]

_WKT = re.compile(
    r"\s*(SRID=-?\d+\s*;\s*)?(MULTI)?(POINT|LINESTRING|POLYGON|LINEARRING|GEOMETRYCOLLECTION)"
    r"\s*Z?M?\s*(\(|EMPTY)",
    re.IGNORECASE,
)
_SRID = re.compile(r"^\s*SRID=-?\d+\s*;", re.IGNORECASE)
_SEPARATOR = re.compile('"?sep=', re.IGNORECASE)
"""Of a line by which Excel says what separates the cells."""
_NUMBERS = re.compile(r"[-+.\deE,\s]*")
_DELIMITERS = (",", ";", "\t")
_SHOWN, _LONGEST = 40, 200  # characters of a text, and of a header, in a message
_GEOMETRIES = ("wkt", "location", "geometry")
_CLASS_COLUMNS = ("term", "terms", "classification", "class")


def looks_like_wkt(text: str) -> bool:
    """Tell whether `text` starts with a WKT geometry."""
    return _WKT.match(text) is not None


def read_wkt(text: str, height: float, remarks: Remarks) -> list[Annotation]:
    """Return one annotation for each line that is not blank."""
    lines = [(f"line {i}", line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    geometries = _geometries(lines, height, remarks)
    return [Annotation(geometry) for geometry in geometries if geometry is not None]


def read_table(text: str, name: str) -> CsvTable:
    """Return a table that has a column of geometries, or raise saying what the text is."""
    lines = (line for line in text.splitlines() if line.strip() and not _SEPARATOR.match(line))
    header = next(lines, "")
    if not any(one in header for one in _DELIMITERS) and header.strip().lower() not in _GEOMETRIES:
        raise InvalidInputError(
            f"{name} is no GeoJSON, XML, WKT or table with a column WKT; it begins with "
            f"{header.strip()[:_SHOWN]!r}"
        )
    columns = [one.strip(' "') for one in re.split("[,;\t]", header)]
    if not {one.lower() for one in columns} & set(_GEOMETRIES):
        shown = f"{', '.join(columns)[:_LONGEST]}"
        measured = {"Object ID", "Object type", "ROI"} & set(columns)
        hint = "; QuPath's measurements have no outlines: export GeoJSON" if measured else ""
        raise InvalidInputError(
            f"the table has columns {shown}; one of them must be {', '.join(_GEOMETRIES)}{hint}"
        )
    return parse_csv(text)


def read_csv(
    table: CsvTable, height: float, remarks: Remarks, image: Any, *, strict: bool
) -> list[Annotation]:
    """Return one annotation for each row of a table, of those of one image where there are several.

    With `strict`, a table of one image is refused that is not `image`.
    """
    columns = {name.lower(): name for name in table.columns}
    geometry = _first(columns, _GEOMETRIES)
    chosen = of_image(table, image, strict=strict)
    rows = [table.rows[i] for i in chosen]
    identifier = columns.get("id", "")
    named_texts = [
        (named(f"row {i + 1}", row.get(identifier)), row[geometry or ""])
        for i, row in zip(chosen, rows, strict=True)
    ]
    geometries = _geometries(named_texts, height, remarks)
    return [
        _annotation(row, columns, x)
        for row, x in zip(rows, geometries, strict=True)
        if x is not None
    ]


def _annotation(row: Mapping[str, str], columns: Mapping[str, str], geometry: Any) -> Annotation:
    term, identifier = _first(columns, _CLASS_COLUMNS), columns.get("id")
    taken = {term, identifier, _first(columns, _GEOMETRIES)}
    return Annotation(
        geometry,
        classification=None if term is None else _term(row[term]),
        properties={key: value for key, value in row.items() if key not in taken},
        id=None if identifier is None else row[identifier],
    )


def _term(value: str) -> str | None:
    """Return a term without the brackets of the list that Cytomine's client prints."""
    names = [name.strip(" '\"") for name in value.strip(" []").split(",")]
    return None if value.strip() in ("", "[]", "None") else ", ".join(names)


def _first(columns: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in wanted if name in columns), None)


def _geometries(
    named_texts: list[tuple[str, str]], height: float, remarks: Remarks
) -> list[Any | None]:
    """Return geometries with y down, None for those that cover no point."""
    import shapely

    def flip(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.column_stack([points[:, 0], height - points[:, 1]])

    parsed: list[Any | None] = []
    for name, text in named_texts:
        try:
            parsed.append(_parse(text, name))
        except NothingThereError as error:
            parsed.append(None)
            remarks.left_out.append(str(error))
            remarks.count += 1
    checked = check_geometries(parsed, [name for name, _ in named_texts], remarks)
    return [None if x is None else shapely.transform(x, flip) for x in checked]


def _parse(text: str, name: str) -> Any:
    import shapely

    bare = _SRID.sub("", text)
    if not bare.strip():
        raise NothingThereError(f"{name} has no coordinates")
    try:
        return shapely.force_2d(shapely.from_wkt(bare))
    except shapely.errors.GEOSException as error:
        if looks_like_wkt(text) and _covers_nothing(bare):
            raise NothingThereError(f"{name} has too few points") from None
        reason = str(error).strip()
        raise InvalidInputError(f"{name} is not well-known text: {reason}") from None


def _covers_nothing(text: str) -> bool:
    """Tell whether every list of positions is too short for a line, or a ring of an area."""
    kind = text.upper()
    enough = 3 if "POLYGON" in kind else 2 if "LINE" in kind else 0
    lists = re.findall(r"\(([^()]*)\)", text)
    return bool(lists) and all(
        _NUMBERS.fullmatch(one) and len([x for x in one.split(",") if x.strip()]) < enough
        for one in lists
    )
