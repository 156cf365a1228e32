"""Files in folders, and the names by which those of one image are known to belong together."""

import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from membrane_xai.errors import InvalidInputError

__all__ = ["by_name", "files_below", "plain", "stem"]

_FOLDERS = (".zarr",)
"""Folders that stand for a file."""


def files_below(
    folder: Path, suffixes: Collection[str], *, without: Iterable[Path] = ()
) -> Iterator[Path]:
    """Yield files of some suffixes in a folder and those below it, sorted; links are followed.

    Hidden ones and those in the folders `without` are passed over. A folder that ends in ``.zarr``
    counts as a file.
    """
    barred = {one.resolve() for one in without}
    found: list[Path] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        named = [here / name for name in (*files, *folders) if not name.startswith(".")]
        found += [
            one
            for one in named
            if _suffix(one) in suffixes and (one.is_file() or _suffix(one) in _FOLDERS)
        ]
        folders[:] = _to_enter(here, folders, barred)
    return iter(sorted(found))


def stem(name: str, suffixes: Sequence[str] = ()) -> str:
    """Return a file's name without its suffix, or the first of `suffixes` it has, and ``.ome``."""
    longer = next((one for one in suffixes if name.lower().endswith(one)), None)
    bare = name[: -len(longer)] if longer else Path(name).stem
    return bare[: -len(".ome")] if bare.lower().endswith(".ome") else bare


def plain(text: str) -> str:
    r"""Return text in one Unicode form, as systems write one name in several; all of it printable.

    Bytes that are no UTF-8 come out as ``\xNN``.
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


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _to_enter(here: Path, folders: Sequence[str], barred: Collection[Path]) -> list[str]:
    """Return the folders to go into; a link to a folder above would lead round in circles."""
    now = here.resolve()
    chosen = []
    for name in sorted(folders):
        target = (here / name).resolve()
        enters = not name.startswith(".") and _suffix(here / name) not in _FOLDERS
        if enters and target not in barred and not now.is_relative_to(target):
            chosen.append(name)
    return chosen
