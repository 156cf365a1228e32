"""Where the cells of a synthetic field lie: nests of tumour, stroma, lumens, nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from membrane_xai._synthetic_field import MARGIN, Floats, Grid, SmoothField

__all__ = ["GLASS", "STROMA", "TUMOUR", "Nuclei", "Tissue", "lay_out", "paint_nuclei"]

GLASS, STROMA, TUMOUR = 0, 1, 2

# Lengths in micrometres. Two deformations bend the straight borders of the Voronoi cells: one
# stretches neighbouring cells alike, one makes each outline irregular.
_BENDS = ((45.0, 5.0), (7.0, 0.45))
_NEST = 55.0
_GAP = 30.0
_FIBRE = 30.0
_JITTER = 0.2  # of the spacing: from a hexagonal lattice to relaxed Voronoi cells
_THINNED = 0.06  # share of lattice points left out: the cells around grow larger
_REACH = 1.25  # of the spacing: how far from its site a cell can extend
_RIM = 1.0  # cytoplasm around the nucleus of a stromal cell
_PER_DIAMETER = 0.95  # lattice spacing over diameter of the circle of a hexagonal cell's area


@dataclass(frozen=True, slots=True)
class Tissue:
    """A tessellation of the field; pixel arrays are fine, cells are numbered from 0."""

    grid: Grid
    sites: NDArray[np.float64]
    """(n, 2) where each cell is, in micrometres."""
    kind: NDArray[np.int8]
    """(n,) GLASS, STROMA or TUMOUR."""
    nest: NDArray[np.float64]
    """(n,) how deep in a nest: smooth over neighbouring cells."""
    diameter: float
    owner: NDArray[np.int32]
    """Cell that a pixel belongs to."""
    neighbour: NDArray[np.int32]
    """Cell on the other side of the closest border."""
    to_border: Floats
    """Distance to it, in micrometres."""
    stroma: Floats
    """Share of the pixel that stroma covers, in [0, 1]."""
    fibre: SmoothField
    """Stroma's fibres follow the contour lines of this field."""


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei painted on the fine grid."""

    label: NDArray[np.int32]
    """Cell number + 1; 0 outside nuclei. Tumour cells first, then those of the stroma."""
    rim: NDArray[np.int32]
    """The same, with the cytoplasm of stromal cells."""
    radius: Floats
    """0 at a nucleus' centre, 1 at its border; infinite outside."""
    density: NDArray[np.float64]
    """(n,) hematoxylin of each nucleus, relative to a tumour cell's."""


def lay_out(
    rng: np.random.Generator, grid: Grid, *, diameter: float, tumour_share: float
) -> Tissue:
    """Lay nests, stroma and gaps out on a bent tessellation."""
    spacing = diameter * _PER_DIAMETER
    lattice = _lattice(rng, grid, spacing)
    bends = [
        [(SmoothField(rng, grid, scale), size) for _ in range(2)] for scale, size in _BENDS
    ]
    sites = _unbend(lattice, bends)
    nest_field, edge_field = SmoothField(rng, grid, _NEST), SmoothField(rng, grid, _NEST / 3)
    gap_field, fibre = SmoothField(rng, grid, _GAP), SmoothField(rng, grid, _FIBRE)
    nest, gap = nest_field.at(sites) + 0.35 * edge_field.at(sites), gap_field.at(sites)
    inside = ((sites >= 0) & (sites < grid.extent)).all(axis=1)
    gap_limit = np.quantile(gap[inside], 1 - rng.uniform(0.04, 0.14)) if inside.any() else np.inf
    kind = _kinds(nest, gap, inside, gap_limit, tumour_share)
    owner, neighbour, to_border = _tessellate(grid, lattice, sites, bends, spacing)
    stroma = np.clip((gap_limit - gap_field.on_grid()) / 0.25, 0, 1)
    stroma[kind[owner] != STROMA] = 0
    return Tissue(
        grid, sites, kind, nest, diameter, owner, neighbour, to_border, stroma, fibre
    )


