"""Draw what a CAM's grid can tell: a map of the membrane from one of the cells' insides or nuclei.

Run ``python docs/figures/specificity.py``; it writes ``docs/_static/specificity.png`` and prints
the tables of the page on specificity.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai import alignment, extract_membrane_mask, pool_mask
from membrane_xai.baselines import control_masks
from membrane_xai.datasets import SyntheticHER2, synthetic_her2

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Mask = NDArray[np.bool_]

SCORES = ("1+", "2+", "3+")
FIELDS = 8
"""Of each score."""
MPP = 0.5
FIELD_UM = 256
GRIDS = {
    7: "layer4 at 224 px",
    14: "layer3 at 224 px",
    28: "layer2 at 224 px",
    32: "layer4 at 1024 px",
    56: "layer1 at 224 px",
    64: "layer3 at 1024 px",
    128: "layer2 at 1024 px",
}
"""Cells along a field -> where a ResNet50 has them, shown the field whole."""
COLOURS = {"membrane": "#0072B2", "inside": "#D55E00", "nuclei": "#009E73"}
"""Of Okabe and Ito, apart under any colour vision."""
MARKERS = {"1+": "o", "2+": "s", "3+": "^"}
LIMIT = 0.8
OUTPUT = Path(__file__).parents[1] / "_static" / "specificity.png"


class Told(NamedTuple):
    """Means over the fields of a score on one grid."""

    alike: float
    """Correlation of the ideals."""
    told: float
    """Share of the fields whose status is "ok"."""
    difference: dict[str, float]
    """``toward_ideal - toward_control`` of a map that follows each mask, told or not."""


def fields(score: str) -> Iterator[SyntheticHER2]:
    """Draw fields of a score."""
    for i in range(FIELDS):
        yield synthetic_her2(score, size=round(FIELD_UM / MPP), mpp=MPP, seed=900 + i)


def truth(field: SyntheticHER2) -> dict[str, Mask]:
    """Return the membrane, and the masks that a map may follow instead."""
    stained = field.cells["id"][field.cells["intensity"] > 0]
    return {
        "membrane": field.membrane,
        "inside": np.isin(field.territories, stained) & ~field.membrane,
        "nuclei": (field.nuclei > 0) & ~field.membrane,
    }


def measure(score: str) -> dict[tuple[int, str], Told]:
    """Return what can be told on each grid against each control."""
    found: dict[tuple[int, str], list[Told]] = {}
    for field in fields(score):
        masks = truth(field)
        for side in GRIDS:
            maps = {name: pool_mask(mask, (side, side)).mask for name, mask in masks.items()}
            for control in ("inside", "nuclei"):
                results = {
                    name: alignment(cam, field.membrane, against=masks[control])
                    for name, cam in maps.items()
                }
                one = results["membrane"]
                differences = {
                    name: x.toward_ideal - x.toward_control for name, x in results.items()
                }
                told = float(one.specificity_status == "ok")
                found.setdefault((side, control), []).append(
                    Told(one.ideals_alike, told, differences)
                )
    return {place: _mean(many) for place, many in found.items()}


def _mean(many: list[Told]) -> Told:
    return Told(
        float(np.mean([one.alike for one in many])),
        float(np.mean([one.told for one in many])),
        {name: float(np.mean([one.difference[name] for one in many])) for name in COLOURS},
    )


def matches(score: str) -> dict[str, float]:
    """Return Dice coefficients of control masks made from the image and the truth."""
    found: dict[str, list[float]] = {"membrane": [], "inside": [], "nuclei": []}
    for field in fields(score):
        masks = truth(field)
        membrane = extract_membrane_mask(field.rgb, mpp=MPP).mask
        made = {"membrane": membrane, **control_masks(field.rgb, membrane, mpp=MPP)}
        given = control_masks(field.rgb, field.membrane, mpp=MPP, names=["inside"])["inside"]
        for name, mask in masks.items():
            found[name].append(_dice(made[name], mask))
        found.setdefault("inside, membrane known", []).append(_dice(given, masks["inside"]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _dice(one: Mask, other: Mask) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def draw(measured: dict[str, dict[tuple[int, str], Told]]) -> "Figure":
    """Return the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    um = [FIELD_UM / side for side in GRIDS]
    for score, found in measured.items():
        for control in ("inside", "nuclei"):
            alike = [found[side, control].alike for side in GRIDS]
            label = f"{control}, {score}"
            left.plot(um, alike, color=COLOURS[control], marker=MARKERS[score], label=label)
    left.axhline(LIMIT, color="black", linestyle="--", linewidth=0.9)
    left.text(um[-1], LIMIT + 0.02, "above: cannot tell", fontsize=8)
    left.set(ylabel="Correlation with the membrane on the grid", ylim=(-0.4, 1.03))
    left.legend(frameon=False, fontsize=8, loc="lower right")
    score = "2+"
    for name, colour in COLOURS.items():
        values = [measured[score][side, "inside"].difference[name] for side in GRIDS]
        right.plot(um, values, color=colour, marker=MARKERS[score], label=f"map of {name}")
    told = [measured[score][side, "inside"].told for side in GRIDS]
    for i, (x, share) in enumerate(zip(um, told, strict=True)):
        right.annotate(f"{share:.0%}", (x, -1.33 - 0.13 * (i % 2)), ha="center", fontsize=8)
    right.axhline(0, color="black", linewidth=0.9)
    right.set(ylabel="Specificity against insides, 2+", ylim=(-1.55, 1.05))
    right.set_title("Below: fields in which it can be told", fontsize=9, loc="right")
    right.legend(frameon=False, fontsize=8, loc="upper right")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(um, [f"{x:.0f}" for x in um])
        axes.minorticks_off()
        axes.set_xlabel("Side of a cell of the CAM (um)")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def table(measured: dict[str, dict[tuple[int, str], Told]], score: str) -> str:
    """Return the rows of a score as Markdown."""
    lines = []
    for side, name in GRIDS.items():
        inside, nuclei = (measured[score][side, control] for control in ("inside", "nuclei"))
        maps = " | ".join(f"{inside.difference[which]:.2f}" for which in COLOURS)
        lines.append(
            f"| {FIELD_UM / side:.0f} | {name} | {inside.alike:.2f} | {inside.told:.0%} | {maps} "
            f"| {nuclei.alike:.2f} | {nuclei.told:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    measured = {score: measure(score) for score in SCORES}
    draw(measured).savefig(OUTPUT, dpi=110)
    for score in SCORES:
        print(score)
        print(table(measured, score))
    for score in SCORES:
        print(score, {name: round(value, 2) for name, value in matches(score).items()})
