"""Match CAMs, outlines and rows of a table to images by name; list what is left over.

The name of an image is its path below the folder of images, without suffix, with ``/`` between
folders. A CAM lies at the same place below its own folder, or below a folder for its method.
"""

import filecmp
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from membrane_xai._commands.audit.groups import GroupTable
from membrane_xai._disk.mask_results import MARK
from membrane_xai._disk.names import by_name, named_files, names_below, plain
from membrane_xai.annotations import OUTLINE_SUFFIXES
from membrane_xai.annotations._files import files_of_images
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import CAM_SUFFIXES, IMAGE_SUFFIXES, MASK_SUFFIXES

__all__ = ["Matched", "Matches", "Unmatched", "match"]

_PICTURES = (".png", ".tif", ".tiff")
_SHOWN = 3


class Matched(NamedTuple):
    """An image with all that belongs to it."""

    name: str
    image: Path
    cams: Mapping[str, Path | None]
    """By method."""
    outlines: Path | None
    row: Mapping[str, str | None]


class Unmatched(NamedTuple):
    """Something that has no counterpart."""

    what: str
    name: str


@dataclass(frozen=True)
class Matches:
    """Images with their CAMs, outlines and rows, and what is left over."""

    methods: tuple[str, ...]
    images: list[Matched]
    unmatched: list[Unmatched]


def match(
    images: Path,
    cams: Path,
    *,
    method: str | None = None,
    annotations: Path | None = None,
    table: GroupTable | None = None,
    without: Collection[Path] = (),
) -> Matches:
    """Match files by name; what is ambiguous raises, what is left over is listed.

    Files in the folders `without` are not looked at, nor CAMs and outlines taken for images.
    """
    drawn = [annotations] if annotations else []
    found = _images(images, _others(images, [cams, *drawn, *without]))
    suffixes = CAM_SUFFIXES
    if cams.resolve() == images.resolve():  # where pictures are the images
        suffixes = tuple(one for one in suffixes if one not in _PICTURES)
    others = _others(cams, [images, *drawn, *without])
    by_method, left_cams = _cams(cams, suffixes, found, method, others)
    rows = {} if table is None else _rows_of(table, found, images)
    taken = [*found.values(), *(path for files in by_method.values() for path in files.values())]
    outlines, more = _outlines(annotations, found, [images, cams, *without], taken)
    outlines = {one: path for one, path in outlines.items() if not _is_copy(path, found[one])}
    unmatched = [Unmatched("CAM without an image", one) for one in left_cams]
    unmatched += [Unmatched("annotations without an image", one) for one in more]
    unmatched += [
        Unmatched("row of the table without an image", name) for name in rows if name not in found
    ]
    matched = []
    for name, path in found.items():
        own = {one: files.get(name) for one, files in by_method.items()}
        row = rows.get(name) if table else {}
        missing = _missing(own, annotations and outlines.get(name), annotations, row)
        unmatched += [Unmatched(what, name) for what in missing]
        if any(own.values()) and (annotations is None or name in outlines):
            matched.append(Matched(name, path, own, outlines.get(name), row or {}))
    if not matched:
        raise InvalidInputError(_nothing(images, cams, annotations, list(found), unmatched))
    return Matches(tuple(by_method), matched, unmatched)


def _images(folder: Path, without: Collection[Path]) -> dict[str, Path]:
    """Return images by name, without what ``membrane-xai mask`` has written beside them."""
    files = names_below(folder, IMAGE_SUFFIXES, without=without)
    names = {*files.values()}
    made = {name for name in names if name.endswith(MARK) and name.removesuffix(MARK) in names}
    images = {path: name for path, name in files.items() if name not in made}
    return by_name(images, "images of the name")


def _others(folder: Path, folders: Collection[Path]) -> list[Path]:
    return [one for one in folders if one.resolve() != folder.resolve()]


