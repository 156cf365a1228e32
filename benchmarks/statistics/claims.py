"""What each null rules out: false alarms of maps that know something, but no membrane.

Run ``python -m benchmarks.statistics.claims``; it writes ``benchmarks/results/nulls.json``.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from membrane_xai import pool_mask, shift_null
from membrane_xai.datasets import synthetic_her2
from membrane_xai.statistics import combine_nulls, permutation_null

Maps = NDArray[np.float64]
Mask = NDArray[np.bool_]

FIELDS = 48
"""Synthetic fields, half 2+ and half 3+, of 448 pixels and 224 micrometres."""
SIDE = 7
PATIENTS, PATCHES = 12, 6
SETS, SETS_OF_SHIFTS, MAPS = 600, 60, 2000
"""Sets that are permuted, sets of moved maps, and single maps that are moved."""
PERMUTATIONS = 199
_PIXELS, _MPP, _CROP = 448, 0.5, 224
_GLASS = 0.3  # share of a field where tissue ends
_SMOOTH = 70  # pixels of the outline of glass
_GAP = 16  # pixels between cells that still belong to the tumour
_NOISE = 0.2  # what a map that knows something has everywhere there
_KNOWN = 0.4  # share of the membrane's own map in one that knows it a little


class Place(NamedTuple):
    """Masks of all fields on the grid within a region: shares and weights, (n, 7, 7) each."""

    share: Maps
    weight: Maps


class World(NamedTuple):
    """Fields on the grid: everywhere, and within tissue and tumour; what maps may know of them."""

    everywhere: Place
    centred: Place
    """Crops in whose middle the tumour is."""
    with_glass: Place
    within_tissue: Place
    within_tumour: Place
    tumour: Maps
    tissue: Maps


def world() -> World:
    """Draw the fields."""
    drawn = [
        synthetic_her2(score, size=_PIXELS, mpp=_MPP, seed=700 + i)
        for i, score in enumerate(("2+", "3+") * (FIELDS // 2))
    ]
    membrane = np.stack([field.membrane for field in drawn])
    nests = [np.isin(f.territories, f.cells["id"][f.cells["tumour"]]) | f.membrane for f in drawn]
    tumour = np.stack([_closed(one) for one in nests])
    tissue = np.stack([_tissue(seed) for seed in range(FIELDS)])
    crops = [_centred(one) for one in nests]
    centred = np.stack([one[crop] for one, crop in zip(membrane, crops, strict=True)])
    return World(
        _place(membrane),
        _place(centred),
        _place(membrane & tissue),
        _place(membrane & tissue, tissue),
        _place(membrane, tumour),
        _place(tumour).share,
        _place(tissue).share,
    )


def _place(masks: Mask, regions: Mask | None = None) -> Place:
    pooled = pool_mask(masks, (SIDE, SIDE), region=regions)
    return Place(pooled.mask, np.broadcast_to(pooled.region, pooled.mask.shape))


def _closed(mask: Mask) -> Mask:
    padded = np.pad(mask, _GAP, mode="edge")
    inner = slice(_GAP, -_GAP)
    closed: Mask = ndimage.binary_closing(padded, iterations=_GAP)[inner, inner] | mask
    return closed


def _tissue(seed: int) -> Mask:
    noise = np.random.default_rng(seed).normal(size=(_PIXELS, _PIXELS))
    smooth = ndimage.gaussian_filter(noise, _SMOOTH)
    tissue: Mask = smooth > np.quantile(smooth, _GLASS)
    return tissue


def _centred(nests: Mask) -> tuple[slice, slice]:
    """Return the crop in whose middle most tumour is."""
    half = _CROP // 2
    near = ndimage.gaussian_filter(nests.astype(float), half / 2)[half:-half, half:-half]
    row, column = np.unravel_index(near.argmax(), near.shape)
    return slice(row, row + _CROP), slice(column, column + _CROP)


def noise(rng: np.random.Generator, count: int) -> Maps:
    """Draw smooth maps, cut from a larger field as those of a network are."""
    margin = 8
    side = SIDE + 2 * margin
    maps = ndimage.gaussian_filter(rng.normal(size=(count, side, side)), (0, 1, 1))
    maps = maps[:, margin:-margin, margin:-margin]
    return np.maximum(maps / maps.std(), 0)


def _blob() -> Maps:
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    blob: Maps = np.exp(-(rows**2 + columns**2) / 2 / 0.35**2)
    return blob


Law = Callable[[np.random.Generator, NDArray[np.intp]], Maps]


def laws(fields: World) -> dict[str, tuple[Law, dict[str, Place]]]:
    """Return how maps are drawn for fields, and the regions that each law is tested in."""
    blob = _blob()

    def knows(what: Maps) -> Law:
        return lambda rng, index: what[index] * (_NOISE + noise(rng, len(index)))

    share = fields.centred.share
    membrane = share / share.mean(axis=(1, 2), keepdims=True)
    habit: Law = lambda rng, index: blob * (_NOISE + noise(rng, len(index)))  # noqa: E731
    little: Law = lambda rng, index: (  # noqa: E731
        habit(rng, index) * (1 - _KNOWN + _KNOWN * membrane[index])
    )
    within = fields.within_tumour.share
    inside = within / within.mean(axis=(1, 2), keepdims=True)
    tumour = knows(fields.tumour)
    both: Law = lambda rng, index: (  # noqa: E731
        tumour(rng, index) * (1 - _KNOWN + _KNOWN * inside[index])
    )
    return {
        "nothing": (lambda rng, index: noise(rng, len(index)), {"all": fields.everywhere}),
        "centre habit": (habit, {"all": fields.centred}),
        "tissue only": (
            knows(fields.tissue), {"all": fields.with_glass, "tissue": fields.within_tissue},
        ),
        "tumour only": (tumour, {"all": fields.everywhere, "tumour": fields.within_tumour}),
        "centre habit and a little membrane": (little, {"all": fields.centred}),
        "tumour and a little membrane": (both, {"tumour": fields.within_tumour}),
    }  # fmt: skip


CLAIMED = {
    "permutation": {("nothing", "all"), ("centre habit", "all"), ("tissue only", "tissue"),
                    ("tumour only", "tumour")},
    "shift": {("nothing", "all"), ("tissue only", "tissue"), ("tumour only", "tumour")},
}  # fmt: skip
"""Where a small p would be a false alarm against what the null claims."""


def measure() -> list[Row]:
    """Count p-values of at most 0.05."""
    fields = world()
    rows: list[Row] = []
    for law, (draw, places) in laws(fields).items():
        for region, place in places.items():
            rng = np.random.default_rng(1)
            found = {
                "permutation": _permuted(rng, draw, place),
                "shift": _moved(rng, draw, place),
                "shift, sets": _sets_moved(rng, draw, place),
            }
            for null, share in found.items():
                claimed = (law, region) in CLAIMED.get(null, ())
                goal = Goal("<=", 6) if claimed else None
                rows.append(Row(f"{null}: {law}, region {region}, p <= 0.05", "%", [share], goal))
    return rows


def _set(rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw the fields of a set, and who has them."""
    return rng.integers(0, FIELDS, PATIENTS * PATCHES), np.repeat(np.arange(PATIENTS), PATCHES)


