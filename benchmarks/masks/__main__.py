"""Measure membrane masks, print one table and write benchmarks/results/masks.json."""

from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.harness.machine import machine
from benchmarks.harness.rows import Row
from benchmarks.harness.tables import table
from benchmarks.masks.cases import Case, open_cases, real_cases
from benchmarks.masks.invariance import invariance
from benchmarks.masks.real import on_real_images
from benchmarks.masks.rows import Cases
from benchmarks.masks.speed import speed_and_memory
from benchmarks.masks.synthetic import SEEDS, on_synthetic_fields
from membrane_xai.tables import provenance, write_json

_RESULTS = Path(__file__).parents[1] / "results" / "masks.json"
_PACKAGES = ("scikit-image", "pillow", "tifffile")
_THREADS = 1


def measure(real: list[Case]) -> list[Row]:
    """Run every benchmark; those on real images only if there are any."""
    rows = [*speed_and_memory(), *on_synthetic_fields(), *invariance(open_cases(), "open images")]
    if real:
        stained = [case for case in real if case.score]
        rows += [*on_real_images(real), *invariance(stained, "real images")]
    return rows


def missed(rows: list[Row]) -> list[str]:
    """Name the images on which a goal is missed."""
    return [
        f"{row.quantity.strip()} {row.goal.sign} {row.goal.bound:g}: {', '.join(row.failures())}"
        for row in rows
        if isinstance(row, Cases) and row.goal and row.failures()
    ]


def main() -> None:
    """Measure, print and write."""
    real = real_cases()
    with threadpool_limits(_THREADS):
        rows = measure(real)
        measured_on = machine()
    console = Console(width=140)
    console.print(table(rows))
    if not real:
        console.print("MEMBRANE_XAI_DATA is not set: nothing was measured on real images")
    for line in missed(rows):
        console.print(f"not reached: {line}", highlight=False, soft_wrap=True)
    record = provenance(
        {"seeds": list(SEEDS), "threads": _THREADS},
        packages=_PACKAGES,
        inputs={case.name: case.rgb for case in real},
    )
    records = [{"cases": [], **row.record()} for row in rows]
    write_json(_RESULTS, records, record | {"machine": measured_on})


if __name__ == "__main__":
    main()
