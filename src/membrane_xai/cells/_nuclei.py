"""Find nuclei in a hematoxylin density: classical, without a neural network or a download."""

import math

import numpy as np
from numpy.typing import NDArray

from membrane_xai.stain._density import whole_block_means

__all__ = ["find_nuclei"]

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

_PITCH = 0.5  # micrometres per pixel: nuclei are 5 to 12 across, finer pixels only cost time
# Micrometres.
_BLUR = 0.8
_SURROUNDINGS = 12.0  # standard deviation of the mean that nuclei stand out of
_SMOOTHING = 0.7  # what is thinner is no nucleus
_RADIUS = 3.0  # of the smallest nuclei that two touching ones are told apart by
_REACH = 2.0  # the darkest point within this distance decides how far a nucleus extends
_LEAST_AREA = 15.0  # square micrometres
# Base-10 optical density of hematoxylin.
_LEAST_DENSITY = 0.06
_CONTRAST = 0.02  # above the surroundings; like the others set by hand
_HALF = 0.4  # of the density at that point: a little outside of a blurred edge
_CEILING = 1.5  # saturated pixels say no more than that
_SHAPE_WEIGHT = 0.02  # density per micrometre from the rim: separates where blobs do not


def find_nuclei(hematoxylin: Plane, mpp: float) -> Labels:
    """Label nuclei, 1 to n in reading order, in a plane of hematoxylin density."""
    side = min(max(1, round(_PITCH / mpp)), *hematoxylin.shape)
    labels = _find(whole_block_means(hematoxylin, side), mpp * side)
    rows, columns = hematoxylin.shape
    grown = labels.repeat(side, axis=0).repeat(side, axis=1)
    # The last pixels, which do not fill a block, continue the block before.
    missing = (0, rows - grown.shape[0]), (0, columns - grown.shape[1])
    return np.ascontiguousarray(np.pad(grown, missing, mode="edge"))


def _find(density: Plane, mpp: float) -> Labels:
    from scipy import ndimage
    from skimage.segmentation import relabel_sequential, watershed

    density = np.clip(density, 0, _CEILING)
    smooth = ndimage.gaussian_filter(density, _BLUR / mpp)
    around = ndimage.gaussian_filter(density, _SURROUNDINGS / mpp)
    inside = smooth >= np.maximum(around + _CONTRAST, _LEAST_DENSITY)
    inside &= smooth >= _HALF * ndimage.maximum_filter(smooth, max(1, round(2 * _REACH / mpp)))
    inside = ndimage.binary_opening(inside, _disk(_SMOOTHING / mpp))
    inside = ndimage.binary_fill_holes(inside)
    blobs = _blobs(density, inside, mpp)
    labels = watershed(-blobs, _markers(blobs, inside, mpp), mask=inside)
    small = np.bincount(labels.ravel()) * mpp**2 < _LEAST_AREA
    labels[small[labels]] = 0
    found: Labels = relabel_sequential(labels)[0].astype(np.int32)
    return found


def _blobs(density: Plane, inside: NDArray[np.bool_], mpp: float) -> Plane:
    """Return a plane with one summit a nucleus: dark blobs of their size, far from the rim."""
    from scipy import ndimage

    sigma = _RADIUS / math.sqrt(2) / mpp
    blobs = -ndimage.gaussian_laplace(density, sigma) * np.float32(sigma**2)
    depth = ndimage.distance_transform_edt(inside).astype(np.float32) * np.float32(mpp)
    blobs += _SHAPE_WEIGHT * ndimage.gaussian_filter(depth, 1 / mpp)
    return np.asarray(blobs, np.float32)


def _markers(blobs: Plane, inside: NDArray[np.bool_], mpp: float) -> Labels:
    from skimage.feature import peak_local_max

    apart = max(1, round(_RADIUS / mpp))
    summits = peak_local_max(
        blobs, min_distance=apart, labels=inside.astype(np.int8), exclude_border=False
    )
    markers: Labels = np.zeros(blobs.shape, np.int32)
    markers[tuple(summits[np.lexsort(summits.T[::-1])].T)] = np.arange(1, len(summits) + 1)
    return markers


def _disk(radius: float) -> NDArray[np.bool_]:
    reach = max(1, math.floor(radius))
    offset = np.arange(-reach, reach + 1)
    return np.asarray(offset[:, None] ** 2 + offset**2 <= max(radius, 1) ** 2)
