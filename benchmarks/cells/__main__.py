"""Measure cells and the rule: time, exact truth, real images."""

import argparse

from threadpoolctl import threadpool_limits

from benchmarks.cells.pixel_size import pixel_sizes
from benchmarks.cells.real import cells_of_real_images
from benchmarks.cells.speed import speed_of_cells
from benchmarks.cells.synthetic import SEEDS, cells_of_synthetic_fields
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.masks.cases import Case, real_cases

_PACKAGES = ("scikit-image", "pillow")
_THREADS = 1


def measure(real: list[Case]) -> list[Row]:
    """Run every benchmark; that on real images only if there are any."""
    rows = [*speed_of_cells(), *cells_of_synthetic_fields(), *pixel_sizes(real)]
    return [*rows, *cells_of_real_images(real)] if real else rows


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.cells", description=__doc__).parse_args()
    real = real_cases()
    inputs = {case.name: case.rgb for case in real}
    with threadpool_limits(_THREADS):
        publish(measure(real), "cells", _PACKAGES, inputs, seeds=list(SEEDS), threads=_THREADS)


if __name__ == "__main__":
    main()
