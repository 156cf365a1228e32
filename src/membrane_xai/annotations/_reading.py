"""From a file, a text or parsed GeoJSON to annotations."""

import os
from pathlib import Path
from typing import Any

from membrane_xai._backend.checks import is_real
from membrane_xai.annotations import _geojson, _wkt
from membrane_xai.annotations._annotation import Annotation, Remarks
from membrane_xai.annotations._drawings import read_drawings
from membrane_xai.annotations._images import EVERY, image_names
from membrane_xai.annotations._text import Content, content_of, format_of, parse_json, text_of
from membrane_xai.errors import InvalidInputError

__all__ = ["MAX_BYTES", "images_of_table", "read", "read_every_image"]

MAX_BYTES = 512 * 2**20
"""Bounds what a small archive can unpack to; set by hand."""


def read(
    source: Any,
    *,
    format: str = "auto",  # noqa: A002
    height: float | None = None,
    max_bytes: int = MAX_BYTES,
    image: Any = None,
    strict: bool = False,
    stacklevel: int = 1,
    remarks: Remarks | None = None,
) -> list[Annotation]:
    """Do what :func:`membrane_xai.read_annotations` does with all but shapely geometries.

    Without `strict`, a table of one image is taken whole whatever `image` is: a file that is
    named like its image may call it otherwise. `remarks` are there to be looked at afterwards.
    """
    remarks = Remarks() if remarks is None else remarks
    if not isinstance(source, str | os.PathLike):
        found = _geojson.read_features(source, remarks)
        remarks.tell(stacklevel=stacklevel + 1)
        return found
    content = content_of(source, max_bytes)
    kind = format_of(content.data) if format == "auto" else format
    try:
        if kind == "geojson":
            found = _geojson.read_features(parse_json(text_of(content)), remarks)
        elif kind == "xml":
            found = read_drawings(content.data, remarks)
        elif kind == "wkt":
            found = _wkt.read_wkt(text_of(content), _checked(height, kind), remarks)
        else:
            table = _wkt.read_table(text_of(content), content.name)
            found = _wkt.read_csv(table, _checked(height, kind), remarks, image, strict=strict)
        remarks.tell(content.prefix, stacklevel=stacklevel + 1)
    except InvalidInputError as error:
        if content.name in str(error):
            raise
        raise InvalidInputError(f"{content.prefix}{error}") from None
    return found


def read_every_image(path: Path, height: float) -> list[Annotation]:
    """Return the annotations of all images in a file, as if each were of that height."""
    return read(path, height=height, image=EVERY)


def images_of_table(path: Path) -> list[str]:
    """Return the names of the images, or their ids, that a CSV has outlines of."""
    content = content_of(path, MAX_BYTES)
    names = [] if format_of(content.data) != "csv" else _names(content)
    if not names:
        raise InvalidInputError(
            f"{path} is a file; outlines of several images are a folder of files named like the "
            f"images, or a CSV with a column WKT and a column Image"
        )
    return names


def _names(content: Content) -> list[str]:
    return image_names(_wkt.read_table(text_of(content), content.name))


def _checked(height: float | None, kind: str) -> float:
    if height is None or not is_real(height) or height <= 0:
        raise InvalidInputError(
            f"height is {height!r}; {kind.upper()} counts y from the lower edge of the image and "
            f"takes the height of the image in pixels"
        )
    return float(height)
