"""RGB in, stain densities out: background, optical density (base 10), H-DAB separation."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.stain._density import (
    Floats,
    as_image,
    channel_density,
    unmix,
    whole_block_means,
    with_residual,
)
from membrane_xai.stain._vectors import find_vectors

__all__ = [
    "HDAB",
    "StainDensities",
    "combine_stains",
    "estimate_background",
    "estimate_stain_matrix",
    "optical_density",
    "separate_stains",
    "stain_vectors",
    "to_hed_units",
]

HDAB: Floats = np.array([[0.651, 0.701, 0.290], [0.269, 0.568, 0.778]])
"""Optical density of hematoxylin and DAB in red, green and blue: Ruifrok's vectors as in QuPath."""
HDAB.flags.writeable = False

_BLOCK = 4  # pixels: averaged over, noise and the bright rims of sharpened edges do not count
_GLASS_SHARE = 0.01  # of the blocks, the brightest: glass, where any is in view
_GLASS_RANGE = 0.03  # of its brightness, how much glass varies
_MIN_GLASS = 80.0  # of 255: nothing darker is taken for glass
_STRONGEST_TINT = 0.5  # darkest channel of glass over its brightest
_NEUTRAL = 0.85  # the same for an image of a single colour, which may be stain
_ALL = 0.98  # share of alike blocks that makes an image one of a single colour

# scikit-image divides the natural logarithm by that of 1e-6.
_HED_UNIT = np.log(10) / -np.log(1e-6)


class StainDensities(NamedTuple):
    """Amount of each stain per pixel: base-10 optical density along its vector, float32 (H, W)."""

    hematoxylin: NDArray[np.float32]
    """The blue counterstain."""
    dab: NDArray[np.float32]
    """The brown stain."""
    residual: NDArray[np.float32]
    """What neither of them explains."""


def estimate_background(rgb: Any) -> Floats:
    """Estimate what the scanner records for clear glass, channel by channel.

    The median colour of the brightest 1 % of the view (means of 4x4 pixels, and whatever is as
    bright within 3 %), so grey glass down to 80 and tinted glass down to a ratio of 0.5 between
    channels is found as it is. Two views have no glass to find: one that is darker or more strongly
    coloured, and one of a single colour that is not grey (0.85). There the brightest channel, at
    least 80, stands for all three, so that the stain in view does not pass for the background. In a
    view of tissue without any glass the palest tissue is taken, and densities come out low by its
    own; give `background` from elsewhere on the slide then.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].

    Returns
    -------
    ndarray of shape (3,)
        In [1, 255], on the scale of uint8 whatever the input.

    Raises
    ------
    InvalidInputError
        Another shape or dtype, an empty image, values out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import estimate_background
    >>> glass = np.full((40, 40, 3), (175, 178, 180), np.uint8)
    >>> glass[10:20] = (120, 80, 40)
    >>> estimate_background(glass)
    array([175., 178., 180.])

    Brown all over is stain, not glass:

    >>> estimate_background(np.full((8, 8, 3), (190, 150, 100), np.uint8))
    array([190., 190., 190.])
    """
    image = as_image(rgb)
    blocks = whole_block_means(image, min(_BLOCK, *image.shape[:2])).reshape(-1, 3)
    brightness = blocks.sum(axis=1)
    bright = brightness >= (1 - _GLASS_RANGE) * np.quantile(brightness, 1 - _GLASS_SHARE)
    glass: Floats = np.median(blocks[bright], axis=0).astype(float)
    single_color = bright.mean() > _ALL
    tint = glass.min() / max(glass.max(), 1)
    if glass.max() >= _MIN_GLASS and tint >= (_NEUTRAL if single_color else _STRONGEST_TINT):
        return glass
    return np.full(3, max(glass.max(), _MIN_GLASS))


def optical_density(rgb: Any, background: Any = "auto") -> NDArray[np.float32]:
    """Return the base-10 optical density of each channel, ``-log10(I / I0)``, not below 0.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    background : "auto" or three numbers
        I0 on the scale of uint8, in [1, 255]; "auto" is :func:`membrane_xai.estimate_background`.

    Returns
    -------
    ndarray of shape (H, W, 3), float32
        In [0, 2.41]. I is taken as at least 1 of 255: in very dark DAB the blue channel ends there,
        and its density is a lower bound.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.estimate_background`; also for a background out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.stain import optical_density
    >>> pixel = np.full((1, 1, 3), (20, 200, 0), np.uint8)
    >>> optical_density(pixel, background=(200, 200, 200)).round(2)
    array([[[1. , 0. , 2.3]]], dtype=float32)
    """
    image = as_image(rgb)
    white = background_of(rgb, background)
    return np.stack([channel_density(image[..., c], white[c]) for c in range(3)], axis=-1)


