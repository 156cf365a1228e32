"""Measure intervals and tests against known truth and write benchmarks/results/statistics.json."""

from pathlib import Path

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.harness.machine import machine
from benchmarks.harness.rows import Row
from benchmarks.harness.tables import table
from benchmarks.statistics.intervals import REPEATS, coverage, coverage_of_pairs, false_positives
from benchmarks.statistics.nulls import COUNT, calibration, power, rings
from benchmarks.statistics.speed import speed
from membrane_xai.tables import provenance, write_json

_RESULTS = Path(__file__).parents[1] / "results" / "statistics.json"
_THREADS = 1


def measure() -> list[Row]:
    """Run every benchmark."""
    rng = np.random.default_rng(0)
    masks = np.stack([rings(rng) for _ in range(COUNT)])
    return [
        *speed(),
        *coverage(),
        *coverage_of_pairs(),
        *false_positives(),
        *calibration(masks),
        *power(masks),
    ]


def main() -> None:
    """Measure, print and write."""
    with threadpool_limits(_THREADS):
        rows = measure()
        measured_on = machine()
    Console(width=140).print(table(rows))
    record = provenance({"repeats": REPEATS, "cams": COUNT, "blas_threads": _THREADS})
    write_json(_RESULTS, [row.record() for row in rows], record | {"machine": measured_on})


if __name__ == "__main__":
    main()
