"""Score-CAM and its libraries in turns, on some channels of a network."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import Seconds, in_turns, rates, ratios
from benchmarks.score_cam.networks import calls, subject

SIDE = 224
_MATRIX = 2048


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
    head = f"{name}, {channels} channels, {SIDE} px"
    one = Row(f"{head}: pytorch-grad-cam", "s", seconds["pytorch-grad-cam"], None, seconds)
    others = [k for k in seconds if k != "pytorch-grad-cam" and not k.startswith("matmul")]
    return [
        one,
        *(Row(f"{head}: {key}", "s", seconds[key]) for key in others),
        *against_libraries(head, seconds),
        *against_libraries(f"{head}, processor time of all threads", processor),
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


def against_libraries(head: str, seconds: Seconds) -> list[Row]:
    """Relate our calls to those of the libraries that compute the same."""
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
