"""Links in a data set: they may not lead out of it, nor show an image twice."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from her2_models.data._manifest import Record
from membrane_xai.errors import InvalidInputError

__all__ = ["one_each", "real_paths"]


def real_paths(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return where each file really is; folders are looked up once each."""
    folders: dict[Path, str] = {}
    found = {}
    for path in paths:
        if path.parent not in folders:
            folders[path.parent] = os.path.realpath(path.parent)
        real = Path(folders[path.parent], path.name)
        # Unlike Path.resolve, realpath does not raise where links go round in circles
        found[path] = Path(os.path.realpath(real)) if real.is_symlink() else real
    return found


def one_each(records: Iterable[Record], real: dict[Path, Path], root: Path) -> list[Record]:
    """Return one record for each file, the one without links on its way where there is one.

    A link may say the split that the file's own place does not: links are how splits are made.
    """
    here = os.path.realpath(root)
    by_file: dict[Path, list[Record]] = {}
    for record in records:
        by_file.setdefault(real[record.path], []).append(record)
    found = []
    for file, ways in by_file.items():
        ways.sort(key=lambda record: Path(here, record.path.relative_to(root)) != file)
        found.append(_merged(ways) if len(ways) > 1 else ways[0])
    return found


def _merged(ways: list[Record]) -> Record:
    for name in ("score", "split"):
        said = {value: way for way in ways if (value := getattr(way, name)) is not None}
        if len(said) > 1:
            (one, first), (other, second), *_ = said.items()
            raise InvalidInputError(
                f"{first.path} and {second.path} are one file, by a link, of {name} {one!r} and "
                f"{other!r}; it takes one"
            )
    return replace(
        ways[0],
        split=next((way.split for way in ways if way.split), None),
        group=next((way.group for way in ways if way.group), None),
    )
