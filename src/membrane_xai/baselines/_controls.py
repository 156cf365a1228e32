"""Control masks of an image: insides of stained cells, nuclei, stained tissue; and the tumour."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.checks import check_fine_mpp
from membrane_xai._backend.vocabulary import CONTROLS
from membrane_xai.cells import cell_territories, membrane_completeness, segment_nuclei
from membrane_xai.errors import InvalidInputError
from membrane_xai.stain import separate_stains

__all__ = ["CONTROLS", "control_masks", "tumour_region"]

Mask = NDArray[np.bool_]

# From this share of its border on a cell counts as stained, as in the truth of synthetic fields; at
# 0.25 half of the cells of a 1+ field are missed.
_LEAST_COMPLETENESS = 0.1
_WEAK = 0.2  # base-10 optical density of DAB, QuPath's limit of weak staining
_SPECK = 0.5  # micrometres: standard deviation of a mean of DAB, in which single pixels fade
_REACH = 8.0  # micrometres: how far cells extend beyond their nuclei, as in membrane_xai.cells


def control_masks(
    rgb: Any,
    membrane: Any,
    *,
    mpp: float,
    names: Sequence[str] = CONTROLS,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
) -> dict[str, Mask]:
    """Make masks of what is not membrane, to tell by which of them a map goes.

    - "inside": the stained cells (a tenth of the border or more) without their membrane.
    - "nuclei": nuclei of all cells, stained or not.
    - "stained": what lies within 8 micrometres, a cell's reach, of DAB that is at least weak: where
      the image is brown when looked at from afar.

    None of them holds a pixel of the membrane.

    Parameters
    ----------
    rgb : array of shape (H, W, 3)
        uint8, or floating in [0, 1].
    membrane : array of shape (H, W)
        Stained membrane, bool or fractions in [0, 1] (from a half on it is membrane), such as
        ``extract_membrane_mask(...).mask`` or an expert's.
    mpp : float
        Micrometres per pixel, at most 1.5.
    names : sequence of str
        Which; all of :data:`CONTROLS` by default.
    stain_matrix, background
        As in :func:`membrane_xai.separate_stains`.

    Returns
    -------
    dict of str to ndarray of bool, shape (H, W)
        By name. A field without membrane has no "inside".

    Raises
    ------
    InvalidInputError
        Another shape of `membrane`, unknown names, `mpp` that is not positive or above 1.5.

    Notes
    -----
    Cells are nuclei of :func:`membrane_xai.segment_nuclei`, grown by
    :func:`membrane_xai.cells.cell_territories`. On synthetic fields with the membrane found in the
    image, "inside" and the truth have a Dice coefficient of 0.80 (2+ and 3+) and 0.59 (1+), where
    faint membrane is missed; "nuclei" 0.92. The page on specificity has the table.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.baselines import control_masks
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("3+", size=128, mpp=0.5, seed=0)
    >>> controls = control_masks(field.rgb, field.membrane, mpp=0.5)
    >>> list(controls), (controls["inside"] & field.membrane).any()
    (['inside', 'nuclei', 'stained'], np.False_)

    Without membrane there are no stained cells, and no specificity against their insides:

    >>> control_masks(field.rgb, 0 * field.membrane, mpp=0.5)["inside"].any()
    np.False_
    """
    mpp, stained = check_fine_mpp(mpp, "cells"), _as_mask(membrane, rgb)
    wanted = [names] if isinstance(names, str) else list(names)
    if not set(wanted) <= set(CONTROLS):
        raise InvalidInputError(f"names is {names!r}; it takes some of {CONTROLS}")
    dab = separate_stains(rgb, stain_matrix=stain_matrix, background=background).dab
    found: dict[str, Mask] = {}
    if "stained" in wanted:
        found["stained"] = _near(_brown(dab, mpp), _REACH / mpp) & ~stained
    if not {"inside", "nuclei"}.isdisjoint(wanted):
        nuclei = segment_nuclei(rgb, mpp=mpp, stain_matrix=stain_matrix, background=background)
        found["nuclei"] = (nuclei > 0) & ~stained
        if "inside" in wanted:
            found["inside"] = _stained_cells(stained, nuclei, dab, mpp) & ~stained
    return {name: found[name] for name in wanted}


def tumour_region(
    rgb: Any,
    membrane: Any,
    *,
    mpp: float,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
) -> Mask:
    """Find where stained cells lie together: the tumour, as far as the stain shows it.

    Parameters
    ----------
    rgb, membrane, mpp, stain_matrix, background
        As in :func:`control_masks`.

    Returns
    -------
    ndarray of bool, shape (H, W)
        The stained cells with their membrane, and gaps of up to 16 micrometres between them.
        Nothing in a field without membrane: tumour that is not stained takes an expert's outlines.

    Raises
    ------
    InvalidInputError
        As in :func:`control_masks`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.baselines import tumour_region
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("3+", size=192, mpp=0.5, seed=1, tumour_share=0.5)
    >>> region = tumour_region(field.rgb, field.membrane, mpp=0.5)
    >>> region[field.membrane].all(), 0.3 < float(region.mean()) < 0.7
    (np.True_, True)
    >>> tumour_region(field.rgb, 0 * field.membrane, mpp=0.5).any()
    np.False_
    """
    mpp, stained = check_fine_mpp(mpp, "cells"), _as_mask(membrane, rgb)
    if not stained.any():
        return stained
    options = {"stain_matrix": stain_matrix, "background": background}
    dab = separate_stains(rgb, **options).dab
    nuclei = segment_nuclei(rgb, mpp=mpp, **options)
    return _closed(_stained_cells(stained, nuclei, dab, mpp) | stained, _REACH / mpp)


def _stained_cells(membrane: Mask, nuclei: NDArray[np.int32], dab: Any, mpp: float) -> Mask:
    """Return the territories of the cells that have membrane."""
    cells = membrane_completeness(membrane, nuclei, mpp=mpp, dab=dab, reach=_REACH)
    ids = cells.id[np.nan_to_num(cells.completeness) >= _LEAST_COMPLETENESS]
    found: Mask = np.isin(cell_territories(membrane, nuclei, mpp=mpp, reach=_REACH), ids)
    return found


def _brown(dab: NDArray[np.float32], mpp: float) -> Mask:
    from scipy import ndimage

    brown: Mask = ndimage.gaussian_filter(dab, _SPECK / mpp, mode="nearest") >= _WEAK
    return brown


def _near(mask: Mask, reach: float) -> Mask:
    """Return what lies within `reach` pixels of a mask."""
    from scipy import ndimage

    if not mask.any():
        return mask
    near: Mask = ndimage.distance_transform_edt(~mask) <= reach
    return near


def _closed(mask: Mask, reach: float) -> Mask:
    """Fill gaps of up to twice `reach` pixels; the rim of the image is no edge."""
    side = int(np.ceil(reach))
    grown = _near(np.pad(mask, side, mode="edge"), reach)
    within = slice(side, -side)
    return ~_near(~grown, reach)[within, within] | mask


def _as_mask(membrane: Any, rgb: Any) -> Mask:
    mask, shape = to_numpy(membrane), np.shape(rgb)[:2]
    if mask.shape != shape:
        raise InvalidInputError(
            f"membrane has shape {mask.shape} for an image of {np.shape(rgb)}; it takes {shape}"
        )
    return mask if mask.dtype == bool else mask >= 0.5
