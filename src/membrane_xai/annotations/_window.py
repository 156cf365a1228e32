"""``Window``: shape, offset and downsample of a grid on a slide, checked."""

from typing import Any, NamedTuple

from membrane_xai._backend.checks import is_count, is_real
from membrane_xai.errors import InvalidInputError

__all__ = ["Window", "check_window"]


class Window(NamedTuple):
    """A grid of pixels; a slide's coordinates are (x, y) at full resolution."""

    shape: tuple[int, int]
    """Rows and columns."""
    offset: tuple[float, float]
    """x, y of the upper left corner."""
    downsample: float
    """Pixels of full resolution along the side of one of the grid's."""


def check_window(shape: Any, offset: Any, downsample: Any) -> Window:
    """Return the arguments as a window, or raise."""
    sides = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sides) != 2 or not all(is_count(side) and side > 0 for side in sides):
        raise InvalidInputError(f"shape is {shape!r}; it takes two positive integers (H, W)")
    corner = tuple(offset) if isinstance(offset, list | tuple) else ()
    if len(corner) != 2 or not all(is_real(x) for x in corner):
        raise InvalidInputError(f"offset is {offset!r}; it takes two finite numbers (x, y)")
    if not is_real(downsample) or downsample <= 0:
        raise InvalidInputError(f"downsample is {downsample!r}; it takes a positive number")
    rows, columns = sides
    return Window(
        (int(rows), int(columns)), (float(corner[0]), float(corner[1])), float(downsample)
    )
