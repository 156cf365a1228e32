"""Lay out the cells of a synthetic field: nests of tumour, stroma, lumens, nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from membrane_xai.datasets._field import MARGIN, Floats, Grid, SmoothField

__all__ = ["GLASS", "STROMA", "TUMOR", "Nuclei", "Tissue", "lay_out", "paint_nuclei"]

GLASS, STROMA, TUMOR = 0, 1, 2

# Lengths in micrometres. Deformations (scale, size) bend the straight borders of the Voronoi cells:
# the coarsest stretches neighbouring cells alike, the finest makes each outline uneven.
_BENDS = ((50.0, 6.0), (15.0, 1.3), (6.0, 0.4))
_NEST = 55.0  # scale of nests, and of crowds of immune cells
_GAP = 30.0  # of gaps in the tissue
_FIBER = 30.0  # of the waves of fibres
_GRAIN = 0.06  # how much a field with fibres rises per micrometre across them
_ROUNDING = 2.5  # of the outline of nests
_JITTER = 0.22  # of the spacing: from a hexagonal lattice to relaxed Voronoi cells
_THINNED = 0.06  # share of lattice points left out: the cells around grow larger
_REACH = 1.25  # of the spacing: how far from its site a cell can extend
_RIM = 1.0  # cytoplasm around the nucleus of a stromal cell
_PER_DIAMETER = 0.95  # lattice spacing over diameter of the circle of a hexagonal cell's area


@dataclass(frozen=True, slots=True)
class Tissue:
    """A tessellation of the nests; pixel arrays are fine, cells are numbered from 0."""

    grid: Grid
    sites: NDArray[np.float64]
    """(n, 2) where each cell is, in micrometres. The last is no cell but all outside of nests."""
    kind: NDArray[np.int8]
    """(n,) GLASS, STROMA or TUMOUR."""
    nest: NDArray[np.float64]
    """(n,) how deep in a nest: smooth over neighbouring cells."""
    diameter: float
    owner: NDArray[np.int32]
    """Tumour cell that a pixel belongs to; n - 1 outside nests."""
    neighbor: NDArray[np.int32]
    """Tumour cell on the other side of the closest border, or n - 1."""
    to_border: Floats
    """Distance to it, in micrometres."""
    stroma: Floats
    """Share of the pixel that stroma covers, in [0, 1]."""
    fiber: "Fibers"

    @property
    def nests(self) -> NDArray[np.bool_]:
        """Pixels of tumour cells."""
        return np.asarray(self.owner < len(self.sites) - 1)


class Fibers:
    """A field whose contour lines are the wavy fibres of the stroma."""

    def __init__(self, rng: np.random.Generator, grid: Grid) -> None:
        angle = rng.uniform(0, np.pi)
        self._slope = _GRAIN * np.array([np.sin(angle), np.cos(angle)])
        self._waves = SmoothField(rng, grid, _FIBER)
        self._grid = grid

    def on_grid(self) -> Floats:
        """Return the field at the fine pixels."""
        rows, columns = (np.float32(slope) for slope in self._slope)
        field: Floats = (
            self._waves.on_grid() + rows * self._grid.rows + columns * self._grid.columns
        )
        return field

    def direction(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the angle of the fibre at points (n, 2), from the columns' axis."""
        rise = [
            self._waves.at(points + step) - self._waves.at(points - step) + 2 * slope
            for step, slope in zip(np.eye(2), self._slope, strict=True)
        ]
        return np.asarray(np.arctan2(-rise[1], rise[0]))


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
    bends = [[(SmoothField(rng, grid, scale), size) for _ in range(2)] for scale, size in _BENDS]
    sites = _unbend(lattice, bends)
    nest_field, edge_field = SmoothField(rng, grid, _NEST), SmoothField(rng, grid, _NEST / 3)
    gap_field = SmoothField(rng, grid, _GAP)
    nest, gap = nest_field.at(sites) + 0.35 * edge_field.at(sites), gap_field.at(sites)
    inside = np.asarray(((sites >= 0) & (sites < grid.extent)).all(axis=1))
    gap_limit = np.quantile(gap[inside], 1 - rng.uniform(0.03, 0.12)) if inside.any() else np.inf
    kind = _kinds(nest, gap, inside, gap_limit, tumour_share)
    owner, neighbor, to_border = _tessellate(grid, lattice, sites, kind == TUMOR, bends, spacing)
    stroma = np.clip((gap_limit - gap_field.on_grid()) / 0.25, 0, 1).astype(np.float32)
    stroma[owner < len(sites)] = 0
    return Tissue(
        grid,
        np.vstack([sites, np.full((1, 2), -1e6)]),
        np.append(kind, np.int8(GLASS)),
        np.append(nest, 0.0),
        diameter,
        owner,
        neighbor,
        to_border,
        stroma,
        Fibers(rng, grid),
    )


