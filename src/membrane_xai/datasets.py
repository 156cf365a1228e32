"""Images to try things on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["IHCSample", "ihc_sample"]


class IHCSample(NamedTuple):
    """An immunohistochemistry image with what is known of it."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    mpp: float
    """Micrometres per pixel."""
    mpp_is_assumed: bool
    """Whether `mpp` is a guess."""
    source: str
    """Where the image is from, and under what terms."""


def ihc_sample() -> IHCSample:
    """Return the real IHC image that ships with scikit-image; nothing is downloaded.

    Colonic glands, 512x512 pixels, DAB on FHL2 protein with a hematoxylin counterstain. It is not a
    HER2 stain and FHL2 is not a membrane protein: good for trying things out, not for conclusions.

    Returns
    -------
    IHCSample
        The pixel size is not published; 0.5 micrometres is assumed from the size of the nuclei.

    Examples
    --------
    >>> from membrane_xai.datasets import ihc_sample
    >>> sample = ihc_sample()
    >>> sample.rgb.shape, sample.mpp, sample.mpp_is_assumed
    ((512, 512, 3), 0.5, True)
    """
    from skimage.data import immunohistochemistry

    return IHCSample(
        rgb=immunohistochemistry(),
        mpp=0.5,
        mpp_is_assumed=True,
        source=(
            "scikit-image, skimage.data.immunohistochemistry(): colonic glands, DAB on FHL2, "
            "Center for Microscopy And Molecular Imaging (CMMI); no known copyright restrictions"
        ),
    )
