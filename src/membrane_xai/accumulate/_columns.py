"""Columns of a summary table: counts by status, and each score with its interval.

Rows of a study, and sums over more samples than fit in memory, get the same columns, and their
means run over the same samples.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.vocabulary import OF_SUMS, ROW_STATUSES, SUMMARY_SCORES, bounds_of
from membrane_xai.accumulate._map import MapAccumulator, gain_and_room
from membrane_xai.metrics import AlignmentResult
from membrane_xai.statistics._summary import Summary, summarize, summarize_ratio

__all__ = ["COUNTS", "columns_of_rows", "columns_of_sums", "scored_alike"]

_BESIDE_MAP = ("chance", "ideal", "ceiling")
"""Scores that a sample without MAP may have, too, from its mask alone. Their means run over the
samples that have a MAP, or MAP would stand beside the chance of others."""
_FOR_SUMS = {"map", "chance", "ideal"}
_UNDEFINED = ROW_STATUSES[1:]
COUNTS = ("rows", "groups", "scored", *_UNDEFINED)


def columns_of_rows(
    scores: Mapping[str, Any],
    status: Sequence[str],
    groups: Sequence[Any] | None,
    *,
    weights: Mapping[str, Any],
    ci: float,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Return counts and means of columns of N values; without groups each row is one of its own.

    `weights` are those of the columns whose rows do not count alike.
    """
    found = _counts(Counter(status), None if groups is None else len(set(groups)))
    ok = np.asarray(status) == "ok"
    for name, values in scores.items():
        column = np.asarray(values, dtype=np.float64)
        counted = np.where(ok, column, np.nan) if name in _BESIDE_MAP else column
        options: dict[str, Any] = {
            "ci": ci,
            "bounds": bounds_of(name),
            "draws": draws,
            "seed": seed,
        }
        found |= _means(name, summarize(counted, groups, weights=weights.get(name), **options))
        if name == "toward_ideal" and set(scores) >= _FOR_SUMS:
            sums = gain_and_room(scores)
            ratio = summarize_ratio(*sums, groups, ci=ci, draws=draws, seed=seed)
            found |= _means(OF_SUMS, ratio)
    return found


def columns_of_sums(
    sums: MapAccumulator, *, ci: float = 0.95, draws: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Return the same of sums of :func:`scored_alike`; without groups there are no intervals."""
    labels = sums.compute_groups()
    found = _counts(sums.compute().status, None if None in labels else len(labels))
    for name in SUMMARY_SCORES:
        found |= _means(name, sums.summarize(name, ci=ci, draws=draws, seed=seed))
        if name == "toward_ideal":
            found |= _means(OF_SUMS, sums.summarize(OF_SUMS, ci=ci, draws=draws, seed=seed))
    return found


def scored_alike(result: AlignmentResult) -> AlignmentResult:
    """Leave out chance, ideal and ceiling of the samples of a batch without MAP, as rows do."""
    ok = result.status == "ok"
    blank: dict[str, Any] = {
        name: np.where(ok, to_numpy(getattr(result, name)), np.nan) for name in _BESIDE_MAP
    }
    return replace(result, **blank)


def _counts(statuses: Mapping[str, int], n_groups: int | None) -> dict[str, Any]:
    """Return how many rows there are, in how many groups if these are known, and by status."""
    found = {"rows": sum(statuses.values()), "groups": n_groups, "scored": statuses.get("ok", 0)}
    return found | {status: statuses.get(status, 0) for status in _UNDEFINED}


def _means(name: str, summary: Summary) -> dict[str, Any]:
    """Return a mean with its interval, the rows and equal groups that bear on it, and the note."""
    return {
        name: summary.mean,
        f"{name}_low": summary.low,
        f"{name}_high": summary.high,
        f"{name}_n": summary.n,
        f"{name}_n_eff": summary.n_eff,
        f"{name}_note": summary.note,
    }
