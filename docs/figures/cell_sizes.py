"""Print what MAP can tell by the size of a CAM's cells: followers of three targets on membrane.

Run ``python docs/figures/cell_sizes.py``; the page "How to read a MAP" has its table.
"""

import numpy as np

from membrane_xai import alignment, pool_mask
from membrane_xai.datasets import synthetic_her2

SIZE, MPP = 512, 0.5
"""A field of 256 micrometres."""
GRIDS = (7, 14, 28, 56)
FIELDS = 12
"""Synthetic 3+ fields; the standard error of the shares is 0.02 at most."""


def toward_ideal(grid: int) -> dict[str, float]:
    """Return how far each exact follower is toward the ideal of membrane, of sums over fields."""
    gain: dict[str, list[float]] = {}
    room = []
    for seed in range(FIELDS):
        field = synthetic_her2("3+", size=SIZE, mpp=MPP, seed=900 + seed)
        tumour = np.isin(field.territories, field.cells["id"][field.cells["tumour"]])
        stained = np.isin(field.territories, field.cells["id"][field.cells["intensity"] > 0])
        targets = {
            "membrane": field.membrane,
            "insides of stained cells": stained & ~field.membrane,
            "tumour nests": tumour,
        }
        for name, target in targets.items():
            found = alignment(pool_mask(target, (grid, grid)).mask, field.membrane)
            gain.setdefault(name, []).append(found.map - found.chance)
        room.append(found.ideal - found.chance)
    return {name: float(np.sum(x) / np.sum(room)) for name, x in gain.items()}


if __name__ == "__main__":
    for grid in GRIDS:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in toward_ideal(grid).items())
        print(f"{grid}x{grid}, {SIZE * MPP / grid:.1f} um: {shares}")
