"""Draw our membrane mask beside a plain threshold's and Otsu's on synthetic HER2 fields.

Run ``python docs/figures/masks.py``; it writes ``docs/_static/masks.png``.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from membrane_xai import extract_membrane_mask
from membrane_xai.datasets import SyntheticHER2, synthetic_her2
from membrane_xai.her2_rule import GRADES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 1
SIDE, MPP = 512, 0.5
SHOWN = slice(96, 352)
"""Rows and columns in view: 128 micrometres."""
COLOUR = "#0072B2"  # blue of Okabe and Ito: neither stain's
BAR = 20  # micrometres
OUTPUT = Path(__file__).parents[1] / "_static" / "masks.png"


def masks(field: SyntheticHER2) -> dict[str, NDArray[np.bool_]]:
    """Return the three masks by name."""
    found = extract_membrane_mask(field.rgb, mpp=field.mpp)
    dab = rgb2hed(field.rgb)[..., 2]
    return {
        "extract_membrane_mask": found.mask,
        "DAB density from 0.2": found.dab >= 0.2,
        "Otsu, rgb2hed": dab >= threshold_otsu(dab),
    }


def draw() -> "Figure":
    """Return the figure: a column a score, a row a mask."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 7.5), layout="constrained")
    axes = figure.subplots(3, len(GRADES))
    for score, column in zip(GRADES, axes.T, strict=True):
        field = synthetic_her2(score, size=SIDE, mpp=MPP, seed=SEED)
        found = masks(field)
        for row, (ax, (name, mask)) in enumerate(zip(column, found.items(), strict=True)):
            show(ax, field.rgb, mask, outlined=row == 0)
            ax.set_xlabel(f"{mask.mean():.1%} of the field", fontsize=9)
            if score == GRADES[0]:
                ax.set_ylabel(name, fontsize=10)
        column[0].set_title(f"HER2 {score}: {field.membrane.mean():.1%} is membrane", fontsize=10)
    scale_bar(axes[0, 0])
    return figure


def show(ax: Any, rgb: NDArray[np.uint8], mask: NDArray[np.bool_], *, outlined: bool) -> None:
    """Show the middle of an image with a mask outlined, or a mask alone."""
    part = mask[SHOWN, SHOWN]
    ax.set_xticks([])
    ax.set_yticks([])
    if not outlined:
        ax.imshow(part, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        return
    ax.imshow(rgb[SHOWN, SHOWN], interpolation="nearest")
    if part.any():
        ax.contour(part, levels=[0.5], colors=COLOUR, linewidths=0.7)


def scale_bar(ax: Any) -> None:
    """Draw a bar into the lower left corner."""
    side = SHOWN.stop - SHOWN.start
    x, y = 0.05 * side, 0.94 * side
    ax.plot([x, x + BAR / MPP], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    ax.text(x, y - 0.02 * side, f"{BAR} µm", va="bottom", fontsize=9)


if __name__ == "__main__":
    picture = io.BytesIO()
    draw().savefig(picture, dpi=110)
    with Image.open(picture) as opened:
        opened.convert("RGB").quantize(96).save(OUTPUT, optimize=True)
    print(f"wrote {OUTPUT.stat().st_size / 1e3:.0f} kB")
