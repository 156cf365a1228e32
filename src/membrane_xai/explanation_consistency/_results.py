"""``EcSkill``, ``PerturbationConsistency`` and ``MagnificationConsistency``."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.explanation_consistency._agreement import (
    Agreement,
    kinds_of,
    mean_of,
    places_of,
)
from membrane_xai.explanation_consistency._magnifications import Scales, scale_ec
from membrane_xai.explanation_consistency._zero import Skill, skill_of
from membrane_xai.perturb._perturbation import Perturbation

__all__ = ["EcSkill", "MagnificationConsistency", "PerturbationConsistency"]

Floats = NDArray[np.float64]
Words = NDArray[np.str_]
_WORD = "<U10"  # as long as "no_overlap", the longest status
_SCALE_WORD = "<U11"  # as long as "small_field"


@dataclass(frozen=True, slots=True)
class EcSkill:
    """Explanation Consistency of N images with its zero, as NumPy arrays of shape (N,).

    Attributes
    ----------
    ec : ndarray of float
        Mean similarity of the maps of views of one image; NaN where no pair is defined.
    ec0 : ndarray of float
        The same between the image and other images of its class; NaN with fewer than two of them.
    skill : ndarray of float
        ``(ec - ec0) / (1 - ec0)``, at most 1: 0 is what any other image of the class gives, 1 are
        identical maps. NaN where `status` is not "ok".
    status : ndarray of str
        "ok"; "no_ec"; "too_few_images" of the class; "ignores_image" where `ec0` is 0.95 or more,
        so that the map is nearly the same whatever the image shows.
    """

    ec: Floats
    ec0: Floats
    skill: Floats
    status: Words

    @classmethod
    def of(cls, found: Sequence[Skill]) -> "EcSkill":
        """Lay out what was found of each image."""
        ec, ec0, skill = (np.array([one[i] for one in found], np.float64) for i in range(3))
        return cls(ec, ec0, skill, np.array([one.status for one in found], "<U14"))

    @property
    def mean_skill(self) -> float:
        """Skill of the set: the sum of EC - EC0 over that of 1 - EC0; NaN if none is defined.

        Images whose maps could differ little from others count little.
        """
        known = self.status == "ok"
        room = 1 - self.ec0[known]
        return float((self.skill[known] * room).sum() / room.sum()) if known.any() else float("nan")


@dataclass(frozen=True, slots=True)
class PerturbationConsistency:
    """Explanation Consistency of N images under P perturbations, as NumPy arrays.

    Attributes
    ----------
    ec : ndarray of shape (N,)
        Mean similarity, higher is better; NaN where no pair is defined.
    ec0, skill, skill_status : ndarray of shape (N,)
        The zero of EC, skill above it, and its status, over all views: see
        :class:`~membrane_xai.explanation_consistency.EcSkill`.
    geometric, photometric : EcSkill
        The same of the views that move pixels, and of those that do not. Without `reference`, of
        the pairs of views of one kind, the image as it is counting as both.
    similarity : ndarray of shape (N, P)
        Of each perturbation's map with the original's; NaN where undefined.
    zero : ndarray of shape (N, P)
        Of each perturbation's map of other images of the class with the original's: its mean over
        views is `ec0`.
    valid_share : ndarray of shape (N, P)
        Share of the map that was compared, in [0, 1].
    status : ndarray of str, shape (N, P)
        "ok", "flat_map" (constant on the compared pixels; see :func:`ec_score` for other
        similarities), "no_overlap" (no valid pixel) or "non_finite".
    n_pairs, n_undefined : ndarray of int, shape (N,)
        Pairs in the mean, and those left out of it.
    perturbations, kinds : tuple of str
        Names, in order, and for each "geometric" or "photometric".
    measure : str
        The similarity.
    reference : str or None
        "original", or None for all pairs of views.
    """

    ec: Floats
    ec0: Floats
    skill: Floats
    skill_status: Words
    geometric: EcSkill
    photometric: EcSkill
    similarity: Floats
    zero: Floats
    valid_share: Floats
    status: Words
    n_pairs: NDArray[np.int64]
    n_undefined: NDArray[np.int64]
    perturbations: tuple[str, ...]
    kinds: tuple[str, ...]
    measure: str
    reference: str | None

    @classmethod
    def of(
        cls,
        found: Sequence[Agreement],
        zeros: Sequence[Floats],
        steps: Sequence[Perturbation],
        measure: str,
        reference: str | None,
    ) -> "PerturbationConsistency":
        """Lay out what was found of each image, and the zeros of its pairs of views."""
        pairs = [one.with_original for one in found]
        kinds = tuple(step.kind for step in steps)
        masks = kinds_of(kinds, places_of(len(steps) + 1, reference))
        both = list(zip(found, zeros, strict=True))
        together = EcSkill.of([skill_of(one.scores, zero) for one, zero in both])
        apart = {
            kind: EcSkill.of([skill_of(one.scores, zero, mask) for one, zero in both])
            for kind, mask in masks.items()
        }
        return cls(
            ec=together.ec,
            ec0=together.ec0,
            skill=together.skill,
            skill_status=together.status,
            geometric=apart["geometric"],
            photometric=apart["photometric"],
            similarity=np.array([[pair.similarity for pair in row] for row in pairs]),
            zero=np.array([zero[: len(steps)] for zero in zeros]),
            valid_share=np.array([[pair.valid_share for pair in row] for row in pairs]),
            status=np.array([[pair.reason for pair in row] for row in pairs], _WORD),
            n_pairs=np.array([one.n_pairs for one in found]),
            n_undefined=np.array([one.n_undefined for one in found]),
            perturbations=tuple(step.name for step in steps),
            kinds=kinds,
            measure=measure,
            reference=reference,
        )

    @property
    def mean_skill(self) -> float:
        """Skill of the set over all views: `mean_skill` of the ``EcSkill`` over all of them.

        Quote `geometric.mean_skill` and `photometric.mean_skill` apart: in photometric views,
        networks that have learned nothing have skill, too.
        """
        return EcSkill(self.ec, self.ec0, self.skill, self.skill_status).mean_skill

    @property
    def mean(self) -> float:
        """Mean EC of the images that have one; NaN if none has."""
        return mean_of(self.ec)

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each image and perturbation, in plain values."""
        return [
            {
                "image": i,
                "perturbation": name,
                "kind": self.kinds[j],
                "similarity": float(self.similarity[i, j]),
                "zero": float(self.zero[i, j]),
                "valid_share": float(self.valid_share[i, j]),
                "status": str(self.status[i, j]),
                "ec": float(self.ec[i]),
                "ec0": float(self.ec0[i]),
                "skill": float(self.skill[i]),
                "skill_status": str(self.skill_status[i]),
            }
            for i in range(len(self.ec))
            for j, name in enumerate(self.perturbations)
        ]


