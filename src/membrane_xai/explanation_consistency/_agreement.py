"""Similarity of two CAMs of one image on the pixels valid in both, and its mean over pairs."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import (
    Array,
    from_numpy,
    namespace,
    to_numpy,
    to_same_backend,
    wide_dtype,
)
from membrane_xai._backend.resample import upsample
from membrane_xai.errors import InvalidInputError, UndefinedScoreError
from membrane_xai.explanation_consistency._explainers import View
from membrane_xai.metrics._mean_similarity import similarity_matrix
from membrane_xai.metrics._similarity import features_of, named_similarity
from membrane_xai.perturb._perturbation import KINDS, Bools

__all__ = [
    "Agreement",
    "Measure",
    "Pair",
    "Places",
    "agree",
    "kinds_of",
    "mean_of",
    "places_of",
    "raise_undefined",
    "similar",
    "unit_vectors",
]

Places = Sequence[tuple[int, int]]
"""Pairs of views by their places; the first view is the image as it is."""

_WEIGHT_OF_NOTHING = 1e-9  # an undefined pixel that counts less than this does no harm


class Measure(NamedTuple):
    """A similarity by name, and the size of the sets of "topk_iou"."""

    name: str
    k: float


class Pair(NamedTuple):
    """Two maps compared."""

    similarity: float
    """NaN where undefined."""
    valid_share: float
    """Share of the map that was compared."""
    reason: str
    """"ok", "flat_map", "no_overlap" or "non_finite"."""


class Agreement(NamedTuple):
    """Views of one image compared."""

    ec: float
    n_pairs: int
    n_undefined: int
    with_original: list[Pair]
    """The pairs of the first view with each other view."""
    scores: NDArray[np.float64]
    """Similarities of all pairs that were compared, those with the first view before others."""


def agree(views: Sequence[View], measure: Measure, reference: str | None) -> Agreement:
    """Compare each view with the first one, or, without `reference`, all pairs of views."""
    places = places_of(len(views), reference)
    pairs = [similar(views[a], views[b], measure) for a, b in places]
    scores = np.array([pair.similarity for pair in pairs])
    defined = int(np.isfinite(scores).sum())
    first = pairs[: len(views) - 1]
    return Agreement(mean_of(scores), defined, len(pairs) - defined, first, scores)


def places_of(n_views: int, reference: str | None) -> Places:
    """Return the pairs of views that are compared, those with the first view before others."""
    first = [(0, other) for other in range(1, n_views)]
    rest = itertools.combinations(range(1, n_views), 2) if reference is None else ()
    return [*first, *rest]


def kinds_of(kinds: Sequence[str], places: Places) -> dict[str, NDArray[np.bool_]]:
    """Tell, for each kind of perturbation, which pairs have views of that kind only."""
    return {
        kind: np.array([all(i == 0 or kinds[i - 1] == kind for i in pair) for pair in places], bool)
        for kind in KINDS
    }


def similar(one: View, other: View, measure: Measure) -> Pair:
    """Compare two maps on the pixels valid in both; a coarser map is upsampled to the finer one."""
    valid = _valid_in_both(one, other)
    share = float(valid.mean())
    if not valid.any():
        return Pair(np.nan, share, "no_overlap")
    if measure.name == "ssim" and not valid.all():
        raise InvalidInputError(
            f"similarity is 'ssim', which compares windows of whole maps, but only {share:.0%} of "
            f"one is valid; it takes perturbations that are valid everywhere, or another similarity"
        )
    cams = _cut(one.cam, other.cam, valid)
    compared = similarity_matrix(cams, named_similarity(measure.name, measure.k))
    score = float(to_numpy(compared)[1])
    return Pair(score, share, _reason(score, cams))


def unit_vectors(
    one: View, other: View, measure: Measure
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return both maps on the pixels valid in both as unit vectors; None for one without any.

    Of similarities that are their product alone.
    """
    valid = _valid_in_both(one, other)
    if not valid.any():
        return None, None
    cams = _cut(one.cam, other.cam, valid)
    found = features_of(cams, named_similarity(measure.name, measure.k))
    units, defined = to_numpy(found.parts[0]).astype(np.float64), to_numpy(found.defined)
    return (units[0] if defined[0] else None), (units[1] if defined[1] else None)


def mean_of(scores: NDArray[np.float64]) -> float:
    """Return the mean of the defined scores; NaN if there is none."""
    defined = scores[np.isfinite(scores)]
    return float(defined.mean()) if defined.size else float("nan")


def raise_undefined(reasons: NDArray[Any], columns: Sequence[Any]) -> None:
    """Raise UndefinedScoreError that lists the pairs without a similarity, if there are any."""
    bad = np.argwhere(reasons != "ok")
    if bad.size:
        shown = ", ".join(f"image {i}, {columns[j]} ({reasons[i, j]})" for i, j in bad[:10])
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise UndefinedScoreError(
            f"{len(bad)} of {reasons.size} comparisons are undefined: {shown}{more}; "
            f'pass on_undefined="nan" to get NaN and a status instead'
        )


def _valid_in_both(one: View, other: View) -> Bools:
    """Return where both maps are valid, on the finer of their grids."""
    size = (
        max(int(one.cam.shape[0]), int(other.cam.shape[0])),
        max(int(one.cam.shape[1]), int(other.cam.shape[1])),
    )
    return _valid_on(one.valid, size) & _valid_on(other.valid, size)


def _valid_on(valid: Bools, size: tuple[int, int]) -> Bools:
    """Bring a region to a finer grid: valid where nothing comes from outside."""
    if valid.shape == size:
        return valid
    lost: NDArray[np.float64] = upsample((~valid).astype(float), size)
    inside: Bools = lost <= _WEIGHT_OF_NOTHING
    return inside


def _cut(one: Array, other: Array, valid: Bools) -> Array:
    """Return the valid pixels of both maps as (2, 1, p), or whole maps as (2, h, w)."""
    xp = namespace(one)
    wide = wide_dtype(one)
    size = (int(valid.shape[0]), int(valid.shape[1]))
    cams = [upsample(xp.astype(m, wide), size) for m in (one, to_same_backend(one, other, "a map"))]
    if valid.all():
        return xp.stack(cams, axis=0)
    places = from_numpy(one, np.flatnonzero(valid))
    return xp.stack([xp.take(xp.reshape(m, (1, -1)), places, axis=-1) for m in cams], axis=0)


def _reason(score: float, cams: Array) -> str:
    if np.isfinite(score):
        return "ok"
    return "flat_map" if bool(np.isfinite(to_numpy(cams)).all()) else "non_finite"
