"""The six similarities between maps, each as features of one map and a comparison of features.

Features are computed once per map; comparing map i with others touches features only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import Array, from_numpy, namespace, wide_dtype
from membrane_xai._backend.checks import check_choice, check_k, is_count
from membrane_xai._backend.ties import average_ranks, level, top_set
from membrane_xai.errors import InvalidInputError

__all__ = [
    "Features",
    "Similarity",
    "blank_non_finite",
    "features_of",
    "named_similarity",
]


@dataclass(frozen=True, slots=True)
class Features:
    """Features of n maps, from which they are compared."""

    parts: tuple[Array, ...]
    """Arrays whose first axis is n."""
    defined: Array
    """bool (n,): whether the map can be compared at all."""

    def part(self, start: int, stop: int | None) -> "Features":
        """Return the features of the maps `start` to `stop`."""
        parts = tuple(array[start:stop, ...] for array in self.parts)
        return Features(parts, self.defined[start:stop])


class Similarity(NamedTuple):
    """A similarity: features of maps, and a comparison of features."""

    prepare: Callable[[Array], Features]
    """(n, h, w) finite maps in the widest type -> features."""
    compare: Callable[[Features, Features], Array]
    """Features of one map and of m maps -> (m,) similarities."""
    unit_vectors: bool = False
    """Whether features are unit vectors and the similarity their product, so that means over pairs
    have a closed form."""


def blank_non_finite(cams: Array) -> tuple[Array, Array]:
    """Widen maps (n, h, w), put 0 for those that are not finite, and tell which are.

    Maps that are flat but for rounding become flat.
    """
    xp = namespace(cams)
    given = cams
    cams = xp.astype(cams, wide_dtype(cams))
    finite = xp.all(xp.isfinite(cams), axis=(-2, -1))
    cams = xp.where(finite[:, None, None], cams, xp.zeros_like(cams))
    return xp.reshape(level(_flat(cams), given), cams.shape), finite


def features_of(cams: Array, similarity: Similarity) -> Features:
    """Widen a block of maps, blank those that are not finite, and compute features."""
    cams, finite = blank_non_finite(cams)
    found = similarity.prepare(cams)
    return Features(found.parts, found.defined & finite)


def _flat(cams: Array) -> Array:
    return namespace(cams).reshape(cams, (cams.shape[0], -1))


def _not_constant(rows: Array) -> Array:
    xp = namespace(rows)
    return xp.min(rows, axis=-1) < xp.max(rows, axis=-1)


def _unit(rows: Array, defined: Array) -> Features:
    """Scale rows to unit length, scaling by the largest value first so that squares stay finite."""
    xp = namespace(rows)
    largest = xp.max(xp.abs(rows), axis=-1, keepdims=True)
    rows = rows / xp.where(largest > 0, largest, xp.ones_like(largest))
    length = xp.sqrt(xp.vecdot(rows, rows, axis=-1))[:, None]
    defined = defined & (length[:, 0] > 0)
    rows = rows / xp.where(length > 0, length, xp.ones_like(length))
    return Features((xp.where(defined[:, None], rows, xp.zeros_like(rows)),), defined)


def _cosine(cams: Array) -> Features:
    rows = _flat(cams)
    return _unit(rows, namespace(rows).any(rows != 0, axis=-1))


def _pearson_rows(rows: Array) -> Features:
    xp = namespace(rows)
    defined = _not_constant(rows)
    largest = xp.max(xp.abs(rows), axis=-1, keepdims=True)
    rows = rows / xp.where(largest > 0, largest, xp.ones_like(largest))
    return _unit(rows - xp.mean(rows, axis=-1, keepdims=True), defined)


def _pearson(cams: Array) -> Features:
    return _pearson_rows(_flat(cams))


def _spearman(cams: Array) -> Features:
    return _pearson_rows(average_ranks(_flat(cams)))


def _product(one: Features, many: Features) -> Array:
    xp = namespace(one.parts[0])
    return xp.clip(xp.vecdot(many.parts[0], one.parts[0], axis=-1), min=-1.0, max=1.0)


def _soft_iou(cams: Array) -> Features:
    rows = namespace(cams).clip(_flat(cams), min=0)
    return _masses(rows)


def _topk_iou(cams: Array, k: float) -> Features:
    xp = namespace(cams)
    rows = _flat(cams)
    pixels = rows.shape[-1]
    if k > pixels:
        raise InvalidInputError(f"k is {k}, but the maps have {pixels} pixels")
    size = xp.full_like(rows[:, 0], float(k) if is_count(k) else float(k) * pixels)
    found = _masses(top_set(rows, size).membership())
    return Features(found.parts, _not_constant(rows))


def _masses(rows: Array) -> Features:
    xp = namespace(rows)
    total = xp.sum(rows, axis=-1)
    return Features((rows, total), total > 0)


def _jaccard(one: Features, many: Features) -> Array:
    """sum(min) / sum(max): with D the L1 distance, (a + b - D) / (a + b + D)."""
    xp = namespace(one.parts[0])
    both = one.parts[1] + many.parts[1]
    distance = xp.sum(xp.abs(many.parts[0] - one.parts[0]), axis=-1)
    return (both - distance) / xp.where(both > 0, both + distance, xp.ones_like(both))


def _ssim(cams: Array) -> Features:
    xp = namespace(cams)
    if min(cams.shape[-2:]) < 3:
        raise InvalidInputError(
            f"similarity 'ssim' needs maps of at least 3x3, got {tuple(cams.shape[-2:])}"
        )
    rows = _flat(cams)
    low, high = xp.min(rows, axis=-1), xp.max(rows, axis=-1)
    mean, square = _window_mean(cams), _window_mean(cams * cams)
    return Features((cams, mean, square, low, high), low < high)


def _window_mean(cams: Array) -> Array:
    """Mean over every full window: 7x7, or the largest odd size that fits."""
    xp = namespace(cams)
    side = _window(cams)
    rows, columns = (
        from_numpy(cams, _band(length, side), cams.dtype) for length in cams.shape[-2:]
    )
    return xp.matmul(rows, xp.matmul(cams, xp.matrix_transpose(columns)))


def _window(cams: Array) -> int:
    side = min(7, int(cams.shape[-2]), int(cams.shape[-1]))
    return side if side % 2 else side - 1


def _band(length: int, side: int) -> np.ndarray[Any, Any]:
    offset = np.arange(length)[None, :] - np.arange(length - side + 1)[:, None]
    return ((offset >= 0) & (offset < side)) / side


def _ssim_compare(one: Features, many: Features) -> Array:
    """Wang et al. 2004 with a uniform window and sample covariance, as scikit-image computes it."""
    xp = namespace(one.parts[0])
    cams, mean, square, low, high = many.parts
    cams_1, mean_1, square_1, low_1, high_1 = one.parts
    n = _window(cams) ** 2
    sample = n / (n - 1)
    reach = xp.maximum(high, high_1) - xp.minimum(low, low_1)
    # K1 = 0.01 and K2 = 0.03 are those of Wang et al.
    c1, c2 = (0.01 * reach[:, None, None]) ** 2, (0.03 * reach[:, None, None]) ** 2
    covariance = sample * (_window_mean(cams * cams_1) - mean * mean_1)
    variances = sample * ((square - mean * mean) + (square_1 - mean_1 * mean_1))
    luminance = (2 * mean * mean_1 + c1) / xp.where(
        c1 > 0, mean * mean + mean_1 * mean_1 + c1, xp.ones_like(mean)
    )
    structure = (2 * covariance + c2) / xp.where(c2 > 0, variances + c2, xp.ones_like(mean))
    return xp.mean(luminance * structure, axis=(-2, -1))


_SIMILARITIES: Mapping[str, Similarity] = {
    "pearson": Similarity(_pearson, _product, unit_vectors=True),
    "spearman": Similarity(_spearman, _product, unit_vectors=True),
    "cosine": Similarity(_cosine, _product, unit_vectors=True),
    "ssim": Similarity(_ssim, _ssim_compare),
    "soft_iou": Similarity(_soft_iou, _jaccard),
}


def named_similarity(name: str, k: float) -> Similarity:
    """Return the similarity called `name`; `k` is the size of the sets of "topk_iou"."""
    check_choice(name, "similarity", (*_SIMILARITIES, "topk_iou"))
    k = check_k(k)
    if name == "topk_iou":
        return Similarity(partial(_topk_iou, k=k), _jaccard)
    return _SIMILARITIES[name]
