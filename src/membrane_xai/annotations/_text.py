"""Read what a file of annotations holds, and tell GeoJSON, XML, WKT and CSV apart."""

import gzip
import json
import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from membrane_xai._disk.contents import HEAD, as_text, content_kind
from membrane_xai.annotations._wkt import looks_like_wkt
from membrane_xai.errors import InvalidInputError

__all__ = ["FORMATS", "Content", "content_of", "format_of", "parse_json", "text_of"]

FORMATS = "GeoJSON (also in a zip), XML of ImageScope, HALO or ASAP, WKT, or CSV with a column WKT"
_OUTLINES = (".geojson", ".json")
_OFFICE = "[Content_Types].xml"


class Content(NamedTuple):
    """The bytes of a file, unpacked, or of a text."""

    data: bytes
    path: Path | None
    """None for text that was given."""

    @property
    def name(self) -> str:
        """What a message calls it."""
        return "the text" if self.path is None else str(self.path)

    @property
    def prefix(self) -> str:
        """What stands before a message about an object in it."""
        return "" if self.path is None else f"{self.path}: "


def content_of(source: str | os.PathLike[str], max_bytes: int) -> Content:
    """Return what a file holds, or `source` itself where it is no path."""
    if isinstance(source, str) and _is_text(source):
        content = Content(source.encode(), None)
    else:
        path = Path(source)
        if path.is_dir():
            raise InvalidInputError(f"{path} is a folder; it takes a file of annotations")
        content = Content(_unpacked(path, max_bytes), path)
    if len(content.data) > max_bytes:
        raise InvalidInputError(f"the annotations have more than max_bytes, {max_bytes} bytes")
    kind = content_kind(content.data[:HEAD])
    if not content.data or content.data.isspace():
        raise _empty(content)
    if kind is not None and kind != "empty":
        raise InvalidInputError(f"{content.name} is {kind}; outlines are read from {FORMATS}")
    return content


def _empty(content: Content) -> InvalidInputError:
    return InvalidInputError(f"{content.name} is empty; it takes {FORMATS}")


def _is_text(source: str) -> bool:
    known = format_of(source.encode("utf-8", "surrogateescape")) != "csv"
    return known or len(source.strip().splitlines()) != 1


def text_of(content: Content) -> str:
    """Return the text, which is UTF-8, or UTF-16 as Windows writes it."""
    data = content.data
    try:
        text = as_text(data)
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{content.name} is not UTF-8 text: {error.reason}; save it as UTF-8"
        ) from None
    if not text or text.isspace():
        raise _empty(content)
    if "\0" in text:
        raise InvalidInputError(f"{content.name} is not text: it has zero bytes")
    return text


def _unpacked(path: Path, max_bytes: int) -> bytes:
    """Return what a file holds, of which one byte more than allowed is read at most."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        if head.startswith(b"PK\x03\x04"):
            return _from_zip(path, max_bytes)
        if not head.startswith(b"\x1f\x8b"):
            return file.read(max_bytes + 1)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return unzipped.read(max_bytes + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInputError(f"{path} is damaged gzip: {error}") from None


def _from_zip(path: Path, max_bytes: int) -> bytes:
    """Return the GeoJSON of a zip, as QuPath writes it: one file, whose size is checked first."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = _outlines_in(archive, path)
            if member.file_size > max_bytes:
                raise InvalidInputError(
                    f"{path} holds {member.filename!r} of {member.file_size} bytes, more than "
                    f"max_bytes, {max_bytes}"
                )
            with archive.open(member) as file:
                return file.read(max_bytes + 1)
    except InvalidInputError:
        raise
    except RuntimeError as error:  # encrypted, or a method that is not there
        raise InvalidInputError(f"{path} cannot be unpacked: {error}; unzip it") from None
    except Exception as error:  # zipfile raises whatever it comes across
        raise InvalidInputError(f"{path} is a damaged zip: {error}") from error


def _outlines_in(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir() and not _hidden(one.filename)]
    found = [one for one in members if one.filename.lower().endswith(_OUTLINES)]
    names = _some([one.filename for one in found or members])
    if len(found) > 1:
        raise InvalidInputError(f"{path} holds {len(found)} files of GeoJSON: {names}; unzip it")
    if any(one.filename == _OFFICE for one in members):
        raise InvalidInputError(f"{path} is a file of an office suite; save a table as CSV")
    if not found:
        raise InvalidInputError(
            f"{path} holds no .geojson, but {names or 'nothing'}; QuPath writes one into it by "
            f"File > Export objects as GeoJSON"
        )
    return found[0]


def _hidden(name: str) -> bool:
    parts = [one for one in PurePosixPath(name).parts if one != ".."]
    return any(one.startswith((".", "__MACOSX")) for one in parts)


def _some(names: list[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"


def format_of(data: bytes) -> str:
    """Return "geojson", "xml" or "wkt" by how the data begin, else "csv"."""
    start = data[:HEAD]
    text = start.decode(json.detect_encoding(start), "ignore").lstrip("\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        return "geojson"
    if text[:1] == "<":
        return "xml"
    return "wkt" if looks_like_wkt(text) else "csv"


def parse_json(text: str) -> Any:
    """Parse JSON, or raise saying what is wrong."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        hint = ""
        if error.msg == "Extra data":
            hint = "; they go on after the end of a document: it takes one"
        elif error.pos >= len(text.rstrip()):
            hint = "; they end too early, the file may be cut off"
        raise InvalidInputError(f"the annotations are not JSON: {error}{hint}") from None
    except RecursionError:
        raise InvalidInputError("the annotations are not GeoJSON: nested too deeply") from None
