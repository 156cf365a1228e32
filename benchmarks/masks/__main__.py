"""Measure membrane masks: time, memory, exact truth, invariance, real images."""

import argparse

from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.masks.cases import Case, open_cases, real_cases
from benchmarks.masks.invariance import invariance
from benchmarks.masks.real import on_real_images
from benchmarks.masks.speed import speed_and_memory
from benchmarks.masks.synthetic import SEEDS, on_synthetic_fields

_PACKAGES = ("scikit-image", "pillow", "tifffile")
_THREADS = 1


def measure(real: list[Case]) -> list[Row]:
    """Run every benchmark; those on real images only if there are any."""
    rows = [*speed_and_memory(), *on_synthetic_fields(), *invariance(open_cases(), "open images")]
    if real:
        stained = [case for case in real if case.score]
        rows += [*on_real_images(real), *invariance(stained, "real images")]
    return rows


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.masks", description=__doc__).parse_args()
    real = real_cases()
    inputs = {case.name: case.rgb for case in real}
    with threadpool_limits(_THREADS):
        publish(measure(real), "masks", _PACKAGES, inputs, seeds=list(SEEDS), threads=_THREADS)


if __name__ == "__main__":
    main()