def separate_stains(rgb: Any, *, stain_matrix: Any = "hdab", background: Any = "auto") -> Any:
    """Separate hematoxylin and DAB by colour deconvolution.

    Optical densities add up (Beer-Lambert), so each pixel's three are a mixture of the stain
    vectors; it is solved exactly with a third, residual vector at right angles to both [1]_. Dark
    DAB saturates the blue channel, whose density is then a lower bound only: where blue is below
    2 % of the background, red and green alone give the two stains, and DAB is the larger solution.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    stain_matrix : "hdab" or array of shape (2, 3)
        Rows hematoxylin and DAB, columns red, green and blue; scaled to unit length.
    background : "auto" or three numbers
        As in :func:`membrane_xai.stain.optical_density`.

    Returns
    -------
    StainDensities
        `hematoxylin`, `dab` and `residual`, each (H, W) float32 in base-10 optical density. Not
        clipped: noise makes small negative densities.

    Raises
    ------
    InvalidInputError
        As :func:`estimate_background`; also for a matrix of another shape or of parallel vectors.

    References
    ----------
    .. [1] Ruifrok and Johnston, "Quantification of histochemical staining by color
       deconvolution", Anal. Quant. Cytol. Histol. 23 (2001), 291-299.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import separate_stains
    >>> from membrane_xai.stain import HDAB
    >>> dab = HDAB[1] / np.linalg.norm(HDAB[1])
    >>> rgb = np.round(240 * 10 ** (-0.5 * dab)).astype(np.uint8).reshape(1, 1, 3)
    >>> found = separate_stains(rgb, background=(240, 240, 240))
    >>> round(float(found.dab[0, 0]), 2), abs(round(float(found.hematoxylin[0, 0]), 2))
    (0.5, 0.0)
    """
    vectors = stain_vectors(stain_matrix)
    return StainDensities(*unmix(as_image(rgb), background_of(rgb, background), vectors))


def estimate_stain_matrix(images: Any, *, background: Any = "auto") -> Floats:
    """Estimate the colours of hematoxylin and DAB from one image or from a set of one staining run.

    Stained pixels (optical density of length 0.25 or more) span a fan in their main plane; its ends
    (1st and 99th percentile of the angle) are the pure stains [1]_. The end that absorbs blue more
    than red is DAB, so the order is always hematoxylin, DAB. A stain that is absent keeps its
    reference vector, with a warning.

    Parameters
    ----------
    images : array of shape (H, W, 3) or sequence of them
        uint8, or floating in [0, 1]; blank, tiny and single-colour ones do no harm.
    background : "auto" or three numbers
        As in :func:`membrane_xai.stain.optical_density`; "auto" estimates it for each image.

    Returns
    -------
    ndarray of shape (2, 3)
        Unit vectors, ready as `stain_matrix` of :func:`membrane_xai.separate_stains`.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.estimate_background`; also for an empty sequence.

    Warns
    -----
    MembraneXAIWarning
        A stain has too few pixels, is within 12 degrees of the other, or farther than 18 degrees
        from its reference; its reference vector is returned.

    References
    ----------
    .. [1] Macenko et al., "A method for normalizing histology slides for quantitative analysis",
       ISBI 2009, 1107-1110.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import estimate_stain_matrix
    >>> from membrane_xai.datasets import ihc_sample
    >>> estimate_stain_matrix(ihc_sample().rgb).round(2)
    array([[0.67, 0.65, 0.36],
           [0.23, 0.46, 0.86]])

    A blank image has no stain to look at; it keeps the reference and warns.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     matrix = estimate_stain_matrix(np.full((9, 9, 3), 240, np.uint8))
    >>> str(caught[0].message)
    'no hematoxylin and no DAB found in 1 image; the reference vector is used'
    """
    several = _as_images(images)
    densities = [optical_density(image, background).reshape(-1, 3) for image in several]
    found = find_vectors(densities, stain_vectors(HDAB))
    if found.absent:
        count = f"{len(several)} image" + "s" * (len(several) > 1)
        warnings.warn(
            f"no {' and no '.join(found.absent)} found in {count}; the reference vector is used",
            MembraneXAIWarning,
            stacklevel=2,
        )
    return found.vectors


