"""CAM and mask in, Membrane Activation Precision (MAP) and its frame of reference out.

Definitions are in ``docs/decisions/0001-map-and-ec.md``. Axes are (..., row, column).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import as_array, is_array_list, listed, namespace, to_numpy
from membrane_xai._backend.cam_grid import CamGrid, check_cam_grid
from membrane_xai._backend.checks import check_fraction, check_grid
from membrane_xai._backend.containers import CAM_MASK, columns, is_dataarray, over_arrays
from membrane_xai._backend.numeric import read_numbers
from membrane_xai._backend.status import as_words, check_on_undefined
from membrane_xai._backend.vocabulary import (
    ROW_STATUSES,
    SCORES,
    SPECIFICITY_STATUSES,
    STATUSES,
    SUMMARY_SCORES,
)
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._map import (
    alignment_core,
    ceiling_core,
    curve_core,
    map_core,
    pool_core,
    shape_of,
)
from membrane_xai.metrics._mass import check_negative
from membrane_xai.metrics._specificity import SPECIFICITY_COLUMNS, specificity_core

__all__ = [
    "ROW_STATUSES",
    "SCORES",
    "SPECIFICITY_STATUSES",
    "STATUSES",
    "SUMMARY_SCORES",
    "AlignmentResult",
    "CamGrid",
    "MapCurve",
    "PooledMask",
    "alignment",
    "map_ceiling",
    "map_curve",
    "map_score",
    "pool_mask",
]


@dataclass(frozen=True, slots=True)
class AlignmentResult:
    """How a CAM lies on a mask, with what the number has to be compared to.

    Each score is a float for a single pair, else an array of shape (N,) of the library of the
    CAM, or a DataArray. Undefined scores are NaN; `status` says why.

    Attributes
    ----------
    map : float or array
        Membrane Activation Precision, in [0, 1]; higher is better.
    chance : float or array
        Expected MAP of an uninformative (flat) CAM: the mask's share of the region, in [0, 1].
    enrichment : float or array
        ``map / chance``, from 0; 1 is chance.
    skill : float or array
        ``(map - chance) / (1 - chance)``, at most 1; 0 is chance. NaN when chance is 1.
    ideal : float or array
        MAP of the map that follows the mask exactly on this grid, in [chance, 1].
    toward_ideal : float or array
        ``(map - chance) / (ideal - chance)``: 0 is chance, 1 a map that follows the mask exactly.
        The number to quote. Negative where the map avoids the mask; above 1 where it lights only
        the cells richest in membrane. NaN when ideal and chance agree, as for a 1x1 grid: nothing
        can be learnt then.
    ceiling : float or array
        The best MAP that any CAM of this grid can reach on this mask, in [chance, 1]; it takes one
        bright cell. Cells with less than a quarter of a full weight in the region do not count.
    relative : float or array
        ``(map - chance) / (ceiling - chance)``: 1 for one bright cell in the best place. A map that
        follows the mask exactly has 0.2 to 0.5, by tissue: not a number to compare images by. NaN
        when ceiling and chance agree.
    coverage : float or array
        ``<U A+ / max(U A+), Omega M> / sum(Omega M)``, in [0, 1]: how brightly the mask is lit, the
        recall-like counterpart of `map`.
    status : str or numpy.ndarray of str
        "ok", "no_activation" (nothing positive in the region), "empty_mask", "empty_region" or
        "non_finite" (NaN or infinity in an input). `chance`, `ideal` and `ceiling` stay defined
        where the mask alone defines them.
    cam_min, cam_max : float or array
        Range of the CAM as given. MAP depends on shifts: (0, 1) here means that a
        min-max-normalised CAM was scored, not the raw one.
    grid : tuple of int
        (h, w) of the CAM; empty for a list of maps of unequal sizes.
    negative : str
        How negative activation was treated.
    cam_grid : CamGrid or None
        Where the cells were taken to lie; None for half-pixel centres.
    control : float or array, or None
        MAP on the control mask, without what it shares with the mask. This and the next five are
        None unless there is a control, ``alignment(..., against=...)``.
    toward_control : float or array, or None
        ``toward_ideal`` on the control: 1 for a map that follows the control exactly.
    specificity : float or array, or None
        ``toward_ideal - toward_control``: positive where the map follows the mask rather than the
        control, about 0 where it follows neither or both. NaN unless `specificity_status` is "ok".
    specificity_ideal : float or array, or None
        That of the map that follows the mask exactly, below 1 where mask and control go together:
        what to read `specificity` beside.
    ideals_alike : float or array, or None
        Correlation, in [-1, 1], of the maps that follow mask and control exactly.
    specificity_status : str or numpy.ndarray of str, or None
        "ok"; "cannot_tell" (at this grid: `ideals_alike` is above 0.8, the exact follower of one
        comes more than 0.8 of the way toward the ideal of the other, or there is no room for one of
        them), "empty_control" (nothing of it beside the mask in the region), or why there is no
        MAP, as in `status`.
    """

    map: Any
    chance: Any
    enrichment: Any
    skill: Any
    ideal: Any
    toward_ideal: Any
    ceiling: Any
    relative: Any
    coverage: Any
    status: Any
    cam_min: Any
    cam_max: Any
    grid: tuple[int, ...]
    negative: str
    cam_grid: CamGrid | None = None
    control: Any = None
    toward_control: Any = None
    specificity: Any = None
    specificity_ideal: Any = None
    ideals_alike: Any = None
    specificity_status: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values: floats and strings, or lists of them for a batch."""
        return {field.name: _python_value(getattr(self, field.name)) for field in fields(self)}


