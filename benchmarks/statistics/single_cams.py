"""Measure tests of single CAMs against known truth, and the time of intervals and tests."""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.statistics.nulls import COUNT, calibration, power, rings
from benchmarks.statistics.speed import speed

_THREADS = 1


def measure() -> list[Row]:
    """Run every benchmark."""
    rng = np.random.default_rng(0)
    masks = np.stack([rings(rng) for _ in range(COUNT)])
    return [*speed(), *calibration(masks), *power(masks)]


def main() -> None:
    """Measure, print and write."""
    name = "python -m benchmarks.statistics.single_cams"
    argparse.ArgumentParser(name, description=__doc__).parse_args()
    with threadpool_limits(_THREADS):
        publish(measure(), "statistics_single_cams", cams=COUNT, blas_threads=_THREADS)


if __name__ == "__main__":
    main()
