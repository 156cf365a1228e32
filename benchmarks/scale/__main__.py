"""MAP and EC of a million CAMs, of stores larger than memory, and how cost grows.

Each part runs in a process of its own,
so that its peak of memory is its own. The store lies in a temporary folder and is removed; it needs
about 12 GB of disk.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.harness.processes import run_apart
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_STORED, _SIDE, _CHUNK = 100_000, 224, 250
_MEGABYTE = 1e6


def part(*words: object) -> dict[str, float]:
    """Run a part in a new process and return what it measured."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found: dict[str, float] = run_apart("benchmarks.scale.parts", *words, **one_thread)
    Console(stderr=True).print(*words, found, highlight=False)
    return found


def in_memory() -> list[Row]:
    """Score CAMs of 14x14 with pooled masks, from a thousand to a million."""
    found = {n: part("stream", n) for n in _SIZES}
    most = found[_SIZES[-1]]
    logs = np.log([[n, found[n]["seconds"]] for n in _SIZES[1:]]).T
    slope = float(np.polyfit(*logs, 1)[0])
    head = "1,000,000 CAMs of 14x14, pooled masks, MAP with intervals and EC by class"
    return [
        Row(f"{head}: time", "s", [most["seconds"]], Goal("<=", 60)),
        Row(f"{head}: peak memory", "MB", [most["peak"] / _MEGABYTE], Goal("<=", 2000)),
        *(Row(f"  {n:,} CAMs: time", "s", [found[n]["seconds"]]) for n in _SIZES[:-1]),
        Row("  slope of log time over log n, from 10,000", "", [slope], Goal("<=", 1.1)),
    ]


def from_disk(folder: Path) -> list[Row]:
    """Score CAMs and masks of 224x224 from Zarr, beside the plain read of the same store."""
    part("write", folder, _STORED, _SIDE, _CHUNK)
    plain = part("read", folder)
    scored = part("score", folder)
    again = part("read", folder)
    reads = [plain["seconds"], again["seconds"]]
    head = f"{_STORED:,} CAMs and masks of {_SIDE}x{_SIDE} from Zarr"
    per_cam = [1e6 * scored["seconds"] / _STORED]
    return [
        Row(f"{head}: size on disk", "MB", [plain["bytes"] / _MEGABYTE]),
        Row(f"{head}: time a CAM", "us", per_cam),
        Row("  plain read of the same store, a CAM", "us", [1e6 * s / _STORED for s in reads]),
        Row("  scored / read", "x", [scored["seconds"] / s for s in reads]),
        Row(f"{head}: peak memory", "MB", [scored["peak"] / _MEGABYTE], Goal("<=", 2000)),
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__).parse_args()
    rows = in_memory()
    with tempfile.TemporaryDirectory() as folder:
        rows += from_disk(Path(folder))
    publish(rows, "scale", ("xarray", "zarr", "dask"), chunk=_CHUNK)


if __name__ == "__main__":
    main()