def paint_nuclei(rng: np.random.Generator, tissue: Tissue, *, no_nucleus: float = 0.05) -> Nuclei:
    """Paint one nucleus into most tumour cells, and spindles and lymphocytes into the stroma."""
    grid, n = tissue.grid, len(tissue.sites)
    label, rim = (np.zeros(grid.fine_shape, np.int32) for _ in range(2))
    radius = np.full(grid.fine_shape, np.inf, np.float32)
    immune = SmoothField(rng, grid, _NEST).at(tissue.sites) > 1.0
    kinds = np.where(tissue.kind == TUMOR, 0, np.where(immune, 2, 1))
    middles, diameters = _middles(tissue)
    axes = _axes(rng, kinds, diameters)
    present = rng.random(n) > np.choose(kinds, [no_nucleus, 0.45, 0.1])
    present &= tissue.kind != GLASS
    centers = middles + rng.normal(0, 0.05 * tissue.diameter, (n, 2))
    angles = np.where(kinds == 1, tissue.fiber.direction(centers), rng.uniform(0, np.pi, n))
    angles += rng.normal(0, 0.3, n)
    lobes = rng.normal(0, [[0.05, 0.03]], (n, 2))
    phases = rng.uniform(0, 2 * np.pi, (n, 2))
    stroma = tissue.stroma > 0.5
    for k in np.flatnonzero(present).tolist():
        window = grid.window(centers[k], axes[k].max() + 2 * _RIM)
        if window is None:
            continue
        shape = _radius(grid, window, centers[k], angles[k], axes[k], lobes[k], phases[k])
        allowed = _allowed(tissue, k, window, stroma[window]) & (label[window] == 0)
        within = allowed & (shape < 1)
        label[window][within] = k + 1
        radius[window][within] = shape[within]
        if tissue.kind[k] == STROMA:
            around = allowed & (shape < 1 + _RIM / axes[k].min()) & (rim[window] == 0)
            rim[window][around | within] = k + 1
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
    tumor = nest >= np.quantile(seen, 1 - tumour_share)
    kind = np.where(gap > gap_limit, GLASS, np.where(tumor, TUMOR, STROMA)).astype(np.int8)
    if inside.any() and not (kind[inside] == TUMOR).any():
        kind[np.flatnonzero(inside)[seen.argmax()]] = TUMOR
    return kind


