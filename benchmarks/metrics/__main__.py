"""Measure everything, print one table and write benchmarks/results/metrics.json."""

from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks.harness.machine import machine
from benchmarks.harness.rows import Row
from benchmarks.harness.tables import table
from benchmarks.metrics.alignment import coarse_cams, equal_shapes, pooled, single_pairs
from benchmarks.metrics.consistency import consistency
from benchmarks.metrics.importing import imports
from benchmarks.metrics.inputs import SEED, cams, masks
from benchmarks.metrics.quantus import against_quantus
from membrane_xai.tables import provenance, write_json

_RESULTS = Path(__file__).parents[1] / "results" / "metrics.json"
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
    # The reads use one thread; more for NumPy's BLAS would also wait for cores that others hold.
    with threadpool_limits(_THREADS):
        rows = measure()
        measured_on = machine()
    Console(width=130).print(table(rows))
    record = provenance({"seed": SEED, "blas_threads": _THREADS}, packages=_PACKAGES)
    write_json(_RESULTS, [row.record() for row in rows], record | {"machine": measured_on})


if __name__ == "__main__":
    main()
