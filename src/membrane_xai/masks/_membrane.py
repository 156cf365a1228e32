"""Membrane pixels of one tile: DAB on thin structures."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tile", "find_candidates", "keep_pieces", "margin"]

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Micrometres. What a square of _BROAD fits into is no membrane: strong ones between two cells are
# about 2 wide and 4 where three meet, the smallest nuclei 6.
_BLUR = 0.3
_BROAD = 6.0
_REACH = 1.2  # the brightest line within this distance decides how wide a membrane is drawn
_LEAST_EXTENT = 4.0  # of a piece of membrane: shorter ones are specks; set by hand
# Pixels. JPEG halves the resolution of colour, so which stain it is comes from a wider view than
# how dark it is.
_LEAST_BLUR = 0.6
_COLOR_BLUR = 2.25
# Optical density. A membrane stands out of its surroundings by an amount that grows with them.
_CONTRAST = 0.07
_CONTRAST_SHARE = 0.25
_CERTAIN = 0.15  # some pixel of each piece stands out by as much
_HALF = 0.45  # of the height of the line: membranes are drawn at about their width at half maximum
_BROWN = 0.4  # least share of DAB in hematoxylin and DAB together
_FAINT = 0.02  # optical density that keeps shares from being decided by noise
_TRUNCATE = 3  # of Gaussians, in standard deviations


class Tile(NamedTuple):
    """Densities and candidates of a tile; a pixel depends on others within :func:`margin` only."""

    candidate: Mask
    certain: Mask
    """Candidates that stand out far."""
    smooth: Plane
    """DAB density, smoothed."""


def find_candidates(
    dab: Plane, hematoxylin: Plane, darkness: Plane, mpp: float, threshold: float
) -> Tile:
    """Find stained thin structures.

    `dab` and `hematoxylin` are densities of shape (H, W), `darkness` the optical density of the
    pixels' brightness.
    """
    from scipy import ndimage

    smooth, brown = _sharp_density(dab, hematoxylin, darkness, _blur(mpp))
    side = _odd(_BROAD / mpp)
    needed = ndimage.grey_opening(smooth, size=(side, side), mode="reflect")
    height = smooth - needed
    needed *= _CONTRAST_SHARE
    needed += _CONTRAST
    candidate = brown & (smooth >= threshold) & (height >= needed)
    candidate &= height >= _half_peak(height, _odd(2 * _REACH / mpp))
    needed += _CERTAIN - _CONTRAST
    return Tile(candidate, candidate & (height >= needed), smooth)


def margin(mpp: float) -> int:
    """Return how many pixels beyond a tile decide on its pixels."""
    blur = math.ceil(_TRUNCATE * max(_blur(mpp), _COLOR_BLUR))
    return blur + _odd(_BROAD / mpp) + _odd(2 * _REACH / mpp)


def keep_pieces(candidate: Mask, certain: Mask, mpp: float) -> Mask:
    """Drop pieces of the whole image that are short, or certain nowhere."""
    from scipy import ndimage

    labels, count = ndimage.label(candidate, structure=np.ones((3, 3)))
    keep = np.zeros(count + 1, bool)
    keep[labels[certain]] = True
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        extent = math.hypot(rows.stop - rows.start, columns.stop - columns.start) * mpp
        keep[label] &= extent >= _LEAST_EXTENT
    kept: Mask = keep[labels]
    return kept


def _odd(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2)) + 1


def _blur(mpp: float) -> float:
    return max(_BLUR / mpp, _LEAST_BLUR)


def _sharp_density(
    dab: Plane, hematoxylin: Plane, darkness: Plane, sigma: float
) -> tuple[Plane, Mask]:
    """Return DAB density with the detail of the brightness, and where colour is DAB's."""
    darkness = darkness + np.float32(_FAINT)
    brown, blue = _smooth(dab, _COLOR_BLUR), _smooth(hematoxylin, _COLOR_BLUR)
    np.maximum(blue, 0, out=blue)
    blue += _FAINT
    blue *= _BROWN / (1 - _BROWN)
    is_brown: Mask = brown >= blue
    brown /= _smooth(darkness, _COLOR_BLUR)
    brown *= _smooth(darkness, sigma)
    return brown, is_brown


def _smooth(plane: Plane, sigma: float) -> Plane:
    from scipy import ndimage

    smooth: Plane = ndimage.gaussian_filter(plane, sigma, mode="nearest", truncate=_TRUNCATE)
    return smooth


def _half_peak(height: Plane, side: int) -> Plane:
    """Return about half of the largest height near each pixel; averaging rounds the window."""
    from scipy import ndimage

    peak: Plane = ndimage.maximum_filter(height, size=side, mode="nearest")
    peak = ndimage.uniform_filter(peak, size=side, mode="nearest")
    peak *= _HALF
    return peak
