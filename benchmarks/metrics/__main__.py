"""Measure MAP and EC: beside a plain read of the arrays, beside Quantus, by size; and imports."""

import argparse

from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.metrics.alignment import coarse_cams, equal_shapes, pooled, single_pairs
from benchmarks.metrics.consistency import consistency
from benchmarks.metrics.importing import imports
from benchmarks.metrics.inputs import SEED, cams, masks
from benchmarks.metrics.quantus import against_quantus

_PACKAGES = ("array-api-compat", "array-api-extra", "lazy-loader", "quantus")
_COUNT, _SIDE = 2000, 224
_THREADS = 1


def measure() -> list[Row]:
    """Run every benchmark."""
    cam, mask = cams(_COUNT, _SIDE), masks(_COUNT, _SIDE)
    return [
        *equal_shapes(cam, mask),
        *against_quantus(cam, mask),
        *pooled(mask),
        *coarse_cams(mask),
        *single_pairs(),
        *consistency(),
        *imports(),
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.metrics", description=__doc__).parse_args()
    # The reads use one thread; more for NumPy's BLAS would also wait for cores that others hold.
    with threadpool_limits(_THREADS):
        publish(measure(), "metrics", _PACKAGES, seed=SEED, blas_threads=_THREADS)


if __name__ == "__main__":
    main()
