"""Perturbations that change colour or sharpness and move nothing."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import stain
from membrane_xai._backend.checks import check_mpp, check_number, check_seed, is_count
from membrane_xai._backend.jpeg import recompressed
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb._perturbation import Perturbation, Rgb, photometric, to_uint8

__all__ = [
    "blur",
    "illumination",
    "illumination_jitter",
    "jpeg",
    "magnification",
    "noise",
    "stain_jitter",
]

Floats = NDArray[np.float64]

_CHANNELS = ("red", "green", "blue")


def stain_jitter(strength: float = 0.1, *, seed: int) -> Perturbation:
    """Make each stain stronger or weaker, as another staining run would.

    Densities of hematoxylin and DAB are each multiplied by a factor drawn uniformly from
    ``[1 - strength, 1 + strength]``; the background stays. One draw per perturbation: the same seed
    changes every image by the same factors.

    Parameters
    ----------
    strength : float in (0, 1)
        Largest relative change of a stain's optical density.
    seed : int
        Of the draw.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For a strength or a seed out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import stain_jitter
    >>> glass = np.full((4, 4, 3), 240, np.uint8)
    >>> bool((stain_jitter(seed=1).apply(glass) == glass).all())  # glass has no stain to change
    True
    """
    strength = check_number(strength, "strength", "a number in (0, 1)", lambda x: 0 < x < 1)
    seed = check_seed(seed)
    factors = 1 + np.random.default_rng(seed).uniform(-strength, strength, 2)
    return photometric(
        f"stain jitter (seed {seed}: H x{factors[0]:.2f}, DAB x{factors[1]:.2f})",
        partial(_scale_stains, factors=factors),
        {
            "perturbation": "stain jitter",
            "strength": strength,
            "seed": seed,
            "hematoxylin": float(factors[0]),
            "dab": float(factors[1]),
        },
    )


def illumination(gain: float = 1.0, *, tint: Sequence[float] = (1.0, 1.0, 1.0)) -> Perturbation:
    """Multiply red, green and blue, as another lamp, exposure or white balance would.

    The 8-bit values are multiplied as they are stored, without undoing their gamma.

    Parameters
    ----------
    gain : float
        Positive factor of all channels.
    tint : three floats
        Positive factors of red, green and blue, on top of `gain`.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For factors that are not positive, or a tint without three of them.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import illumination
    >>> illumination(1.1, tint=(1, 1, 0.9)).apply(np.full((1, 1, 3), 240, np.uint8))
    array([[[255, 255, 238]]], dtype=uint8)
    """
    gain = check_number(gain, "gain", "a positive number", lambda x: x > 0)
    factors = _check_tint(tint)
    name = f"illumination (gain {gain:g}, tint {' '.join(f'{x:g}' for x in factors)})"
    return photometric(
        name,
        partial(_scale_channels, factors=gain * factors),
        {"perturbation": "illumination", "gain": gain, "tint": factors.tolist()},
    )


def illumination_jitter(gain: float = 0.1, *, tint: float = 0.05, seed: int) -> Perturbation:
    """Draw an :func:`illumination` at random.

    Its gain is drawn uniformly from ``[1 - gain, 1 + gain]``, and a factor for each channel from
    ``[1 - tint, 1 + tint]``. One draw per perturbation: the same for every image.

    Parameters
    ----------
    gain : float in [0, 1)
        Largest relative change of all channels together.
    tint : float in [0, 1)
        Largest relative change of a channel on top of that.
    seed : int
        Of the draw.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For limits or a seed out of range.

    Examples
    --------
    >>> from membrane_xai.perturb import illumination_jitter
    >>> drawn = illumination_jitter(0.1, tint=0, seed=3).parameters
    >>> 0.9 <= drawn["gain"] <= 1.1, drawn["tint"]
    (True, [1.0, 1.0, 1.0])
    """
    limits = [
        check_number(value, name, "a number in [0, 1)", lambda x: 0 <= x < 1)
        for value, name in ((gain, "gain"), (tint, "tint"))
    ]
    seed = check_seed(seed)
    spread = np.array([limits[0], *[limits[1]] * 3])
    factors = 1 + spread * np.random.default_rng(seed).uniform(-1, 1, 4)
    drawn = {"gain": float(factors[0]), "tint": factors[1:].tolist()}
    shown = " ".join(f"{x:.2f}" for x in drawn["tint"])
    return photometric(
        f"illumination jitter (seed {seed}: gain {drawn['gain']:.2f}, tint {shown})",
        partial(_scale_channels, factors=factors[0] * factors[1:]),
        {
            "perturbation": "illumination jitter",
            "gain_limit": limits[0],
            "tint_limit": limits[1],
            "seed": seed,
            **drawn,
        },
    )


def blur(sigma: float, *, mpp: float) -> Perturbation:
    """Blur with a Gaussian, as slight defocus does.

    The image is continued by its border pixels.

    Parameters
    ----------
    sigma : float
        Standard deviation in micrometres, so that one setting suits every magnification.
    mpp : float
        Micrometres per pixel of the images.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For a `sigma` or an `mpp` that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import blur
    >>> line = np.full((1, 9, 3), 250, np.uint8)
    >>> line[0, 4] = 50
    >>> blur(0.5, mpp=0.5).apply(line)[0, :, 0]
    array([250, 249, 239, 202, 170, 202, 239, 249, 250], dtype=uint8)
    """
    sigma = check_number(sigma, "sigma", "a positive number, micrometres", lambda x: x > 0)
    mpp = check_mpp(mpp)
    return photometric(
        f"blur (sigma {sigma:g} um)",
        partial(_blur, sigma=sigma / mpp),
        {"perturbation": "blur", "sigma_um": sigma, "mpp": mpp},
    )


def noise(std: float, *, photons: float | None = None, seed: int) -> Perturbation:
    r"""Add the noise of a camera: of constant size, of the light itself, or both.

    A value v gets normal noise of variance

    .. math:: \mathrm{std}^2 + 255 v / \mathrm{photons}

    The second term is the Poisson noise of a camera that counts `photons` at 255, in its normal
    approximation [1]_. The standard normal numbers depend on the seed and on the shape of the image
    and on nothing else.

    Parameters
    ----------
    std : float
        Standard deviation of the constant part, in steps of 8-bit values, from 0.
    photons : float, optional
        Photons (electrons) at the value 255, at least 100; none: no Poisson noise.
    seed : int
        Of the draw.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For arguments out of range, and for a `std` of 0 without photons: that is no noise.

    References
    ----------
    .. [1] Foi, Trimeche, Katkovnik and Egiazarian, "Practical Poissonian-Gaussian noise modeling
       and fitting for single-image raw-data", IEEE Trans. Image Process. 17 (2008), 1737-1754.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import noise
    >>> black = np.zeros((2, 2, 3), np.uint8)
    >>> int(noise(0, photons=1000, seed=1).apply(black).max())  # no light, no Poisson noise
    0
    """
    std = check_number(std, "std", "a non-negative number, in 8-bit steps", lambda x: x >= 0)
    seed = check_seed(seed)
    if photons is not None:
        photons = check_number(
            photons, "photons", "None or a number of at least 100", lambda x: x >= 100
        )
    elif std == 0:
        raise InvalidInputError("std is 0 and photons is None; one of them must make some noise")
    shot = "" if photons is None else f", {photons:g} photons"
    return photometric(
        f"noise (seed {seed}: std {std:g}{shot})",
        partial(_add_noise, std=std, photons=photons, seed=seed),
        {"perturbation": "noise", "std": std, "photons": photons, "seed": seed},
    )


def jpeg(quality: int) -> Perturbation:
    """Compress as JPEG and decompress, with Pillow and chroma subsampling 4:2:0.

    Parameters
    ----------
    quality : int in [1, 100]
        Of the compression, on libjpeg's scale; higher changes less.

    Returns
    -------
    Perturbation
        The CAM needs no way back. Builds of libjpeg may differ by single steps.

    Raises
    ------
    InvalidInputError
        For another quality.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import jpeg
    >>> grey = np.full((8, 8, 3), 128, np.uint8)
    >>> bool((jpeg(50).apply(grey) == grey).all())  # nothing to lose
    True
    """
    if not is_count(quality) or not 1 <= quality <= 100:
        raise InvalidInputError(f"quality is {quality!r}; it takes an integer in [1, 100]")
    return photometric(
        f"JPEG (quality {quality})",
        partial(recompressed, quality=int(quality)),
        {"perturbation": "JPEG", "quality": int(quality), "subsampling": "4:2:0"},
    )


def magnification(*, from_mpp: float, to_mpp: float) -> Perturbation:
    """Show the same field as a scan with coarser pixels would, on the original's pixels.

    Each coarse pixel is the mean over its area; bicubic interpolation brings the result back to the
    number of pixels of the original. The field does not change, only the detail in it: for an image
    of another field see :func:`zoom`.

    Parameters
    ----------
    from_mpp : float
        Micrometres per pixel of the images.
    to_mpp : float
        Micrometres per pixel of the coarser scan, above `from_mpp`; rounded to whole pixels per
        image side.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For pixel sizes that are not positive, or a `to_mpp` that is not coarser.

    Notes
    -----
    A network that resizes images to coarser pixels than `to_mpp` sees no difference: 1024 pixels of
    0.25 micrometres in an input of 224 are 1.14 micrometres per pixel. For what an objective's own
    field of view changes see :func:`membrane_xai.magnification_consistency`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import magnification
    >>> stripes = np.zeros((1, 8, 3), np.uint8)
    >>> stripes[:, ::2] = 200  # finer than the coarse scan can show
    >>> magnification(from_mpp=0.25, to_mpp=0.5).apply(stripes)[0, :, 0]
    array([100, 100, 100, 100, 100, 100, 100, 100], dtype=uint8)
    """
    unit = "micrometres per pixel"
    fine = check_number(from_mpp, "from_mpp", f"a positive number, {unit}", lambda x: x > 0)
    takes = f"a number above from_mpp ({fine:g}), {unit}"
    coarse = check_number(to_mpp, "to_mpp", takes, lambda x: x > fine)
    return photometric(
        f"magnification ({fine:g} to {coarse:g} um/px)",
        partial(_coarsen, factor=coarse / fine),
        {"perturbation": "magnification", "from_mpp": fine, "to_mpp": coarse},
    )


def _scale_stains(rgb: Rgb, factors: Floats) -> Rgb:
    background = stain.estimate_background(rgb)
    found = stain.separate_stains(rgb, background=background)
    scaled = found._replace(
        hematoxylin=found.hematoxylin * np.float32(factors[0]),
        dab=found.dab * np.float32(factors[1]),
    )
    return stain.combine_stains(scaled, background=background)


def _check_tint(tint: Any) -> Floats:
    try:
        factors = list(tint)
    except TypeError:
        factors = []
    if isinstance(tint, str) or len(factors) != 3:
        raise InvalidInputError(f"tint is {tint!r}; it takes three positive numbers")
    named = zip(factors, _CHANNELS, strict=True)
    takes = "a positive number"
    return np.array([check_number(x, f"tint of {c}", takes, lambda y: y > 0) for x, c in named])


def _scale_channels(rgb: Rgb, factors: Floats) -> Rgb:
    return to_uint8(rgb * factors)


def _blur(rgb: Rgb, sigma: float) -> Rgb:
    from scipy import ndimage

    return to_uint8(
        ndimage.gaussian_filter(rgb, sigma=(sigma, sigma, 0), output=np.float64, mode="nearest")
    )


def _add_noise(rgb: Rgb, std: float, photons: float | None, seed: int) -> Rgb:
    variance = std**2 + (0 if photons is None else rgb * (255 / photons))
    return to_uint8(
        rgb + np.sqrt(variance) * np.random.default_rng(seed).standard_normal(rgb.shape)
    )


def _coarsen(rgb: Rgb, factor: float) -> Rgb:
    from PIL import Image

    height, width = rgb.shape[:2]
    coarse = max(1, round(width / factor)), max(1, round(height / factor))
    small = Image.fromarray(rgb).resize(coarse, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
