"""``shift_null`` and ``random_cam_null``: MAP against that of moved or random CAMs."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.cam_grid import CamGrid, check_cam_grid
from membrane_xai._backend.checks import check_seed, is_count
from membrane_xai._backend.containers import CAM_MASK, columns, is_dataarray, over_arrays
from membrane_xai._backend.status import as_words
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._mass import check_negative
from membrane_xai.statistics._shifts import COLUMNS, shift_core
from membrane_xai.statistics._surrogates import surrogate_core

__all__ = ["NullResult", "random_cam_null", "shift_null"]


@dataclass(frozen=True, slots=True)
class NullResult:
    """MAP of CAMs beside what it would be by chance.

    Each value is a float for a single pair, else a NumPy array of shape (N,); NaN where MAP is
    undefined, see `status`.

    Attributes
    ----------
    score : float or array
        MAP of the CAM as it is.
    p_value : float or array
        ``(1 + number of null scores >= score) / (1 + n_null)``, one-sided, in (0, 1]; small if the
        CAM lies on the membrane.
    p_mid : float or array
        The same with ties counted half, the CAM's own included: mean 0.5 by chance, whatever the
        ties. To combine, not to report.
    z : float or array
        ``(score - null_mean) / null_sd``; NaN where nothing varies, as for a flat CAM.
    null_mean, null_sd : float or array
        Mean and standard deviation of the null scores.
    n_null : int or array
        Null scores compared with; moves that put all activation outside the region do not count.
    status : str or array of str
        As in :class:`membrane_xai.AlignmentResult`.
    """

    score: Any
    p_value: Any
    p_mid: Any
    z: Any
    null_mean: Any
    null_sd: Any
    n_null: Any
    status: Any


def shift_null(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    grid: CamGrid | None = None,
    shifts: int | None = None,
    rotations: bool = True,
    negative: str = "clip",
    seed: int = 0,
) -> NullResult:
    """Compare MAP with that of the same map elsewhere in the region: shifted around, and turned.

    A moved CAM is as smooth and as peaked as the original [1]_. A small p-value says "more than the
    same map elsewhere in the region". It does not say that the network knows membrane: a CAM that
    knows tumour from stroma and nothing else gets p <= 0.05 in 66 to 86 % of fields, and a habit of
    looking at the centre, on patches with the tumour there, in up to 94 % of sets. A `region` of
    tumour answers the first, :func:`membrane_xai.statistics.permutation_null` the second.

    Parameters
    ----------
    cam, mask, region, grid, negative
        As in :func:`membrane_xai.map_score`.
    shifts : int, optional
        Compare with so many moves drawn at random; by default with all: (h w) shifts, times 8
        rotations and flips of a square CAM, times 4 of another, less the CAM as it is.
    rotations : bool
        Whether to turn and flip as well.
    seed : int
        From 0, for `shifts`.

    Returns
    -------
    NullResult
        MAP, its p-value and z, and the null's mean and spread.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.map_score`.

    Notes
    -----
    The moves are a group, so by the symmetry of a CAM whose law no move changes the p-value is
    exact. CAMs of networks are not quite so: they dim at the rim. All shifts come from circular
    cross-correlations of the CAM with the pooled mask and region, by FFT: O(h w log(h w)). With 7x7
    pixels there are 391 moves and no p-value below 1/392.

    References
    ----------
    .. [1] Lotwick and Silverman, "Methods for analysing spatial processes of several types of
       points", JRSS B 44 (1982), 406-413: toroidal shifts.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import shift_null
    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[2, 1:4] = True
    >>> cam = np.zeros((8, 8))
    >>> cam[2, 1:3], cam[5, 5] = 2, 1
    >>> result = shift_null(cam, membrane)
    >>> result.score, round(result.p_value, 3), result.n_null
    (0.8, 0.016, 511)

    8 of the 512 moves, none included, lay two bright pixels on the three of membrane. A flat CAM
    ties with every move, and a patch without membrane has no score:

    >>> shift_null(np.ones((8, 8)), membrane).p_value
    1.0
    >>> empty = shift_null(cam, np.zeros((8, 8), bool))
    >>> empty.p_value, empty.status
    (nan, 'empty_mask')
    """
    check_negative(negative)
    if shifts is not None and (not is_count(shifts) or shifts < 1):
        raise InvalidInputError(
            f"shifts is {shifts!r}; it takes a positive integer, or None for all"
        )
    if not isinstance(rotations, bool):
        raise InvalidInputError(f"rotations is {rotations!r}; it takes a bool")
    core = partial(
        shift_core,
        shifts=shifts,
        rotations=rotations,
        negative=negative,
        seed=check_seed(seed),
        grid=check_cam_grid(grid),
    )
    return _result(over_arrays(core, CAM_MASK, (cam, mask, region), COLUMNS))


def random_cam_null(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    grid: CamGrid | None = None,
    draws: int = 999,
    negative: str = "clip",
    seed: int = 0,
) -> NullResult:
    """Compare MAP with that of random CAMs as smooth as this one and with the same values.

    Surrogates keep the CAM's histogram exactly and its power spectrum nearly; the phases, and with
    them the places, are random [1]_ [2]_. Unlike :func:`membrane_xai.shift_null` there are as many
    as wanted, however coarse the CAM. It rules out no more than that does.

    Parameters
    ----------
    cam, mask, region, grid, negative
        As in :func:`membrane_xai.map_score`.
    draws : int
        Random CAMs for each CAM.
    seed : int
        From 0. The result of a CAM depends on it and on the CAM, not on the others of a batch.

    Returns
    -------
    NullResult
        As of :func:`membrane_xai.shift_null`.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.map_score`.

    References
    ----------
    .. [1] Theiler et al., "Testing for nonlinearity in time series: the method of surrogate data",
       Physica D 58 (1992), 77-94.
    .. [2] Schreiber and Schmitz, "Improved surrogate data for nonlinearity tests", Physical Review
       Letters 77 (1996), 635-638.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.statistics import random_cam_null
    >>> membrane = np.zeros((8, 8), bool)
    >>> membrane[2, 1:4] = True
    >>> result = random_cam_null(membrane * 1.0, membrane)
    >>> result.score, result.p_value < 0.05, result.n_null
    (1.0, True, 999)
    >>> random_cam_null(np.ones((8, 8)), membrane).p_value
    1.0
    """
    check_negative(negative)
    if not is_count(draws) or draws < 1:
        raise InvalidInputError(f"draws is {draws!r}; it takes a positive integer")
    core = partial(
        surrogate_core,
        draws=int(draws),
        negative=negative,
        seed=check_seed(seed),
        grid=check_cam_grid(grid),
    )
    return _result(over_arrays(core, CAM_MASK, (cam, mask, region), COLUMNS))


def _result(table: Any) -> NullResult:
    """Turn columns into p-values and z."""
    single = getattr(table, "ndim", 1) == 1
    values = (to_numpy(x.data if is_dataarray(x) else x) for x in columns(table))
    score, mean, spread, above, tied, count, codes = (np.asarray(x, float) for x in values)
    undefined = np.isnan(score)
    varies = ~undefined & (spread > 1e-10 * np.abs(score))  # less is rounding
    p = np.where(undefined, np.nan, (1 + above + tied) / (1 + count))
    p_mid = np.where(undefined, np.nan, (0.5 + above + tied / 2) / (1 + count))
    z = np.where(varies, (score - mean) / np.where(varies, spread, 1), np.nan)
    kind: Any = float if single else np.asarray
    return NullResult(
        score=kind(score),
        p_value=kind(p),
        p_mid=kind(p_mid),
        z=kind(z),
        null_mean=kind(mean),
        null_sd=kind(spread),
        n_null=int(count) if single else count.astype(int),
        status=as_words(codes),
    )
