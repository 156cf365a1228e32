"""Files of outlines and masks of images, by name.

A file is named like its image, or as ``membrane-xai mask`` names what it writes of it. Outlines
that are named like a slide are those of all its tiles.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from membrane_xai._disk.mask_results import MARK, RECORD, TABLE
from membrane_xai._disk.names import by_name, names_below, plain, without_ome
from membrane_xai.annotations._reading import images_of_table
from membrane_xai.annotations._tiles import bare_name

__all__ = ["FilesOfImages", "files_of_images"]

_MADE_FIRST = (".png", ".tif", ".geojson")
"""Forms of one mask, of which the first is taken."""
_WHAT = "annotations of the name"


class FilesOfImages(NamedTuple):
    """Files by image, and what is of none."""

    files: dict[str, Path]
    left: list[str]
    """Names of files without an image."""


def files_of_images(
    folder: Path,
    names: Collection[str],
    suffixes: Sequence[str],
    *,
    pictures: Sequence[str] = (),
    without: Iterable[Path] = (),
) -> FilesOfImages:
    """Find the file of each image: outlines first, then a picture, then what ``mask`` writes.

    In place of a folder there may be one table for all images.
    Two files of one name and kind raise. Pictures without an image are listed only where another
    image has a picture for its mask: else they are there for something else.
    """
    wanted = {name: plain(without_ome(name)) for name in names}
    keys = {*wanted.values()}
    if folder.is_file():
        of_table = images_of_table(folder)
        files = {name: folder for name, key in wanted.items() if key in of_table}
        return FilesOfImages(files, [name for name in of_table if name not in keys])
    named = names_below(folder, (*suffixes, *pictures), without=without)
    there = _by_kind(named, suffixes, keys)
    slides = {bare_name(name) for name in keys}
    by_outlines = by_name(_of(there.outlines, keys | slides), _WHAT)
    by_picture = by_name(_of(there.pictures, keys), _WHAT)
    found = _of_one_each(there.made) | by_picture | by_outlines
    found |= {
        name: by_outlines[slide] for name in keys if (slide := _slide(name, found, by_outlines))
    }
    files = {name: found[key] for name, key in wanted.items() if key in found}
    return FilesOfImages(files, _left(there, {*files.values()}, keys))


class _Kinds(NamedTuple):
    """Names of files by what they are."""

    outlines: dict[Path, str]
    pictures: dict[Path, str]
    made: dict[Path, str]
    """By ``mask``: the names of their images."""


def _by_kind(files: dict[Path, str], suffixes: Sequence[str], keys: Collection[str]) -> _Kinds:
    """Tell outlines, pictures and what was made by ``mask`` apart."""
    kinds = _Kinds({}, {}, {})
    for path, name in files.items():
        base, lower = name.removesuffix(MARK), path.name.lower()
        if name in keys or base == name:
            kind = kinds.outlines if lower.endswith(tuple(suffixes)) else kinds.pictures
            kind[path] = name
        elif not lower.endswith(RECORD):
            kinds.made[path] = base
    return kinds


def _left(there: _Kinds, taken: Collection[Path], keys: Collection[str]) -> list[str]:
    """Return the names of files without an image, each once."""
    ours = there.outlines | there.made
    if any(path in there.pictures for path in taken):
        ours |= there.pictures
    table = TABLE if there.made else None
    return list(
        dict.fromkeys(
            name
            for path, name in ours.items()
            if path not in taken and name not in keys and path.name != table
        )
    )


def _of(files: dict[Path, str], names: Collection[str]) -> dict[Path, str]:
    return {path: name for path, name in files.items() if name in names}


def _slide(name: str, found: Collection[str], outlines: Collection[str]) -> str | None:
    """Return the name of the slide of a tile without a file, if there are outlines of it."""
    slide = bare_name(name)
    return slide if name not in found and slide in outlines else None


def _of_one_each(made: dict[Path, str]) -> dict[str, Path]:
    """Return one of the forms of each mask that was made."""
    order = {suffix: i for i, suffix in enumerate(_MADE_FIRST)}
    first = sorted(made, key=lambda path: -order.get(path.suffix.lower(), len(order)))
    return {made[path]: path for path in first}
