"""Read the text of a file of annotations, and tell GeoJSON, WKT and CSV apart."""

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import Any

from membrane_xai.annotations._wkt import looks_like_wkt
from membrane_xai.errors import InvalidInputError

__all__ = ["format_of", "parse_json", "text_of"]


def text_of(source: str | os.PathLike[str], max_bytes: int) -> str:
    """Return the text of a file, or `source` itself where it is no path."""
    if isinstance(source, str) and (format_of(source) != "csv" or "\n" in source.strip()):
        data = source.encode()
    else:
        data = _file(Path(source), max_bytes + 1)
    if len(data) > max_bytes:
        raise InvalidInputError(f"the annotations have more than max_bytes, {max_bytes} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{source!s} is not UTF-8 text: {error.reason}") from None


def _file(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return file.read(limit)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return unzipped.read(limit)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInputError(f"{path} is damaged gzip: {error}") from None


def format_of(text: str) -> str:
    """Return "geojson" or "wkt" by how the text starts, else "csv"."""
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        return "geojson"
    return "wkt" if looks_like_wkt(text) else "csv"


def parse_json(text: str) -> Any:
    """Parse JSON, or raise saying what is wrong."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"the annotations are not JSON: {error}") from None
    except RecursionError:
        raise InvalidInputError("the annotations are not GeoJSON: nested too deeply") from None
