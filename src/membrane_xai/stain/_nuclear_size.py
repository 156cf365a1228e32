"""How large nuclei are, in pixels of the image: a check of the pixel size that was stated.

Every decision is made in pixels, so that a wrong pixel size does not lead the eye to structures of
the size it expects.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.stain._density import unmix

__all__ = ["LEAST_NUCLEI", "PIXEL_SIZE", "PLAUSIBLE_DIAMETERS", "NuclearSize", "nuclei_in_view"]

PIXEL_SIZE = "pixel_size"
"""The flag of images whose nuclei are too small or too large for the pixel size stated."""

PLAUSIBLE_DIAMETERS = (4.0, 12.0)
"""Micrometres that the median nuclear diameter lies between: lymphocytes have 5 to 7, nuclei of
breast cancers up to 12."""

LEAST_NUCLEI = 30
"""Fewer say nothing of the pixel size: their median is off by a tenth by chance alone."""

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

_PITCH = 0.5  # micrometres, of the finest grid: nuclei have 8 pixels and more up to twice too fine
_WINDOW = 512  # pixels of that grid along a side: the cost is the same for an image of any size
_LEVELS = 5  # each at half the resolution of the one before: up to 32 times the finest
_SAMPLING = 16  # pixels of the grid between those that decide where the window lies

# What nuclei are told by. Set on synthetic fields and eleven real images.
_DIAMETERS = (5.0, 18.0)  # pixels of a level: smaller ones have no shape, larger ones have texture
_CEILING = 1.5  # optical density: saturated pixels say no more than that
_FAINT = 0.03  # of hematoxylin, in what is divided into dark and pale
_LEAST_DENSITY = 0.06
_LEAST_BROWN = 0.05  # DAB beyond that and beyond hematoxylin: hematoxylin is a guess there
_LEAST_AREA = 12  # pixels
_FEWEST = 5  # compact pieces of a level: fewer are chance
_MANY = 20  # a level with as many goes before those with fewer, which may be groups
_FILL = 0.85  # of the ellipse of the same second moments
_ASPECT = 2.2
_COMPACT_SHARE = 0.4  # of what is dark: else nuclei are not what is seen


@dataclass(frozen=True, slots=True, eq=False)
class NuclearSize:
    """Diameters of nuclei at the pixel size that was stated, and whether nuclei have them.

    Attributes
    ----------
    diameters : ndarray of float64, shape (n,)
        Micrometres, of disks of the same area.
    weights : ndarray of float64, shape (n,)
        Of each in the median: 1 for nuclei that were segmented; the diameter where pieces of an
        image may be specks, of which there are many.
    """

    diameters: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def together(cls, sizes: Iterable["NuclearSize"]) -> "NuclearSize":
        """Put together the nuclei of several images of one pixel size.

        Parameters
        ----------
        sizes : iterable of NuclearSize
            One an image.

        Returns
        -------
        NuclearSize
        """
        found = list(sizes)
        columns = [[one.diameters for one in found], [one.weights for one in found]]
        return cls(*(np.concatenate([np.empty(0), *column]) for column in columns))

    @property
    def count(self) -> int:
        """How many nuclei."""
        return len(self.diameters)

    @property
    def median(self) -> float:
        """Half of the weights are those of nuclei of that diameter or less; NaN without any."""
        if not self.count:
            return float("nan")
        order = np.argsort(self.diameters)
        weight = np.cumsum(self.weights[order])
        return float(self.diameters[order][np.searchsorted(weight, weight[-1] / 2)])

    @property
    def implausible(self) -> bool:
        """Whether there are at least 30, and their median is below 4 or above 12 micrometres."""
        low, high = PLAUSIBLE_DIAMETERS
        return self.count >= LEAST_NUCLEI and not low <= self.median <= high

    @property
    def flags(self) -> tuple[str, ...]:
        """The flag "pixel_size", or none."""
        return (PIXEL_SIZE,) if self.implausible else ()


def nuclei_in_view(
    image: NDArray[Any], white: NDArray[np.float64], vectors: NDArray[np.float64], mpp: float
) -> NuclearSize:
    """Measure the nuclei of a window that can be told apart.

    Hematoxylin is divided into dark and pale (Otsu) at five resolutions. Of each, pieces of the
    shape of an ellipse count; the resolution that has most hematoxylin in them decides, as fine
    ones find chromatin and noise, coarse ones groups. None where most of what is dark has another
    shape.
    """
    side = max(1, round(_PITCH / mpp))
    plane = _hematoxylin(_window(image, side), side, white, vectors)
    best, most = np.empty(0), (False, 0.0)
    for level in range(_LEVELS):
        found, amount = _compact_pieces(plane)
        order = (len(found) >= _MANY, amount)
        if order > most:
            best, most = found * (mpp * side * 2**level), order
        plane = _halved(plane)
        if 0 in plane.shape:
            break
    return NuclearSize(best, best)


def _window(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the part of an image that is darkest in red, where hematoxylin absorbs."""
    from scipy import ndimage

    length, step = _WINDOW * side, _SAMPLING * side
    if max(image.shape[:2]) <= length:
        return image
    red = image[::step, ::step, 0].astype(np.float32)
    size = [min(_WINDOW // _SAMPLING, n) for n in red.shape]
    # Means of all windows that lie within, by their first pixel.
    mean = ndimage.uniform_filter(red, size, origin=[-(n // 2) for n in size])
    inside = mean[: red.shape[0] - size[0] + 1, : red.shape[1] - size[1] + 1]
    row, column = np.unravel_index(np.argmin(inside), inside.shape)
    top, left = (
        min(int(at) * step, max(n - length, 0))
        for at, n in zip((row, column), image.shape[:2], strict=True)
    )
    return image[top : top + length, left : left + length]


def _hematoxylin(
    image: NDArray[Any], side: int, white: NDArray[np.float64], vectors: NDArray[np.float64]
) -> Plane:
    """Return hematoxylin on the grid, 0 where DAB covers it."""
    rows, columns = (length // side * side for length in image.shape[:2])
    light = np.zeros((rows // side, columns // side, 3), np.float32)
    for row in range(side):
        for column in range(side):
            light += image[row:rows:side, column:columns:side]
    light = np.rint(light / side**2)
    # Whole numbers of light have a table of densities.
    hematoxylin, dab = unmix(light.astype(np.uint8), white, vectors)[:2]
    hematoxylin[dab > np.maximum(hematoxylin, _LEAST_BROWN)] = 0
    return np.clip(hematoxylin, 0, _CEILING)


def _halved(plane: Plane) -> Plane:
    rows, columns = (length // 2 * 2 for length in plane.shape)
    whole = plane[:rows, :columns]
    quarter: Plane = whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]
    quarter *= np.float32(0.25)
    return quarter


def _compact_pieces(plane: Plane) -> tuple[NDArray[np.float64], float]:
    """Return diameters in pixels, and how much hematoxylin is in the pieces beyond that around.

    Times their share in what is dark, so that a resolution counts at which little else is seen.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    nothing = np.empty(0), 0.0
    smooth = ndimage.gaussian_filter(plane, 1.0, truncate=2.5)
    stained = smooth[smooth > _FAINT]
    if len(stained) < _LEAST_AREA or stained.min() == stained.max():
        return nothing
    dark = smooth > max(threshold_otsu(stained), _LEAST_DENSITY)
    dark = _without_holes(_opened(dark))
    labels, count = ndimage.label(dark)
    if not count:
        return nothing
    pieces = _measure(labels, count)
    counted = pieces.whole & (pieces.area >= _LEAST_AREA)
    compact = counted & (pieces.fill >= _FILL) & (pieces.aspect <= _ASPECT)
    area = pieces.area[compact]
    share = area.sum() / max(pieces.area[counted].sum(), 1)
    if len(area) < _FEWEST or share < _COMPACT_SHARE:
        return nothing
    diameters = 2 * np.sqrt(area / np.pi)
    low, high = _DIAMETERS
    if not low <= NuclearSize(diameters, diameters).median <= high:
        return nothing
    inside = np.bincount(labels.ravel(), smooth.ravel(), count + 1)[1:][compact].sum()
    pale = smooth[~dark]
    around = float(pale.mean()) if len(pale) else 0.0
    return diameters, float(share * (inside - around * area.sum())) / plane.size


def _opened(mask: Mask) -> Mask:
    """Open by a cross of five pixels; what lies outside counts as set when eroded."""
    eroded = mask.copy()
    eroded[1:] &= mask[:-1]
    eroded[:-1] &= mask[1:]
    eroded[:, 1:] &= mask[:, :-1]
    eroded[:, :-1] &= mask[:, 1:]
    opened = eroded.copy()
    opened[1:] |= eroded[:-1]
    opened[:-1] |= eroded[1:]
    opened[:, 1:] |= eroded[:, :-1]
    opened[:, :-1] |= eroded[:, 1:]
    return opened


def _without_holes(mask: Mask) -> Mask:
    """Fill what the border cannot be reached from; pale centres belong to their nucleus."""
    from scipy import ndimage

    labels, count = ndimage.label(~mask)
    hole = np.ones(count + 1, bool)
    hole[0] = False
    for edge in _edges(labels):
        hole[edge] = False
    filled: Mask = mask | hole[labels]
    return filled


def _edges(labels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    return labels[0], labels[-1], labels[:, 0], labels[:, -1]


class _Pieces(NamedTuple):
    """Columns over pieces."""

    area: NDArray[np.float64]
    fill: NDArray[np.float64]
    aspect: NDArray[np.float64]
    whole: Mask
    """Not cut by the border."""


def _measure(labels: NDArray[np.int32], count: int) -> _Pieces:
    at = np.flatnonzero(labels)
    label = labels.ravel()[at] - 1
    row, column = (x.astype(float) for x in np.unravel_index(at, labels.shape))
    area = np.bincount(label, minlength=count).astype(float)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(label, values, count) / area)

    down, across = mean(row), mean(column)
    # A twelfth is the variance within a pixel.
    rows = mean(row**2) - down**2 + 1 / 12
    columns = mean(column**2) - across**2 + 1 / 12
    both = mean(row * column) - down * across
    determinant = np.maximum(rows * columns - both**2, 1e-9)
    half = (rows + columns) / 2
    long = half + np.sqrt(np.maximum(half**2 - determinant, 0))
    whole = np.ones(count + 1, bool)
    for edge in _edges(labels):
        whole[edge] = False
    fill = area / (4 * np.pi * np.sqrt(determinant))
    return _Pieces(area, fill, long / np.sqrt(determinant), whole[1:])
