"""Parts of the benchmark of scale: python -m benchmarks.scale.parts PART [ARGUMENT ...].

Each runs in a process of its own and prints its seconds and its peak of memory as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.harness.memory import peak, start_of_peak
from membrane_xai import EcAccumulator, MapAccumulator
from membrane_xai.labelled import evaluate_store

_GRID, _BATCH = 14, 10_000
_PATIENTS, _CLASSES = 500, 4
_STORE = "cams.zarr"


def stream(n: str) -> None:
    """Score n CAMs against pooled masks in batches: MAP by patient, EC by class.

    Batches are views of one block, shifted, so that making data takes no time.
    """
    rng = np.random.default_rng(0)
    block = rng.random((2 * _BATCH, _GRID, _GRID), dtype=np.float32)
    masks = rng.random((_BATCH, _GRID, _GRID)) ** 2
    patients, classes = rng.integers(0, _PATIENTS, _BATCH), rng.integers(0, _CLASSES, _BATCH)
    count = int(n)
    start = time.perf_counter()
    maps, sums = MapAccumulator(), EcAccumulator()
    for done in range(0, count, _BATCH):
        size = min(_BATCH, count - done)
        first = done // _BATCH * 97 % _BATCH
        cams = block[first : first + size]
        maps.update(cams, masks[:size], groups=patients[:size])
        sums.update(cams, groups=classes[:size])
    maps.summarize("map")
    maps.summarize("relative")
    sums.compute_groups()
    say(seconds=time.perf_counter() - start)


def write(folder: str, n: str, side: str, chunk: str) -> None:
    """Write a store: smooth float16 CAMs, masks of a tenth of the pixels, labels."""
    rng = np.random.default_rng(0)
    count, size, step = int(n), int(side), int(chunk)
    path = Path(folder) / _STORE
    dims = ("sample", "row", "column")
    masks = rng.random((step, size, size)) < 0.1
    start = time.perf_counter()
    for done in range(0, count, step):
        coarse = rng.random((step, 14, 14), dtype=np.float32)
        cams = np.kron(coarse, np.ones((1, size // 14, size // 14), np.float32)).astype(np.float16)
        data = xr.Dataset(
            {"cam": (dims, cams), "mask": (dims, np.roll(masks, done, axis=-1))},
            {
                "group": ("sample", rng.integers(0, _PATIENTS, step)),
                "class": ("sample", rng.integers(0, _CLASSES, step)),
            },
        )
        if done:
            data.to_zarr(path, append_dim="sample", zarr_format=2)
        else:
            chunks = {name: {"chunks": (step, size, size)} for name in ("cam", "mask")}
            data.to_zarr(path, encoding=chunks, zarr_format=2)
    say(seconds=time.perf_counter() - start)


def read(folder: str) -> None:
    """Read and decode the store, chunk by chunk, and sum it up."""
    path = Path(folder) / _STORE
    start = time.perf_counter()
    with xr.open_dataset(path, engine="zarr", chunks=None, cache=False) as data:
        step = data["cam"].encoding["chunks"][0]
        for done in range(0, data.sizes["sample"], step):
            for name in ("cam", "mask"):
                data[name][done : done + step].values.sum(dtype=np.float32)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    say(seconds=seconds, bytes=size)


def score(folder: str) -> None:
    """Score the store."""
    start = time.perf_counter()
    result = evaluate_store(Path(folder) / _STORE, out=Path(folder) / "scored")
    result.summary()
    say(seconds=time.perf_counter() - start, missing=result.missing)


def say(**measured: float) -> None:
    """Print what was measured."""
    print(json.dumps({**measured, "peak": peak()}))


PARTS: dict[str, Callable[..., Any]] = {
    "stream": stream,
    "write": write,
    "read": read,
    "score": score,
}

if __name__ == "__main__":
    start_of_peak()
    PARTS[sys.argv[1]](*sys.argv[2:])
