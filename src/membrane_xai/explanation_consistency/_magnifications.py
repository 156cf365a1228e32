"""Compare CAMs of one image at several magnifications, on a grid in micrometres."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from membrane_xai._backend.arrays import Array
from membrane_xai._backend.checks import is_count, is_real
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._agreement import Measure, mean_of, similar
from membrane_xai.explanation_consistency._explainers import (
    Explain,
    batches,
    explain_images,
    view_of,
)
from membrane_xai.explanation_consistency._fields import (
    Cells,
    Tiled,
    field_edges,
    mosaic,
    shown_mpp,
)
from membrane_xai.io._pixel_size import MPP_AT_1X, magnification_of
from membrane_xai.perturb._perturbation import Rgb

__all__ = [
    "ScalePair",
    "Scales",
    "check_magnifications",
    "check_window",
    "compare_scales",
    "explain_tiles",
    "scale_ec",
    "single_cam",
]

_FINER_AT_MOST = 1.1  # scanners' 20x and 40x differ from 0.5 and 0.25 um by up to 12 %
_FEWEST_CELLS = 25  # of which unrelated maps have |Pearson| up to 0.4 in 95 % of cases
_SAME_SCALE = 1.02  # nearer to each other, magnifications are one, up to rounding to whole pixels

T = TypeVar("T")

Explained = tuple[Tiled, Sequence[Array]]
"""An image under an objective, and the maps of its tiles."""


class ScalePair(NamedTuple):
    """Two magnifications of one image compared."""

    similarity: float
    reason: str
    cells: tuple[int, int]


class Scales(NamedTuple):
    """One image at all magnifications."""

    pairs: list[ScalePair]
    field_um: tuple[float, float]
    um_per_pixel: list[float]
    tiles: list[tuple[int, int]]


def explain_tiles(
    explain: Explain,
    views: Sequence[Tiled | None],
    targets: Sequence[Any] | None,
    batch_size: int,
) -> list[list[Array]]:
    """Explain all tiles of all images, up to `batch_size` at once; by image, its tiles' maps."""
    places = [i for i, view in enumerate(views) for _ in (view.tiles if view else ())]
    tiles = [tile for view in views if view for tile in view.tiles]
    found: list[list[Array]] = [[] for _ in views]
    for batch in batches(zip(places, tiles, strict=True), batch_size):
        chosen = None if targets is None else [targets[i] for i, _ in batch]
        cams = explain_images(explain, [tile for _, tile in batch], chosen)
        for (i, _), labeled in zip(batch, cams, strict=True):
            found[i].append(single_cam(labeled))
    return found


def compare_scales(
    rgb: Rgb,
    mpp: float,
    magnifications: Sequence[float],
    views: Sequence[Tiled | None],
    cams: Sequence[Sequence[Array]],
    measure: Measure,
) -> Scales:
    """Compare all pairs of the magnifications of one image."""
    seen = list(zip(magnifications, views, cams, strict=True))
    nothing = ScalePair(math.nan, "small_field", (0, 0))
    return Scales(
        [
            nothing if a is None or b is None else _pair((a, first), (b, second), measure)
            for (_, a, first), (_, b, second) in itertools.combinations(seen, 2)
        ],
        (rgb.shape[0] * mpp, rgb.shape[1] * mpp),
        [shown_mpp(mpp, m) if v is None else _um_per_pixel(v) for m, v, _ in seen],
        [(0, 0) if v is None else (len(v.rows.starts), len(v.columns.starts)) for v in views],
    )


def scale_ec(pairs: Iterable[ScalePair]) -> float:
    """Return the mean similarity of the defined pairs."""
    return mean_of(np.array([pair.similarity for pair in pairs]))


