"""Draw how often intervals contain the truth, and how strong a sign of the membrane a test finds.

Run ``python -m benchmarks.statistics`` first, then ``python docs/figures/coverage.py``; it
reads ``benchmarks/results/statistics.json`` and writes ``docs/_static/coverage.png``.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "statistics.json"
OUTPUT = ROOT / "docs" / "_static" / "coverage.png"
PATIENTS = (20, 30, 50, 100)
EFFECTS = ("Gaussian", "exponential")
METHODS = {
    "bca": ("bca, the default", "#0072B2", "o"),
    "studentized": ("studentized", "#009E73", "s"),
    "bca, small_sample=False": ("bca, small_sample=False", "#E69F00", "^"),
    "patches taken for independent": ("patches taken for independent", "#D55E00", "x"),
}
"""Name in the results -> label, colour and marker; colours of Okabe and Ito."""
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
SIDES = {7: ("#D55E00", "o"), 14: ("#0072B2", "s")}


def measured() -> dict[str, float]:
    """Return quantity -> median."""
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["rows"]
    return {row["quantity"]: row["median"] for row in rows}


def draw() -> "Figure":
    """Return the figure."""
    from matplotlib.figure import Figure

    values = measured()
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    plots = figure.subplots(1, 3)
    for plot, effect in zip(plots, EFFECTS, strict=False):
        _draw_coverage(plot, values, effect)
    plots[0].legend(frameon=False, fontsize=8, loc=(0.03, 0.32))
    _draw_power(plots[2], values)
    for plot in plots:
        plot.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_coverage(plot: "Axes", values: dict[str, float], effect: str) -> None:
    plot.axhspan(93, 97, color="0.9", linewidth=0)
    for name, (label, colour, marker) in METHODS.items():
        shares = [values[f"coverage, {name}, {n} patients, {effect} effects"] for n in PATIENTS]
        plot.plot(PATIENTS, shares, color=colour, marker=marker, markersize=5, label=label)
    plot.set(xscale="log", xlabel="Patients", ylabel="Intervals that contain the truth (%)")
    plot.set_xticks(PATIENTS, [str(n) for n in PATIENTS])
    plot.minorticks_off()
    plot.set(ylim=(30, 101))
    plot.set_title(f"95 % intervals, {effect} patients", fontsize=10)


def _draw_power(plot: "Axes", values: dict[str, float]) -> None:
    plot.axhline(5, color="black", linestyle="--", linewidth=0.8)
    for side, (colour, marker) in SIDES.items():
        shares = [values[f"power of shift_null, {side}x{side}, strength {s}"] for s in STRENGTHS]
        label = f"{side}×{side} CAM"
        plot.plot(STRENGTHS, shares, color=colour, marker=marker, markersize=5, label=label)
    plot.set(xlabel="Membrane in the CAM (SD of its noise)", ylabel="CAMs with p ≤ 0.05 (%)")
    plot.set(ylim=(0, 101))
    plot.set_title("What shift_null finds in one CAM", fontsize=10)
    plot.legend(frameon=False, fontsize=8, loc=(0.55, 0.25))


if __name__ == "__main__":
    draw().savefig(OUTPUT, dpi=110)
