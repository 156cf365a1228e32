"""Well-known text as Cytomine gives it: one object a line, or a column of a CSV table.

Cytomine counts y upwards from the lower edge of the image.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_xai._disk.csv_rows import parse_csv
from membrane_xai.annotations._annotation import Annotation, check_geometries, named
from membrane_xai.errors import InvalidInputError

__all__ = ["looks_like_wkt", "read_csv", "read_wkt"]

_WKT = re.compile(
    r"\s*(SRID=\d+;)?(MULTI)?(POINT|LINESTRING|POLYGON|LINEARRING|GEOMETRYCOLLECTION)"
    r"\s*Z?M?\s*(\(|EMPTY)",
    re.IGNORECASE,
)
_GEOMETRY_COLUMNS = ("wkt", "location", "geometry")
_CLASS_COLUMNS = ("term", "terms", "classification", "class")


def looks_like_wkt(text: str) -> bool:
    """Tell whether `text` starts with a WKT geometry."""
    return _WKT.match(text) is not None


def read_wkt(text: str, height: float) -> list[Annotation]:
    """Return one annotation for each line that is not blank."""
    lines = [(f"line {i}", line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    geometries = _geometries(lines, height)
    return [Annotation(geometry) for geometry in geometries]


def read_csv(text: str, height: float) -> list[Annotation]:
    """Return one annotation for each row of a table with a header."""
    table = parse_csv(text)
    columns = {name.lower(): name for name in table.columns}
    geometry = _first(columns, _GEOMETRY_COLUMNS)
    if geometry is None:
        raise InvalidInputError(
            f"the table has columns {', '.join(columns)}; one of them must be "
            f"{', '.join(_GEOMETRY_COLUMNS)}"
        )
    rows = table.rows
    names = [named(f"row {i}", row.get(columns.get("id", ""))) for i, row in enumerate(rows, 1)]
    texts = [row[geometry] for row in rows]
    geometries = _geometries(list(zip(names, texts, strict=True)), height)
    return [_annotation(row, columns, x) for row, x in zip(rows, geometries, strict=True)]


def _annotation(row: Mapping[str, str], columns: Mapping[str, str], geometry: Any) -> Annotation:
    term, identifier = _first(columns, _CLASS_COLUMNS), columns.get("id")
    taken = {term, identifier, _first(columns, _GEOMETRY_COLUMNS)}
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


def _geometries(named_texts: list[tuple[str, str]], height: float) -> list[Any]:
    import shapely

    def flip(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.column_stack([points[:, 0], height - points[:, 1]])

    parsed = [_parse(text, name) for name, text in named_texts]
    names = [name for name, _ in named_texts]
    return [shapely.transform(x, flip) for x in check_geometries(parsed, names)]


def _parse(text: str, name: str) -> Any:
    import shapely

    try:
        return shapely.force_2d(shapely.from_wkt(text))
    except shapely.errors.GEOSException as error:
        reason = str(error).strip()
        raise InvalidInputError(f"{name} is not well-known text: {reason}") from None
