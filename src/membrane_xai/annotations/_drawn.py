"""Annotations as polygons of a window, their pixels, and how much of them lies outside."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import is_real
from membrane_xai.annotations._annotation import Annotation
from membrane_xai.annotations._outside import Outside, outside
from membrane_xai.annotations._polygons import Polygons, in_window, polygons_of
from membrane_xai.annotations._scanline import center_counts, polygon_edges
from membrane_xai.annotations._window import Window, check_window
from membrane_xai.errors import InvalidInputError

__all__ = ["drawn", "half_width", "pixels_inside"]


def drawn(
    annotations: Sequence[Annotation], shape: tuple[int, int], *, mpp: Any, line_width: Any
) -> tuple[NDArray[np.bool_], Outside]:
    """Return the mask of a whole image, and what lies outside of it."""
    window = check_window(shape, (0, 0), 1)
    polygons = polygons_of(annotations, half_width(line_width, mpp))
    return pixels_inside(polygons, window), outside(polygons, window)


def pixels_inside(polygons: Polygons, window: Window) -> NDArray[np.bool_]:
    """Return (H, W): which pixels have their centre in a polygon."""
    edges = polygon_edges(in_window(polygons, window))
    return np.asarray(center_counts(edges, window) > 0.5)


def half_width(line_width: Any, mpp: Any) -> float | None:
    """Return half the width of lines in pixels of full resolution; None where it is not given."""
    for value, name in ((line_width, "line_width"), (mpp, "mpp")):
        if value is not None and not (is_real(value) and value > 0):
            raise InvalidInputError(f"{name} is {value!r}; it takes a positive number")
    if line_width is None or mpp is None:
        return None
    return float(line_width) / float(mpp) / 2
