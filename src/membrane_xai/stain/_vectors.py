"""Stain vectors found in images: the two extreme colours of the stained pixels (Macenko et al.)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Found", "find_vectors"]

Floats = NDArray[np.float64]

_STAINED = 0.25  # length of the optical density from which a pixel's colour is its stain's
_MOST_PIXELS = 200_000  # looked at in each image, evenly spaced; set by hand
_LEAST_PIXELS = 50  # stained ones from which a stain is estimated; set by hand
_TAIL = 1.0  # per cent of the stained pixels taken as extreme
_SPREAD = np.deg2rad(12)  # closer together, two extremes are one stain
_NEAR = np.deg2rad(18)  # farther from the reference, a colour is another stain


class Found(NamedTuple):
    """Stain vectors, and the stains that were not found and keep their reference."""

    vectors: Floats
    absent: tuple[str, ...]


def find_vectors(densities: Sequence[NDArray[Any]], reference: Floats) -> Found:
    """Estimate hematoxylin and DAB from optical densities (n, 3) of several images."""
    stained = np.concatenate([_stained(density) for density in densities])
    names = ("hematoxylin", "DAB")
    if len(stained) < _LEAST_PIXELS:
        return Found(reference, names)
    extremes = _extremes(stained)
    if _angle(*extremes) < _SPREAD:  # a single stain: which of the two is it
        middle = extremes.mean(axis=0)
        extremes = np.vstack([middle, middle])
        angles = [_angle(middle, vector) for vector in reference]
        absent = [other <= own for own, other in zip(angles, reversed(angles), strict=True)]
    else:
        if _blue_over_red(extremes[0]) > _blue_over_red(extremes[1]):
            extremes = extremes[::-1]  # DAB absorbs blue more than red, hematoxylin the reverse
        absent = [False, False]
    vectors = reference.copy()
    for stain, vector in enumerate(extremes):
        unit = vector / np.linalg.norm(vector)
        absent[stain] = absent[stain] or _angle(unit, reference[stain]) > _NEAR
        if not absent[stain]:
            vectors[stain] = unit
    return Found(vectors, tuple(n for n, gone in zip(names, absent, strict=True) if gone))


def _stained(density: NDArray[Any]) -> NDArray[Any]:
    step = max(1, len(density) // _MOST_PIXELS)
    some: NDArray[Any] = density[::step]
    stained: NDArray[Any] = some[np.linalg.norm(some, axis=1) >= _STAINED]
    return stained


def _extremes(stained: NDArray[Any]) -> NDArray[Any]:
    """Return the directions at both ends of the fan that the pixels span in their main plane."""
    _, _, axes = np.linalg.svd(stained.T @ stained)
    first, second = axes[0] * np.sign(axes[0].sum()), axes[1]
    angle = np.arctan2(stained @ second, stained @ first)
    ends = np.percentile(angle, [_TAIL, 100 - _TAIL])
    directions: NDArray[Any] = np.cos(ends)[:, None] * first + np.sin(ends)[:, None] * second
    return directions.clip(min=0)


def _angle(one: Any, other: Any) -> float:
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.arccos(np.clip(cosine, -1, 1)))


def _blue_over_red(vector: Any) -> float:
    return float(vector[2] - vector[0])
