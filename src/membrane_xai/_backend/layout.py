"""Which axis is which: channels that come last, and maps that do not fit their mask.

An array (A, B, C) is a batch of A maps of B x C. An image with channels, (H, W, 3) or (H, W, 1),
has the same number of axes and would give H scores: it is told by the other arguments.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from membrane_xai.errors import InvalidInputError

__all__ = ["channels_last_hint", "check_cells", "check_dims", "check_layout"]

Shape = tuple[int, ...]

_MOST_CHANNELS = 4
"""RGBA; maps of so few columns are real too, on small grids."""
_STRETCH = math.log(2)
"""Cells of maps are about square on their image. Those that differ by less than a factor of 2 are
taken as they are; set by hand."""
_SLIVER = 8
"""Maps of at most four columns and of so many rows for each are none that a network or a
microscope gives; set by hand."""
_NAMES = ("band", "bands", "channel", "channels", "rgb", "rgba")
"""Names of dims that are no rows and no columns."""


def check_layout(shapes: Mapping[str, Shape], cells: Shape | None = None) -> None:
    """Raise where an array looks like one image whose channels come last, and not like a batch.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        By argument, (h, w) or (N, h, w).
    cells : (int, int), optional
        The grid of maps, where it is given instead of a map.
    """
    batches = {name: shape for name, shape in shapes.items() if len(shape) == 3}
    if not batches or any(shape[-1] > _MOST_CHANNELS for shape in batches.values()):
        return
    single = [shape for shape in shapes.values() if len(shape) == 2] + ([cells] if cells else [])
    for name, shape in batches.items():
        if any(_fits_better(shape, other) for other in single) or (
            not single and _is_sliver(shape) and _all_alike(batches)
        ):
            raise InvalidInputError(
                f"{name} has shape {shape}, which is a batch of {shape[0]} maps of {shape[1]}x"
                f"{shape[2]} and looks like one map with its channels last; {_remedy(name)}"
            )


def channels_last_hint(shapes: Mapping[str, Shape]) -> str:
    """Return what to add to an error about batch sizes: perhaps it is no batch at all."""
    name = next((n for n, s in shapes.items() if len(s) == 3 and s[-1] <= _MOST_CHANNELS), None)
    return "" if name is None else f"; if {name} has its channels last, {_remedy(name)}"


def check_cells(cells: Sequence[int], size: Sequence[int]) -> None:
    """Raise if a map of `cells` is coarser than a mask of `size` one way and finer the other."""
    (rows, columns), (height, width) = cells, size
    if (height - rows) * (width - columns) < 0:
        raise InvalidInputError(
            f"cam has {rows}x{columns} cells on a mask of {height}x{width} pixels: coarser along "
            f"one side and finer along the other; transpose one of them, and look whether an axis "
            f"of channels or tokens is taken for rows or columns"
        )


def check_dims(dims: Sequence[Any], name: str) -> None:
    """Raise if the last two dims of a DataArray are not rows and columns by their names."""
    last = [str(dim).lower() for dim in dims[-2:]]
    for dim, word in zip(dims[-2:], last, strict=True):
        if word in _NAMES or (word == "c" and last[0] == "x"):  # beside "r" it is a column
            raise InvalidInputError(
                f"{name} has dims {tuple(dims)}; the last two are rows and columns: take one "
                f"channel by .isel({dim}=0), or transpose"
            )


def _remedy(name: str) -> str:
    return (
        f"pass {name}[..., 0] for a single channel or equal ones; a batch takes as many of each, "
        f"(N, h, w)"
    )


def _fits_better(shape: Shape, other: Shape) -> bool:
    """Tell whether (A, B, C) lies on another map as A x B much better than as B x C."""
    as_batch = _distortion(shape[1:], other)
    as_channels = _distortion(shape[:2], other)
    image = min(shape[:2]) > 1  # no image has a single row
    # A whole factor of 2, such as one column for two, counts despite rounding.
    return image and as_batch > _STRETCH - 1e-9 and as_channels <= as_batch / 2


def _distortion(one: Shape, other: Shape) -> float:
    """Return how far the cells of one map are from squares where the other's are, as a log."""
    return abs(math.log(one[0] * other[1]) - math.log(one[1] * other[0]))


def _is_sliver(shape: Shape) -> bool:
    """Tell an image (A, B, C) from a batch by its sides alone."""
    rows, columns, channels = shape
    square = channels == 1 and rows == columns >= _MOST_CHANNELS
    narrow = columns >= _SLIVER * channels and max(rows, columns) <= 4 * min(rows, columns)
    return square or narrow


def _all_alike(batches: Mapping[str, Shape]) -> bool:
    return len(set(batches.values())) == 1
