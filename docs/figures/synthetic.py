"""Contact sheet of synthetic HER2 fields, beside real ones where MEMBRANE_XAI_DATA names some.

Usage: ``python docs/figures/synthetic.py SHEET.png [SEED]``. Prints percentiles of the optical
densities of every image shown. Real images are compared at their own pixel size and are not part of
this project: a sheet with them is for looking only.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.io import imread
from skimage.transform import resize

from membrane_xai import datasets, figures, stain
from membrane_xai.her2_rule import GRADES

FIELD = 150  # micrometres shown of each image
SYNTHETIC_MPP = (0.25, 0.75)
REAL = (
    ("annotated/crop_1+_25.png", 0.75),
    ("annotated/crop_2+_9.png", 0.75),
    ("annotated/crop_3+_15.png", 0.75),
    ("her2_ihc_40x/class_0.png", 0.8),
    ("her2_ihc_40x/class_2+.png", 0.8),
    ("her2_ihc_40x/class_3+.png", 0.8),
    ("tma_cores/core_1_154a.jpg", 0.25),
    ("tma_cores/core_2_0123.jpg", 0.25),
    ("tma_cores/core_3_a1f1.jpg", 0.25),
)


class Panel(NamedTuple):
    """An image with the membrane that is known of it."""

    title: str
    rgb: NDArray[np.uint8]
    mpp: float
    membrane: NDArray[np.bool_] | None


def main(target: str, seed: str = "0") -> None:
    """Write the sheet and print the densities."""
    panels = [*synthetic_panels(int(seed)), *real_panels()]
    print(f"{'':28s}{'':9s}{'hematoxylin':^23s}{'DAB':^23s}")
    print(f"{'':28s}{'':9s}" + f"{'50 %':>7s}{'95 %':>7s}{'99 %':>7s}  " * 2)
    for panel in panels:
        for part, where in parts(panel):
            print_densities(panel, part, where)
    figures.write_png(sheet(panels), target)


def synthetic_panels(seed: int) -> Iterator[Panel]:
    """Draw one field per score and pixel size."""
    for mpp in SYNTHETIC_MPP:
        for score in GRADES:
            side = max(128, round(2 * FIELD / mpp))
            field = datasets.synthetic_her2(score, size=side, mpp=mpp, seed=seed)
            yield Panel(f"synthetic {score}, {mpp} µm/px", field.rgb, mpp, field.membrane)
            seed += 1


def real_panels() -> Iterator[Panel]:
    """Read the real images, with the expert's membrane where there is one."""
    folder = os.environ.get("MEMBRANE_XAI_DATA")
    for name, mpp in REAL if folder else ():
        path = Path(str(folder)) / name
        rgb = imread(path)[2:-2, 2:-2, :3]
        drawn = path.with_name(f"{path.stem}_mask.png")
        membrane = None
        if drawn.exists():
            shape = (rgb.shape[0] + 4, rgb.shape[1] + 4)
            membrane = resize(imread(drawn, as_gray=True) > 0, shape, order=0)[2:-2, 2:-2]
        yield Panel(f"{path.stem}, {mpp} µm/px", rgb, mpp, membrane)


def parts(panel: Panel) -> Iterator[tuple[str, Any]]:
    """Name the pixels that are compared."""
    yield "all", slice(None)
    if panel.membrane is not None and panel.membrane.any():
        yield "membrane", panel.membrane
        yield "other", ~panel.membrane


def print_densities(panel: Panel, part: str, where: Any) -> None:
    """Print percentiles of DAB and hematoxylin."""
    densities = stain.separate_stains(panel.rgb)
    numbers = [np.percentile(each[where], (50, 95, 99)) for each in densities[:2]]
    columns = "  ".join("".join(f"{value:7.2f}" for value in row) for row in numbers)
    print(f"{panel.title:28s}{part:9s}{columns}")


def sheet(panels: list[Panel]) -> Figure:
    """Show the middle of each image at one scale."""
    columns = 4
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 4.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, panel in zip(axes.flat, panels, strict=False):
        half = round(FIELD / panel.mpp / 2)
        middle = [slice(max(n // 2 - half, 0), n // 2 + half) for n in panel.rgb.shape[:2]]
        ax.imshow(panel.rgb[tuple(middle)], interpolation="bicubic")
        ax.set_title(panel.title)
    return figure


if __name__ == "__main__":
    main(*sys.argv[1:])
