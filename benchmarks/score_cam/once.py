"""One call in a process of its own: its time, its peak of memory and its map.

python -m benchmarks.score_cam.once NETWORK CHANNELS SIDE CALL OUT
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.memory import peak, start_of_peak
from benchmarks.harness.processes import run_apart
from benchmarks.score_cam.networks import Maps, calls, subject


@dataclass(frozen=True)
class Once:
    """Seconds, bytes beyond those held before, load averages before, and the map."""

    seconds: float
    extra_bytes: int
    load: list[float]
    maps: Maps


def once(network: str, channels: int, side: int, call: str) -> Once:
    """Run a call in a new process, so that its peak is its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "maps.npy"
        found = run_apart("benchmarks.score_cam.once", network, channels, side, call, out)
        return Once(**found, maps=np.load(out))


def _main(network: str, channels: str, side: str, call: str, out: str) -> None:
    explain = calls(subject(network, int(channels), int(side)))[call]
    load = os.getloadavg()
    held = start_of_peak()
    start = time.perf_counter()
    maps = explain()
    seconds = time.perf_counter() - start
    extra = peak() - held
    np.save(out, maps)
    print(json.dumps({"seconds": seconds, "extra_bytes": extra, "load": load}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
