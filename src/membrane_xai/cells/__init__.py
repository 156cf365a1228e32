"""Membrane mask and nuclei in, one row of numbers per cell out."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.checks import (
    check_fine_mpp,
    check_mpp,
    check_number,
    check_thresholds,
    is_count,
)
from membrane_xai.cells._nuclei import find_nuclei
from membrane_xai.cells._rays import grow_territories, measure
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import background_of, separate_stains, stain_vectors
from membrane_xai.stain._density import as_image
from membrane_xai.stain._nuclear_size import (
    LEAST_NUCLEI,
    PLAUSIBLE_DIAMETERS,
    NuclearSize,
    nuclei_in_view,
)

__all__ = [
    "PLAUSIBLE_DIAMETERS",
    "CellTable",
    "NuclearSize",
    "cell_territories",
    "measure_nuclei",
    "membrane_completeness",
    "segment_nuclei",
]

_TYPICAL = 8.0  # micrometres across: the nuclei that the lengths of the search are made for
_LEAST_SECTORS = 8  # fewer make completeness coarser than an eighth; set by hand


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """One row per cell, in the order of the labels.

    Attributes
    ----------
    id : ndarray of int64, shape (n,)
        Label of the nucleus.
    row, col : ndarray of float64, shape (n,)
        Centroid of the nucleus in pixels; the centre of the first pixel is (0, 0).
    completeness : ndarray of float64, shape (n,)
        In [0, 1]: share of the directions around the nucleus with stained membrane, among those in
        view; NaN if none is.
    dab : ndarray of float64, shape (n,)
        Base-10 optical density of DAB: the highest along each direction with membrane, on average;
        NaN without membrane.
    intensity : ndarray of int64, shape (n,)
        Class of `dab`: 0 negative or without membrane, 1 weak, 2 moderate, 3 strong.
    width_um : ndarray of float64, shape (n,)
        Mean thickness of the membrane across, that of both cells where they touch, with the blur of
        optics and pixels; NaN without membrane.
    touches_border : ndarray of bool, shape (n,)
        Whether the image cuts the cell.
    mpp : float
        Micrometres per pixel.
    nuclear_diameter : float
        Median diameter of the nuclei in micrometres; NaN with fewer than 30 whole ones.
    flags : tuple of str
        "pixel_size" if that is below 4 or above 12 micrometres: `mpp` is off, or the labels are not
        of nuclei. Empty otherwise.
    """

    id: NDArray[np.int64]
    row: NDArray[np.float64]
    col: NDArray[np.float64]
    completeness: NDArray[np.float64]
    dab: NDArray[np.float64]
    intensity: NDArray[np.int64]
    width_um: NDArray[np.float64]
    touches_border: NDArray[np.bool_]
    mpp: float
    nuclear_diameter: float = math.nan
    flags: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name, as ``pandas.DataFrame`` takes them."""
        names = ("id", "row", "col", "completeness", "dab", "intensity", "width_um")
        return {name: getattr(self, name) for name in (*names, "touches_border")}


def segment_nuclei(
    rgb: Any, *, mpp: float, stain_matrix: Any = "hdab", background: Any = "auto"
) -> NDArray[np.int32]:
    """Find nuclei by their hematoxylin, without a neural network or a download.

    What is denser than its surroundings within 12 micrometres is split at its blobs (Laplacian of
    Gaussian for a radius of 3 micrometres) by a watershed; pieces below 15 square micrometres are
    dropped. Bring the labels of a nucleus network instead where nuclei crowd or hardly stain.

    Where nuclei contradict `mpp` (:func:`membrane_xai.cells.measure_nuclei`), these lengths follow
    the nuclei, so that the labels have their true size in pixels, and the table of cells says so.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    mpp : float
        Micrometres per pixel, at most 1.5.
    stain_matrix, background
        As in :func:`membrane_xai.separate_stains`.

    Returns
    -------
    ndarray of int32, shape (H, W)
        0 outside nuclei, 1 to n within. Found on a grid of about 0.5 micrometres.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.separate_stains`; also for `mpp` that is not positive or above 1.5.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import segment_nuclei
    >>> field = np.full((80, 80, 3), 240, np.uint8)
    >>> segment_nuclei(field, mpp=0.5).max()  # glass
    np.int32(0)
    >>> field[20:34, 20:34] = field[20:34, 50:64] = (140, 130, 190)
    >>> segment_nuclei(field, mpp=0.5).max()
    np.int32(2)
    """
    mpp = check_fine_mpp(mpp, "nuclei")
    stains = separate_stains(rgb, stain_matrix=stain_matrix, background=background)
    seen = measure_nuclei(rgb, mpp=mpp, stain_matrix=stain_matrix, background=background)
    if seen.implausible:
        mpp *= _TYPICAL / seen.median
    return find_nuclei(stains.hematoxylin, mpp)


