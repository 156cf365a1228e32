"""Stain densities of a synthetic field, and the exact masks that go with them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from membrane_xai.datasets._field import Floats, Grid, SmoothField
from membrane_xai.datasets._staining import Staining, border
from membrane_xai.datasets._tissue import TUMOR, Nuclei, Tissue

__all__ = ["Densities", "add_artefacts", "draw_membrane", "draw_stains"]


@dataclass(frozen=True, slots=True)
class Densities:
    """Base-10 optical densities on the fine grid."""

    hematoxylin: Floats
    dab: Floats
    dust: Floats
    """Absorbs all colours alike."""


def draw_membrane(
    rng: np.random.Generator, tissue: Tissue, staining: Staining
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the membrane's DAB on the fine grid and the mask of stained membrane.

    A pixel of the mask is one that stained membrane covers at least half of, or that the border
    line between two cells crosses where it is stained, so that thin membranes stay connected.
    """
    grid = tissue.grid
    band = border(tissue, 2.5 * float(staining.width.max(initial=0.0)) + grid.pitch)
    blotches, grain = SmoothField(rng, grid, 3.5).on_grid(), SmoothField(rng, grid, 1.2).on_grid()
    uneven = np.clip(1 + 0.2 * blotches + 0.12 * grain, 0.6, 1.6)
    own, beyond = band.own(staining), band.beyond(staining)
    width = band.own_width(staining) * uneven.ravel()[band.pixel]
    cover = own * np.clip((width - band.distance) / grid.pitch + 0.5, 0, 1)
    # One side of the line only, or it would be two pixels wide.
    one_side = (band.cell > band.other) | (tissue.kind[band.other] != TUMOR)
    crossed = (own | beyond) & one_side & (band.distance < grid.pitch)
    covered, line = (np.zeros(grid.fine_shape, bool) for _ in range(2))
    covered.ravel()[band.pixel[own & (band.distance <= width)]] = True
    line.ravel()[band.pixel[crossed]] = True
    dab = np.zeros(grid.fine_shape, np.float32)
    dab.ravel()[band.pixel] = cover * staining.density[band.cell]
    dab *= np.clip(1 + 0.2 * blotches + 0.16 * SmoothField(rng, grid, 0.6).on_grid(), 0.45, 1.5)
    return dab, (grid.mean(covered) >= 0.5) | grid.any(line)


def draw_stains(
    rng: np.random.Generator,
    tissue: Tissue,
    nuclei: Nuclei,
    staining: Staining,
    membrane: Floats,
    *,
    haze: float,
) -> Densities:
    """Draw hematoxylin and all DAB that is not membrane around the membrane's.

    `haze` scales the DAB of cytoplasm, background and membrane out of the section's plane.
    """
    coarse = SmoothField(rng, tissue.grid, 3.0).on_grid()
    fine = SmoothField(rng, tissue.grid, 0.7).on_grid()
    hematoxylin = _hematoxylin(rng, tissue, nuclei, coarse, fine)
    dab = membrane.copy()
    if haze > 0:
        dab += np.float32(haze) * _haze(rng, tissue, nuclei, staining, membrane, coarse, fine)
    none = np.zeros_like(dab)
    return Densities(np.maximum(hematoxylin, 0), np.maximum(dab, 0), none)


def add_artefacts(rng: np.random.Generator, grid: Grid, densities: Densities, rate: float) -> None:
    """Add brown debris, dust specks (`rate` of each per 0.1 square millimetres) and folds."""
    expected = rate * float(np.prod(grid.extent)) / 1e5
    for layer, strength in ((densities.dab, 0.9), (densities.dust, 0.6)):
        for _ in range(rng.poisson(expected)):
            _add_speck(rng, grid, layer, strength * rng.uniform(0.5, 1.5))
    for _ in range(rng.poisson(0.1 * expected)):
        angle, sigma = rng.uniform(0, np.pi), rng.uniform(4, 8)
        center = rng.random(2) * grid.extent
        down, right = grid.rows - center[0], grid.columns - center[1]
        across = down * np.cos(angle) + right * np.sin(angle)
        across += 6 * SmoothField(rng, grid, 35.0).on_grid()
        fold = 1 + np.exp(-0.5 * (across / sigma) ** 4).astype(np.float32)
        densities.hematoxylin[:] *= fold
        densities.dab[:] *= fold


