"""Measure cells and the rule, print one table and write benchmarks/results/cells.json."""

from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.cells.real import cells_of_real_images
from benchmarks.cells.speed import speed_of_cells
from benchmarks.cells.synthetic import SEEDS, cells_of_synthetic_fields
from benchmarks.harness.machine import machine
from benchmarks.harness.tables import table
from benchmarks.masks.__main__ import missed
from benchmarks.masks.cases import real_cases
from membrane_xai.tables import provenance, write_json

_RESULTS = Path(__file__).parents[1] / "results" / "cells.json"
_PACKAGES = ("scikit-image", "pillow")
_THREADS = 1


def main() -> None:
    """Measure, print and write."""
    real = [case for case in real_cases() if case.score]
    with threadpool_limits(_THREADS):
        rows = [*speed_of_cells(), *cells_of_synthetic_fields()]
        if real:
            rows += cells_of_real_images(real)
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
