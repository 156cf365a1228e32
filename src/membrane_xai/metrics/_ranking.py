"""CAM and mask in, scores of order out: which pixels a CAM ranks first, not how bright they are.

All of them compare the CAM upsampled to the mask's grid, with its sign. Ties count at their
expected value under random tie-breaking, so flipping or transposing both never changes a score.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import Array, from_numpy, namespace, to_numpy, wide_dtype
from membrane_xai._backend.cam_grid import CamGrid, check_cam_grid
from membrane_xai._backend.checks import check_distance, check_k, is_count
from membrane_xai._backend.containers import CAM_MASK, columns, over_arrays
from membrane_xai._backend.resample import upsample
from membrane_xai._backend.status import REASONS, check_on_undefined, classify, raise_undefined
from membrane_xai._backend.ties import level, top_set, weighted_auc
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._map import shape_of
from membrane_xai.metrics._mass import areas, divide, put_on_grid

__all__ = ["pixel_auc", "pointing_game", "rank_accuracy", "topk_intersection"]


class _Ranked(NamedTuple):
    values: Array
    """(n, p): the upsampled CAM, -inf outside the region."""
    inside: Array
    """(n, p): mask within the region."""
    outside: Array
    """(n, p): the rest of the region."""
    codes: Array
    """(n,): status."""
    size: tuple[int, int]


def rank_accuracy(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    grid: CamGrid | None = None,
    on_undefined: str = "nan",
) -> Any:
    """Relevance Rank Accuracy: the share of the K top-ranked pixels that are membrane.

    K is the number of membrane pixels (``sum(M)`` for a fractional mask), so 1 is a CAM that ranks
    every membrane pixel before every other one.

    Parameters
    ----------
    cam, mask, region, grid, on_undefined
        As in :func:`map_score`; `region` holds only 0 and 1.

    Returns
    -------
    float or array of shape (N,)
        In [0, 1], higher is better; a flat CAM scores chance. NaN for an all-zero CAM, an empty
        mask or region, or an input that is not finite.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`.

    References
    ----------
    Arras et al., "CLEVR-XAI", Information Fusion 81 (2022), 14-40.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import rank_accuracy
    >>> membrane = np.array([[True, True], [False, False]])
    >>> rank_accuracy(np.array([[4.0, 1.0], [3.0, 2.0]]), membrane)
    0.5

    Here the second place is tied among three pixels, of which one is membrane: (1 + 1/3) / 2.

    >>> rank_accuracy(np.array([[4.0, 1.0], [1.0, 1.0]]), membrane)
    0.6666666666666666
    """
    return _score(_rank_accuracy, cam, mask, region, grid, on_undefined)


def topk_intersection(
    cam: Any,
    mask: Any,
    *,
    k: float = 0.1,
    region: Any = None,
    grid: CamGrid | None = None,
    on_undefined: str = "nan",
) -> Any:
    """Top-k intersection: the share of the k top-ranked pixels that are membrane.

    Parameters
    ----------
    cam, mask, region, grid, on_undefined
        As in :func:`map_score`; `region` holds only 0 and 1.
    k : int or float
        A number of pixels of the mask's grid (int), or a fraction of the region in (0, 1) (float).

    Returns
    -------
    float or array of shape (N,)
        In [0, 1], higher is better; a flat CAM scores chance. NaN as in :func:`rank_accuracy`, and
        for a region of fewer than `k` pixels.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`; also for `k` out of range.

    References
    ----------
    Theiner et al., "Interpretable semantic photo geolocation", WACV 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import topk_intersection
    >>> membrane = np.array([[True, True], [False, False]])
    >>> topk_intersection(np.array([[4.0, 1.0], [3.0, 2.0]]), membrane, k=3)
    0.3333333333333333
    >>> topk_intersection(np.ones((2, 2)), membrane, k=0.25)  # all tied: chance
    0.5
    """
    return _score(partial(_topk_intersection, k=check_k(k)), cam, mask, region, grid, on_undefined)


def pointing_game(
    cam: Any,
    mask: Any,
    *,
    tolerance: float = 0,
    region: Any = None,
    grid: CamGrid | None = None,
    on_undefined: str = "nan",
) -> Any:
    """Pointing game: whether the highest pixel of the CAM lies on the membrane.

    Parameters
    ----------
    cam, mask, region, grid, on_undefined
        As in :func:`map_score`; `region` holds only 0 and 1. A fractional mask is
        membrane from 0.5.
    tolerance : float
        Largest distance in pixels of the mask's grid at which a miss still counts as a hit. The
        original uses 15 for photographs; on membranes of a few pixels that hits almost anything.

    Returns
    -------
    float or array of shape (N,)
        1 for a hit, 0 for a miss; the share of hits where several pixels tie for the maximum.
        NaN as in :func:`rank_accuracy`.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`; also for a negative tolerance.

    References
    ----------
    Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126 (2018), 1084-1102.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import pointing_game
    >>> membrane = np.array([[True, False, False]])
    >>> pointing_game(np.array([[0.0, 1.0, 0.0]]), membrane)
    0.0
    >>> pointing_game(np.array([[0.0, 1.0, 0.0]]), membrane, tolerance=1)
    1.0
    >>> pointing_game(np.array([[1.0, 0.0, 1.0]]), membrane)  # two maxima, one on the membrane
    0.5
    """
    tolerance = check_distance(tolerance, "tolerance")
    return _score(
        partial(_pointing_game, tolerance=tolerance), cam, mask, region, grid, on_undefined
    )


def pixel_auc(
    cam: Any,
    mask: Any,
    *,
    region: Any = None,
    grid: CamGrid | None = None,
    on_undefined: str = "nan",
) -> Any:
    """Area under the ROC curve of the CAM as a classifier of membrane pixels.

    It is the chance that a random membrane pixel outranks a random other one, ties counting one
    half. A pixel of a fractional mask counts as membrane with weight m and as other with 1 - m.

    Parameters
    ----------
    cam, mask, region, grid, on_undefined
        As in :func:`map_score`; `region` holds only 0 and 1.

    Returns
    -------
    float or array of shape (N,)
        In [0, 1], higher is better, 0.5 is chance. NaN as in :func:`rank_accuracy`, and where the
        mask fills the region, which leaves nothing to tell apart.

    Raises
    ------
    InvalidInputError, UndefinedScoreError
        As in :func:`map_score`.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), 861-874.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import pixel_auc
    >>> membrane = np.array([[True, True], [False, False]])
    >>> pixel_auc(np.array([[4.0, 1.0], [3.0, 2.0]]), membrane)
    0.5
    >>> pixel_auc(np.array([[4.0, 3.0], [3.0, 2.0]]), membrane)
    0.875
    >>> pixel_auc(np.ones((2, 2)), np.ones((2, 2), bool))
    nan
    """
    return _score(_pixel_auc, cam, mask, region, grid, on_undefined)


def _score(
    metric: Callable[[_Ranked], tuple[Array, Array]],
    cam: Any,
    mask: Any,
    region: Any,
    grid: CamGrid | None,
    on_undefined: str,
) -> Any:
    check_on_undefined(on_undefined)
    placed = check_cam_grid(grid)

    def core(cam: Array, mask: Array, region: Array | None) -> Array:
        score, codes = metric(_ranked(cam, mask, region, placed))
        if on_undefined == "raise":
            raise_undefined(codes)
        xp = namespace(score)
        return xp.where(codes == 0, score, xp.full_like(score, xp.nan))[:, None]

    return columns(over_arrays(core, CAM_MASK, (cam, mask, region), 1))[0]


def _ranked(cam: Array, mask: Array, region: Array | None, grid: CamGrid | None) -> _Ranked:
    """Upsample and flatten a block; invalid samples are blanked and marked."""
    xp = namespace(cam)
    size = (int(mask.shape[-2]), int(mask.shape[-1]))
    values = xp.astype(cam, wide_dtype(cam))  # rounding in U must not make or break ties
    finite = xp.all(xp.isfinite(values), axis=(-2, -1))
    values = xp.where(finite[:, None, None], values, xp.zeros_like(values))
    _check_binary(region)
    mask_on_grid = put_on_grid(mask, region, size, xp.zeros((1, 1, 1), dtype=wide_dtype(cam)))
    up = upsample(values, size, None if grid is None else grid.for_cells(shape_of(cam)))
    outside = (1 if mask_on_grid.region is None else mask_on_grid.region) - mask_on_grid.inside
    up, inside, outside = xp.broadcast_arrays(up, mask_on_grid.inside, outside)
    region_area, mask_area = areas(mask_on_grid)
    if mask_on_grid.region is not None:
        up = xp.where(mask_on_grid.region > 0, up, xp.full_like(up, -xp.inf))
    # Nothing but zeros in the region is what a failed CAM looks like, not a ranking.
    flat = (up.shape[0], -1)
    up = level(xp.reshape(up, flat), cam)
    codes = classify(
        non_finite=~(finite & mask_on_grid.finite),
        empty_region=region_area <= 0,
        empty_mask=mask_area <= 0,
        no_activation=xp.all((up == 0) | (up == -xp.inf), axis=-1),
    )
    return _Ranked(up, xp.reshape(inside, flat), xp.reshape(outside, flat), codes, size)


def _check_binary(region: Array | None) -> None:
    if region is None:
        return
    xp = namespace(region)
    if xp.isdtype(region.dtype, "real floating"):
        odd = (region != 0) & (region != 1) & xp.isfinite(region)
        if bool(xp.any(odd)):
            raise InvalidInputError(
                "region has fractional values; scores of order take a region of 0 and 1 only"
            )


def _rank_accuracy(ranked: _Ranked) -> tuple[Array, Array]:
    xp = namespace(ranked.values)
    size = xp.sum(ranked.inside, axis=-1)
    safe = xp.where(size > 0, size, xp.ones_like(size))
    return top_set(ranked.values, safe).sum_of(ranked.inside) / safe, ranked.codes


def _topk_intersection(ranked: _Ranked, *, k: float) -> tuple[Array, Array]:
    xp = namespace(ranked.values)
    pixels = ranked.size[0] * ranked.size[1]
    if k > pixels:
        raise InvalidInputError(f"k is {k}, but the mask has {pixels} pixels")
    available = xp.sum(ranked.inside + ranked.outside, axis=-1)
    size = xp.full_like(available, float(k)) if is_count(k) else float(k) * available
    short = (size > available) & (ranked.codes == 0)
    size = xp.where(size > 0, size, xp.ones_like(size))
    score = top_set(ranked.values, size).sum_of(ranked.inside) / size
    return score, _mark(ranked.codes, short, "empty_region")


def _pointing_game(ranked: _Ranked, *, tolerance: float) -> tuple[Array, Array]:
    xp = namespace(ranked.values)
    membrane = ranked.inside >= 0.5
    empty = ~xp.any(membrane, axis=-1) & (ranked.codes == 0)
    hit = _within(membrane, ranked.size, tolerance) if tolerance else membrane
    highest = ranked.values == xp.max(ranked.values, axis=-1, keepdims=True)
    wide = ranked.inside.dtype
    hits = xp.astype(xp.count_nonzero(highest & hit, axis=-1), wide)
    score = divide(hits, xp.astype(xp.count_nonzero(highest, axis=-1), wide))
    return score, _mark(ranked.codes, empty, "empty_mask")


def _within(membrane: Array, size: tuple[int, int], tolerance: float) -> Array:
    """Widen each mask of (n, p) by `tolerance` pixels, on the host."""
    from scipy.ndimage import distance_transform_edt

    masks = to_numpy(membrane).reshape(-1, *size)
    near = [distance_transform_edt(~m) <= tolerance if m.any() else np.zeros_like(m) for m in masks]
    return from_numpy(membrane, np.stack(near).reshape(len(masks), -1))


def _pixel_auc(ranked: _Ranked) -> tuple[Array, Array]:
    xp = namespace(ranked.values)
    full = (xp.sum(ranked.outside, axis=-1) <= 0) & (ranked.codes == 0)
    score = weighted_auc(ranked.values, ranked.inside, ranked.outside)
    return score, _mark(ranked.codes, full, "full_mask")


def _mark(codes: Array, where: Array, status: str) -> Array:
    xp = namespace(codes)
    return xp.where(where, xp.full_like(codes, REASONS.index(status)), codes)
