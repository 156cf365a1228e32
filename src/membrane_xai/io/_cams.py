"""``read_cam``: the CAM of a file, whatever tool has written it."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import is_count
from membrane_xai.errors import InvalidInputError
from membrane_xai.io._cam_formats import READERS

__all__ = ["CAM_SUFFIXES", "MAX_VALUES", "read_cam"]

CAM_SUFFIXES = tuple(READERS)
"""Suffixes of CAM files; capitals are the same."""

MAX_VALUES = 2**26
"""Values of the largest CAM that :func:`read_cam` decodes by default: 8192 x 8192."""


def read_cam(path: str | Path, *, max_values: int = MAX_VALUES) -> NDArray[Any]:
    """Read the CAM of one image from a file.

    Parameters
    ----------
    path : path
        The end of its name tells the format:

        - ``.npy``, ``.npz`` (its only array, or the one called "cam"), ``.zarr`` (a folder, chosen
          likewise if it is a group): values as they are stored.
        - ``.png``, ``.tif``, ``.tiff``: grey, of one page. 8 and 16 bits become shares of the
          largest value that they can hold, 255 and 65535; floats of a TIFF stay as they are.

    max_values : int
        Largest number of values, checked before they are decoded.

    Returns
    -------
    ndarray of float32 or float64, shape (h, w)
        On whatever grid the file has. Axes of length 1 before the two, as of batch and channel, and
        one after them, are left out. NaN stays: a score tells of it by its status.

    Raises
    ------
    InvalidInputError
        Another suffix, a file that is truncated or damaged, several maps, complex numbers or
        objects (pickled data is never read), a Zarr codec that is not among the plain ones, too
        many values, a picture in colour: the colours of a heat map are not its values.
    MissingDependencyError
        ``.zarr`` without zarr, TIFF compression that needs imagecodecs.

    Notes
    -----
    Chunks that a Zarr array lacks have its fill value, as Zarr means it: leaving out chunks that
    are all zero is how it saves space, so lost ones cannot be told from them.

    Examples
    --------
    >>> import numpy as np
    >>> import PIL.Image
    >>> from membrane_xai.io import read_cam
    >>> folder = getfixture("tmp_path")
    >>> np.save(folder / "a.npy", np.array([[[0.0, 3.0], [1.0, 2.0]]]))  # one image of a batch
    >>> read_cam(folder / "a.npy")
    array([[0., 3.],
           [1., 2.]])
    >>> PIL.Image.fromarray(np.array([[0, 51, 255]], np.uint8)).save(folder / "a.png")
    >>> read_cam(folder / "a.png")
    array([[0. , 0.2, 1. ]])
    >>> PIL.Image.new("RGB", (3, 2), (255, 0, 0)).save(folder / "heat.png")
    >>> read_cam(folder / "heat.png")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...heat.png: has colour mode 'RGB'; a picture of a heat
    map is not a CAM; save the array
    """
    if not is_count(max_values) or max_values < 1:
        raise InvalidInputError(f"max_values is {max_values!r}; it takes a positive integer")
    return decode_cam(Path(path), None, max_values)


def decode_cam(path: Path, data: bytes | None, max_values: int = MAX_VALUES) -> NDArray[Any]:
    """Return the map of a file from its bytes, if they were read already, else from the file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInputError(
            f"{path}: ends in {path.suffix!r}; a CAM file ends in {', '.join(CAM_SUFFIXES)}"
        )

    def check(shape: Sequence[int], dtype: Any) -> None:
        _check_shape(path, shape, max_values)
        _check_dtype(path, dtype)

    values = reader(path, path if data is None else BytesIO(data), check)
    return _as_floats(values.reshape(_sides(values.shape)))


def _check_shape(path: Path, shape: Sequence[int], max_values: int) -> None:
    if math.prod(shape) > max_values:
        raise InvalidInputError(
            f"{path}: has shape {tuple(shape)}, more values than max_values={max_values}"
        )
    if len(_sides(shape)) != 2 or 0 in shape:
        raise InvalidInputError(
            f"{path}: has shape {tuple(shape)}; it takes one map (h, w), not empty, with axes of "
            f"length 1 before it or one after it"
        )


def _check_dtype(path: Path, dtype: Any) -> None:
    if np.dtype(dtype).kind not in "biuf":
        raise InvalidInputError(
            f"{path}: has values of {dtype}; it takes real numbers, and no pickled objects"
        )


def _sides(shape: Sequence[int]) -> tuple[int, ...]:
    """Leave out leading axes of length 1, then a last one, as long as more than two are left."""
    sides = tuple(shape)
    while len(sides) > 2 and sides[0] == 1:
        sides = sides[1:]
    return sides[:2] if len(sides) == 3 and sides[2] == 1 else sides


def _as_floats(values: NDArray[Any]) -> NDArray[Any]:
    """Return float32 where that holds every value of the dtype that was stored, else float64."""
    exact = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    return np.ascontiguousarray(values, np.float32 if exact else np.float64)
