"""Draw which membranes of a synthetic field are stained, and how strongly, for a given score."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.datasets._field import SmoothField
from membrane_xai.datasets._tissue import TUMOR, Tissue
from membrane_xai.errors import InvalidInputError

__all__ = ["MIX", "PHENOTYPES", "Border", "Staining", "border", "breast_grade", "stain"]


class Phenotype(NamedTuple):
    """Ranges that a cell's own membrane is drawn from."""

    completeness: tuple[float, float]
    """Share of the directions around the cell."""
    density: tuple[float, float]
    """DAB, base-10 optical density before the optics."""
    width: float
    """Of the membrane that two such cells share, in micrometres."""


# From the least to the most stained: cells next to each other get phenotypes close in this order.
PHENOTYPES = {
    "negative": Phenotype((0.0, 0.0), (0.0, 0.0), 0.0),
    "faint incomplete": Phenotype((0.2, 0.6), (0.25, 0.48), 0.6),
    "weak complete": Phenotype((1.0, 1.0), (0.32, 0.49), 0.8),
    "moderate incomplete": Phenotype((0.3, 0.7), (0.51, 0.75), 1.0),
    "moderate complete": Phenotype((1.0, 1.0), (0.52, 0.78), 1.0),
    "intense incomplete": Phenotype((0.4, 0.75), (0.82, 1.2), 1.7),
    "intense complete": Phenotype((1.0, 1.0), (0.85, 1.6), 2.1),
}

# Ranges that the shares of the phenotypes are drawn from, before they are scaled to sum to 1.
MIX = {
    "0": {"negative": (0.94, 1.0), "faint incomplete": (0.0, 0.06)},
    "1+": {"negative": (0.1, 0.9), "faint incomplete": (0.1, 0.8), "weak complete": (0.0, 0.04)},
    "2+": {
        "negative": (0.1, 0.4),
        "faint incomplete": (0.1, 0.3),
        "weak complete": (0.05, 0.3),
        "moderate incomplete": (0.05, 0.3),
        "moderate complete": (0.1, 0.6),
        "intense complete": (0.0, 0.04),
    },
    "3+": {
        "negative": (0.0, 0.7),
        "faint incomplete": (0.0, 0.1),
        "moderate complete": (0.0, 0.3),
        "intense incomplete": (0.0, 0.2),
        "intense complete": (0.2, 1.0),
    },
}

_COMPLETE = 0.9  # of the perimeter
_STAINED = 0.1  # of the perimeter: less does not make a cell stained
_MODERATE, _STRONG = 0.5, 0.8  # optical density from which staining is so
_ALONE = 1.5  # a membrane without a stained one on its other side looks this much thicker
_DIRECTIONS = 72  # of a membrane that are stained or not: 5 degrees each
_TRIES = 400  # draws of a field until its cells have the score asked for; set by hand


@dataclass(frozen=True, slots=True)
class Staining:
    """The membrane of each cell of the tessellation."""

    arcs: NDArray[np.bool_]
    """(n, 72) whether it is stained, by direction from the cell's site."""
    density: NDArray[np.float64]
    """(n,) DAB."""
    width: NDArray[np.float64]
    """(n,) of its own side, in micrometres."""


class Border(NamedTuple):
    """Pixels of tumour cells that lie close to their border, each (m,)."""

    pixel: NDArray[np.int64]
    """Index into the flattened fine grid."""
    cell: NDArray[np.int32]
    other: NDArray[np.int32]
    direction: NDArray[np.int64]
    """Bin of the direction from `cell`'s site to the pixel."""
    other_direction: NDArray[np.int64]
    distance: NDArray[np.float32]
    """To the border, in micrometres."""

    def own(self, staining: Staining) -> NDArray[np.bool_]:
        """Whether the cell's own membrane is stained here."""
        return np.asarray(staining.arcs[self.cell, self.direction])

    def beyond(self, staining: Staining) -> NDArray[np.bool_]:
        """Whether the membrane on the other side of the border is."""
        return np.asarray(staining.arcs[self.other, self.other_direction])

    def own_width(self, staining: Staining) -> NDArray[np.float64]:
        """Thickness of the cell's own membrane where it is stained, in micrometres."""
        alone = ~self.beyond(staining)
        return np.asarray(staining.width[self.cell] * np.where(alone, _ALONE, 1.0))

    def other_width(self, staining: Staining) -> NDArray[np.float64]:
        """Thickness of the membrane beyond the border where it is stained, in micrometres."""
        alone = ~self.own(staining)
        return np.asarray(staining.width[self.other] * np.where(alone, _ALONE, 1.0))


def border(tissue: Tissue, reach: float) -> Border:
    """Find the pixels of tumour cells within `reach` micrometres of their border."""
    near = (tissue.to_border < reach) & tissue.nests
    pixel = np.flatnonzero(near)
    cell, other = tissue.owner.ravel()[pixel], tissue.neighbor.ravel()[pixel]
    position = np.stack(np.unravel_index(pixel, tissue.grid.fine_shape), axis=1) + 0.5
    position *= tissue.grid.pitch
    return Border(
        pixel,
        cell,
        other,
        _direction(position - tissue.sites[cell]),
        _direction(position - tissue.sites[other]),
        tissue.to_border.ravel()[pixel],
    )


