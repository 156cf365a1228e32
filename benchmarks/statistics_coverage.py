"""Measure intervals and tests against known truth and write benchmarks/results/statistics.json."""

from pathlib import Path

import numpy as np
from machine import machine
from rich.console import Console
from rows import Row
from run import table
from statistics_intervals import REPEATS, coverage, coverage_of_pairs, false_positives
from statistics_nulls import COUNT, calibration, power, rings
from statistics_speed import speed
from threadpoolctl import threadpool_limits

from membrane_xai.report import provenance, write_json

_RESULTS = Path(__file__).parent / "results" / "statistics.json"
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
