"""Print `relative` and `skill` of the map that follows the mask exactly, by score, grid and field.

Run ``python docs/figures/followers.py``; the page "What MAP and EC mean" quotes the numbers.
"""

import numpy as np
from numpy.typing import NDArray

from membrane_xai import alignment, pool_mask
from membrane_xai.datasets import synthetic_her2

SIZE, MPP = 512, 0.5
"""A field of 256 micrometres."""
SCORES = ("1+", "2+", "3+")
GRIDS = (7, 14, 28, 56)
FIELDS = 10
"""Of each score."""
TUMOUR_SHARES = (0.4, 1.0)


def follower(membrane: NDArray[np.bool_], grid: int) -> tuple[float, float]:
    """Return `relative` and `skill` of the exact follower of a mask."""
    found = alignment(pool_mask(membrane, (grid, grid)).mask, membrane)
    return found.relative, found.skill


if __name__ == "__main__":
    for score in SCORES:
        masks = [synthetic_her2(score, SIZE, MPP, seed).membrane for seed in range(FIELDS)]
        for grid in GRIDS:
            relative, skill = np.transpose([follower(mask, grid) for mask in masks])
            print(
                f"{score}, {grid}x{grid}: relative {relative.mean():.2f}, {relative.min():.2f} to "
                f"{relative.max():.2f}; skill {skill.mean():.2f}"
            )
    for share in TUMOUR_SHARES:
        fields = [synthetic_her2("3+", SIZE, MPP, i, tumour_share=share) for i in range(FIELDS)]
        relative = [follower(field.membrane, GRIDS[0])[0] for field in fields]
        print(f"3+, 7x7, tumour share {share:g}: relative {np.mean(relative):.2f}")