class MapCurve(NamedTuple):
    """MAP and coverage against the threshold, as :func:`map_curve` returns them."""

    thresholds: np.ndarray[Any, Any]
    """(T,): fractions of the maximum of the upsampled CAM."""
    map: Any
    """(T,) or (N, T): share of the activated set that is membrane (precision)."""
    coverage: Any
    """(T,) or (N, T): share of the membrane that is activated (recall)."""
    status: Any
    """str or (N,) array of str."""


class PooledMask(NamedTuple):
    """A mask brought to a CAM's grid once, as :func:`pool_mask` returns it."""

    mask: Any
    """(h, w) or (N, h, w): share of membrane in what each CAM pixel covers, 0 outside a region."""
    region: Any
    """(h, w) or (N, h, w): weight of each CAM pixel in the region; a full one has 1."""


def map_score(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    grid: CamGrid | None = None,
    threshold: float | None = None,
    negative: str = "clip",
    on_undefined: str = "nan",
) -> Any:
    r"""Membrane Activation Precision: the share of a CAM's activation that lies on the membrane.

    .. math:: \mathrm{MAP} = \frac{\langle A^+, U^T \Omega M\rangle}{\langle A^+, U^T \Omega\rangle}

    with the CAM :math:`A`, the mask :math:`M`, the region :math:`\Omega` and bilinear upsampling
    :math:`U` from the CAM's grid to the mask's (half-pixel centres, torch's
    ``align_corners=False``). Pooling the mask with :math:`U^T` gives what upsampling the CAM gives.

    Parameters
    ----------
    cam : array, DataArray or list of maps
        (h, w), (N, h, w) or (N, 1, h, w), any real dtype, any finite scale. Its library and
        device are those of the result. A masked cell of NumPy is NaN, here and in the others.
    mask : array, DataArray or list of maps
        (H, W), (N, H, W) or (N, 1, H, W), bool or fractions in [0, 1]. An (H, W) mask serves
        every CAM of a batch. NumPy arrays follow the CAM to its library and device.
    region : array, optional
        What counts, such as tissue: same shape rules as `mask`; bool or weights in [0, 1].
    grid : CamGrid, optional
        Where the cells of the CAM lie on the image; half-pixel centres by default. A ResNet's lie
        half a cell before them, see :class:`membrane_xai.CamGrid`.
    threshold : float in [0, 1], optional
        Score the set ``U A+ >= threshold * max(U A+)`` instead: the share of its pixels that are
        membrane.
    negative : {"clip", "abs", "raise"}
        What to do with negative activation: set to 0, take its size, or raise.
    on_undefined : {"nan", "raise"}
        What a sample without a score gives; :func:`alignment` tells the reason.

    Returns
    -------
    float or array of shape (N,)
        In [0, 1], higher is better; float for a single NumPy pair, else an array of the library of
        `cam` (float64 where the device has it) or a DataArray with the batch dims. Compare it
        with chance and ideal, see :func:`alignment`: alone it grows with the area of the mask.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, such as channels that come last or a CAM coarser than the mask along
        one side and finer along the other; a dtype that is not real, a mask outside [0, 1], a grid
        that the CAM does not fit, unknown options.
    UndefinedScoreError
        With ``on_undefined="raise"``, if any sample has no score.

    Notes
    -----
    For equal shapes this is Relevance Mass Accuracy [1]_ of A+; with ``negative="abs"`` the inside
    ratio of Attribution Localisation [2]_. It does not change when the CAM is scaled; it does when
    a constant is added, as min-max normalisation does. float16 and float32 CAMs are summed in
    float32 along short stretches and in float64 across them.

    References
    ----------
    .. [1] Arras et al., "CLEVR-XAI", Information Fusion 81 (2022), 14-40.
    .. [2] Kohlbrenner et al., "Towards best practice in explaining neural network decisions with
       LRP", IJCNN 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import map_score
    >>> cam = np.array([[3.0, 1.0], [0.0, 0.0]])
    >>> membrane = np.array([[True, False], [True, False]])
    >>> map_score(cam, membrane)
    0.75

    A HER2 0 patch has no membrane: its score is undefined, and its batch-mates are not touched.

    >>> map_score(np.stack([cam, cam]), np.stack([membrane, np.zeros((2, 2), bool)]))
    array([0.75,  nan])
    """
    check_negative(negative)
    check_on_undefined(on_undefined)
    if threshold is not None:
        threshold = check_fraction(threshold, "threshold")
    core = partial(
        map_core,
        threshold=threshold,
        negative=negative,
        raising=on_undefined == "raise",
        grid=check_cam_grid(grid),
    )
    return columns(over_arrays(core, CAM_MASK, (cam, mask, region), 1))[0]


