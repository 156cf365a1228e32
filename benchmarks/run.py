"""Measure everything, print one table and write benchmarks/results/metrics.json."""

from pathlib import Path

from importing import imports
from inputs import SEED, cams, masks
from machine import machine
from metrics import coarse_cams, equal_shapes, pooled, single_pairs
from peer import against_quantus
from rich.console import Console
from rich.table import Table
from rows import Row
from scaling import consistency
from threadpoolctl import threadpool_limits

from membrane_xai.report import provenance, write_json

_RESULTS = Path(__file__).parent / "results" / "metrics.json"
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


def table(rows: list[Row]) -> Table:
    """Lay rows out: spread over the rounds, goal and verdict."""
    laid = Table("quantity", "unit", box=None)
    for column in ("min", "median", "max"):
        laid.add_column(column, justify="right")
    laid.add_column("goal")
    laid.add_column("verdict")
    for row in rows:
        laid.add_row(*row.cells())
    return laid


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
