"""Maps of views as plain arrays, and a shelf for them: in memory while they are few, or on disk."""

import io
from collections.abc import Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai.explanation_consistency._explainers import View
from membrane_xai.perturb._perturbation import everywhere

__all__ = ["Shelf", "pack", "unpack"]

_IN_MEMORY = 1 << 26  # bytes; 100 000 maps of 8 x 8 in float64, set by hand


def pack(views: Sequence[View]) -> dict[str, NDArray[Any]]:
    """Return the maps of an image as arrays by name, with the pixels that are valid in each."""
    arrays = {f"map {i}": to_numpy(view.cam) for i, view in enumerate(views)}
    parts = {f"valid {i}": view.valid for i, view in enumerate(views) if not view.valid.all()}
    return arrays | parts


def unpack(arrays: Mapping[str, Any]) -> list[View]:
    """Return the maps of :func:`pack`."""
    views: list[View] = []
    while (cam := arrays.get(f"map {len(views)}")) is not None:
        valid = arrays.get(f"valid {len(views)}")
        grid = int(cam.shape[0]), int(cam.shape[1])
        views.append(View(cam, everywhere(grid) if valid is None else valid))
    return views


class Shelf:
    """Maps of images by a name; what does not fit into memory goes into a temporary file."""

    def __init__(self) -> None:
        self._file: Any = None
        self._ends: dict[Any, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, name: Any) -> bool:
        return name in self._ends

    def add(self, name: Any, views: Sequence[View]) -> None:
        """Keep the maps of an image."""
        if self._file is None:  # a study that is not run has no file to close
            self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        whole = io.BytesIO()
        np.savez(whole, allow_pickle=False, **pack(views))
        start = self._file.seek(0, io.SEEK_END)
        self._file.write(whole.getvalue())
        self._ends[name] = start, self._file.tell()

    def read(self, name: Any) -> list[View]:
        """Return the maps of an image."""
        start, stop = self._ends[name]
        self._file.seek(start)
        with np.load(io.BytesIO(self._file.read(stop - start)), allow_pickle=False) as kept:
            return unpack(kept)
