"""Measure intervals and tests over patients against known truth."""

import argparse

from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.statistics.intervals import REPEATS, coverage, coverage_of_pairs, false_positives
from benchmarks.statistics.patients import SETS, permutations, pilots

_THREADS = 1


def measure() -> list[Row]:
    """Run every benchmark."""
    return [
        *coverage(),
        *coverage_of_pairs(),
        *false_positives(),
        *permutations(),
        *pilots(),
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.statistics", description=__doc__).parse_args()
    with threadpool_limits(_THREADS):
        publish(measure(), "statistics", cohorts=REPEATS, sets=SETS, blas_threads=_THREADS)


if __name__ == "__main__":
    main()
