"""Measure Score-CAM against its libraries.

By default some channels in turns, and approximations: benchmarks/results/score_cam.json. With
``--full`` all channels, each library once: benchmarks/results/score_cam_full.json.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from benchmarks.harness.machine import machine
from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.tables import table
from benchmarks.harness.timing import Seconds, in_turns, rates, ratios
from benchmarks.score_cam.approximations import approximations
from benchmarks.score_cam.networks import SEED, calls, subject
from benchmarks.score_cam.once import Once, once
from membrane_xai.tables import provenance, write_json

_RESULTS = Path(__file__).parents[1] / "results"
_PACKAGES = ("torch", "timm", "grad-cam", "torchcam")
_ALL = 2048
"""Channels of ResNet50's layer4."""
_PART = 96
_SIDE, _LARGE = 224, 1024
_MATRIX = 2048
_MEGABYTE = 1e6
_ONCE = ("pytorch-grad-cam", "torchcam", "fp32", "fp32, variant torchcam", "bf16")


@dataclass
class Stopwatch:
    """Times a call: on the clock, and by the processor time of this process.

    On a machine shared with others the clock tells more about them; the processor time counts
    only what was worked, and what the threads of this process waited for each other in a loop.
    """

    call: Callable[[], object]
    processor: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return seconds on the clock."""
        self.load.append(os.getloadavg()[0])
        start, worked = time.perf_counter(), time.process_time()
        self.call()
        self.processor.append(time.process_time() - worked)
        return time.perf_counter() - start


def in_full() -> list[Row]:
    """Run every library once on all channels of ResNet50, each in a process of its own."""
    done = {}
    for name in _ONCE:
        done[name] = once("resnet50", _ALL, _SIDE, name)
        Console(stderr=True).print(
            name, done[name].seconds, done[name].extra_bytes, highlight=False
        )
    head = f"ResNet50, {_ALL} channels, {_SIDE} px"
    return [
        *(Row(f"{head}: {name}", "s", [one.seconds]) for name, one in done.items()),
        *(Row(f"{head}: load before {name}", "", [one.load[0]]) for name, one in done.items()),
        *_speed(head, {name: [one.seconds] for name, one in done.items()}),
        *_agreement(head, done),
        *_memory(head, done),
    ]


def _speed(head: str, seconds: Seconds) -> list[Row]:
    theirs, other = seconds["pytorch-grad-cam"], seconds["torchcam"]
    return [
        Row(
            f"{head}: pytorch-grad-cam / fp32", "x", ratios(theirs, seconds["fp32"]), Goal(">=", 3)
        ),
        Row(
            f"{head}: pytorch-grad-cam / bf16", "x", ratios(theirs, seconds["bf16"]), Goal(">=", 5)
        ),
        Row(
            f"{head}: torchcam / fp32, variant torchcam",
            "x",
            ratios(other, seconds["fp32, variant torchcam"]),
            Goal(">=", 3),
        ),
    ]


def _agreement(head: str, done: dict[str, Once]) -> list[Row]:
    def largest(one: str, other: str) -> list[float]:
        return [float(np.abs(done[one].maps - done[other].maps).max())]

    pairs = [(done[name].maps.ravel() for name in ("pytorch-grad-cam", "bf16"))]
    pearson = [float(np.corrcoef(*pair)[0, 1]) for pair in pairs]
    return [
        Row(
            f"{head}: largest difference, fp32 to pytorch-grad-cam, maps in [0, 1]",
            "",
            largest("fp32", "pytorch-grad-cam"),
            Goal("<=", 1e-4),
        ),
        Row(
            f"{head}: largest difference, variant torchcam to torchcam",
            "",
            largest("fp32, variant torchcam", "torchcam"),
            Goal("<=", 1e-4),
        ),
        Row(f"{head}: Pearson, bf16 to pytorch-grad-cam", "", pearson, Goal(">=", 0.999)),
    ]


def _memory(head: str, done: dict[str, Once]) -> list[Row]:
    extra = {name: [one.extra_bytes / _MEGABYTE] for name, one in done.items()}
    theirs = extra["pytorch-grad-cam"]
    share = [*ratios(extra["fp32"], theirs)], [*ratios(extra["bf16"], theirs)]
    large = once("resnet50", 32, _LARGE, "fp32, auto batch")
    return [
        *(Row(f"{head}: peak memory, {name}", "MB", values) for name, values in extra.items()),
        Row("  fp32 / pytorch-grad-cam", "x", share[0], Goal("<=", 0.2)),
        Row("  bf16 / pytorch-grad-cam", "x", share[1], Goal("<=", 0.2)),
        Row(
            f"ResNet50, {_LARGE} px, batch_size auto: peak memory",
            "MB",
            [large.extra_bytes / _MEGABYTE],
            Goal("<=", 1000),
        ),
    ]


def in_rounds(name: str, channels: int, rounds: int) -> list[Row]:
    """Run every library in turns on some channels."""
    it = subject(name, channels)
    every = {key: Stopwatch(call) for key, call in calls(it).items()}
    every.pop("fp32, auto batch")
    for kind in (torch.float32, torch.bfloat16):
        matrix = torch.randn(_MATRIX, _MATRIX, dtype=kind)
        every[f"matmul {kind}"] = Stopwatch(partial(torch.mm, matrix, matrix))
    seconds = in_turns(every, rounds)
    processor = {key: watch.processor[-rounds:] for key, watch in every.items()}
    head = f"{name}, {channels} channels, {_SIDE} px"
    one = Row(f"{head}: pytorch-grad-cam", "s", seconds["pytorch-grad-cam"], None, seconds)
    others = [k for k in seconds if k != "pytorch-grad-cam" and not k.startswith("matmul")]
    return [
        one,
        *(Row(f"{head}: {key}", "s", seconds[key]) for key in others),
        *_speed(head, seconds),
        *_speed(f"{head}, processor time of all threads", processor),
        Row(f"{head}: load average", "", every["pytorch-grad-cam"].load[-rounds:]),
        Row(
            f"{head}: four classes / one class",
            "x",
            ratios(seconds["four classes"], seconds["one class"]),
            Goal("<=", 1.05),
        ),
        Row(
            f"{head}, processor time of all threads: four classes / one class",
            "x",
            ratios(processor["four classes"], processor["one class"]),
            Goal("<=", 1.05),
        ),
        *_share_of_peak(f"{head}, processor time", it.gigaflops() * channels, processor),
    ]


def _share_of_peak(head: str, gigaflops: float, seconds: Seconds) -> list[Row]:
    """Relate the operations a second to those of a product of large matrices in the same round."""
    product = 2 * _MATRIX**3 / 1e9
    # Of one thread: processor time counts every thread.
    peaks = {k: rates(product, seconds[f"matmul torch.{k}"]) for k in ("float32", "bfloat16")}
    kinds = {"pytorch-grad-cam": "float32", "fp32": "float32", "bf16": "bfloat16"}
    reached = {k: rates(gigaflops, seconds[k]) for k in kinds}
    return [
        *(Row(f"{head}: matmul {k}, {_MATRIX}", "GFLOP/s", v) for k, v in peaks.items()),
        *(
            Row(f"{head}: {k}, share of matmul {kind}", "", ratios(reached[k], peaks[kind]))
            for k, kind in kinds.items()
        ),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--full", action="store_true", help="all channels, each library once")
    args = parser.parse_args()
    rows: list[Row] = []
    parts = [
        partial(in_rounds, "resnet50", _PART, args.rounds),
        partial(in_rounds, "tf_efficientnet_lite0", _PART, args.rounds),
        approximations,
    ]
    for part in [in_full] if args.full else parts:  # each takes minutes: what is measured is kept
        rows += part()
        _write(rows, "score_cam_full.json" if args.full else "score_cam.json")
    Console(width=150).print(table(rows))


def _write(rows: list[Row], name: str) -> None:
    settings = {"seed": SEED, "threads": torch.get_num_threads(), "weights": "random"}
    record = provenance(settings, packages=_PACKAGES) | {"machine": machine()}
    write_json(_RESULTS / name, [row.record() for row in rows], record)


if __name__ == "__main__":
    main()
