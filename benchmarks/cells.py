"""Measure cells and the rule, print one table and write benchmarks/results/cells.json."""

from pathlib import Path

from cells_real import cells_of_real_images
from cells_speed import speed_of_cells
from cells_synthetic import SEEDS, cells_of_synthetic_fields
from machine import machine
from mask_cases import real_cases
from masks import missed
from rich.console import Console
from run import table
from threadpoolctl import threadpool_limits

from membrane_xai.report import provenance, write_json

_RESULTS = Path(__file__).parent / "results" / "cells.json"
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
