"""Similarities of many CAMs, summed by group: what the mean over pairs needs, whatever N is."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import (
    Array,
    check_maps,
    from_numpy,
    is_numpy_array,
    namespace,
    to_numpy,
)
from membrane_xai._backend.checks import check_choice
from membrane_xai.metrics._mean_similarity import features_of
from membrane_xai.metrics._similarity import Similarity
from membrane_xai.statistics._bootstrap import Quadratic

__all__ = ["PAIRS", "GroupSums", "pair_sums", "quadratic", "unit_sums"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

PAIRS = ("all", "between", "within")

_BLOCK_BYTES = 1 << 21


class GroupSums(NamedTuple):
    """Sums over the CAMs of each of G groups."""

    vectors: Floats
    """(G, p): sum of unit vectors."""
    counts: Floats
    """(G, 3): CAMs that are defined, flat, and not finite."""

    def similarities(self) -> tuple[Floats, Floats]:
        """Return sums of similarities and numbers of pairs (i, j), i other than j, both (G, G)."""
        n = self.counts[:, 0]
        sums = self.vectors @ self.vectors.T - np.diag(n)
        return sums, np.outer(n, n) - np.diag(n)


def unit_sums(maps: Array, codes: Codes, n_groups: int, similarity: Similarity) -> GroupSums:
    """Sum the unit vectors of maps (N, h, w) by group, one block in memory at a time."""
    check_maps(maps, "cams")
    pixels = int(maps.shape[-2]) * int(maps.shape[-1])
    vectors, counts = np.zeros((n_groups, pixels)), np.zeros((n_groups, 3))
    step = max(1, _BLOCK_BYTES // (8 * pixels))
    for start in range(0, len(codes), step):
        part = codes[start : start + step]
        block = maps[start : start + part.size, ...]
        found = features_of(block, similarity)
        groups, sums = _by_group(found.parts[0], part)
        vectors[groups] += sums
        kinds = _kinds(block, to_numpy(found.defined))
        np.add.at(counts, (part, kinds), 1)
    return GroupSums(vectors, counts)


def _by_group(rows: Array, codes: Codes) -> tuple[Codes, Floats]:
    """Sum rows by group: which groups there are, and their sums."""
    groups, own = np.unique(codes, return_inverse=True)
    if groups.size == 1:
        return groups, to_numpy(namespace(rows).sum(rows, axis=0, keepdims=True)).astype(float)
    if is_numpy_array(rows):
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(groups.size))
        return groups, np.add.reduceat(rows[order], starts, axis=0)
    chosen = from_numpy(rows, np.equal.outer(np.arange(groups.size), own), rows.dtype)
    return groups, to_numpy(namespace(rows).matmul(chosen, rows)).astype(float)


def _kinds(maps: Array, defined: NDArray[np.bool_]) -> Codes:
    """Tell defined maps (0), flat ones (1) and those with NaN or infinity (2)."""
    kinds = np.where(defined, 0, 1)
    if not defined.all():
        xp = namespace(maps)
        floating = xp.isdtype(maps.dtype, "real floating")
        finite = to_numpy(xp.all(xp.isfinite(maps), axis=(-2, -1))) if floating else True
        kinds = np.where(finite, kinds, 2)
    return kinds


def pair_sums(maps: Array, codes: Codes, n_groups: int, similarity: Similarity) -> Any:
    """Compare every pair of maps; return similarities, numbers of pairs, and counts by kind."""
    check_maps(maps, "cams")
    found = features_of(maps, similarity)
    defined = to_numpy(found.defined)
    counts = np.zeros((n_groups, 3))
    np.add.at(counts, (codes, _kinds(maps, defined)), 1)
    sums = np.zeros((n_groups, n_groups))
    for i in np.flatnonzero(defined):
        scores = to_numpy(similarity.compare(found.part(int(i), int(i) + 1), found))
        others = defined.copy()
        others[i] = False
        sums[codes[i]] += np.bincount(codes[others], scores[others], n_groups)
    n = counts[:, 0]
    return sums, np.outer(n, n) - np.diag(n), counts


def quadratic(sums: Floats, numbers: Floats, pairs: str) -> Quadratic:
    """Arrange sums over pairs for the bootstrap, in an order that labels have no part in."""
    check_choice(pairs, "pairs", PAIRS)
    order = np.lexsort((sums.sum(axis=1), np.diag(numbers), numbers.sum(axis=1)))
    both = np.stack([sums, numbers])[:, order[:, None], order]
    within = np.stack([np.diag(both[0]), np.diag(both[1])], axis=1) / 2
    between = both * (1 - np.eye(len(sums)))
    if pairs == "between":
        within = np.zeros_like(within)
    if pairs == "within":
        between = np.zeros_like(between)
    return Quadratic(within, between)
