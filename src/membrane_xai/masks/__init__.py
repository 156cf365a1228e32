"""Membrane mask of an RGB image, with its densities, limits and quality flags."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import stain
from membrane_xai._backend.checks import check_fine_mpp, check_thresholds, is_count
from membrane_xai.errors import InvalidInputError
from membrane_xai.masks._membrane import find_candidates, keep_pieces, margin
from membrane_xai.masks._quality import QUALITY_FLAGS, overview, quality_flags, tissue_region
from membrane_xai.stain._density import as_image, brightness_density, unmix
from membrane_xai.stain._nuclear_size import LEAST_NUCLEI, nuclei_in_view

__all__ = ["INTENSITIES", "QUALITY_FLAGS", "MembraneMask", "extract_membrane_mask"]

INTENSITIES = ("negative", "weak", "moderate", "strong")
"""Names of the intensity classes 0 to 3."""

_LEAST_TILE = 64  # pixels; smaller ones are mostly margin


@dataclass(frozen=True, slots=True)
class MembraneMask:
    """A membrane mask with what it was made from. Research use only.

    Attributes
    ----------
    mask : ndarray of bool, shape (H, W)
        Stained membrane.
    dab : ndarray of float32, shape (H, W)
        DAB density in base-10 optical density; noise makes small negative values.
    intensity : ndarray of uint8, shape (H, W)
        Class of every pixel by its smoothed DAB density: 0 negative, 1 weak, 2 moderate, 3 strong.
        Membrane is at least weak.
    tissue : ndarray of bool, shape (H, W)
        Where tissue is: the `region` of :func:`membrane_xai.map_score`.
    background : ndarray, shape (3,)
        Glass, on the scale of uint8.
    stain_matrix : ndarray, shape (2, 3)
        Unit vectors of hematoxylin and DAB.
    thresholds : tuple of three floats
        Optical densities from which DAB is weak, moderate and strong.
    width : float
        Mean width of the membrane in micrometres, twice its area over its perimeter; NaN without
        membrane. Blur of optics and pixels is in it.
    flags : tuple of str
        What may be wrong with the image, of :data:`membrane_xai.masks.QUALITY_FLAGS`; empty if
        nothing was found.
    mpp : float
        Micrometres per pixel.
    nuclear_diameter : float
        Median diameter of the nuclei in micrometres, by which the pixel size is checked; NaN where
        fewer than 30 can be told apart.
    """

    mask: NDArray[np.bool_]
    dab: NDArray[np.float32]
    intensity: NDArray[np.uint8]
    tissue: NDArray[np.bool_]
    background: NDArray[np.float64]
    stain_matrix: NDArray[np.float64]
    thresholds: tuple[float, float, float]
    width: float
    flags: tuple[str, ...]
    mpp: float
    nuclear_diameter: float = math.nan


def extract_membrane_mask(
    rgb: Any,
    *,
    mpp: float,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
    thresholds: tuple[float, float, float] = (0.2, 0.4, 0.6),
    tile: int = 2048,
) -> Any:
    """Find stained membrane in HER2 immunohistochemistry (DAB and hematoxylin).

    A pixel is membrane if its DAB density, with the detail of the brightness smoothed over 0.3
    micrometres and the colour over 2.25 pixels (JPEG keeps half the resolution of colour),

    - reaches the limit of weak staining. It is absolute: a patch without stain gives an empty mask,
      where a threshold fitted to the image would invent one;
    - stands out of everything broader than 6 micrometres (white top-hat) by 0.07 and 25 % of what
      it stands out of, so that neither haze nor stained nuclei and cytoplasm are membrane;
    - reaches 45 % of the height of the brightest line within 1.2 micrometres: membranes are about
      as wide as at half maximum, whatever their strength;
    - is mostly DAB: at least 40 % of DAB and hematoxylin together;

    and if the piece it belongs to extends over 4 micrometres and stands out by 0.15 (and the 25 %)
    somewhere.

    Parameters
    ----------
    rgb : array of shape (H, W, 3) or (N, H, W, 3)
        uint8, or floating in [0, 1].
    mpp : float
        Micrometres per pixel, at most 1.5; every size scales with it.
    stain_matrix, background
        As in :func:`membrane_xai.separate_stains`.
    thresholds : three increasing numbers
        Base-10 optical densities of DAB from which a pixel is weak, moderate and strong. The
        default is QuPath's [1]_.
    tile : int
        Images are worked on in tiles of this many pixels a side, with what surrounds them, so
        temporary memory does not grow with the image. The result does not depend on it.

    Returns
    -------
    MembraneMask or list of MembraneMask
        Mask with density, intensity, tissue, width, flags and parameters; a list for a batch, in
        which each image has its own background.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.separate_stains`; also for `mpp` that is not positive or above 1.5,
        where a membrane is less than a pixel wide, for thresholds that do not increase from above
        0, and for a tile below 64.

    Notes
    -----
    Research use only. Thin brown structures that are not membranes, such as folds and fibres, count
    as such. Flags:

    - "not_ihc": at least 10 % of what is stained is pink, as by eosin.
    - "nuclear_stain": at least 40 % of the DAB lies in compact pieces of the size of nuclei.
    - "blank": less than 2 % tissue.
    - "out_of_focus": edges at 0.35 micrometres are less than 1.15 times as steep as at 1.4, as
      after a blur of 2.5 micrometres.
    - "saturated": blue is below 2 % of the background on 5 % of the stain, whose density is a
      guess.
    - "too_small": a side below 20 micrometres, hardly a cell.
    - "pixel_size": the nuclei would measure less than 4 or more than 12 micrometres across (median
      of at least 30): `mpp` is off. Their size is measured in pixels, whatever `mpp` says.
    - "channels_swapped": brown and blue have each other's share of green, as where red and blue are
      exchanged (BGR, as OpenCV reads images): the mask is of the wrong stain.
    - "grey": no pixel has a colour, as where a grey picture was saved as RGB: what is dark counts
      as stain.

    References
    ----------
    .. [1] Bankhead et al., "QuPath: Open source software for digital pathology image analysis",
       Scientific Reports 7 (2017), 16878.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import extract_membrane_mask
    >>> field = np.full((64, 64, 3), 240, np.uint8)
    >>> blank = extract_membrane_mask(field, mpp=0.5)  # no stain, no membrane
    >>> blank.mask.any(), blank.width, blank.flags
    (np.False_, nan, ('blank',))
    >>> field[:, 30:33] = (140, 90, 50)  # a line 1.5 micrometres wide
    >>> found = extract_membrane_mask(field, mpp=0.5)
    >>> found.mask[32, 28:36].astype(int)
    array([0, 0, 1, 1, 1, 0, 0, 0])
    """
    mpp = check_fine_mpp(mpp, "membranes")
    if not is_count(tile) or tile < _LEAST_TILE:
        raise InvalidInputError(f"tile is {tile!r}; it takes an integer of at least {_LEAST_TILE}")
    limits = check_thresholds(thresholds)
    vectors = stain.stain_vectors(stain_matrix)
    if np.ndim(rgb) == 4:
        return [_extract(image, mpp, vectors, background, limits, int(tile)) for image in rgb]
    return _extract(rgb, mpp, vectors, background, limits, int(tile))


def _extract(
    rgb: NDArray[Any],
    mpp: float,
    vectors: NDArray[np.float64],
    background: Any,
    thresholds: tuple[float, float, float],
    tile: int,
) -> MembraneMask:
    image = as_image(rgb)
    white = stain.background_of(rgb, background)
    shape = (image.shape[0], image.shape[1])
    dab, intensity = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    candidate, certain = np.empty(shape, bool), np.empty(shape, bool)
    for outer, inner, core in _tiles(shape, tile, margin(mpp)):
        hematoxylin, density = unmix(image[outer], white, vectors)[:2]
        darkness = brightness_density(image[outer], white)
        found = find_candidates(density, hematoxylin, darkness, mpp, thresholds[0])
        dab[core] = density[inner]
        candidate[core], certain[core] = found.candidate[inner], found.certain[inner]
        intensity[core] = np.digitize(found.smooth[inner], thresholds)
    mask = keep_pieces(candidate, certain, mpp)
    view = overview(image, white, mpp)
    tissue = tissue_region(view, shape)
    nuclei = nuclei_in_view(image, white, vectors, mpp)
    flags = quality_flags(
        image, dab, tissue, view, nuclei, white=white, mpp=mpp, threshold=thresholds[0]
    )
    return MembraneMask(
        mask,
        dab,
        intensity,
        tissue,
        white,
        vectors,
        thresholds,
        _mean_width(mask) * mpp,
        flags,
        mpp,
        nuclei.median if nuclei.count >= LEAST_NUCLEI else math.nan,
    )


def _tiles(
    shape: tuple[int, int], tile: int, margin: int
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], tuple[slice, slice]]]:
    """Yield each tile with its margin, the tile within that, and the tile within the image."""
    for top in range(0, shape[0], tile):
        for left in range(0, shape[1], tile):
            outer, inner, core = zip(
                *(
                    _cut(start, min(start + tile, length), length, margin)
                    for start, length in zip((top, left), shape, strict=True)
                ),
                strict=True,
            )
            yield outer, inner, core


def _cut(start: int, stop: int, length: int, margin: int) -> tuple[slice, slice, slice]:
    low, high = max(start - margin, 0), min(stop + margin, length)
    return slice(low, high), slice(start - low, stop - low), slice(start, stop)


def _mean_width(mask: NDArray[np.bool_]) -> float:
    """Return twice the area over the perimeter, in pixels.

    The perimeter is pi/4 times the number of changes along rows and columns (Cauchy-Crofton), right
    on average over directions.
    """
    along_columns = np.count_nonzero(mask[1:] != mask[:-1])
    along_rows = np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    perimeter = math.pi / 4 * (along_columns + along_rows)
    return 2 * float(np.count_nonzero(mask)) / perimeter if perimeter else math.nan
