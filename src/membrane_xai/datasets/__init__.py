"""Images to try things on: a real one, and synthetic HER2 stains with exact ground truth."""

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice, check_number, check_seed, is_count
from membrane_xai._backend.vocabulary import GRADES
from membrane_xai.datasets._field import Grid
from membrane_xai.datasets._synthetic import Parameters, SyntheticHER2, draw
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import given_background, stain_vectors

__all__ = ["IHCSample", "SyntheticHER2", "ihc_sample", "synthetic_her2"]

_RANGES = {
    "mpp": (0.2, 1.0),
    "tumour_share": (0.05, 1.0),
    "cell_diameter": (10.0, 20.0),
    "stain_variation": (0.0, 2.0),
    "haze": (0.0, 3.0),
    "blur": (0.0, 2.0),
    "vignette": (0.0, 0.5),
    "noise": (0.0, 10.0),
    "artefacts": (0.0, 20.0),
}


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


def synthetic_her2(
    score: str,
    size: int | tuple[int, int] = 512,
    mpp: float = 0.5,
    seed: int = 0,
    *,
    tumour_share: float = 0.6,
    cell_diameter: float | None = None,
    stain_variation: float = 1.0,
    background: Any = None,
    stain_matrix: Any = None,
    haze: float = 1.0,
    blur: float = 0.3,
    vignette: float = 0.03,
    noise: float = 1.0,
    artefacts: float = 1.0,
    jpeg_quality: int | None = None,
) -> SyntheticHER2:
    """Draw a HER2 immunohistochemistry image of a known score, with exact ground truth.

    Nests of tumour cells in stroma with spindle cells and lymphocytes. Membranes are stained per
    cell, in arcs; light passes hematoxylin and DAB by Beer-Lambert, then optics, noise and 8 bits.
    For testing measurements and training small models: it looks like the stain, but is not tissue.

    Parameters
    ----------
    score : "0", "1+", "2+" or "3+"
        What the cells in view have by the ASCO/CAP rule for breast, see Notes.
    size : int or (int, int)
        Height and width in pixels, 128 to 2048.
    mpp : float
        Micrometres per pixel, 0.2 to 1.
    seed : int
        From 0. The same arguments give the same bytes; another score of the same seed stains the
        same cells otherwise.
    tumour_share : float
        Share of the cell positions that nests fill, 0.05 to 1.
    cell_diameter : float, optional
        Mean diameter of tumour cells in micrometres, 10 to 20; drawn from 12 to 16 by default.
    stain_variation : float
        Scales how far the stain vectors stray from :data:`membrane_xai.stain.HDAB`, 0 to 2.
    background : three numbers, optional
        Glass on the scale of uint8, in [1, 255]; by default drawn: white, or grey in three of ten.
    stain_matrix : array of shape (2, 3), optional
        Colours of hematoxylin and DAB, by default drawn. With those of another field, and its
        `background`, this one is of the same slide.
    haze : float
        Scales DAB that is not in the membrane's plane: cytoplasm, background and blur, 0 to 3.
    blur : float
        Standard deviation of the optics in micrometres, 0 to 2.
    vignette : float
        Share of light lost in the corners, 0 to 0.5.
    noise : float
        Scales shot and read noise, 0 to 10; 1 is a standard deviation of 1.7 grey levels on white.
    artefacts : float
        Expected specks of debris and of dust, each, per 0.1 square millimetres; one fold for ten.
    jpeg_quality : int, optional
        1 to 100: the image passes through JPEG.

    Returns
    -------
    SyntheticHER2
        Image, masks, cell table, and all that was drawn.

    Raises
    ------
    InvalidInputError
        An argument out of range, or a field too small for the score.

    Notes
    -----
    Each score mixes phenotypes in shares that vary between images (before scaling to 100 %), so
    that the percentage behind a score varies, too:

    =====================  =======  ======  ======  =======  ======
    phenotype              DAB      0       1+      2+       3+
    =====================  =======  ======  ======  =======  ======
    negative               0        94-100  10-90   10-40    0-70
    faint incomplete       .25-.48  0-6     10-80   10-30    0-10
    weak complete          .32-.49          0-4     5-30
    moderate incomplete    .51-.75                  5-30
    moderate complete      .52-.78                  10-60    0-30
    intense incomplete     .82-1.2                           0-20
    intense complete       .85-1.6                  0-4      20-100
    =====================  =======  ======  ======  =======  ======

    A membrane shared by two such cells is 0.6 (faint) to 2.1 micrometres (intense) wide on average;
    where only one of them is stained, three quarters of that, on its side. What the table states,
    and the rule counts, is what shows: a negative cell between stained ones has a stained border on
    their sides. Complete means 90 % of the perimeter. Cells with less than 20 square micrometres in
    view have no row and no territory.

    Examples
    --------
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("2+", size=256, mpp=0.5, seed=1)
    >>> field.rgb.shape, field.rgb.dtype, field.score
    ((256, 256, 3), dtype('uint8'), '2+')
    >>> complete = field.cells["completeness"][field.cells["tumour"]] >= 0.9
    >>> bool(complete.mean() > 0.1)
    True

    Score 0 has cells and no membrane, or next to none:

    >>> bool(synthetic_her2("0", size=256, seed=1).membrane.mean() < 0.01)
    True
    """
    options = Parameters(
        tumour_share=tumour_share,
        cell_diameter=cell_diameter,
        stain_variation=stain_variation,
        haze=haze,
        blur=blur,
        vignette=vignette,
        noise=noise,
        artefacts=artefacts,
        jpeg_quality=jpeg_quality,
    )
    check_choice(score, "score", GRADES)
    _check_range(mpp, "mpp")
    seed = check_seed(seed)
    _check_options(options)
    glass = None if background is None else given_background(background)
    vectors = None if stain_matrix is None else stain_vectors(stain_matrix)
    return draw(score, Grid(_shape(size), float(mpp)), seed, options, glass, vectors)


def _check_options(options: Parameters) -> None:
    optional = ("cell_diameter", "jpeg_quality")
    for name, value in options._asdict().items():
        if value is None and name in optional:
            continue
        if name != "jpeg_quality":
            _check_range(value, name)
        elif not is_count(value) or not 1 <= value <= 100:
            raise InvalidInputError(f"{name} is {value!r}; it takes an integer from 1 to 100")


def _shape(size: Any) -> tuple[int, int]:
    try:
        sides = (size, size) if is_count(size) else tuple(size)
        height, width = (operator.index(side) for side in sides)
    except (TypeError, ValueError):
        height = width = 0
    if not all(128 <= side <= 2048 for side in (height, width)):
        raise InvalidInputError(
            f"size is {size!r}; it takes one or two integers (height, width) from 128 to 2048"
        )
    return height, width


def _check_range(value: Any, name: str) -> None:
    low, high = _RANGES[name]
    takes = f"a number in [{low:g}, {high:g}]"
    check_number(value, name, takes, lambda x: low <= x <= high)