def _hematoxylin(
    rng: np.random.Generator, tissue: Tissue, nuclei: Nuclei, coarse: Floats, fine: Floats
) -> Floats:
    strength = np.float32(rng.uniform(0.13, 0.28))
    cytoplasm = np.float32(strength * rng.uniform(0.12, 0.3))
    field = np.where(tissue.nests, cytoplasm * (1 + 0.25 * coarse + 0.2 * fine), np.float32(0))
    field += tissue.stroma * _fibers(rng, tissue, fine) * strength
    chromatin = np.maximum(1 + 0.2 * fine + 0.15 * coarse, 0.3)
    inside = nuclei.label > 0
    label, radius = nuclei.label[inside] - 1, nuclei.radius[inside]
    edge = np.clip((1 - radius) * 6, 0, 1) * (1 + 0.3 * np.exp(-(((radius - 0.88) / 0.1) ** 2)))
    field[inside] += strength * nuclei.density[label] * edge * chromatin[inside]
    _add_nucleoli(rng, tissue, nuclei, field, strength)
    return field


def _fibers(rng: np.random.Generator, tissue: Tissue, fine: Floats) -> Floats:
    """Wavy bundles along the contour lines of a smooth field, relative to a nucleus' density."""
    # Irregular bundles: a random profile across the fibres instead of a wave.
    profile = rng.normal(0, 1, 4096)
    phase = tissue.fiber.on_grid() * np.float32(rng.uniform(5.0, 9.0))
    phase += 0.9 * SmoothField(rng, tissue.grid, 8.0).on_grid()
    bundle = np.interp(phase, np.arange(-1024, 3072), profile).astype(np.float32)
    fade = 0.35 + 0.3 * SmoothField(rng, tissue.grid, 12.0).on_grid()
    fiber = 0.22 + 0.2 * np.clip(fade, 0, 1) * bundle + 0.07 * fine
    return np.asarray(np.maximum(fiber, 0.03) * rng.uniform(0.5, 1.2), np.float32)


def _add_nucleoli(
    rng: np.random.Generator, tissue: Tissue, nuclei: Nuclei, field: Floats, strength: np.float32
) -> None:
    grid = tissue.grid
    number = np.where(tissue.kind == TUMOR, rng.integers(0, 3, len(tissue.sites)), 0)
    for k in np.repeat(np.arange(len(number)), number):
        center = tissue.sites[k] + rng.normal(0, 1.3, 2)
        size, extra = rng.uniform(0.45, 0.8), rng.uniform(0.4, 0.9)
        window = grid.window(center, 3 * size)
        if window is not None:
            spot = _spot(grid, window, center, size)
            field[window] += (nuclei.label[window] == k + 1) * spot * np.float32(strength * extra)


def _haze(
    rng: np.random.Generator,
    tissue: Tissue,
    nuclei: Nuclei,
    staining: Staining,
    membrane: Floats,
    coarse: Floats,
    fine: Floats,
) -> Floats:
    """DAB of the cytoplasm, of membrane above and below the plane, and unspecific."""
    base, share = 0.12 * rng.beta(1, 3), rng.uniform(0.04, 0.4)
    cell = base * rng.uniform(0.5, 1.5, len(tissue.sites))
    cell += share * staining.density * rng.uniform(0.5, 1.5, len(cell))
    cell[-1] = 0
    field = cell.astype(np.float32)[tissue.owner]
    field *= np.clip(1 + 0.15 * coarse + 0.2 * fine, 0, None)
    unspecific = np.clip(0.015 + 0.02 * SmoothField(rng, tissue.grid, 25.0).on_grid(), 0, None)
    field += unspecific * np.maximum(tissue.stroma, 0.6 * tissue.nests)
    field *= np.where(nuclei.label > 0, np.float32(rng.uniform(0.15, 0.5)), np.float32(1))
    field += np.float32(rng.uniform(0.06, 0.25)) * _blurred(
        membrane, tissue.grid, rng.uniform(1, 2)
    )
    return field


def _blurred(fine: Floats, grid: Grid, sigma: float) -> Floats:
    """Gaussian blur, computed on pixels of the image and repeated: it is smoother than those."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(grid.mean(fine), sigma / grid.mpp, truncate=3)
    return np.kron(smooth, np.ones((grid.factor, grid.factor), np.float32))


def _add_speck(rng: np.random.Generator, grid: Grid, layer: Floats, density: float) -> None:
    """Add an irregular speck: a cluster of grains."""
    center, size = rng.random(2) * grid.extent, rng.uniform(0.8, 3)
    for _ in range(rng.integers(2, 9)):
        grain = center + rng.normal(0, size, 2)
        sigma = size * rng.uniform(0.3, 0.9)
        window = grid.window(grain, 3 * sigma)
        if window is not None:
            spot = np.minimum(1.6 * _spot(grid, window, grain, sigma), 1)
            layer[window] = np.maximum(layer[window], density * spot)


def _spot(
    grid: Grid, window: tuple[slice, slice], center: NDArray[np.float64], sigma: float
) -> Floats:
    row = np.exp(-0.5 * ((grid.rows[window[0]] - center[0]) / sigma) ** 2)
    column = np.exp(-0.5 * ((grid.columns[:, window[1]] - center[1]) / sigma) ** 2)
    return np.asarray(row * column, np.float32)
