"""Mean similarity over all pairs of maps in closed form, from sums of their unit vectors by group.

The similarity of two maps is the product of their unit vectors, so the sum over pairs follows from
the sum of the vectors, whatever N is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    from_numpy,
    is_numpy_array,
    namespace,
    to_numpy,
    wide_dtype,
)
from membrane_xai.metrics._similarity import Similarity, blank_non_finite, named_similarity

__all__ = ["UnitSums", "cams_per_block", "mean_of_pairs", "unit_sums_on_host"]

Codes = NDArray[np.intp]

_BLOCK_BYTES = 1 << 21  # of CAMs widened to float64 at a time; set by hand


@dataclass(frozen=True, slots=True, eq=False)
class UnitSums:
    r"""Sums over the maps of each of G groups, from which Explanation Consistency follows.

    .. math:: \mathrm{EC} = \frac{\|\sum_i w_i u_i\|^2 - \sum_i w_i^2}
        {(\sum_i w_i)^2 - \sum_i w_i^2}

    with unit vectors :math:`u_i` of maps of weights :math:`w_i`. Sums of parts of the data merge.

    Attributes
    ----------
    vectors : array of shape (G, p)
        Sum of weight times unit vector, one number a pixel.
    weights, squares : array of shape (G,)
        Sum of the weights of the maps that have a direction, and of their squares.
    counts : array of shape (G, 3)
        Maps that have a direction, flat ones, and those with NaN or infinity; maps of weight 0 are
        none of them.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.metrics import UnitSums
    >>> ramp = np.arange(6.0).reshape(2, 3)
    >>> first = UnitSums.of(np.stack([ramp, 2 * ramp + 1]), "pearson")
    >>> second = UnitSums.of(np.stack([-ramp, np.ones((2, 3))]), "pearson")  # the last is flat
    >>> both = first.merge(second)
    >>> both.mean().round(3), both.counts.tolist()  # pairs: 1, -1, -1
    (array([-0.333]), [[3.0, 1.0, 0.0]])
    >>> second.mean()  # one map has no pair
    array([nan])
    """

    vectors: Array
    weights: Array
    squares: Array
    counts: Array

    @classmethod
    def of(
        cls,
        cams: Array,
        similarity: str | Similarity,
        *,
        codes: Any = None,
        n_groups: int = 1,
        weights: Any = None,
    ) -> "UnitSums":
        """Sum the unit vectors of maps, a block of them in memory at a time.

        Parameters
        ----------
        cams : array of shape (N, h, w)
            Of any library; the sums stay in it, in its widest type.
        similarity : {"pearson", "spearman", "cosine"}
            What makes a map a vector, as in :func:`membrane_xai.ec_score`.
        codes : NumPy array of N integers from 0 to ``n_groups - 1``, optional
            The group of each map.
        n_groups : int
            G.
        weights : NumPy array of N non-negative numbers, optional
            Ones by default; maps of weight 0 are left out.

        Returns
        -------
        UnitSums
            Arrays of the library and on the device of `cams`.
        """
        cams, groups = as_array(cams, "cams"), np.arange(n_groups)
        sums = cls.empty(n_groups, int(cams.shape[-2]) * int(cams.shape[-1]), cams)
        for part in _blocks(cams, similarity, codes, weights):
            sums = sums.merge(part.by_group(groups))
        return sums

    @classmethod
    def empty(cls, n_groups: int, pixels: int, like: Array) -> "UnitSums":
        """Return sums over no map, in the library and on the device of `like`."""
        shapes = ((n_groups, pixels), (n_groups,), (n_groups,), (n_groups, 3))
        return cls(*(from_numpy(like, np.zeros(shape), wide_dtype(like)) for shape in shapes))

    def merge(self, other: "UnitSums") -> "UnitSums":
        """Add the sums of other maps, group by group.

        Parameters
        ----------
        other : UnitSums
            Of the same groups, maps of the same size, and the same similarity.

        Returns
        -------
        UnitSums
            New arrays.
        """
        names = [field.name for field in fields(self)]
        return UnitSums(*(getattr(self, name) + getattr(other, name) for name in names))

    def totals(self) -> tuple[Array, Array]:
        """Return, over all ordered pairs of a group, the sum of similarities and that of weights.

        Returns
        -------
        tuple of two arrays of shape (G,)
            Each pair counts twice in both.
        """
        squared = namespace(self.vectors).vecdot(self.vectors, self.vectors, axis=-1)
        return squared - self.squares, self.weights * self.weights - self.squares

    def mean(self) -> Array:
        """Return the mean similarity over the pairs within each group.

        Returns
        -------
        array of shape (G,)
            In [-1, 1]; NaN where no pair is defined.
        """
        total, norm = self.totals()
        return mean_of_pairs(total, norm, (self.counts[:, 0] > 1) & (norm > 0))

    def similarities(self) -> tuple[Array, Array]:
        """Return sums over ordered pairs (i, j), i other than j, between any two groups.

        Returns
        -------
        tuple of two arrays of shape (G, G)
            Sums of weighted similarities, and of weights: numbers of pairs where all weigh 1.
        """
        xp = namespace(self.vectors)
        own = from_numpy(self.vectors, np.eye(len(self.squares))) * self.squares
        sums = xp.matmul(self.vectors, xp.matrix_transpose(self.vectors)) - own
        return sums, self.weights[:, None] * self.weights[None, :] - own


def mean_of_pairs(total: Array, norm: Array, some: Array) -> Array:
    """Divide sums over pairs; NaN where there is none, and no rounding beyond [-1, 1]."""
    xp = namespace(total)
    mean = total / xp.where(some, norm, xp.ones_like(norm))
    return xp.where(some, xp.clip(mean, min=-1.0, max=1.0), xp.full_like(mean, xp.nan))


def unit_sums_on_host(
    cams: Array, similarity: str | Similarity, codes: Codes, n_groups: int
) -> UnitSums:
    """Sum as :meth:`UnitSums.of` in NumPy's float64, whatever the library; counts are integers.

    Only the groups that a block has are touched, so that many groups cost nothing.
    """
    pixels = int(cams.shape[-2]) * int(cams.shape[-1])
    vectors, counts = np.zeros((n_groups, pixels)), np.zeros((n_groups, 3), np.int64)
    for part in _blocks(cams, similarity, codes, None):
        groups = np.unique(part.codes)
        found = part.by_group(groups)
        vectors[groups] += to_numpy(found.vectors)
        counts[groups] += to_numpy(found.counts).astype(np.int64)
    defined = counts[:, 0].astype(np.float64)
    return UnitSums(vectors, defined, defined, counts)


def cams_per_block(cams: Array) -> int:
    """Return how many maps are widened at a time."""
    return max(1, _BLOCK_BYTES // (8 * int(cams.shape[-2]) * int(cams.shape[-1])))


class _Block(NamedTuple):
    """Some maps."""

    units: Array
    """(n, p): unit vectors, zero where a map has no direction."""
    weights: Array | None
    """(n,), or None for ones; zero where a map has no direction."""
    columns: Array
    """(n, 5): weight, its square, and whether the map is defined, flat or not finite."""
    codes: Codes

    def by_group(self, groups: Codes) -> UnitSums:
        """Sum over the maps of each group, in the order of `groups`."""
        vectors = _summed(self.units, self.weights, self.codes, groups)
        table = _summed(self.columns, None, self.codes, groups)
        return UnitSums(vectors, table[:, 0], table[:, 1], table[:, 2:])


def _blocks(
    cams: Array, similarity: str | Similarity, codes: Any, weights: Any
) -> Iterator[_Block]:
    compared = named_similarity(similarity, 0.1) if isinstance(similarity, str) else similarity
    count, step = int(cams.shape[0]), cams_per_block(cams)
    codes = np.zeros(count, np.intp) if codes is None else codes
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        w = None if weights is None else weights[part]
        yield _block(cams[part, ...], compared, codes[part], w)


def _block(cams: Array, similarity: Similarity, codes: Codes, weights: Any) -> _Block:
    xp, wide = namespace(cams), wide_dtype(cams)
    cams, finite = blank_non_finite(cams)
    found = similarity.prepare(cams)
    kinds = [found.defined & finite, ~found.defined & finite, ~finite]
    if weights is None:
        kinds = [xp.astype(kind, wide) for kind in kinds]
        w, columns = None, [kinds[0], kinds[0], *kinds]
    else:
        counted = from_numpy(cams, weights > 0)
        kinds = [xp.astype(kind & counted, wide) for kind in kinds]
        w = from_numpy(cams, weights, wide) * kinds[0]
        columns = [w, w * w, *kinds]
    return _Block(found.parts[0], w, xp.stack(columns, axis=1), codes)


def _summed(rows: Array, weights: Array | None, codes: Codes, groups: Codes) -> Array:
    """Sum rows (n, p), each times its weight, by group."""
    xp = namespace(rows)
    if groups.size == 1:
        if weights is None:
            return xp.sum(rows, axis=0, keepdims=True)
        return xp.matmul(weights[None, :], rows)
    if is_numpy_array(rows) and np.isin(groups, codes).all():
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], groups)
        weighted = rows if weights is None else rows * weights[:, None]
        return np.add.reduceat(weighted[order], starts, axis=0)
    chosen = from_numpy(rows, np.equal.outer(groups, codes), rows.dtype)
    return xp.matmul(chosen if weights is None else chosen * weights, rows)