def _tessellate(
    grid: Grid,
    lattice: NDArray[np.float64],
    sites: NDArray[np.float64],
    tumor: NDArray[np.bool_],
    bends: list[list[tuple[SmoothField, float]]],
    spacing: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """Return owner, neighbour and distance to their border; len(sites) stands for the outside."""
    rows, columns = (
        start + sum(np.float32(bend[axis][1]) * bend[axis][0].on_grid() for bend in bends)
        for axis, start in enumerate((grid.rows, grid.columns))
    )
    best, second, outside = (np.full(grid.fine_shape, 1e6, np.float32) for _ in range(3))
    owner, neighbor = (np.full(grid.fine_shape, len(sites), np.int32) for _ in range(2))
    points = lattice.astype(np.float32)
    for k, (row, column) in enumerate(points):
        window = grid.window(sites[k], _REACH * spacing)
        if window is None:
            continue
        square = (rows[window] - row) ** 2 + (columns[window] - column) ** 2
        if not tumor[k]:
            np.minimum(outside[window], square, out=outside[window])
            continue
        closest = square < best[window]
        runner_up = np.where(closest, best[window], square)
        replaced = runner_up < second[window]
        np.copyto(neighbor[window], np.where(closest, owner[window], k), where=replaced)
        np.copyto(second[window], runner_up, where=replaced)
        np.copyto(best[window], square, where=closest)
        np.copyto(owner[window], k, where=closest)
    to_border = _to_bisector(best, second, points, owner, neighbor)
    to_edge = _to_edge(best, outside, spacing, grid.pitch)
    free = to_edge < to_border
    np.copyto(to_border, to_edge, where=free)
    neighbor[free] = len(sites)
    owner[to_edge <= 0] = len(sites)
    slope = np.hypot(*np.gradient(to_border, np.float32(grid.pitch)))
    return owner, neighbor, to_border / np.clip(slope, 0.6, 1.7).astype(np.float32)


def _to_bisector(
    best: Floats,
    second: Floats,
    points: Floats,
    owner: NDArray[np.int32],
    neighbor: NDArray[np.int32],
) -> Floats:
    """Distance to the line half way between owner and neighbour, in the bent space."""
    nowhere = np.float32(1e6)
    row, column = np.append(points, [[nowhere, nowhere]], axis=0).astype(np.float32).T
    apart = np.hypot(row[owner] - row[neighbor], column[owner] - column[neighbor])
    distance: Floats = (second - best) / np.maximum(2 * apart, np.float32(1))
    distance[neighbor == len(points)] = nowhere
    return distance


def _to_edge(best: Floats, outside: Floats, spacing: float, pitch: float) -> Floats:
    """Distance to the rounded outline of the nest, negative outside."""
    from scipy import ndimage

    depth = ((np.sqrt(outside) - np.sqrt(best)) / 2).astype(np.float32, copy=False)
    np.clip(depth, -spacing, spacing, out=depth)
    side = 2 * round(_ROUNDING / pitch / 2) + 1
    for _ in range(3):
        ndimage.uniform_filter(depth, side, output=depth, mode="nearest")
    return depth


def _middles(tissue: Tissue) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids and diameters of the cells; of those not whole in view, the site and the mean."""
    grid, n, owner = tissue.grid, len(tissue.sites), tissue.owner.ravel()
    pixels = np.bincount(owner, minlength=n)
    cut = pixels == 0
    for edge in (tissue.owner[[0, -1]], tissue.owner[:, [0, -1]]):
        cut[edge.ravel()] = True
    cut[-1] = True
    position = np.broadcast_arrays(grid.rows, grid.columns)
    sums = np.stack([np.bincount(owner, at.ravel(), minlength=n) for at in position], axis=1)
    centroids = sums / np.maximum(pixels, 1)[:, None]
    diameters = 2 * np.sqrt(pixels / np.pi) * grid.pitch
    return np.where(cut[:, None], tissue.sites, centroids), np.where(
        cut, tissue.diameter, diameters
    )


def _axes(
    rng: np.random.Generator, kinds: NDArray[np.int64], diameter: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Half axes of the nuclei: of tumour cells, spindles and lymphocytes."""
    n = len(kinds)
    mean = np.clip(0.3 * diameter * np.exp(rng.normal(0, 0.12, n)), 3.0, 5.0)
    aspect = np.exp(np.abs(rng.normal(0, 0.2, n)))
    tumor = np.stack([mean * np.sqrt(aspect), mean / np.sqrt(aspect)], axis=1)
    spindle = np.stack([rng.uniform(4, 7.5, n), rng.uniform(1.2, 2.2, n)], axis=1)
    lymphocyte = rng.uniform(2.6, 3.3, (n, 1)) * rng.uniform(0.9, 1.1, (n, 2))
    return np.asarray(np.choose(kinds[:, None], [tumor, spindle, lymphocyte]))


def _radius(
    grid: Grid,
    window: tuple[slice, slice],
    center: NDArray[np.float64],
    angle: float,
    axes: NDArray[np.float64],
    lobes: NDArray[np.float64],
    phases: NDArray[np.float64],
) -> Floats:
    """Distance from the centre of a dented ellipse: 1 on its border."""
    row = grid.rows[window[0]] - np.float32(center[0])
    column = grid.columns[:, window[1]] - np.float32(center[1])
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    along = (column * cosine + row * sine) / np.float32(axes[0])
    across = (row * cosine - column * sine) / np.float32(axes[1])
    turn = np.arctan2(across, along)
    dent = sum(a * np.cos(m * turn + p) for m, a, p in zip((2, 3), lobes, phases, strict=True))
    shape: Floats = (np.hypot(along, across) / (1 + dent)).astype(np.float32)
    return shape


def _allowed(
    tissue: Tissue, k: int, window: tuple[slice, slice], stroma: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where the nucleus of cell k may lie: in its cell off the membrane, or in the stroma."""
    if tissue.kind[k] == TUMOR:
        return np.asarray(
            (tissue.owner[window] == k) & (tissue.to_border[window] > 0.1 * tissue.diameter)
        )
    return stroma