def paint_nuclei(rng: np.random.Generator, tissue: Tissue, *, no_nucleus: float = 0.05) -> Nuclei:
    """Paint one nucleus into most tumour cells, and spindles and lymphocytes into the stroma."""
    grid, n = tissue.grid, len(tissue.sites)
    label, rim = (np.zeros(grid.fine_shape, np.int32) for _ in range(2))
    radius = np.full(grid.fine_shape, np.inf, np.float32)
    immune = SmoothField(rng, grid, _NEST).at(tissue.sites) > 1.0
    kinds = np.where(tissue.kind == TUMOUR, 0, np.where(immune, 2, 1))
    axes = _axes(rng, kinds, tissue.diameter)
    present = rng.random(n) > np.choose(kinds, [no_nucleus, 0.45, 0.1])
    present &= tissue.kind != GLASS
    centres = tissue.sites + rng.normal(0, 0.08 * tissue.diameter, (n, 2))
    angles = np.where(kinds == 1, _along_fibres(tissue, centres), rng.uniform(0, np.pi, n))
    angles += rng.normal(0, 0.3, n)
    lobes = rng.normal(0, [[0.05, 0.03]], (n, 2))
    phases = rng.uniform(0, 2 * np.pi, (n, 2))
    home = tissue.kind[tissue.owner]
    for k in np.flatnonzero(present):
        window = grid.window(centres[k], axes[k].max() + 2 * _RIM)
        if window is None:
            continue
        shape = _radius(grid, window, centres[k], angles[k], axes[k], lobes[k], phases[k])
        allowed = _allowed(tissue, k, window, home[window]) & (label[window] == 0)
        within = allowed & (shape < 1)
        label[window][within] = k + 1
        radius[window][within] = shape[within]
        if tissue.kind[k] == STROMA:
            around = allowed & (shape < 1 + _RIM / axes[k].min()) & (rim[window] == 0)
            rim[window][around] = k + 1
    strength = np.choose(kinds, [1.0, 1.25, 1.7]) * np.exp(rng.normal(0, 0.18, n))
    return Nuclei(label, rim, radius, strength)


def _lattice(rng: np.random.Generator, grid: Grid, spacing: float) -> NDArray[np.float64]:
    height, width = grid.extent + 2 * MARGIN
    pitch = spacing * np.sqrt(3) / 2
    row, column = np.indices((int(height / pitch) + 1, int(width / spacing) + 1))
    points = np.stack([row * pitch, (column + 0.5 * (row % 2)) * spacing], axis=-1).reshape(-1, 2)
    points += rng.normal(0, _JITTER * spacing, points.shape) - MARGIN
    kept: NDArray[np.float64] = points[rng.random(len(points)) > _THINNED]
    return kept


def _unbend(
    lattice: NDArray[np.float64], bends: list[list[tuple[SmoothField, float]]]
) -> NDArray[np.float64]:
    """Solve site + bend(site) = lattice point by fixed-point iteration."""
    sites = lattice
    for _ in range(6):
        shift = [[size * field.at(sites) for field, size in bend] for bend in bends]
        sites = lattice - np.sum(shift, axis=0).T
    return sites


def _kinds(
    nest: NDArray[np.float64],
    gap: NDArray[np.float64],
    inside: NDArray[np.bool_],
    gap_limit: float,
    tumour_share: float,
) -> NDArray[np.int8]:
    seen = nest[inside] if inside.any() else nest
    tumour = nest >= np.quantile(seen, 1 - tumour_share)
    kind = np.where(gap > gap_limit, GLASS, np.where(tumour, TUMOUR, STROMA)).astype(np.int8)
    if inside.any() and not (kind[inside] == TUMOUR).any():
        kind[np.flatnonzero(inside)[seen.argmax()]] = TUMOUR
    return kind