@dataclass(frozen=True, slots=True)
class MagnificationConsistency:
    """Explanation Consistency of N images between objectives, as NumPy arrays.

    Attributes
    ----------
    ec : ndarray of shape (N,)
        Mean similarity over the pairs of magnifications, higher is better; NaN where none is
        defined.
    similarity : ndarray of shape (N, Q)
        Of each pair of magnifications; NaN where undefined.
    cells : ndarray of int, shape (N, Q, 2)
        Rows and columns of the grid on which the mosaics are compared.
    status : ndarray of str, shape (N, Q)
        "ok", "few_cells" (fewer than 25), "small_field" (smaller than a tile), "flat_map" or
        "non_finite", as in :class:`PerturbationConsistency`.
    n_pairs, n_undefined : ndarray of int, shape (N,)
        Pairs in the mean, and those left out of it.
    field_um : ndarray of shape (N, 2)
        Height and width of the image in micrometres.
    input_um_per_pixel : ndarray of shape (N, S)
        Micrometres per pixel at the explainer's input, at each magnification.
    tiles : ndarray of int, shape (N, S, 2)
        Rows and columns of tiles at each magnification; 0 where none was explained.
    pairs : tuple of str
        Names such as "10x-40x", in order.
    magnifications : tuple of float
        As given.
    measure : str
        The similarity.
    """

    ec: Floats
    similarity: Floats
    cells: NDArray[np.int64]
    status: Words
    n_pairs: NDArray[np.int64]
    n_undefined: NDArray[np.int64]
    field_um: Floats
    input_um_per_pixel: Floats
    tiles: NDArray[np.int64]
    pairs: tuple[str, ...]
    magnifications: tuple[float, ...]
    measure: str

    @classmethod
    def of(
        cls, found: Sequence[Scales], magnifications: Sequence[float], measure: str
    ) -> "MagnificationConsistency":
        """Lay out what was found of each image."""
        names = (f"{a:g}x-{b:g}x" for a, b in itertools.combinations(magnifications, 2))
        similarity = np.array([[pair.similarity for pair in one.pairs] for one in found])
        defined = np.isfinite(similarity).sum(axis=1)
        return cls(
            np.array([scale_ec(one.pairs) for one in found]),
            similarity,
            np.array([[pair.cells for pair in one.pairs] for one in found]),
            np.array([[pair.reason for pair in one.pairs] for one in found], _SCALE_WORD),
            defined,
            similarity.shape[1] - defined,
            np.array([one.field_um for one in found]),
            np.array([one.um_per_pixel for one in found]),
            np.array([one.tiles for one in found]),
            tuple(names),
            tuple(magnifications),
            measure,
        )

    @property
    def mean(self) -> float:
        """Mean EC of the images that have one; NaN if none has."""
        return mean_of(self.ec)

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each image and pair of magnifications, in plain values."""
        ends = list(itertools.combinations(range(len(self.magnifications)), 2))
        return [
            {
                "image": i,
                "pair": name,
                "similarity": float(self.similarity[i, j]),
                "cells": _by(self.cells[i, j]),
                "status": str(self.status[i, j]),
                "field_rows_um": float(self.field_um[i, 0]),
                "field_columns_um": float(self.field_um[i, 1]),
                "first_um_per_pixel": float(self.input_um_per_pixel[i, first]),
                "second_um_per_pixel": float(self.input_um_per_pixel[i, second]),
                "first_tiles": _by(self.tiles[i, first]),
                "second_tiles": _by(self.tiles[i, second]),
                "ec": float(self.ec[i]),
            }
            for i in range(len(self.ec))
            for j, (name, (first, second)) in enumerate(zip(self.pairs, ends, strict=True))
        ]


def _by(sides: NDArray[np.int64]) -> str:
    return "x".join(str(side) for side in sides)
