"""Mean similarity over pairs of maps: in closed form for unit vectors, else pair by pair."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import Array, from_numpy, namespace, to_same_backend, wide_dtype
from membrane_xai.metrics._similarity import Similarity, features_of
from membrane_xai.metrics._unit_sums import UnitSums, cams_per_block, mean_of_pairs

__all__ = ["PairSet", "mean_similarity", "similarity_matrix"]


class PairSet(NamedTuple):
    """Pairs to compare: members of each group, weights, and the reference."""

    members: Mapping[Any, np.ndarray[Any, Any]]
    """Label -> indices of the maps of that group."""
    weights: np.ndarray[Any, Any]
    """(N,), none negative, the largest one 1."""
    reference: int | Array | None
    """Compare with this map only: an index, or an (h, w) map."""


def mean_similarity(cams: Array, pairs: PairSet, similarity: Similarity) -> Array:
    """Return EC, pairs, undefined pairs and status code of all groups, as (4 G,)."""
    xp = namespace(cams)
    rows = []
    for indices in pairs.members.values():
        counted = indices[pairs.weights[indices] > 0]
        rows.append(_of_group(cams, counted, pairs, similarity))
    return xp.reshape(xp.matrix_transpose(xp.stack(rows, axis=0)), (-1,))


def similarity_matrix(cams: Array, similarity: Similarity) -> Array:
    """Return the (N, N) similarities, flattened; NaN where a map cannot be compared."""
    xp = namespace(cams)
    found = features_of(cams, similarity)
    n = cams.shape[0]
    if similarity.unit_vectors:
        units = found.parts[0]
        matrix = xp.clip(xp.matmul(units, xp.matrix_transpose(units)), min=-1.0, max=1.0)
    else:
        matrix = xp.stack(
            [similarity.compare(found.part(i, i + 1), found) for i in range(n)], axis=0
        )
    diagonal = from_numpy(cams, np.eye(n, dtype=bool))
    matrix = xp.where(diagonal, xp.ones_like(matrix), matrix)
    both = found.defined[:, None] & found.defined[None, :]
    return xp.reshape(xp.where(both, matrix, xp.full_like(matrix, xp.nan)), (-1,))


def _of_group(
    cams: Array, indices: np.ndarray[Any, Any], pairs: PairSet, similarity: Similarity
) -> Array:
    """Return the (4,) row of one group."""
    if pairs.reference is not None:
        if isinstance(pairs.reference, int):
            indices = indices[indices != pairs.reference]
        sums, possible = _against_reference(cams, indices, pairs, similarity), indices.size
    else:
        of_pairs = _closed_form if similarity.unit_vectors else _pair_by_pair
        sums = of_pairs(cams, indices, pairs.weights, similarity)
        possible = indices.size * (indices.size - 1) // 2
    return _row(sums, possible)


class _Sums(NamedTuple):
    similarity: Array
    weight: Array
    count: Array


def _row(sums: _Sums, possible: int) -> Array:
    xp = namespace(sums.weight)
    some = (sums.count > 0) & (sums.weight > 0)
    mean = mean_of_pairs(sums.similarity, sums.weight, some)
    code = xp.where(some, xp.zeros_like(mean), xp.full_like(mean, 2.0 if possible else 1.0))
    return xp.stack([mean, sums.count, possible - sums.count, code], axis=0)


def _take(cams: Array, indices: np.ndarray[Any, Any]) -> Array:
    """Return some maps; a run of neighbours is a view, not a copy."""
    if indices.size and indices[-1] - indices[0] == indices.size - 1:
        return cams[int(indices[0]) : int(indices[-1]) + 1, ...]
    return namespace(cams).take(cams, from_numpy(cams, indices), axis=0)


def _closed_form(
    cams: Array, indices: np.ndarray[Any, Any], weights: Any, similarity: Similarity
) -> _Sums:
    """Sum over pairs from sums of unit vectors, one block of maps in memory at a time."""
    sums = UnitSums.empty(1, cams.shape[-2] * cams.shape[-1], cams)
    step = cams_per_block(cams)
    for start in range(0, indices.size, step):
        part = indices[start : start + step]
        sums = sums.merge(UnitSums.of(_take(cams, part), similarity, weights=weights[part]))
    total, norm = sums.totals()
    count = sums.counts[0, 0]
    return _Sums(total[0], norm[0], count * (count - 1) / 2)


def _pair_by_pair(
    cams: Array, indices: np.ndarray[Any, Any], weights: Any, similarity: Similarity
) -> _Sums:
    """Sum over all pairs, comparing each map with those after it."""
    sums = _empty(cams)
    if indices.size < 2:
        return sums
    found = features_of(_take(cams, indices), similarity)
    w = from_numpy(cams, weights[indices], wide_dtype(cams))
    for i in range(indices.size - 1):
        rest = found.part(i + 1, None)
        scores = similarity.compare(found.part(i, i + 1), rest)
        sums = _add(sums, scores, rest.defined & found.defined[i], w[i] * w[i + 1 :])
    return sums


def _against_reference(
    cams: Array, indices: np.ndarray[Any, Any], pairs: PairSet, similarity: Similarity
) -> _Sums:
    """Sum over the comparisons with the reference map."""
    if isinstance(pairs.reference, int):
        reference = cams[pairs.reference : pairs.reference + 1, ...]
    else:
        reference = to_same_backend(cams, pairs.reference, "reference")[None, ...]
    if not indices.size:
        return _empty(cams)
    one = features_of(reference, similarity)
    found = features_of(_take(cams, indices), similarity)
    w = from_numpy(cams, pairs.weights[indices], wide_dtype(cams))
    return _add(_empty(cams), similarity.compare(one, found), found.defined & one.defined, w)


def _empty(cams: Array) -> _Sums:
    zero = from_numpy(cams, np.zeros(1), wide_dtype(cams))[0]
    return _Sums(zero, zero, zero)


def _add(sums: _Sums, scores: Array, defined: Array, weights: Array) -> _Sums:
    xp = namespace(scores)
    zero = xp.zeros_like(scores)
    return _Sums(
        sums.similarity + xp.sum(xp.where(defined, scores * weights, zero)),
        sums.weight + xp.sum(xp.where(defined, weights, zero)),
        sums.count + xp.sum(xp.astype(defined, scores.dtype)),
    )