def stain(
    rng: np.random.Generator, tissue: Tissue, grade: str, counted: NDArray[np.bool_]
) -> tuple[Staining, dict[str, NDArray[Any]]]:
    """Stain the tumour cells so that the counted ones have the score.

    Returns the staining and its table: completeness, intensity, density and width of what shows
    around each cell of the tessellation, (n,) each.
    """
    line = border(tissue, tissue.grid.pitch)
    for _ in range(_TRIES if counted.any() else 0):
        staining = _draw(rng, tissue, grade)
        table = _appearance(tissue, staining, line)
        if breast_grade(table["completeness"][counted], table["intensity"][counted]) == grade:
            return staining, table
    raise InvalidInputError(
        f"size is {tissue.grid.shape} pixels at {tissue.grid.mpp} um per pixel; "
        f"its {counted.sum()} tumour cells do not make a score of {grade}: take a larger field"
    )


def breast_grade(completeness: NDArray[Any], intensity: NDArray[Any]) -> str:
    """Apply the ASCO/CAP rule for breast to tumour cells.

    3+ if more than 10 % of the cells have complete and intense staining, else 2+ if more than 10 %
    have complete or at least moderate staining or any have it complete and intense, else 1+ if more
    than 10 % have any staining, else 0. Written a second time on purpose: the truth that
    `her2_rule_score` is held against must not come from `her2_rule_score`.
    """
    complete = completeness >= _COMPLETE
    intense = complete & (intensity == 3)
    if intense.mean() > 0.1:
        return "3+"
    if (complete | (intensity >= 2)).mean() > 0.1 or intense.any():
        return "2+"
    return "1+" if (intensity > 0).mean() > 0.1 else "0"


def _draw(rng: np.random.Generator, tissue: Tissue, grade: str) -> Staining:
    n = len(tissue.sites)
    # Staining varies over the field, and between the middle and the edge of nests.
    place = rng.normal() * tissue.nest + SmoothField(rng, tissue.grid, 40.0).at(tissue.sites)
    names = list(MIX[grade])
    share = np.array([rng.uniform(*MIX[grade][name]) for name in names])
    tumor = np.flatnonzero(tissue.kind == TUMOR)
    order = tumor[np.argsort(place[tumor] + rng.normal(0, 0.35, len(tumor)))]
    rank = (np.arange(len(order)) + rng.random()) / len(order)
    chosen = np.full(n, list(PHENOTYPES).index("negative"))
    steps = np.searchsorted(np.cumsum(share / share.sum())[:-1], rank, side="right")
    chosen[order] = np.array([list(PHENOTYPES).index(name) for name in names])[steps]
    low, high = (
        np.array([(p.completeness[end], p.density[end]) for p in PHENOTYPES.values()])[chosen]
        for end in (0, 1)
    )
    # Cells of one image are alike: each draws around the image's own place in the range.
    alike = np.clip(rng.uniform(0.1, 0.9) + rng.normal(0, 0.25, n), 0, 1)
    amount = low + (high - low) * np.stack([rng.random(n), alike], axis=1)
    width = np.array([p.width for p in PHENOTYPES.values()])[chosen] / 2
    width *= rng.uniform(0.85, 1.15) * np.exp(rng.normal(0, 0.06, n))
    return Staining(_arcs(rng, amount[:, 0]), amount[:, 1], width)


def _arcs(rng: np.random.Generator, completeness: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose the given share of directions, in one to three arcs."""
    turn = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    level = np.zeros((len(completeness), _DIRECTIONS))
    for order in (1, 2, 3):
        size = rng.normal(0, 1, (len(completeness), 1))
        level += size * np.cos(order * turn + rng.uniform(0, 2 * np.pi, size.shape))
    rank = np.argsort(np.argsort(-level, axis=1), axis=1)
    return np.asarray(rank < np.rint(completeness * _DIRECTIONS)[:, None])


def _appearance(tissue: Tissue, staining: Staining, line: Border) -> dict[str, NDArray[Any]]:
    """Measure what shows around each cell, its neighbours' side of the membrane included."""
    own, beyond = line.own(staining), line.beyond(staining)
    here = own * line.own_width(staining)
    there = beyond * line.other_width(staining)
    amount = here * staining.density[line.cell] + there * staining.density[line.other]
    shown, perimeter = own | beyond, np.ones(len(own))
    stained, length, thickness, total = (
        np.bincount(line.cell, weights, minlength=len(tissue.sites))
        for weights in (shown, perimeter, here + there, amount)
    )
    completeness = stained / np.maximum(length, 1)
    density = total / np.maximum(thickness, 1e-9)
    intensity = 1 + (density >= _MODERATE).astype(np.int8) + (density >= _STRONG)
    intensity[completeness < _STAINED] = 0
    return {
        "completeness": completeness,
        "intensity": intensity.astype(np.int8),
        "density": density,
        "width": thickness / np.maximum(stained, 1),
    }


def _direction(offset: NDArray[np.float64]) -> NDArray[np.int64]:
    turn = np.arctan2(offset[:, 0], offset[:, 1]) / (2 * np.pi)
    return np.asarray(np.floor(turn * _DIRECTIONS)).astype(np.int64) % _DIRECTIONS