def alignment(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    against: Any = None,
    grid: CamGrid | None = None,
    negative: str = "clip",
    on_undefined: str = "nan",
) -> AlignmentResult:
    """Score a CAM against a mask and give what the score must be compared with.

    Parameters
    ----------
    cam, mask, region, grid, negative, on_undefined
        As in :func:`map_score`.
    against : array, optional
        A control mask, such as the insides of the stained cells: same shape rules as `mask`, bool
        or fractions in [0, 1]. What it shares with the mask does not count. See
        :mod:`membrane_xai.baselines` for controls made of the image.

    Returns
    -------
    AlignmentResult
        MAP with chance, ideal, toward_ideal and the rest, and status; each a float for a single
        pair or an array of shape (N,). Higher is better for all but `chance`, `ideal` and
        `ceiling`, which describe the mask and the grid.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`.

    Notes
    -----
    With A+ the CAM, M the mask, Omega the region, U the upsampling, w = U^T Omega the weight and
    p = (U^T Omega M) / w the share of membrane of each cell::

        chance       = sum(Omega M) / sum(Omega)
        enrichment   = MAP / chance
        skill        = (MAP - chance) / (1 - chance)
        ideal        = <p, p w> / <p, w>
        toward_ideal = (MAP - chance) / (ideal - chance)
        ceiling      = max_j p_j over the cells with w_j at least a quarter of a full weight
        relative     = (MAP - chance) / (ceiling - chance)
        coverage     = <U A+ / max(U A+), Omega M> / sum(Omega M)

    With a control K, what counts of it is ``K' = min(K, 1 - M)``, and with q its share of each
    cell::

        specificity       = toward_ideal on M - toward_ideal on K'
        specificity_ideal = 1 - toward_ideal on K' of the map p
        ideals_alike      = Pearson correlation of p and q over the cells, weighted by w

    A coarse grid mixes membrane and cell: where the two ideals correlate above 0.8, a map of one is
    as good as a map of the other, and there is no specificity to be had. Nor where the map p comes
    more than 0.8 of the way toward the ideal of K', or q toward that of M, as when one of them is
    nearly even over the image.

    Examples
    --------
    A coarse CAM on a thin membrane: MAP looks poor, and is what a perfect follower has on 2x2.

    >>> import numpy as np
    >>> from membrane_xai import alignment
    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[:, 1] = True
    >>> result = alignment(np.array([[1.0, 0.0], [1.0, 0.0]]), membrane)
    >>> result.map, result.chance, result.ideal, result.toward_ideal
    (0.25, 0.125, 0.25, 1.0)

    A CAM without activation has no score; what the mask alone says remains.

    >>> dead = alignment(np.zeros((2, 2)), membrane)
    >>> dead.map, dead.status, dead.chance
    (nan, 'no_activation', 0.125)

    A map of the cells' insides, on a grid that tells them from the membrane, and on one that does
    not:

    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[1:7, 1:7], inside = True, membrane.copy()
    >>> inside[2:6, 2:6], membrane[2:6, 2:6] = True, False
    >>> fine = alignment(inside * 1.0, membrane, against=inside)
    >>> round(fine.toward_ideal, 2), fine.toward_control, round(fine.specificity, 2)
    (-0.45, 1.0, -1.45)
    >>> coarse = alignment(np.eye(2), membrane, against=inside)
    >>> coarse.specificity, coarse.specificity_status
    (nan, 'cannot_tell')
    """
    check_negative(negative)
    check_on_undefined(on_undefined)
    placed = check_cam_grid(grid)
    core = partial(alignment_core, negative=negative, raising=on_undefined == "raise", grid=placed)
    result = columns(over_arrays(core, CAM_MASK, (cam, mask, region), len(SCORES) + 3))
    scores, (codes, *ends) = result[: len(SCORES)], result[len(SCORES) :]
    return AlignmentResult(
        **dict(zip(SCORES, scores, strict=True)),
        status=as_words(codes),
        cam_min=ends[0],
        cam_max=ends[1],
        grid=_grid_of(cam),
        negative=negative,
        cam_grid=placed,
        **_specificity(cam, mask, region, against, negative, placed),
    )