def _as_images(images: Any) -> Sequence[Any]:
    if not isinstance(images, list | tuple):
        axes = np.ndim(images)
        images = [images] if axes == 3 else list(images) if axes == 4 else []
    if not images:
        raise InvalidInputError("images is empty; it takes (H, W, 3) images, one or a sequence")
    listed: Sequence[Any] = images
    return listed


def combine_stains(
    stains: StainDensities, *, stain_matrix: Any = "hdab", background: Any
) -> NDArray[np.uint8]:
    """Mix stain densities back to an image: the inverse of :func:`membrane_xai.separate_stains`.

    Pixels whose blue is below 2 % of the background come back darker: see there.

    Parameters
    ----------
    stains : StainDensities
        Densities (H, W) in base-10 optical density.
    stain_matrix
        As in :func:`membrane_xai.separate_stains`.
    background : three numbers
        Glass, on the scale of uint8.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        Rounded, and clipped to [0, 255].

    Raises
    ------
    InvalidInputError
        For a matrix or a background that :func:`membrane_xai.separate_stains` does not take either.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.stain import StainDensities, combine_stains
    >>> none = np.zeros((1, 1), np.float32)
    >>> combine_stains(StainDensities(none, none, none), background=(240, 241, 242))
    array([[[240, 241, 242]]], dtype=uint8)
    """
    mixing = with_residual(stain_vectors(stain_matrix))
    density = np.stack(stains, axis=-1) @ mixing
    light = given_background(background) * 10.0**-density
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def to_hed_units(density: Any) -> Any:
    """Convert base-10 optical density to the units of ``skimage.color.rgb2hed``.

    scikit-image divides the natural logarithm of light by ``log(1e-6)``, so its stain amounts are
    base-10 optical densities divided by 6. Numbers agree for the same stain matrix and white glass.

    Parameters
    ----------
    density : float or array
        Base-10 optical density.

    Returns
    -------
    float or array
        ``density / 6``.

    Examples
    --------
    >>> from membrane_xai.stain import to_hed_units
    >>> round(float(to_hed_units(0.6)), 3)
    0.1
    """
    return density * _HED_UNIT


def stain_vectors(stain_matrix: Any = "hdab") -> Floats:
    """Return the (2, 3) unit vectors of hematoxylin and DAB, or raise.

    Parameters
    ----------
    stain_matrix : "hdab" or array of shape (2, 3)
        As in :func:`membrane_xai.separate_stains`.

    Returns
    -------
    ndarray of shape (2, 3)
        Rows of unit length.

    Raises
    ------
    InvalidInputError
        An unknown name, another shape, parallel vectors or ones without length.

    Examples
    --------
    >>> from membrane_xai.stain import stain_vectors
    >>> stain_vectors("hdab").round(3)
    array([[0.651, 0.701, 0.29 ],
           [0.269, 0.568, 0.778]])
    """
    if isinstance(stain_matrix, str):
        if stain_matrix != "hdab":
            raise InvalidInputError(
                f"stain_matrix is {stain_matrix!r}; it takes 'hdab' or an array of shape (2, 3)"
            )
        return stain_vectors(HDAB)
    try:
        vectors = np.array(stain_matrix, dtype=float)
    except (TypeError, ValueError):
        vectors = np.empty(0)
    if vectors.shape != (2, 3) or not np.isfinite(vectors).all():
        raise InvalidInputError(
            f"stain_matrix has shape {vectors.shape}; it takes (2, 3) finite numbers: "
            f"hematoxylin and DAB in red, green and blue"
        )
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if length.min() == 0 or np.linalg.norm(np.cross(*(vectors / np.maximum(length, 1e-9)))) < 1e-3:
        raise InvalidInputError(
            "stain_matrix has parallel or zero rows; two stains need two colours"
        )
    unit: Floats = vectors / length
    return unit


def background_of(rgb: Any, background: Any) -> Floats:
    """Return the given background, or for "auto" the estimated one; raise for anything else."""
    if isinstance(background, str) and background == "auto":
        return estimate_background(rgb)
    return given_background(background, "'auto' or three numbers")


def given_background(background: Any, takes: str = "three numbers") -> Floats:
    """Return a background as an array, or raise."""
    try:
        white = np.array(background, dtype=float)
    except (TypeError, ValueError):
        white = np.empty(0)
    if white.shape != (3,) or not ((white >= 1) & (white <= 255)).all():
        raise InvalidInputError(f"background is {background!r}; it takes {takes} in [1, 255]")
    return white
