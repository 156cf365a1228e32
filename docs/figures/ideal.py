"""Draw the MAP of the map that follows rings exactly, and chance, against the width of the rings.

Run ``python docs/figures/ideal.py``; it writes ``docs/_static/ideal.png``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from membrane_xai import alignment, pool_mask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 224
"""Pixels of the network's input."""
PITCH = 40
"""Pixels between the centres of neighbouring cells, in rows and columns."""
RADIUS = 18
"""Outer radius of a ring in pixels."""
NEST = 90
"""Cells whose centre lies within so many pixels of the middle are stained: a nest in stroma."""
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18)
"""Widths of the ring in pixels; the last one fills the cell."""
GRIDS = {7: ("#D55E00", "o"), 14: ("#E69F00", "s"), 28: ("#009E73", "^"), 56: ("#0072B2", "D")}
"""Side of the CAM -> colour and marker; colours of Okabe and Ito, apart under any colour vision."""
OUTPUT = Path(__file__).parents[1] / "_static" / "ideal.png"


def rings(width: float, nest: float = NEST) -> NDArray[np.bool_]:
    """Return cells that touch nobody, each a ring as wide as `width`, within `nest` pixels."""
    position = np.arange(SIDE) + 0.5 - SIDE / 2
    cell = np.round(position / PITCH) * PITCH
    inside = np.hypot(cell[:, None], cell[None, :]) <= nest
    distance = np.hypot((position - cell)[:, None], (position - cell)[None, :])
    return inside & (distance <= RADIUS) & (distance > RADIUS - width)


def curves(nest: float = NEST) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Return chance, and the ideal of each grid, at every width."""
    masks = np.stack([rings(width, nest) for width in WIDTHS])
    ideals = {side: alignment(pool_mask(masks, (side, side)).mask, masks).map for side in GRIDS}
    return masks.mean(axis=(1, 2)), ideals


def draw() -> "Figure":
    """Return the figure."""
    from matplotlib.figure import Figure

    chance, ideals = curves()
    figure = Figure(figsize=(8.6, 4.0), layout="constrained")
    field, plot = figure.subplots(1, 2, width_ratios=(1, 1.45))
    field.imshow(rings(4), cmap="gray_r", interpolation="nearest")
    lines = np.arange(0, SIDE + 1, SIDE // 7) - 0.5
    field.set_xticks(lines, [])
    field.set_yticks(lines, [])
    field.grid(color=GRIDS[7][0], linewidth=0.8)
    field.tick_params(length=0)
    field.set_title("Rings 4 px wide and the pixels of a 7×7 CAM", fontsize=10)
    for side, (colour, marker) in reversed(GRIDS.items()):
        label = f"ideal, {side}×{side} CAM"
        plot.plot(WIDTHS, ideals[side], color=colour, marker=marker, markersize=5, label=label)
    plot.plot(WIDTHS, chance, color="black", linestyle="--", label="chance")
    plot.set(xlabel="Width of the ring (px of 224)", ylabel="MAP")
    plot.set(xlim=(0, WIDTHS[-1] + 0.5), ylim=(0, 1.03), xticks=range(0, WIDTHS[-1] + 1, 3))
    plot.set_title("What the exact follower gets, and what a flat CAM gets", fontsize=10)
    plot.legend(frameon=False, loc="lower right", fontsize=9)
    plot.spines[["top", "right"]].set_visible(False)
    return figure


def table(nest: float) -> str:
    """Return the numbers behind the curves."""
    chance, ideals = curves(nest)
    lines = ["width  chance  " + "".join(f"{f'{side}x{side}':>7}" for side in GRIDS)]
    for i, width in enumerate(WIDTHS):
        values = "".join(f"{ideals[side][i]:7.3f}" for side in GRIDS)
        lines.append(f"{width:5} {chance[i]:7.3f}  {values}")
    return "\n".join(lines)


if __name__ == "__main__":
    draw().savefig(OUTPUT, dpi=110)
    print(f"cells within {NEST} px of the middle\n{table(NEST)}")
    print(f"cells all over the field\n{table(np.inf)}")
