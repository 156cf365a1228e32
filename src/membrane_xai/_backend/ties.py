"""Ranks, top-k and AUC of pixels, each the expectation over random breaking of ties.

So no score depends on where in memory, or on which side of the image, equal values lie.
"""

from typing import NamedTuple

import numpy as np

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype

__all__ = ["TopSet", "average_ranks", "level", "top_set", "weighted_auc"]

_FLAT = 1e-6
"""A range this small beside the largest value is rounding: 8 roundings of float32, the type in
which networks compute, whatever type the map has now."""
_ROUNDINGS = 4
"""The same in half precision, whose roundings are larger: of the map's own type."""


def level(values: Array, given: Array) -> Array:
    """Make rows of (n, p) flat that are flat but for rounding, so that no order is read into it.

    `given` are the values before they were widened. -inf, where no pixel counts, stays.
    """
    xp = namespace(values)
    counted = values > -xp.inf
    high = xp.max(values, axis=-1, keepdims=True)
    high = xp.where(high > -xp.inf, high, xp.zeros_like(high))
    low = xp.min(xp.where(counted, values, high), axis=-1, keepdims=True)
    tolerance = _FLAT
    if xp.isdtype(given.dtype, "real floating"):
        tolerance = max(tolerance, _ROUNDINGS * float(xp.finfo(given.dtype).eps))
    # Halves, as the difference of two large numbers may be infinite.
    flat = high / 2 - low / 2 <= tolerance * xp.maximum(xp.abs(high), xp.abs(low)) / 2
    return xp.where(flat & counted, high, values)


class TopSet(NamedTuple):
    """The `size` largest of p values: those above a level, and a share of those tied at it."""

    above: Array
    """bool (n, p)."""
    tied: Array
    """bool (n, p)."""
    tied_share: Array
    """(n,): probability of each tied pixel to be in the set, in [0, 1]."""

    def sum_of(self, weights: Array) -> Array:
        """Return the expected sum of (n, p) `weights` over the set, shape (n,)."""
        xp = namespace(weights)
        zero = xp.zeros_like(weights)
        above = xp.sum(xp.where(self.above, weights, zero), axis=-1)
        tied = xp.sum(xp.where(self.tied, weights, zero), axis=-1)
        return above + self.tied_share * tied

    def membership(self) -> Array:
        """Return the probability of each pixel to be in the set, shape (n, p)."""
        xp = namespace(self.above)
        dtype = self.tied_share.dtype
        tied = xp.astype(self.tied, dtype) * self.tied_share[:, None]
        return xp.astype(self.above, dtype) + tied


def top_set(values: Array, size: Array) -> TopSet:
    """Find the `size` (n,) largest of `values` (n, p); sizes are real numbers in (0, p]."""
    xp = namespace(values)
    wide = wide_dtype(values)
    p = values.shape[-1]
    position = p - xp.astype(xp.ceil(size), xp.int64)
    position = xp.clip(position, min=0, max=p - 1)
    level = xp.take_along_axis(xp.sort(values, axis=-1), position[:, None], axis=-1)
    above, tied = values > level, values == level
    n_above = xp.astype(xp.count_nonzero(above, axis=-1), wide)
    n_tied = xp.astype(xp.count_nonzero(tied, axis=-1), wide)
    return TopSet(above, tied, (size - n_above) / n_tied)


def average_ranks(values: Array) -> Array:
    """Rank the values of each row of (n, p) from 1 up; ties share the mean of their ranks."""
    xp = namespace(values)
    order = xp.argsort(values, axis=-1)
    starts, ends, run = _tie_runs(xp.take_along_axis(values, order, axis=-1))
    mean = xp.astype(starts + ends + 1, wide_dtype(values)) / 2
    n, p = values.shape
    offset = from_numpy(values, np.arange(n)[:, None] * p, mean.dtype)
    ranks = xp.reshape(xp.take(mean, run), (n, p)) - offset
    return xp.take_along_axis(ranks, xp.argsort(order, axis=-1), axis=-1)


def weighted_auc(values: Array, positive: Array, negative: Array) -> Array:
    """Area under the ROC curve of `values` for weights (n, p) of being positive and negative.

    It is the chance that a random positive outranks a random negative, ties counting one half.
    """
    xp = namespace(values)
    order = xp.argsort(values, axis=-1)
    starts, ends, run = _tie_runs(xp.take_along_axis(values, order, axis=-1))
    below = xp.cumulative_sum(xp.take_along_axis(negative, order, axis=-1), axis=-1)
    below = xp.concat([xp.zeros_like(below[:, :1]), below], axis=-1)
    flat = xp.reshape(below, (-1,))
    row = starts // values.shape[-1]  # `below` has one more element per row
    beaten = (xp.take(flat, starts + row) + xp.take(flat, ends + row)) / 2
    beaten = xp.reshape(xp.take(beaten, run), values.shape)
    won = xp.sum(xp.take_along_axis(positive, order, axis=-1) * beaten, axis=-1)
    pairs = xp.sum(positive, axis=-1) * below[:, -1]
    return won / xp.where(pairs > 0, pairs, xp.full_like(pairs, xp.nan))


def _tie_runs(ascending: Array) -> tuple[Array, Array, Array]:
    """Return start and end of every run of equals in the flattened rows, and each value's run."""
    xp = namespace(ascending)
    change = ascending[:, 1:] != ascending[:, :-1]
    first = xp.ones_like(ascending[:, :1], dtype=xp.bool)
    begins = xp.reshape(xp.concat([first, change], axis=-1), (-1,))
    starts = xp.nonzero(begins)[0]
    end = xp.full_like(starts[:1], begins.shape[0])
    run = xp.cumulative_sum(xp.astype(begins, starts.dtype)) - 1
    return starts, xp.concat([starts[1:], end]), run