def measure_nuclei(
    rgb: Any, *, mpp: float, stain_matrix: Any = "hdab", background: Any = "auto"
) -> NuclearSize:
    """Measure how large nuclei are, to check the pixel size of an image.

    Nuclei that stand apart are measured in pixels, at whichever of five resolutions most
    hematoxylin lies in pieces of the shape of an ellipse. So the size found is that of the image,
    not the one that `mpp` lets expect. Large images are looked at in a window of 256 micrometres.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    mpp : float
        Micrometres per pixel as stated, at most 1.5.
    stain_matrix, background
        As in :func:`membrane_xai.separate_stains`.

    Returns
    -------
    NuclearSize
        Diameters, their median, and whether it is one that nuclei have. No diameters where nuclei
        cannot be told from what is around them.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.segment_nuclei`.

    Notes
    -----
    A pixel size that is wrong by a factor of 2 is found only if it takes the median out of 4 to 12
    micrometres: nuclei of 8 micrometres measure 4 at half of their pixel size.

    Examples
    --------
    >>> from membrane_xai.cells import measure_nuclei
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("1+", size=448, mpp=0.5, seed=3)
    >>> stated = [measure_nuclei(field.rgb, mpp=mpp) for mpp in (0.25, 0.5, 1.0)]
    >>> [(round(nuclei.median, 1), nuclei.flags) for nuclei in stated]
    [(3.6, ('pixel_size',)), (7.1, ()), (14.3, ('pixel_size',))]
    """
    mpp = check_fine_mpp(mpp, "nuclei")
    vectors = stain_vectors(stain_matrix)
    return nuclei_in_view(as_image(rgb), background_of(rgb, background), vectors, mpp)


def cell_territories(
    membrane: Any, nuclei: Any, *, mpp: float, reach: float = 8.0
) -> NDArray[np.int32]:
    """Give each pixel near a nucleus to a cell.

    Cells grow from their nuclei at equal speed and enter the membrane last, so that borders lie in
    its middle where there is one, and midway between nuclei where there is none.

    Parameters
    ----------
    membrane : array of bool, shape (H, W)
        Stained membrane.
    nuclei : array of integer, shape (H, W)
        0 outside nuclei, a label within.
    mpp : float
        Micrometres per pixel.
    reach : float
        How far cells extend beyond their nuclei, in micrometres.

    Returns
    -------
    ndarray of int32, shape (H, W)
        The label of the nucleus; 0 outside cells.

    Raises
    ------
    InvalidInputError
        As :func:`membrane_xai.membrane_completeness`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.cells import cell_territories
    >>> nuclei = np.zeros((1, 9), int)
    >>> nuclei[0, 1], nuclei[0, 7] = 5, 6
    >>> membrane = np.zeros((1, 9), bool)
    >>> cell_territories(membrane, nuclei, mpp=1.0, reach=2.0)
    array([[5, 5, 5, 5, 0, 6, 6, 6, 6]], dtype=int32)
    """
    mask, labels, ids = _check_planes(membrane, nuclei)
    grown = grow_territories(mask, labels, check_mpp(mpp), _check_reach(reach))
    return np.concatenate([[0], ids]).astype(np.int32)[grown]


