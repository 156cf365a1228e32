"""CAMs in, Explanation Consistency (EC) out: how alike the explanations of alike inputs are.

Definitions are in ``docs/decisions/0001-map-and-ec.md``.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    check_arrays,
    is_dask_array,
    is_numpy_array,
    namespace,
)
from membrane_xai._backend.checks import is_count
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.labels import label_members
from membrane_xai._backend.numeric import read_numbers
from membrane_xai._backend.status import as_words
from membrane_xai._backend.vocabulary import EC_STATUSES
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics._cam_sets import as_set
from membrane_xai.metrics._mean_similarity import PairSet, mean_similarity, similarity_matrix
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.metrics._unit_sums import UnitSums

__all__ = ["ConsistencyResult", "UnitSums", "consistency", "ec_score", "pairwise_similarity"]


@dataclass(frozen=True, slots=True)
class ConsistencyResult:
    """Explanation Consistency with the pairs behind it.

    Without groups each value is a scalar; with groups an array of shape (G,), in the order of
    `groups`. A DataArray keeps its other dims before that.

    Attributes
    ----------
    ec : float or array
        Mean similarity, higher is better; NaN where no pair is defined.
    n_pairs : int or array
        Pairs that went into the mean.
    n_undefined : int or array
        Pairs left out because a map is flat or not finite.
    status : str or array of str
        "ok", "too_few_maps" (no pair at all) or "no_defined_pair".
    groups : tuple or None
        Labels in order of first appearance.
    similarity : str
        The similarity that was averaged.
    """

    ec: Any
    n_pairs: Any
    n_undefined: Any
    status: Any
    groups: tuple[Any, ...] | None
    similarity: str


def ec_score(
    cams: Any,
    *,
    similarity: str = "pearson",
    reference: Any = None,
    groups: Sequence[Any] | None = None,
    weights: Any = None,
    k: float = 0.1,
) -> Any:
    r"""Explanation Consistency: the mean similarity of CAMs that should agree.

    .. math:: \mathrm{EC} = \frac{\sum_{i<j} w_i w_j\, s(A_i, A_j)}{\sum_{i<j} w_i w_j}
        \quad\text{or, with a reference,}\quad
        \frac{\sum_i w_i\, s(A_\mathrm{ref}, A_i)}{\sum_i w_i}

    Parameters
    ----------
    cams : array, DataArray or list of maps
        (N, h, w) or (N, 1, h, w): explanations of views of one patch (bring each back to the
        geometry of the original first), of scales, or of patches of one class. Maps of a list may
        differ in size: they are upsampled to the largest height and width. Of a DataArray the last
        three dims are maps, rows and columns; the other dims are kept.
    similarity : {"pearson", "spearman", "cosine", "ssim", "soft_iou", "topk_iou"}
        - "pearson", "cosine": in [-1, 1]; "spearman": Pearson of tie-averaged ranks.
        - "ssim": structural similarity [1]_, uniform window of 7 (or the largest odd size that
          fits), data range that of the two maps together, as in scikit-image.
        - "soft_iou": ``sum(min(A, B)) / sum(max(A, B))`` of the positive parts; in [0, 1]. The only
          one that changes when one map is scaled.
        - "topk_iou": the same of the sets of `k` highest pixels, ties shared out evenly.
    reference : int or (h, w) map, optional
        Compare every map with this one only: an index into `cams` (not compared with itself) or
        another map.
    groups : sequence of N labels, optional
        Average within each group, as :func:`membrane_xai.statistics.group_codes` tells them apart.
    weights : N non-negative numbers, optional
        Weight of each map, such as confidence; a map of weight 0 is left out.
    k : int or float
        For "topk_iou": number of pixels (int) or fraction of the map in (0, 1).

    Returns
    -------
    float, array or dict
        At most 1, higher is better; 1 for identical maps. NaN if no pair is defined: see
        :func:`consistency` for the counts. A dict from label to value if `groups` is given.

    Raises
    ------
    InvalidInputError
        Not a set of maps, unknown similarity, reference, groups or weights that do not fit, a
        missing label.

    Notes
    -----
    A flat map has no direction: its pairs are left out and counted, as are those of a map with NaN
    or infinity. Flat means constant for all but "cosine" (all zero) and "soft_iou" (nothing
    positive). A range of at most 1e-6 of the largest value is rounding, and such a map constant; in
    half precision it is four of its own roundings. For unit vectors u the mean over pairs is
    :math:`(\|\sum_i w_i u_i\|^2 - \sum_i w_i^2) / ((\sum_i w_i)^2 - \sum_i w_i^2)`, so "pearson",
    "spearman" and "cosine" cost O(N); the others compare all N (N - 1) / 2 pairs.

    References
    ----------
    .. [1] Wang et al., "Image quality assessment: from error visibility to structural similarity",
       IEEE TIP 13 (2004), 600-612.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import ec_score
    >>> ramp = np.arange(6.0).reshape(2, 3)
    >>> round(ec_score(np.stack([ramp, 2 * ramp + 1, -ramp])), 3)  # pairs: 1, -1, -1
    -0.333
    >>> flat = np.ones((2, 3))
    >>> round(ec_score(np.stack([ramp, 2 * ramp, flat])), 3)  # the flat map is left out
    1.0
    >>> ec_score(np.stack([ramp, flat]))
    nan
    """
    result = consistency(
        cams, similarity=similarity, reference=reference, groups=groups, weights=weights, k=k
    )
    if result.groups is None:
        return result.ec
    return {label: _scalar(result.ec[..., i]) for i, label in enumerate(result.groups)}


def consistency(
    cams: Any,
    *,
    similarity: str = "pearson",
    reference: Any = None,
    groups: Sequence[Any] | None = None,
    weights: Any = None,
    k: float = 0.1,
) -> ConsistencyResult:
    """Explanation Consistency with the number of pairs that are defined and that are not.

    Parameters
    ----------
    cams, similarity, reference, groups, weights, k
        As in :func:`ec_score`.

    Returns
    -------
    ConsistencyResult
        EC, pairs, undefined pairs and status; by group if `groups` is given.

    Raises
    ------
    InvalidInputError
        As in :func:`ec_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import consistency
    >>> ramp = np.arange(6.0).reshape(2, 3)
    >>> flat = np.zeros((2, 3))
    >>> result = consistency(np.stack([ramp, ramp, flat]))
    >>> round(result.ec, 3), result.n_pairs, result.n_undefined, result.status
    (1.0, 1, 2, 'ok')
    >>> result = consistency(np.stack([ramp, ramp, flat, flat]), groups=["3+", "3+", "0", "0"])
    >>> list(zip(result.groups, result.status.tolist()))
    [('3+', 'ok'), ('0', 'no_defined_pair')]
    """
    compared = named_similarity(similarity, k)
    cams = as_set(cams, "cams")
    count = cams.shape[-3]
    pairs = PairSet(
        members=_members(groups, count),
        weights=_weights(weights, count),
        reference=_reference(reference, cams, count),
    )
    core = partial(mean_similarity, pairs=pairs, similarity=compared)
    n = len(pairs.members)
    table = _over_sets(core, cams, 4 * n)
    labels = None if groups is None else tuple(pairs.members)
    ec, n_pairs, n_undefined, codes = (_columns_of(table, i * n, n, labels) for i in range(4))
    return ConsistencyResult(
        _scalar(ec),
        _scalar(n_pairs, int),
        _scalar(n_undefined, int),
        as_words(codes, EC_STATUSES),
        labels,
        similarity,
    )


def pairwise_similarity(cams: Any, *, similarity: str = "pearson", k: float = 0.1) -> Any:
    """Similarity of every pair of maps.

    Parameters
    ----------
    cams, similarity, k
        As in :func:`ec_score`.

    Returns
    -------
    array of shape (N, N)
        Symmetric, at most 1, with 1 on the diagonal; rows and columns of flat maps and of maps that
        are not finite are NaN. For a DataArray the second dim is called ``"<dim>_other"``.

    Raises
    ------
    InvalidInputError
        As in :func:`ec_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import pairwise_similarity
    >>> ramp = np.arange(6.0).reshape(2, 3)
    >>> pairwise_similarity(np.stack([ramp, -ramp, np.ones((2, 3))])).round(3)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan, nan]])
    """
    compared = named_similarity(similarity, k)
    cams = as_set(cams, "cams")
    n = cams.shape[-3]
    core = partial(similarity_matrix, similarity=compared)
    table = _over_sets(core, cams, n * n)
    if not is_dataarray(table):
        return namespace(table).reshape(table, (*table.shape[:-1], n, n))
    dim = cams.dims[-3]
    folded = table.data.reshape((*table.shape[:-1], n, n))
    matrix = table.__class__(folded, dims=[*table.dims[:-1], dim, f"{dim}_other"])
    if dim in cams.coords:
        labels = cams.coords[dim].values
        matrix = matrix.assign_coords({dim: labels, f"{dim}_other": labels})
    return matrix.assign_coords({n: c for n, c in table.coords.items() if "column" not in c.dims})


def _members(groups: Any, count: int) -> dict[Any, np.ndarray[Any, Any]]:
    """Map each label to the indices of its maps."""
    if groups is None:
        return {None: np.arange(count)}
    return label_members(groups, count, "maps")


def _weights(weights: Any, count: int) -> np.ndarray[Any, Any]:
    if weights is None:
        return np.ones(count)
    values = read_numbers(weights, "weights")
    if values.shape != (count,):
        raise InvalidInputError(
            f"weights has shape {values.shape}; it takes ({count},), one per map"
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InvalidInputError(f"weights is {weights!r}; it takes finite numbers, none negative")
    if not values.any():
        raise InvalidInputError("weights is all zero; it takes at least one positive weight")
    return np.asarray(values / values.max())


def _reference(reference: Any, cams: Any, count: int) -> int | Array | None:
    if reference is None:
        return None
    if not hasattr(reference, "shape") or not reference.shape:
        return _reference_index(reference, count)
    array = as_array(reference.data if is_dataarray(reference) else reference, "reference")
    check_arrays(array, "reference")
    if tuple(array.shape) != tuple(cams.shape[-2:]):
        raise InvalidInputError(
            f"reference has shape {tuple(array.shape)}; it takes an index or a map of shape "
            f"{tuple(cams.shape[-2:])}, as in cams"
        )
    return array


def _reference_index(reference: Any, count: int) -> int:
    try:
        index = operator.index(reference)
    except TypeError:
        index = count
    if not is_count(reference) or not -count <= index < count:
        raise InvalidInputError(
            f"reference is {reference!r}; it takes a map or an index below {count}"
        )
    return index % count


def _over_sets(core: Callable[[Array], Array], cams: Any, n_columns: int) -> Any:
    """Apply `core` to every (N, h, w) set; its columns come on the last axis."""
    if is_dataarray(cams):
        import xarray

        own = ["cams_map", "cams_row", "cams_column"]  # no other dim, of the result say, has these
        renamed = cams.rename(dict(zip(cams.dims[-3:], own, strict=True)))
        return xarray.apply_ufunc(
            partial(_over_sets, core, n_columns=n_columns),
            renamed.drop_vars(own, errors="ignore"),
            input_core_dims=[own],
            output_core_dims=[["column"]],
            dask="parallelized",
            output_dtypes=[np.float64],
            dask_gufunc_kwargs={"output_sizes": {"column": n_columns}, "allow_rechunk": True},
        )
    if is_dask_array(cams):
        import dask.array as da

        return da.apply_gufunc(
            partial(_over_sets, core, n_columns=n_columns),
            "(n,h,w)->(f)",
            cams,
            output_dtypes=np.float64,
            output_sizes={"f": n_columns},
            allow_rechunk=True,
        )
    check_arrays(cams, "cams")
    xp = namespace(cams)
    sets = xp.reshape(cams, (-1, *cams.shape[-3:]))
    rows = [core(sets[i, ...]) for i in range(sets.shape[0])]
    return xp.reshape(xp.stack(rows, axis=0), (*cams.shape[:-3], n_columns))


def _columns_of(table: Any, start: int, length: int, labels: tuple[Any, ...] | None) -> Any:
    """Take the columns of one quantity: all groups, or its only value."""
    if not is_dataarray(table):
        return table[..., start] if labels is None else table[..., start : start + length]
    if labels is None:
        return table.isel(column=start)
    part = table.isel(column=slice(start, start + length)).rename(column="group")
    return part.assign_coords(group=list(labels))


def _scalar(value: Any, kind: type = float) -> Any:
    """Turn a NumPy scalar into a Python one, and counts into integers."""
    if is_numpy_array(value):
        return kind(value) if value.ndim == 0 else value.astype(kind, copy=False)
    if kind is float:
        return value
    if hasattr(value, "dims"):
        return value.astype(int)
    xp = namespace(value)
    return xp.astype(value, xp.int64)
