"""A synthetic HER2 image: tissue, staining, light and ground truth put together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.jpeg import recompressed
from membrane_xai.datasets._camera import Light, draw_background, draw_vectors, record
from membrane_xai.datasets._field import Grid
from membrane_xai.datasets._render import (
    Densities,
    add_artefacts,
    draw_membrane,
    draw_stains,
)
from membrane_xai.datasets._staining import stain
from membrane_xai.datasets._tissue import TUMOR, Nuclei, Tissue, lay_out, paint_nuclei
from membrane_xai.stain import StainDensities

__all__ = ["Parameters", "SyntheticHER2", "draw"]

_DIAMETERS = (12.0, 16.0)  # micrometres
_MIN_AREA = 20.0  # square micrometres of a tumour cell in view, for it to be in the table


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticHER2:
    """A synthetic HER2 image with its ground truth.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        The image.
    membrane : ndarray of bool, shape (H, W)
        Stained membrane: at least half of the pixel, or the border between two cells crosses it
        where it is stained. Without debris, background and cytoplasm.
    nuclei : ndarray of int32, shape (H, W)
        Cell id; 0 outside nuclei. A few tumour cells are cut above or below their nucleus.
    territories : ndarray of int32, shape (H, W)
        Cell id of the region that a cell fills, up to the middle of the membrane it shares; 0
        outside cells. Cells of the stroma: the nucleus with 1 micrometre around it.
    cells : dict of str to ndarray, each (n,)
        One row per cell: `id`; `row` and `col`, the centroid of its territory in pixels; `tumour`;
        `completeness`, the share in [0, 1] of its perimeter in view with stained membrane, on
        whichever side of the shared border; `intensity`, the class 0 (less than a tenth of the
        perimeter is stained), 1 (weak), 2 (moderate, from an optical density of 0.5) or 3 (strong,
        from 0.8); `dab`, the mean optical density of the membrane there, before the optics;
        `width_um`, its thickness, both sides together. The last four are 0 in the stroma.
    stains : StainDensities
        Densities of the section before the optics, (H, W) float32, averaged over the pixel;
        `residual` is the dust.
    score : str
        "0", "1+", "2+" or "3+": what the ASCO/CAP rule for breast gives for `cells`.
    background : ndarray of float64, shape (3,)
        Glass, on the scale of uint8.
    stain_matrix : ndarray of float64, shape (2, 3)
        Unit vectors of hematoxylin and DAB.
    mpp : float
        Micrometres per pixel.
    seed : int
        Of the draw.
    parameters : dict
        The remaining arguments, with what was drawn where none was given.
    """

    rgb: NDArray[np.uint8]
    membrane: NDArray[np.bool_]
    nuclei: NDArray[np.int32]
    territories: NDArray[np.int32]
    cells: Mapping[str, NDArray[Any]]
    stains: StainDensities
    score: str
    background: NDArray[np.float64]
    stain_matrix: NDArray[np.float64]
    mpp: float
    seed: int
    parameters: Mapping[str, Any]


class Parameters(NamedTuple):
    """Arguments of :func:`membrane_xai.datasets.synthetic_her2`, documented there."""

    tumour_share: float
    cell_diameter: float | None
    stain_variation: float
    haze: float
    blur: float
    vignette: float
    noise: float
    artefacts: float
    jpeg_quality: int | None


def draw(
    score: str,
    grid: Grid,
    seed: int,
    options: Parameters,
    background: NDArray[np.float64] | None,
    stain_matrix: NDArray[np.float64] | None,
) -> SyntheticHER2:
    """Draw :func:`membrane_xai.datasets.synthetic_her2` from checked arguments."""
    # A stream per stage: what one of them draws does not change the others.
    layout, stained, texture, optics, noise = (
        np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(5)
    )
    drawn = layout.uniform(*_DIAMETERS)
    diameter = drawn if options.cell_diameter is None else options.cell_diameter
    options = options._replace(cell_diameter=diameter)
    tissue = lay_out(layout, grid, diameter=diameter, tumour_share=options.tumour_share)
    nuclei = paint_nuclei(layout, tissue)
    area = np.bincount(tissue.owner.ravel(), minlength=len(tissue.sites)) * grid.pitch**2
    tumor = (tissue.kind == TUMOR) & (area >= _MIN_AREA)
    staining, shown = stain(stained, tissue, score, tumor)
    membrane, mask = draw_membrane(texture, tissue, staining)
    densities = draw_stains(texture, tissue, nuclei, staining, membrane, haze=options.haze)
    add_artefacts(texture, grid, densities, options.artefacts)
    vectors, glass = draw_vectors(optics, options.stain_variation), draw_background(optics)
    light = Light(
        vectors if stain_matrix is None else stain_matrix,
        glass if background is None else background,
    )
    territories, labels, cells = _label(tissue, nuclei, tumor, shown)
    amounts = (densities.hematoxylin, densities.dab, densities.dust)
    return SyntheticHER2(
        rgb=_photograph(noise, grid, densities, light, options),
        membrane=mask,
        nuclei=labels,
        territories=territories,
        cells=cells,
        stains=StainDensities(*(grid.mean(amount) for amount in amounts)),
        score=score,
        background=light.background,
        stain_matrix=light.vectors,
        mpp=grid.mpp,
        seed=seed,
        parameters=options._asdict(),
    )


def _photograph(
    rng: np.random.Generator, grid: Grid, densities: Densities, light: Light, options: Parameters
) -> NDArray[np.uint8]:
    rgb = record(
        rng,
        grid,
        densities,
        light,
        blur=options.blur,
        vignette=options.vignette,
        noise=options.noise,
    )
    return rgb if options.jpeg_quality is None else recompressed(rgb, options.jpeg_quality)


def _label(
    tissue: Tissue, nuclei: Nuclei, tumor: NDArray[np.bool_], shown: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.int32], NDArray[np.int32], dict[str, NDArray[Any]]]:
    """Return territories, nuclei and the cell table; ids from 1, tumour cells first."""
    grid, n = tissue.grid, len(tissue.sites)
    regions = np.where(tissue.nests, tissue.owner + 1, nuclei.rim)
    regions, labels = grid.pick(regions.astype(np.int32)), grid.pick(nuclei.label)
    pixels = np.bincount(regions.ravel(), minlength=n + 1)[1:]
    seen = (pixels > 0) & (tumor | (tissue.kind != TUMOR))
    cells = np.concatenate([np.flatnonzero(seen & tumor), np.flatnonzero(seen & ~tumor)])
    ids = np.zeros(n + 1, np.int32)
    ids[cells + 1] = np.arange(1, len(cells) + 1)
    rows, columns = (
        np.bincount(regions.ravel(), at.ravel(), minlength=n + 1)[cells + 1] / pixels[cells]
        for at in np.indices(grid.shape)
    )
    return (
        ids[regions],
        ids[labels],
        {
            "id": ids[cells + 1],
            "row": rows,
            "col": columns,
            "tumour": tumor[cells],
            "completeness": shown["completeness"][cells],
            "intensity": shown["intensity"][cells],
            "dab": shown["density"][cells],
            "width_um": shown["width"][cells],
        },
    )
