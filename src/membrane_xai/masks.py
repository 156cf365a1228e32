"""DAB in, membrane mask out.

A first version: absolute optical density and a test for thin structures. It does not yet tell
membrane from other thin brown structures, nor flag images that are not membrane stains.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import stain
from membrane_xai.errors import InvalidInputError

__all__ = ["MembraneMask", "extract_membrane_mask"]

# In micrometres. Strong (3+) membranes between two cells are about 2.1 wide; a structure that a
# square of 3.5 fits into is no membrane.
_BLUR = 0.3
_MAX_WIDTH = 3.5
_MIN_AREA = 2.0  # square micrometres
_CONTRAST = 0.5  # of the threshold: how far membrane stands out of what is broader than it


@dataclass(frozen=True, slots=True)
class MembraneMask:
    """A membrane mask with what it was made from.

    Attributes
    ----------
    mask : ndarray of bool, shape (H, W)
        Membrane.
    dab : ndarray of float32, shape (H, W)
        DAB density in base-10 optical density.
    background : ndarray, shape (3,)
        Glass, on the scale of uint8.
    stain_matrix : ndarray, shape (2, 3)
        Unit vectors of hematoxylin and DAB.
    dab_threshold : float
        The optical density from which DAB counted as stained.
    mpp : float
        Micrometres per pixel.
    """

    mask: NDArray[np.bool_]
    dab: NDArray[np.float32]
    background: NDArray[np.float64]
    stain_matrix: NDArray[np.float64]
    dab_threshold: float
    mpp: float


def extract_membrane_mask(
    rgb: Any,
    *,
    mpp: float,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
    dab_threshold: float = 0.2,
) -> MembraneMask:
    """Find stained membrane in a DAB immunohistochemistry image.

    A pixel is membrane if its DAB density (smoothed over 0.3 micrometres) reaches `dab_threshold`,
    if it stands out of everything broader than 3.5 micrometres by half of that (white top-hat), and
    if the piece it belongs to covers at least 2 square micrometres. The threshold is absolute: a
    patch without stain gives an empty mask, where a threshold fitted to the image would invent one.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    mpp : float
        Micrometres per pixel; every size scales with it.
    stain_matrix, background
        As in :func:`separate_stains`.
    dab_threshold : float
        Base-10 optical density of DAB from which a pixel is stained; 0.2 is QuPath's limit of weak
        staining.

    Returns
    -------
    MembraneMask
        The mask with DAB density, background, stain vectors and parameters.

    Raises
    ------
    InvalidInputError
        As :func:`separate_stains`; also for `mpp` or `dab_threshold` that are not positive, and for
        `mpp` above 1.5, where a membrane is less than a pixel or two wide.

    Notes
    -----
    Research use only. Thin brown structures that are no membranes count as such.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import extract_membrane_mask
    >>> field = np.full((64, 64, 3), 240, np.uint8)
    >>> extract_membrane_mask(field, mpp=0.5).mask.sum()  # no stain, no membrane
    np.int64(0)
    >>> field[:, 30:33] = (140, 90, 50)  # a line 1.5 micrometres wide
    >>> found = extract_membrane_mask(field, mpp=0.5)
    >>> found.mask[32, 28:36].astype(int)
    array([0, 0, 1, 1, 1, 0, 0, 0])
    """
    _check_positive(mpp, "mpp", "micrometres per pixel")
    _check_positive(dab_threshold, "dab_threshold", "base-10 optical density")
    if mpp > 1.5:
        raise InvalidInputError(f"mpp is {mpp!r}; membranes cannot be seen above 1.5 um per pixel")
    auto = isinstance(background, str) and background == "auto"
    white = stain.estimate_background(rgb) if auto else background
    dab = stain.separate_stains(rgb, stain_matrix=stain_matrix, background=white).dab
    return MembraneMask(
        mask=_thin_and_stained(dab, mpp, dab_threshold),
        dab=dab,
        background=np.asarray(white, float),
        stain_matrix=stain.stain_vectors(stain_matrix),
        dab_threshold=float(dab_threshold),
        mpp=float(mpp),
    )


def _thin_and_stained(dab: NDArray[np.float32], mpp: float, threshold: float) -> NDArray[np.bool_]:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(dab, _BLUR / mpp, mode="nearest")
    side = 2 * round(_MAX_WIDTH / mpp / 2) + 1
    broad = ndimage.grey_opening(smooth, size=(side, side), mode="reflect")
    thin = (smooth >= threshold) & (smooth - broad >= _CONTRAST * threshold)
    labels, count = ndimage.label(thin, structure=np.ones((3, 3)))
    area = np.bincount(labels.ravel(), minlength=count + 1) * mpp**2
    keep = area >= _MIN_AREA
    keep[0] = False
    return np.asarray(keep[labels])


def _check_positive(value: Any, name: str, unit: str) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0 < value < np.inf):
        raise InvalidInputError(f"{name} is {value!r}; it takes a positive number, {unit}")