def _specificity(
    cam: Any, mask: Any, region: Any, against: Any, negative: str, placed: CamGrid | None
) -> dict[str, Any]:
    """Return the fields of a control; none without one."""
    if against is None:
        return {}
    core = partial(specificity_core, negative=negative, grid=placed)
    arrays = (cam, mask, region, against)
    found = columns(over_arrays(core, (*CAM_MASK, "against"), arrays, SPECIFICITY_COLUMNS))
    names = ("control", "toward_control", "specificity", "specificity_ideal", "ideals_alike")
    return {
        **dict(zip(names, found[:-1], strict=True)),
        "specificity_status": as_words(found[-1], SPECIFICITY_STATUSES),
    }


def map_curve(
    cam: Any,
    mask: Any,
    *,
    thresholds: Sequence[float] | None = None,
    region: Any = None,
    grid: CamGrid | None = None,
    negative: str = "clip",
    on_undefined: str = "nan",
) -> MapCurve:
    """MAP of the activated set over a range of thresholds, with the membrane share it covers.

    Parameters
    ----------
    cam, mask, region, grid, negative, on_undefined
        As in :func:`map_score`.
    thresholds : sequence of float in [0, 1], optional
        Fractions of ``max(U A+)``; 0, 0.05, ..., 1 by default.

    Returns
    -------
    MapCurve
        Thresholds (T,); `map` and `coverage`, each (T,) or (N, T), in [0, 1], higher is better; and
        status. At each threshold `map` is ``map_score(..., threshold=t)``, the precision of the
        activated set, and `coverage` its recall. NaN where no activated pixel lies in the region.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`; also for thresholds outside [0, 1] or none at all.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import map_curve
    >>> cam = np.array([[4.0, 2.0], [1.0, 0.0]])
    >>> membrane = np.array([[True, False], [True, False]])
    >>> curve = map_curve(cam, membrane, thresholds=[0.0, 0.25, 1.0])
    >>> curve.map
    array([0.5       , 0.66666667, 1.        ])
    >>> curve.coverage
    array([1. , 1. , 0.5])

    At threshold 0 everything is activated, so MAP is chance. An empty mask has no curve:

    >>> empty = map_curve(cam, np.zeros((2, 2), bool), thresholds=[0.5])
    >>> empty.map, empty.status
    (array([nan]), 'empty_mask')
    """
    check_negative(negative)
    check_on_undefined(on_undefined)
    levels = np.linspace(0, 1, 21) if thresholds is None else read_numbers(thresholds, "thresholds")
    if levels.ndim != 1 or levels.size == 0:
        raise InvalidInputError(f"thresholds is {thresholds!r}; it takes a sequence of numbers")
    for level in levels:
        check_fraction(level, "thresholds")
    core = partial(
        curve_core,
        levels=levels,
        negative=negative,
        raising=on_undefined == "raise",
        grid=check_cam_grid(grid),
    )
    result = over_arrays(core, CAM_MASK, (cam, mask, region), 2 * levels.size + 1)
    codes = columns(result)[-1]
    split = levels.size
    if is_dataarray(result):
        named = result.rename(column="threshold")
        precision = named.isel(threshold=slice(0, split)).assign_coords(threshold=levels)
        recall = named.isel(threshold=slice(split, 2 * split)).assign_coords(threshold=levels)
    else:
        precision, recall = result[..., :split], result[..., split : 2 * split]
    return MapCurve(levels, precision, recall, as_words(codes))