def check_magnifications(magnifications: Any, mpp: float) -> tuple[float, ...]:
    """Return magnifications as floats, or raise if images of `mpp` cannot show them apart."""
    values = tuple(magnifications) if isinstance(magnifications, list | tuple) else ()
    known = all(is_real(value) and value > 0 for value in values)
    if not known or len(values) < 2 or len(set(values)) < len(values):
        raise InvalidInputError(
            f"magnifications is {magnifications!r}; it takes two or more different numbers above 0"
        )
    finest = magnification_of(mpp) * _FINER_AT_MOST
    for value in values:
        if value > finest:
            raise InvalidInputError(
                f"magnifications has {value:g}, which is {MPP_AT_1X / value:g} um per pixel, but "
                f"the images have mpp={mpp:g}; it takes numbers up to {finest:g}"
            )
    for one, other in itertools.combinations(values, 2):
        sizes = sorted(shown_mpp(mpp, value) for value in (one, other))
        if sizes[1] / sizes[0] < _SAME_SCALE:
            raise InvalidInputError(
                f"magnifications has {one:g} and {other:g}, which images of mpp={mpp:g} show at "
                f"{sizes[0]:.3g} um per pixel both; it takes numbers that differ at the "
                f"explainer's input"
            )
    return tuple(float(value) for value in values)


def check_window(window: Any, explain: Any) -> int | None:
    """Return the side of the explainer's input, None if it takes any; raise if nothing says."""
    told: Any = getattr(explain, "input_size", None)
    if window is None and told is None:
        raise InvalidInputError(
            "window is None, and explain has no input_size; it takes the pixels along a side of "
            "the explainer's input, such as 224, or 'any' if it takes images of any size and "
            "resizes none: what is resized to one size has the same micrometres per pixel at every "
            "magnification"
        )
    given: Any = told if window is None else window
    if isinstance(given, str) and given == "any" and told in (None, "any"):
        return None
    if not is_count(given) or given < 1:
        raise InvalidInputError(
            f"window is {given!r}; it takes a positive integer, pixels, or 'any'"
            + ("" if told is None else f", but explain has input_size={told!r}")
        )
    if told is not None and told != given:
        raise InvalidInputError(
            f"window is {given}, but explain has input_size={told!r}; they must be equal, or tiles "
            f"would be resized"
        )
    return int(given)


def single_cam(labeled: Mapping[Any, T]) -> T:
    """Return what is without a label, or raise."""
    if list(labeled) != [None]:
        raise InvalidInputError(
            f"explain returned maps of classes {list(labeled)}; it takes one map an image: choose "
            f"a class, or use membrane_xai.evaluate"
        )
    return labeled[None]


def _pair(one: Explained, other: Explained, measure: Measure) -> ScalePair:
    _refuse_resized(one, other)
    grid = (_common(one, other, 0), _common(one, other, 1))
    rows, columns = (axis if isinstance(axis, int) else len(axis) - 1 for axis in grid)
    cells = rows, columns
    if cells[0] * cells[1] < _FEWEST_CELLS:
        return ScalePair(math.nan, "few_cells", cells)
    first, second = (view_of(mosaic(cams, tiles, grid)) for tiles, cams in (one, other))
    score, _, reason = similar(first, second, measure)
    return ScalePair(score, reason, cells)


def _common(one: Explained, other: Explained, axis: int) -> Cells:
    """Return the cells of the field along an axis: as large as the coarser map's, and where."""
    coarse, side, placed = max(
        (
            (side.cell_um(int(cam.shape[axis]), placed), side, placed)
            for tiles, cams in (one, other)
            for cam in cams
            for side, placed in [(tiles.sides[axis], tiles.placed(cam)[axis])]
        ),
        key=itemgetter(0),
    )
    if placed is not None:
        return field_edges(side, placed)
    return max(1, round(one[0].sides[axis].um / coarse))


def _refuse_resized(one: Explained, other: Explained) -> None:
    """Raise if maps of one grid come from windows of sizes that no stride maps onto it.

    A network of stride s makes c cells of (c - 1) s to c s pixels.
    """
    for axis in (0, 1):
        sides = [tiles.sides[axis].window for tiles, _ in (one, other)]
        grids = {int(cam.shape[axis]) for _, cams in (one, other) for cam in cams}
        cells = grids.pop()
        if not grids and cells > 1 and max(sides) / min(sides) >= cells / (cells - 1):
            raise InvalidInputError(
                f"explain returned maps of {cells} cells a side for images of {sides[0]} and of "
                f"{sides[1]} pixels, so it resizes them: micrometres per pixel at its input are "
                f"then the same at each magnification; window takes the pixels along a side of its "
                f"input instead of 'any'"
            )


def _um_per_pixel(view: Tiled) -> float:
    """Return the geometric mean of both sides, which differ by rounding to whole pixels."""
    return math.sqrt(view.rows.um_per_pixel * view.columns.um_per_pixel)
