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
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.perturb._perturbation import Bools

__all__ = ["Agreement", "Measure", "Pair", "agree", "mean_of", "raise_undefined", "similar"]

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


def agree(views: Sequence[View], measure: Measure, reference: str | None) -> Agreement:
    """Compare each view with the first one, or, without `reference`, all pairs of views."""
    first = [similar(views[0], other, measure) for other in views[1:]]
    pairs = list(first)
    if reference is None:
        pairs += [similar(a, b, measure) for a, b in itertools.combinations(views[1:], 2)]
    scores = np.array([pair.similarity for pair in pairs])
    defined = int(np.isfinite(scores).sum())
    return Agreement(mean_of(scores), defined, len(pairs) - defined, first)


def similar(one: View, other: View, measure: Measure) -> Pair:
    """Compare two maps on the pixels valid in both; a coarser map is upsampled to the finer one."""
    size = (
        max(int(one.cam.shape[0]), int(other.cam.shape[0])),
        max(int(one.cam.shape[1]), int(other.cam.shape[1])),
    )
    valid = _valid_on(one.valid, size) & _valid_on(other.valid, size)
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