def map_ceiling(mask: Any, grid: tuple[int, int] | CamGrid, *, region: Any = None) -> Any:
    """Compute the best MAP that any CAM of a given grid can reach on a mask.

    ``max_j (U^T Omega M)_j / (U^T Omega)_j``: a CAM that lights only the pixel j whose share of
    membrane is largest. A 7x7 grid on thin membranes may not pass 0.3, whatever the model does.
    Pixels with less than a quarter of a full weight in the region do not count, so that a sliver of
    region changes nothing; where the whole region is smaller than that, the largest is full.

    Parameters
    ----------
    mask, region
        As in :func:`map_score`.
    grid : (int, int) or CamGrid
        Rows and columns of the CAM, of half-pixel centres; or where its cells lie, as many of them
        as the image has room for.

    Returns
    -------
    float or array of shape (N,)
        In [chance, 1]; NaN for an empty mask or region, or one that is not finite.

    Raises
    ------
    InvalidInputError
        As in :func:`map_score`; also for a grid that is not two positive integers.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import map_ceiling
    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[:, 1] = True
    >>> map_ceiling(membrane, (2, 2)), map_ceiling(membrane, (8, 8))
    (0.25, 1.0)
    >>> map_ceiling(np.zeros((8, 8), bool), (2, 2))
    nan
    """
    cells, placed = _cells(grid)
    core = partial(ceiling_core, cells=cells, grid=placed)
    return columns(over_arrays(core, ("mask", "region"), (mask, region), 1, cells=cells))[0]


def pool_mask(mask: Any, grid: tuple[int, int] | CamGrid, *, region: Any = None) -> PooledMask:
    """Bring a mask to a CAM's grid once, to score many CAMs against it without touching it again.

    ``map_score(cam, pooled.mask, region=pooled.region)`` then equals ``map_score(cam, mask,
    region=region, grid=grid)``, and so do chance, ideal, ceiling and what follows from them: the
    pooled mask needs no ``grid=``. Coverage and thresholds refer to the CAM as it is.

    Parameters
    ----------
    mask, region
        As in :func:`map_score`.
    grid : (int, int) or CamGrid
        Rows and columns of the CAM, of half-pixel centres; or where its cells lie, as many of them
        as the image has room for.

    Returns
    -------
    PooledMask
        `mask`: ``(U^T Omega M) / (U^T Omega)`` per CAM pixel, in [0, 1], shape (h, w) or (N, h, w);
        0 where a CAM pixel sees nothing of the region.
        `region`: ``U^T Omega``, 1 for the weight of a full pixel; (h, w) for all samples if no
        `region` is given. Both are float64 where the device has it. Invalid samples are NaN.

    Raises
    ------
    InvalidInputError
        As in :func:`map_ceiling`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import map_score, pool_mask
    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[:, 1] = True
    >>> cam = np.array([[1.0, 1.0], [0.0, 0.0]])
    >>> pooled = pool_mask(membrane, (2, 2))
    >>> map_score(cam, pooled.mask, region=pooled.region) == map_score(cam, membrane)
    True
    """
    (h, w), placed = _cells(grid)
    core = partial(pool_core, cells=(h, w), grid=placed)
    result = over_arrays(core, ("mask", "region"), (mask, region), 2 * h * w, cells=(h, w))
    share = _folded(result, mask, slice(0, h * w), (h, w))
    weight = _folded(result, mask, slice(h * w, None), (h, w))
    while region is None and not is_array_list(listed(mask)) and weight.ndim > 2:
        weight = weight[0, ...]  # the same for every mask
    return PooledMask(share, weight)


def _folded(result: Any, mask: Any, part: slice, grid: tuple[int, int]) -> Any:
    """Fold columns back into rows and columns, under the names of the mask's dims."""
    if is_dataarray(result):
        folded = _folded(result.data, mask, part, grid)
        dims = [*result.dims[:-1], *mask.dims[-2:]]
        coords = {name: c for name, c in result.coords.items() if "column" not in c.dims}
        return result.__class__(folded, dims=dims, coords=coords)
    return namespace(result).reshape(result[..., part], (*result.shape[:-1], *grid))


def _cells(grid: Any) -> tuple[tuple[int, int], CamGrid | None]:
    """Return rows and columns of the CAM, and where they lie unless at half-pixel centres."""
    return (grid.cells, grid) if isinstance(grid, CamGrid) else (check_grid(grid), None)


def _grid_of(cam: Any) -> tuple[int, ...]:
    cam = listed(cam)
    if is_array_list(cam):
        grids = {shape_of(item) for item in cam}
        return grids.pop() if len(grids) == 1 else ()
    return shape_of(cam if is_dataarray(cam) else as_array(cam))


def _python_value(value: Any) -> Any:
    if value is None or isinstance(value, float | str):
        return value
    if isinstance(value, CamGrid):
        return value.to_text()
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "compute"):
        value = value.compute()
    return (value.values if is_dataarray(value) else to_numpy(value)).tolist()
