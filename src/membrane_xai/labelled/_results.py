"""One .npz file for every scored part of a store: written whole, read in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from membrane_xai.labelled._layout import Part
from membrane_xai.labelled._part import bad_samples
from membrane_xai.results import read_arrays, write_arrays

__all__ = ["PartFiles"]

_FOLDER = "parts"


class PartFiles:
    """Results by part."""

    def __init__(self, out: Path) -> None:
        self._folder = out / _FOLDER

    def write(self, part: Part, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep the result of a part, whole or not at all."""
        write_arrays(self._path(part), arrays)

    def read(self, part: Part) -> dict[str, NDArray[Any]] | None:
        """Return the result of a part; None if it is not there or damaged."""
        return read_arrays(self._path(part))

    def is_done(self, part: Part) -> bool:
        """Tell whether a part is there and all its samples could be read as numbers.

        A part with NaN in it is not done: it may have been repaired since.
        """
        found = read_arrays(self._path(part), ["status"])
        if found is None or len(found["status"]) != part.stop - part.start:
            return False
        return not bad_samples(found).size

    def results(self, parts: list[Part]) -> Iterator[tuple[Part, dict[str, NDArray[Any]]]]:
        """Give the parts that are there, in order."""
        for part in parts:
            found = self.read(part)
            if found is not None:
                yield part, found

    def _path(self, part: Part) -> Path:
        return self._folder / f"part-{part.number:07d}.npz"
