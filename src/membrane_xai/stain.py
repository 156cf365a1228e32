"""RGB in, stain densities out: background, optical density (base 10), H-DAB separation."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError

__all__ = [
    "HDAB",
    "StainDensities",
    "combine_stains",
    "estimate_background",
    "optical_density",
    "separate_stains",
    "stain_vectors",
]

Floats = NDArray[np.float64]

HDAB: Floats = np.array([[0.651, 0.701, 0.290], [0.269, 0.568, 0.778]])
"""Optical density of hematoxylin and DAB in red, green and blue: Ruifrok's vectors as in QuPath."""
HDAB.flags.writeable = False

_GLASS_SHARE = 0.01
_MIN_GLASS = 128.0
_MAX_TINT = 0.85


class StainDensities(NamedTuple):
    """Amount of each stain per pixel: base-10 optical density along its vector, float32 (H, W)."""

    hematoxylin: NDArray[np.float32]
    dab: NDArray[np.float32]
    residual: NDArray[np.float32]


def estimate_background(rgb: Any) -> Floats:
    """Estimate what the scanner records for clear glass, channel by channel.

    The median of the brightest 1 % of the pixels, so grey and tinted glass is found as it is. Where
    these pixels are darker than 128 or more strongly coloured than glass (darkest channel below
    0.85 of the brightest), there is no glass in view: the brightest channel, at least 128, then
    stands for all three, so that the stain in view does not pass for the background.

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
    flat = _as_uint8_scale(rgb).reshape(-1, 3)
    brightness = flat.sum(axis=1)
    cut = np.quantile(brightness, 1 - _GLASS_SHARE)
    glass: Floats = np.median(flat[brightness >= cut], axis=0).astype(float)
    if glass.min() >= _MAX_TINT * glass.max() and glass.max() >= _MIN_GLASS:
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
    image = _as_uint8_scale(rgb)
    white = _background(rgb, background)
    density = np.log10(white) - np.log10(np.maximum(image, 1))
    clipped: NDArray[np.float32] = np.maximum(density, 0).astype(np.float32)
    return clipped


def separate_stains(rgb: Any, *, stain_matrix: Any = "hdab", background: Any = "auto") -> Any:
    """Separate hematoxylin and DAB by colour deconvolution.

    Optical densities add up (Beer-Lambert), so each pixel's three are a mixture of the stain
    vectors; it is solved exactly with a third, residual vector at right angles to both [1]_.

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
    density = optical_density(rgb, background)
    mixing = _with_residual(stain_vectors(stain_matrix))
    amounts = density @ np.linalg.inv(mixing).astype(np.float32)
    return StainDensities(amounts[..., 0], amounts[..., 1], amounts[..., 2])


def combine_stains(
    stains: StainDensities, *, stain_matrix: Any = "hdab", background: Any
) -> NDArray[np.uint8]:
    """Mix stain densities back to an image: the inverse of :func:`membrane_xai.separate_stains`.

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
    mixing = _with_residual(stain_vectors(stain_matrix))
    density = np.stack(stains, axis=-1) @ mixing
    light = _background(None, background) * 10.0**-density
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


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


def _with_residual(vectors: Floats) -> Floats:
    residual = np.cross(*vectors)
    return np.vstack([vectors, residual / np.linalg.norm(residual)])


def _background(rgb: Any, background: Any) -> Floats:
    if isinstance(background, str) and background == "auto":
        return estimate_background(rgb)
    try:
        white = np.array(background, dtype=float)
    except (TypeError, ValueError):
        white = np.empty(0)
    if white.shape != (3,) or not ((white >= 1) & (white <= 255)).all():
        raise InvalidInputError(
            f"background is {background!r}; it takes 'auto' or three numbers in [1, 255]"
        )
    return white


def _as_uint8_scale(rgb: Any) -> NDArray[np.float32]:
    """Check an image and return it as float32 on the scale of uint8."""
    image = np.asarray(rgb)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise InvalidInputError(f"rgb has shape {image.shape}; it takes (H, W, 3), not empty")
    if image.dtype == np.uint8:
        return image.astype(np.float32)
    if image.dtype.kind != "f":
        raise InvalidInputError(f"rgb has dtype {image.dtype}; it takes uint8 or floats in [0, 1]")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0 and high <= 1):
        raise InvalidInputError(f"rgb has values from {low:g} to {high:g}; floats lie in [0, 1]")
    return image.astype(np.float32) * np.float32(255)
