"""Draw what it costs to take cells to lie elsewhere than they do, and where those of networks lie.

Run ``python docs/figures/registration.py``; it writes ``docs/_static/registration.png``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai import CamGrid, alignment, perturbation_consistency, pool_mask
from membrane_xai.datasets import synthetic_her2
from membrane_xai.perturb import horizontal_flip, vertical_flip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 224
"""Pixels of the network's input, and of the fields."""
CELLS = (7, 7)
FIELDS = 12
SHIFTS = np.linspace(-31 / 64, 31 / 64, 9)
"""Cells by which those of a network lie beside half-pixel centres, down and right."""
NETWORKS = (
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "densenet121",
    "convnext_tiny",
    "vgg11",
    "tf_efficientnet_lite0",
)
FLIPS = (horizontal_flip(), vertical_flip())
OUTPUT = Path(__file__).parents[1] / "_static" / "registration.png"


class Follower:
    """An explainer that shows what of the mask each of its cells sees: the best there is."""

    def __init__(self, grid: CamGrid) -> None:
        self.where = grid

    def __call__(self, rgb: NDArray[np.uint8]) -> Any:
        """Return the mask, which the images are, on the cells as they lie."""
        return pool_mask(rgb[..., 0] > 0, self.where).mask


class Cost(NamedTuple):
    """Means over fields: `toward_ideal`, and EC under flips."""

    toward_ideal: float
    ec: float


def shifted(shift: float) -> CamGrid:
    """Return the grid whose cells lie `shift` cells beside half-pixel centres."""
    spacing = SIDE / CELLS[0]
    return CamGrid(spacing, (spacing - 1) / 2 + shift * spacing, SIDE)


def fields() -> list[NDArray[np.bool_]]:
    """Return membrane of drawn fields, half of them 2+ and half 3+."""
    grades = ("2+", "3+")
    return [
        synthetic_her2(grades[i % 2], size=SIDE, mpp=1.0, seed=1200 + i).membrane
        for i in range(FIELDS)
    ]


def cost(masks: list[NDArray[np.bool_]], shift: float, *, registered: bool) -> Cost:
    """Score the follower whose cells lie `shift` beside half-pixel centres."""
    true = shifted(shift)
    taken = true if registered else None
    follower = Follower(true)
    images = [np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255 for mask in masks]
    toward = [
        alignment(follower(image), mask, grid=taken).toward_ideal
        for image, mask in zip(images, masks, strict=True)
    ]
    found = perturbation_consistency(
        lambda batch: [follower(one) for one in batch], images, FLIPS, grid=taken
    )
    return Cost(float(np.mean(toward)), found.mean)


def shifts() -> dict[str, float]:
    """Return where the cells of networks lie, by arithmetic; their weights do not matter."""
    import timm

    from membrane_xai.integrations.pytorch import receptive_field_grid

    found = {}
    for name in NETWORKS:
        network = timm.create_model(name)
        layer = network.get_submodule(network.feature_info[-1]["module"])
        found[name] = receptive_field_grid(network, layer, SIDE).shift[0]
    return found


def draw(places: dict[str, float]) -> "Figure":
    """Return the figure."""
    from matplotlib.figure import Figure

    masks = fields()
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    for plot, name, title in zip(
        figure.subplots(1, 2, sharex=True),
        Cost._fields,
        ("toward_ideal of a map that follows the mask", "EC of that map under flips"),
        strict=True,
    ):
        for registered, colour, label in (
            (False, "#D55E00", "taken to lie at half-pixel centres"),
            (True, "#0072B2", "registered"),
        ):
            values = [getattr(cost(masks, one, registered=registered), name) for one in SHIFTS]
            plot.plot(SHIFTS, values, color=colour, marker="o", markersize=4, label=label)
        for place in sorted(set(places.values())):
            plot.axvline(place, color="black", linestyle=":", linewidth=0.8)
        plot.set(ylim=(-0.05, 1.05), xlabel="Where the cells lie (cells from half-pixel centres)")
        plot.set_title(title, fontsize=10)
        plot.spines[["top", "right"]].set_visible(False)
    plot.legend(frameon=False, loc="lower center", fontsize=9)
    return figure


def table(places: dict[str, float]) -> str:
    """Return the numbers by network."""
    masks = fields()
    lines = ["network                 shift   toward_ideal  EC    registered: toward_ideal  EC"]
    for name, place in places.items():
        half, own = (cost(masks, place, registered=registered) for registered in (False, True))
        lines.append(
            f"{name:<22} {place:+z6.3f}  {half.toward_ideal:6.2f} {half.ec:12.2f}"
            f" {own.toward_ideal:12.2f} {own.ec:16.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    found = shifts()
    print(table(found))
    draw(found).savefig(OUTPUT, dpi=110)
