"""A folder with one file for every part that is scored: written whole, read in order."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._disk.atomic import atomic_path
from membrane_xai.labelled._layout import Part
from membrane_xai.labelled._part import bad_samples

__all__ = ["PartFiles"]

_FOLDER = "parts"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class PartFiles:
    """Results by part."""

    def __init__(self, out: Path) -> None:
        self._folder = out / _FOLDER

    def write(self, part: Part, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep the result of a part, whole or not at all."""
        with atomic_path(self._path(part)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def read(self, part: Part) -> dict[str, NDArray[Any]] | None:
        """Return the result of a part; None if it is not there or damaged."""
        try:
            with np.load(self._path(part), allow_pickle=False) as file:
                return dict(file)
        except _DAMAGED:
            return None

    def is_done(self, part: Part) -> bool:
        """Tell whether a part is there and all its samples could be read as numbers.

        A part with NaN in it is not done: it may have been repaired since.
        """
        try:
            with np.load(self._path(part), allow_pickle=False) as file:
                status = file["status"]
        except _DAMAGED:
            return False
        return len(status) == part.stop - part.start and not bad_samples({"status": status}).size

    def results(self, parts: list[Part]) -> Iterator[tuple[Part, dict[str, NDArray[Any]]]]:
        """Give the parts that are there, in order."""
        for part in parts:
            found = self.read(part)
            if found is not None:
                yield part, found

    def _path(self, part: Part) -> Path:
        return self._folder / f"part-{part.number:07d}.npz"
