"""Agreement of a mask with a reference mask: by area, and by boundary."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TOLERANCE = 1.0
"""Micrometres that a boundary may lie off."""


class Agreement(NamedTuple):
    """Scores in [0, 1], higher is better; NaN if there is nothing to divide by."""

    precision: float
    recall: float
    boundary_f1: float


def agreement(mask: Mask, reference: Mask, mpp: float) -> Agreement:
    """Compare a mask with a reference: shares of their area, and F1 of their boundaries."""
    common = np.count_nonzero(mask & reference)
    return Agreement(
        _share(common, np.count_nonzero(mask)),
        _share(common, np.count_nonzero(reference)),
        boundary_f1(mask, reference, mpp),
    )


def boundary_f1(mask: Mask, reference: Mask, mpp: float) -> float:
    """Return F1 of boundary pixels within :data:`TOLERANCE` of the other mask's boundary.

    Precision is the share of the mask's boundary near the reference's, recall the share of the
    reference's near the mask's (Csurka et al., BMVC 2013). Boundary pixels are the outermost of a
    mask; the rim of the image is not a boundary.
    """
    edges = _boundary(mask), _boundary(reference)
    if not (edges[0].any() and edges[1].any()):
        return 1.0 if not (edges[0].any() or edges[1].any()) else 0.0
    precision = float(_near(edges[1], mpp)[edges[0]].mean())
    recall = float(_near(edges[0], mpp)[edges[1]].mean())
    return _share(2 * precision * recall, precision + recall)


def iou(one: Mask, other: Mask) -> float:
    """Return intersection over union; 1 for two empty masks."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _boundary(mask: Mask) -> Mask:
    from skimage.segmentation import find_boundaries

    edge: Mask = find_boundaries(mask, mode="inner")
    return edge


def _near(edge: Mask, mpp: float) -> Mask:
    from scipy.ndimage import distance_transform_edt

    near: Mask = distance_transform_edt(~edge) * mpp <= TOLERANCE
    return near


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