def _tessellate(
    grid: Grid,
    lattice: NDArray[np.float64],
    sites: NDArray[np.float64],
    bends: list[list[tuple[SmoothField, float]]],
    spacing: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """Return the closest and second closest site of each pixel and the distance to their border."""
    rows, columns = (
        start + sum(np.float32(bend[axis][1]) * bend[axis][0].on_grid() for bend in bends)
        for axis, start in enumerate((grid.rows, grid.columns))
    )
    best, second = (np.full(grid.fine_shape, np.inf, np.float32) for _ in range(2))
    owner, neighbour = (np.zeros(grid.fine_shape, np.int32) for _ in range(2))
    points = lattice.astype(np.float32)
    for k, (row, column) in enumerate(points):
        window = grid.window(sites[k], _REACH * spacing)
        if window is None:
            continue
        square = (rows[window] - row) ** 2 + (columns[window] - column) ** 2
        closest = square < best[window]
        runner_up = np.where(closest, best[window], square)
        replaced = runner_up < second[window]
        np.copyto(neighbour[window], np.where(closest, owner[window], k), where=replaced)
        np.copyto(second[window], runner_up, where=replaced)
        np.copyto(best[window], square, where=closest)
        np.copyto(owner[window], k, where=closest)
    return owner, neighbour, _border_distance(best, second, points, owner, neighbour, grid.pitch)


def _border_distance(
    best: Floats,
    second: Floats,
    points: Floats,
    owner: NDArray[np.int32],
    neighbour: NDArray[np.int32],
    pitch: float,
) -> Floats:
    """Distance to the bisector, divided by its slope because the space is bent."""
    apart = points[owner]
    apart -= points[neighbour]
    length = 2 * np.hypot(apart[..., 0], apart[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        bent = np.where(length > 0, (second - best) / length, np.float32(1e3))
    bent[~np.isfinite(bent)] = 1e3
    slope = np.hypot(*np.gradient(bent, np.float32(pitch)))
    distance: Floats = bent / np.clip(slope, 0.6, 1.7)
    return distance


def _axes(
    rng: np.random.Generator, kinds: NDArray[np.int64], diameter: float
) -> NDArray[np.float64]:
    """Half axes of the nuclei: of tumour cells, spindles and lymphocytes."""
    n = len(kinds)
    mean = np.clip(0.27 * diameter * np.exp(rng.normal(0, 0.12, n)), 3.0, 5.2)
    aspect = np.exp(np.abs(rng.normal(0, 0.2, n)))
    tumour = np.stack([mean * np.sqrt(aspect), mean / np.sqrt(aspect)], axis=1)
    spindle = np.stack([rng.uniform(4, 7.5, n), rng.uniform(1.2, 2.2, n)], axis=1)
    lymphocyte = rng.uniform(2.6, 3.3, (n, 1)) * rng.uniform(0.9, 1.1, (n, 2))
    return np.asarray(np.choose(kinds[:, None], [tumour, spindle, lymphocyte]))


def _along_fibres(tissue: Tissue, points: NDArray[np.float64]) -> NDArray[np.float64]:
    step = np.eye(2)
    across = [tissue.fibre.at(points + s) - tissue.fibre.at(points - s) for s in step]
    return np.asarray(np.arctan2(-across[0], across[1]))


def _radius(
    grid: Grid,
    window: tuple[slice, slice],
    centre: NDArray[np.float64],
    angle: float,
    axes: NDArray[np.float64],
    lobes: NDArray[np.float64],
    phases: NDArray[np.float64],
) -> Floats:
    """Distance from the centre of a dented ellipse: 1 on its border."""
    row = grid.rows[window[0]] - np.float32(centre[0])
    column = grid.columns[:, window[1]] - np.float32(centre[1])
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    along = (column * cosine + row * sine) / np.float32(axes[0])
    across = (row * cosine - column * sine) / np.float32(axes[1])
    turn = np.arctan2(across, along)
    dent = sum(a * np.cos(m * turn + p) for m, a, p in zip((2, 3), lobes, phases, strict=True))
    shape: Floats = (np.hypot(along, across) / (1 + dent)).astype(np.float32)
    return shape


def _allowed(
    tissue: Tissue, k: int, window: tuple[slice, slice], home: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Where the nucleus of cell k may lie: in its cell off the membrane, or in the stroma."""
    if tissue.kind[k] == TUMOUR:
        return np.asarray(
            (tissue.owner[window] == k) & (tissue.to_border[window] > 0.1 * tissue.diameter)
        )
    return np.asarray(home == STROMA)
