"""Draw how often intervals contain the truth, and how strong a sign of the membrane a test finds.

Run ``python -m benchmarks.statistics`` first, then ``python docs/figures/coverage.py``; it reads
``benchmarks/results/statistics.json`` and ``statistics_single_cams.json`` and writes
``docs/_static/coverage.png``.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
OUTPUT = ROOT / "docs" / "_static" / "coverage.png"
PATIENTS = (5, 7, 10, 20, 40)
COMPARED_AT = (5, 10, 40)
SIZES = {"equal": "ten patches each", "log-normal": "1 to 400 patches"}
LAWS = {
    "Gaussian": ("Gaussian", "#0072B2"),
    "exponential": ("exponential", "#E69F00"),
    "Beta, mean 0.03": ("Beta, mean 0.03", "#009E73"),
}
METHODS = {"jackknife": ("o", "-"), "bca": ("x", ":")}
"""Law or method in the results -> label and colour of Okabe and Ito, or marker and line."""
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
SIDES = {7: ("#D55E00", "o"), 14: ("#0072B2", "s")}


def measured() -> dict[str, float]:
    """Return quantity -> median."""
    names = ("statistics", "statistics_single_cams")
    rows: list[dict[str, Any]] = [
        row for name in names for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    ]
    return {row["quantity"]: row["median"] for row in rows}


def draw() -> "Figure":
    """Return the figure."""
    from matplotlib.figure import Figure

    values = measured()
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    plots = figure.subplots(1, 3)
    for plot, sizes in zip(plots, SIZES, strict=False):
        _draw_coverage(plot, values, sizes)
    plots[0].legend(frameon=False, fontsize=8, loc="lower right")
    _draw_power(plots[2], values)
    for plot in plots:
        plot.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_coverage(plot: "Axes", values: dict[str, float], sizes: str) -> None:
    plot.axhspan(93, 97, color="0.9", linewidth=0)
    for law, (label, colour) in LAWS.items():
        for method, (marker, line) in METHODS.items():
            at = PATIENTS if method == "jackknife" else COMPARED_AT
            shares = [values[f"coverage, {method}, {n} patients, {law}, {sizes}"] for n in at]
            style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5}
            plot.plot(at, shares, label=f"{label}{', bca' * (method == 'bca')}", **style)
    plot.set(xscale="log", xlabel="Patients", ylabel="Intervals that contain the truth (%)")
    plot.set_xticks(PATIENTS, [str(n) for n in PATIENTS])
    plot.minorticks_off()
    plot.set(ylim=(60, 101))
    plot.set_title(f"95 % intervals, {SIZES[sizes]}", fontsize=10)


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
