"""Which rows of a table are of which image."""

import re
from pathlib import PurePosixPath
from typing import Any

from membrane_xai._disk.csv_rows import CsvTable
from membrane_xai._disk.names import plain
from membrane_xai._disk.suffixes import IMAGE_SUFFIXES, SLIDE_SUFFIXES
from membrane_xai.errors import InvalidInputError

__all__ = ["EVERY", "image_names", "of_image"]

_NAMES = ("imagefilename", "imagename", "imagefile", "image", "slidename", "slide")
_IDS = ("imageid", "imageinstance", "slideid")
_SUFFIXES = (".ome.tif", ".ome.tiff", *IMAGE_SUFFIXES, *SLIDE_SUFFIXES, ".vsi")
"""Of images and slides, also of those that are not read here, which a name may have or not."""
_SHOWN = 5
_ABSOLUTE = re.compile(r"\s*(/|[A-Za-z]:|\\)")

EVERY = object()
"""In place of an image: the rows of all."""


def image_names(table: CsvTable) -> list[str]:
    """Return what a table calls its images, without suffix: names, or else ids."""
    columns = _columns(table)
    cells = [row[columns[0]] for row in table.rows] if columns else []
    names = [_last(cell) if _ABSOLUTE.match(cell) else _bare(cell) for cell in cells]
    return list(dict.fromkeys(name for name in names if name))


def of_image(table: CsvTable, image: Any, *, strict: bool) -> list[int]:
    """Return the indices of the rows of an image, of all of them where the table has one image.

    With `strict`, that one image must be `image` if it is given.
    """
    every = list(range(len(table.rows)))
    columns = _columns(table)
    keys = [tuple(row[name].strip() for name in columns) for row in table.rows]
    images = list(dict.fromkeys(keys))
    if not columns or not table.rows or image is EVERY:
        return every
    if image is None and len(images) > 1:
        raise InvalidInputError(
            f"the table has rows of {len(images)} images ({_some(images)}), and each image has "
            f"its own height; image= takes the name or id of one"
        )
    if image is None or (len(images) == 1 and not strict):
        return every
    wanted = _bare(str(image))
    found = [key for key in images if wanted in map(_bare, key)]
    found = found or [key for key in images if wanted in map(_last, key)]
    if len(found) != 1:
        problem = f"which is the name of {_some(found)}" if found else "of which there is no row"
        raise InvalidInputError(f"image is {image!r}, {problem}; the table has {_some(images)}")
    return [i for i, key in enumerate(keys) if key == found[0]]


def _columns(table: CsvTable) -> list[str]:
    """Return the columns that say the image, names before ids."""
    by_key = {name.lower().replace(" ", "").replace("_", ""): name for name in table.columns}
    return [by_key[key] for key in (*_NAMES, *_IDS) if key in by_key]


def _last(cell: str) -> str:
    """Return a name without the folders before it, whichever system wrote them."""
    return PurePosixPath(_bare(cell).replace("\\", "/")).name


def _bare(name: str) -> str:
    """Return a name without the suffix of an image, and an id without the .0 of pandas."""
    bare = plain(name.strip())
    suffix = next((one for one in _SUFFIXES if bare.lower().endswith(one)), "")
    bare = bare[: len(bare) - len(suffix)]
    return bare[:-2] if bare.endswith(".0") and bare[:-2].isdecimal() else bare


def _some(images: list[tuple[str, ...]]) -> str:
    more = f" and {len(images) - _SHOWN} more" if len(images) > _SHOWN else ""
    return ", ".join(repr(" ".join(one)) for one in images[:_SHOWN]) + more
