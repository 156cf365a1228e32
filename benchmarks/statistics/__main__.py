"""Measure intervals and tests against known truth, and their time."""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.statistics.intervals import REPEATS, coverage, coverage_of_pairs, false_positives
from benchmarks.statistics.nulls import COUNT, calibration, power, rings
from benchmarks.statistics.patients import permutations, pilots
from benchmarks.statistics.speed import speed

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
        *permutations(),
        *pilots(),
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.statistics", description=__doc__).parse_args()
    with threadpool_limits(_THREADS):
        publish(measure(), "statistics", repeats=REPEATS, cams=COUNT, blas_threads=_THREADS)


if __name__ == "__main__":
    main()