def _cams(
    folder: Path,
    suffixes: Sequence[str],
    images: Collection[str],
    method: str | None,
    without: Collection[Path],
) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Return CAMs by method and image, and the names of those that belong to none."""
    files = named_files(folder, suffixes, "CAMs of the name", without=without)
    whole = {name: path for name, path in files.items() if name in images}
    split = {name: path for name, path in files.items() if name.partition("/")[2] in images}
    _check_one_reading(whole, split)
    found: dict[str, dict[str, Path]] = {}
    if len(whole) >= len(split):
        chosen = whole
        found[method or plain(folder.resolve().name)] = whole
    else:
        chosen = split
        for name, path in split.items():
            first, _, rest = name.partition("/")
            found.setdefault(first, {})[rest] = path
    return found, [name for name in files if name not in chosen]


def _check_one_reading(whole: Mapping[str, Path], split: Mapping[str, Path]) -> None:
    """Raise unless all CAMs can be read in one way: by their whole path, or below a method's."""
    if whole and split and not (whole.keys() < split.keys() or split.keys() < whole.keys()):
        one, other = next(iter(whole.values())), next(iter(split.values()))
        name = next(iter(split))
        raise InvalidInputError(
            f"{one} is the CAM of an image of its whole name, but {other} may be that of "
            f"{name.partition('/')[2]!r} by a method {name.partition('/')[0]!r}; put the CAMs of "
            f"each method into a folder of its own"
        )


def _rows_of(
    table: GroupTable, images: Mapping[str, Path], folder: Path
) -> dict[str, Mapping[str, str | None]]:
    """Return the rows of a table by name of the image.

    It may have its suffix there, and the backslashes of Windows.
    """
    known = {plain(path.relative_to(folder).as_posix()): name for name, path in images.items()}
    known |= {name: name for name in images}
    found: dict[str, Mapping[str, str | None]] = {}
    for given, row in table.rows.items():
        spellings = (given, given.replace("\\", "/"))
        name = next((known[one] for one in spellings if one in known), given)
        if name in found:
            raise InvalidInputError(f"the table has two rows of the image {name!r}")
        found[name] = row
    return found


def _outlines(
    folder: Path | None,
    images: Collection[str],
    without: Collection[Path],
    taken: Collection[Path],
) -> tuple[dict[str, Path], list[str]]:
    """Return outlines or masks by image, and the names of those that belong to none.

    What is `taken`, an image or a CAM, is no mask.
    """
    if folder is None:
        return {}, []
    return files_of_images(
        folder,
        images,
        OUTLINE_SUFFIXES,
        pictures=MASK_SUFFIXES,
        without=[*_others(folder, without), *taken],
    )


def _is_copy(path: Path, image: Path) -> bool:
    """Tell a copy of the image from its mask."""
    alike = path.suffix.lower() == image.suffix.lower()
    return alike and path.exists() and image.exists() and filecmp.cmp(path, image, shallow=False)


def _missing(
    cams: Mapping[str, Path | None],
    outlines: Path | None,
    annotations: Path | None,
    row: Mapping[str, str | None] | None,
) -> list[str]:
    missing = []
    if not any(cams.values()):
        missing.append("image without a CAM")
    else:
        missing += [f"image without a CAM of {name}" for name, path in cams.items() if not path]
    if annotations is not None and outlines is None:
        missing.append("image without annotations")
    if row is None:
        missing.append("image without a row in the table")
    return missing


def _nothing(
    images: Path,
    cams: Path,
    annotations: Path | None,
    names: Sequence[str],
    unmatched: Sequence[Unmatched],
) -> str:
    """Say that nothing matches, with what there is."""
    left_cams = [one.name for one in unmatched if one.what == "CAM without an image"]
    without_cam = [one for one in unmatched if one.what == "image without a CAM"]
    if annotations is not None and len(without_cam) < len(names):
        left = [one.name for one in unmatched if one.what == "annotations without an image"]
        return (
            f"{annotations}: no file of outlines or of a mask is named like an image with a CAM; "
            f"images are {_some(names)}, files without one are {_some(left)}; a file is "
            f"NAME.geojson, or ends in {', '.join((*OUTLINE_SUFFIXES[1:], *MASK_SUFFIXES))}"
        )
    return (
        f"{cams}: no CAM is named like an image in {images}; images are "
        f"{_some(names)}, CAMs without one are {_some(left_cams)}; a CAM is METHOD/NAME.npy or "
        f"NAME.npy, or ends in {', '.join(CAM_SUFFIXES[1:])}"
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return (", ".join(map(repr, names[:_SHOWN])) or "none") + (
        f" and {more} more" if more > 0 else ""
    )