def membrane_completeness(
    membrane: Any,
    nuclei: Any,
    *,
    mpp: float,
    dab: Any,
    thresholds: tuple[float, float, float] = (0.2, 0.5, 0.9),
    sectors: int = 72,
    reach: float = 8.0,
) -> CellTable:
    """Measure how much of each cell's membrane is stained, how densely, and how wide it is.

    From the middle of each nucleus a ray goes out in the middle of every angular sector, to the end
    of the cell (:func:`membrane_xai.cells.cell_territories`) and 1 micrometre beyond, since two
    cells share a membrane. It is stained in that direction if the ray meets the mask outside
    of other nuclei::

        completeness = rays that meet membrane / rays that stay in the image

    Parameters
    ----------
    membrane : array of bool, shape (H, W)
        Stained membrane, as ``extract_membrane_mask(...).mask``.
    nuclei : array of integer, shape (H, W)
        0 outside nuclei, a label within; from :func:`membrane_xai.segment_nuclei` or any other
        program.
    mpp : float
        Micrometres per pixel.
    dab : array of real, shape (H, W)
        DAB density, as ``extract_membrane_mask(...).dab``.
    thresholds : three increasing numbers
        Densities from which a cell is weak, moderate and strong. They are higher than those for
        pixels, since `CellTable.dab` looks at the crest of the membrane; the default told the
        classes of synthetic fields apart best that also keeps real 2+ and 3+ patches apart.
    sectors : int
        Directions around a cell, at least 8.
    reach : float
        How far cells extend beyond their nuclei, in micrometres.

    Returns
    -------
    CellTable
        One row per label. A field without nuclei gives an empty table.

    Raises
    ------
    InvalidInputError
        Planes that are not two-dimensional or of different shapes, a mask that is not bool, labels
        that are not integers or negative, densities that are not finite, options out of range.

    Notes
    -----
    Research use only. A long cell has more border in some sectors than in others: completeness by
    direction then differs from completeness by length. Cells whose membrane is not stained anywhere
    look the same as cells that are not tumour cells.

    Examples
    --------
    A cell whose right half has a stained membrane, 6 micrometres from the middle of its nucleus:

    >>> import numpy as np
    >>> from membrane_xai import membrane_completeness
    >>> y, x = np.mgrid[-20:21, -20:21] / 2.0
    >>> distance = np.hypot(x, y)
    >>> nuclei = (distance < 3).astype(int)
    >>> membrane = (abs(distance - 6) < 1) & (x > 0)
    >>> cells = membrane_completeness(membrane, nuclei, mpp=0.5, dab=0.6 * membrane)
    >>> cells.completeness.round(2), cells.intensity, cells.width_um.round(1)
    (array([0.5]), array([2]), array([2.]))

    The image cuts this one; what can be seen of it is complete, and the rule leaves it out:

    >>> part = (abs(distance - 6) < 1)[:, 20:]
    >>> cut = membrane_completeness(part, nuclei[:, 20:], mpp=0.5, dab=0.6 * part)
    >>> cut.completeness, cut.touches_border
    (array([1.]), array([ True]))
    """
    mask, labels, ids = _check_planes(membrane, nuclei)
    density = _check_density(dab, mask.shape)
    limits = check_thresholds(thresholds)
    if not is_count(sectors) or sectors < _LEAST_SECTORS:
        raise InvalidInputError(f"sectors is {sectors!r}; it takes an integer of at least 8")
    mpp, reach = check_mpp(mpp), _check_reach(reach)
    found = measure(mask, density, labels, mpp=mpp, sectors=int(sectors), reach=reach)
    intensity = np.digitize(np.nan_to_num(found.dab), limits).astype(np.int64)
    nuclei_seen = _size_of(labels, mpp)
    return CellTable(
        id=ids,
        row=found.row,
        col=found.column,
        completeness=found.completeness,
        dab=found.dab,
        intensity=intensity,
        width_um=found.width,
        touches_border=found.in_view < 1,
        mpp=mpp,
        nuclear_diameter=nuclei_seen.median if nuclei_seen.count >= LEAST_NUCLEI else math.nan,
        flags=nuclei_seen.flags,
    )


def _size_of(labels: NDArray[np.int32], mpp: float) -> NuclearSize:
    """Measure the labels that the border does not cut; 1 to n."""
    area = np.bincount(labels.ravel())
    area[0] = 0
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        area[edge] = 0
    diameters = 2 * np.sqrt(area[area > 0] / np.pi) * mpp
    return NuclearSize(diameters, np.ones(len(diameters)))


def _check_planes(
    membrane: Any, nuclei: Any
) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int64]]:
    """Return the mask, nuclei labelled 1 to n, and their own labels."""
    from skimage.segmentation import relabel_sequential

    mask, labels = to_numpy(membrane), to_numpy(nuclei)
    if mask.ndim != 2 or mask.dtype != bool or 0 in mask.shape:
        raise InvalidInputError(
            f"membrane has dtype {mask.dtype} and shape {mask.shape}; it takes bool, (H, W)"
        )
    if labels.dtype.kind not in "iu" or labels.shape != mask.shape:
        raise InvalidInputError(
            f"nuclei has dtype {labels.dtype} and shape {labels.shape}; it takes integers of shape "
            f"{mask.shape}, that of membrane"
        )
    if labels.min() < 0:
        raise InvalidInputError(f"nuclei has the label {labels.min()}; labels begin at 0")
    numbered, _, own = relabel_sequential(labels)
    return mask, numbered.astype(np.int32), np.asarray(own)[1:].astype(np.int64)


def _check_density(dab: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    density = to_numpy(dab)
    if density.dtype.kind not in "fiu" or density.shape != shape:
        raise InvalidInputError(
            f"dab has dtype {density.dtype} and shape {density.shape}; it takes real numbers of "
            f"shape {shape}, that of membrane"
        )
    if not np.isfinite(density).all():
        raise InvalidInputError("dab has values that are not finite")
    return density


def _check_reach(reach: Any) -> float:
    return check_number(reach, "reach", "a positive number, micrometres", lambda x: x > 0)
