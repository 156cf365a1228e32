"""One field under several objectives: images of each, and maps registered in micrometres."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype
from membrane_xai.errors import InvalidInputError
from membrane_xai.io._pixel_size import MPP_AT_1X
from membrane_xai.perturb._perturbation import Rgb

__all__ = ["Field", "Span", "common_field", "register", "scaled"]


class Span(NamedTuple):
    """An interval along one axis of the image, in micrometres, in equal cells."""

    start: float
    stop: float
    cells: int


class Field(NamedTuple):
    """Field of a view on the image, in micrometres from the image's upper left corner."""

    rows: Span
    columns: Span

    @property
    def area(self) -> float:
        """Square micrometres."""
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)

    def of_grid(self, grid: tuple[int, int]) -> "Field":
        """Return the same field divided into the cells of a map."""
        return Field(self.rows._replace(cells=grid[0]), self.columns._replace(cells=grid[1]))


def scaled(rgb: Rgb, mpp: float, magnification: float, window: int | None) -> tuple[Rgb, Field]:
    """Show an image as an objective would, its central window if one is given."""
    from PIL import Image

    factor = max(1.0, MPP_AT_1X / magnification / mpp)
    height, width = (max(1, round(side / factor)) for side in rgb.shape[:2])
    view = rgb
    if (height, width) != rgb.shape[:2]:
        small = Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX)
        view = np.asarray(small)
    ends = [_window(side, window, magnification) for side in (height, width)]
    spans = (
        Span(start * side * mpp / n, stop * side * mpp / n, stop - start)
        for (start, stop), side, n in zip(ends, rgb.shape[:2], (height, width), strict=True)
    )
    (top, bottom), (left, right) = ends
    return view[top:bottom, left:right], Field(*spans)


def _window(side: int, window: int | None, magnification: float) -> tuple[int, int]:
    """Return where the central window starts and stops along a side."""
    if window is None:
        return 0, side
    if window > side:
        raise InvalidInputError(
            f"window is {window}, but an image has only {side} pixels along a side at "
            f"{magnification:g}x; take a smaller window or a higher magnification"
        )
    start = (side - window) // 2
    return start, start + window


def common_field(one: Field, other: Field) -> Field:
    """Return what two maps both show, in cells about as large as the coarser one's."""
    return Field(*(_common(a, b) for a, b in zip(one, other, strict=True)))


def _common(one: Span, other: Span) -> Span:
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    coarse = max((span.stop - span.start) / span.cells for span in (one, other))
    return Span(start, stop, max(1, round((stop - start) / coarse)))


def register(one: Array, source: Field, target: Field) -> Array:
    """Bring an (h, w) map of one field onto the cells of another: the mean over each cell."""
    xp = namespace(one)
    wide = wide_dtype(one)
    rows = from_numpy(one, _shares(source.rows, target.rows), wide)
    columns = from_numpy(one, _shares(source.columns, target.columns).T, wide)
    return xp.matmul(rows, xp.matmul(xp.astype(one, wide), columns))


def _shares(source: Span, target: Span) -> NDArray[np.float64]:
    """Return the (target, source) shares of each target cell that lie in each source cell."""
    source_edges = np.linspace(source.start, source.stop, source.cells + 1)
    target_edges = np.linspace(target.start, target.stop, target.cells + 1)
    low = np.maximum(target_edges[:-1, None], source_edges[None, :-1])
    high = np.minimum(target_edges[1:, None], source_edges[None, 1:])
    length = np.clip(high - low, 0, None)
    shares: NDArray[np.float64] = length / length.sum(axis=1, keepdims=True)
    return shares
