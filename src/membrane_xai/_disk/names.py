"""Files below a folder by name, and the keys by which files of one image match."""

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from membrane_xai.errors import InvalidInputError

__all__ = [
    "by_name",
    "files_below",
    "made_folder",
    "named_files",
    "names_below",
    "plain",
    "stem",
    "without_ome",
]

_FOLDERS = (".zarr",)
"""Folders that stand for a file."""
_HIDDEN = (".", "__MACOSX")


def files_below(
    folder: str | Path, suffixes: Collection[str], *, without: Iterable[Path] = ()
) -> list[Path]:
    """Find files of some suffixes in a folder and those below it.

    Parameters
    ----------
    folder : path
        Where to look. Links to folders are followed, unless they lead round in circles. Hidden
        files and folders are passed over, and the ``__MACOSX`` that unpacked archives have.
    suffixes : collection of str
        In lower case, such as :data:`membrane_xai.io.IMAGE_SUFFIXES`; files may have capitals. A
        folder that ends in ``.zarr`` counts as a file.
    without : iterable of Path
        Folders to pass over.

    Returns
    -------
    list of Path
        In order. Links to nothing are among them: whoever opens one says so.
    """
    barred = {one.resolve() for one in without}
    root = Path(folder)
    ways: dict[Path, tuple[Path, ...]] = {
        root: (root.resolve(),)
    }  # through which real folders each was reached
    found: list[Path] = []
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place)
        way = ways.pop(here)
        named = [here / name for name in (*files, *folders) if not name.startswith(_HIDDEN)]
        found += [one for one in named if _suffix(one) in suffixes and _stands_for_a_file(one)]
        inside = [one for one in named if one.name in folders and _suffix(one) not in _FOLDERS]
        ways |= {
            one: (*way, target)
            for one in inside
            if (target := one.resolve()) not in barred
            and not any(above.is_relative_to(target) for above in way)
        }
        folders[:] = sorted(one.name for one in inside if one in ways)
    return sorted(found)


def _check_folder(folder: Path) -> None:
    """Raise if there is no such folder."""
    if not folder.is_dir():
        found = "is a file; it takes a folder" if folder.exists() else "there is no such folder"
        raise InvalidInputError(f"{folder}: {found}")


def made_folder(folder: Path) -> Path:
    """Make a folder to write into, unless it is there; raise for a file."""
    if folder.exists():
        _check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def named_files(
    folder: Path, suffixes: Sequence[str], what: str, *, without: Iterable[Path] = ()
) -> dict[str, Path]:
    """Return files by their names; two of one name raise."""
    return by_name(names_below(folder, suffixes, without=without), what)


def names_below(
    folder: Path, suffixes: Sequence[str], *, without: Iterable[Path] = ()
) -> dict[Path, str]:
    """Return the name of each file: its place below the folder, without suffix.

    A suffix may have two parts, such as ``.json.gz``. `without` are files and folders.
    """
    _check_folder(folder)
    barred = [*without]
    files = {one.resolve() for one in barred if one.is_file()}
    ends = {one[one.rindex(".") :] for one in suffixes}
    return {
        path: plain(path.relative_to(folder).with_name(stem(path.name, suffixes)).as_posix())
        for path in files_below(folder, ends, without=barred)
        if path.name.lower().endswith(tuple(suffixes)) and not (files and path.resolve() in files)
    }


def stem(name: str, suffixes: Sequence[str] = ()) -> str:
    """Return a file's name without its suffix, or the first of `suffixes` it has, and ``.ome``."""
    longer = next((one for one in suffixes if name.lower().endswith(one)), None)
    bare = name[: -len(longer)] if longer else Path(name).stem
    return without_ome(bare)


def without_ome(bare: str) -> str:
    """Return a name without the ``.ome`` of OME-TIFF."""
    return bare[: -len(".ome")] if bare.lower().endswith(".ome") else bare


def plain(text: str) -> str:
    r"""Return text in one Unicode form, as systems write one name in several; all of it printable.

    Bytes that are not UTF-8 come out as ``\xNN``.
    """
    return unicodedata.normalize("NFC", text.encode("utf-8", "backslashreplace").decode())


def by_name(files: Mapping[Path, str], what: str) -> dict[str, Path]:
    """Turn a mapping from files to names around; two files of one name raise."""
    found: dict[str, Path] = {}
    for path, name in files.items():
        if name in found:
            raise InvalidInputError(
                f"{found[name]} and {path} are both {what} {name!r}; it takes one"
            )
        found[name] = path
    return found


def _stands_for_a_file(path: Path) -> bool:
    """Tell files and links to nothing from folders, devices and the like."""
    return path.is_file() or _suffix(path) in _FOLDERS or not path.exists()


def _suffix(path: Path) -> str:
    return path.suffix.lower()