def _permuted(rng: np.random.Generator, draw: Law, place: Place) -> float:
    small = 0
    for seed in range(SETS):
        index, patients = _set(rng)
        result = permutation_null(
            draw(rng, index), place.share[index], patients,
            region=place.weight[index], permutations=PERMUTATIONS, seed=seed,
        )  # fmt: skip
        small += result.p_value <= 0.05
    return 100 * small / SETS


def _moved(rng: np.random.Generator, draw: Law, place: Place) -> float:
    index = rng.integers(0, FIELDS, MAPS)
    result = shift_null(draw(rng, index), place.share[index], region=place.weight[index])
    return 100 * float(np.mean(result.p_value <= 0.05))


def _sets_moved(rng: np.random.Generator, draw: Law, place: Place) -> float:
    small = 0
    for _ in range(SETS_OF_SHIFTS):
        index, patients = _set(rng)
        result = shift_null(draw(rng, index), place.share[index], region=place.weight[index])
        small += combine_nulls(result, patients).p_value <= 0.05
    return 100 * small / SETS_OF_SHIFTS


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser(
        "python -m benchmarks.statistics.claims", description=__doc__
    ).parse_args()
    with threadpool_limits(1):
        publish(
            measure(), "nulls", fields=FIELDS, sets=SETS, sets_of_shifts=SETS_OF_SHIFTS, maps=MAPS,
            patients=PATIENTS, patches=PATCHES, permutations=PERMUTATIONS,
        )  # fmt: skip


if __name__ == "__main__":
    main()
