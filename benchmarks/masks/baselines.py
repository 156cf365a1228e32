"""Plain thresholds, which the masks are compared with."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from membrane_xai.masks import MembraneMask

Mask = NDArray[np.bool_]

OURS = "our mask"
PLAIN = "DAB >= 0.2"
OTSU = "Otsu"

_MODERATE = 2


def otsu(rgb: NDArray[np.uint8]) -> Mask:
    """Threshold the DAB channel of scikit-image's rgb2hed by Otsu's method, image by image."""
    dab = rgb2hed(rgb)[..., 2]
    return dab >= threshold_otsu(dab)


def compared(rgb: NDArray[np.uint8], found: MembraneMask) -> dict[str, Mask]:
    """Return our mask, its moderate and strong part, and the baselines' masks of one image.

    Plain thresholds are on the DAB density that our mask is made from; 0.2, 0.4 and 0.6 are
    QuPath's limits of weak, moderate and strong.
    """
    return {
        OURS: found.mask,
        "our mask, moderate and strong": found.mask & (found.intensity >= _MODERATE),
        PLAIN: found.dab >= 0.2,
        "DAB >= 0.4": found.dab >= 0.4,
        "DAB >= 0.6": found.dab >= 0.6,
        OTSU: otsu(rgb),
    }
