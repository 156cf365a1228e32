"""Measure Score-CAM against its libraries on all channels of ResNet50, each library once.

Each runs in a process of its own, for its memory and its map.
"""

import argparse

import numpy as np
from rich.console import Console

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import ratios
from benchmarks.score_cam.networks import PACKAGES, settings
from benchmarks.score_cam.once import Once, once
from benchmarks.score_cam.turns import SIDE, against_libraries

_ALL = 2048
"""Channels of ResNet50's layer4."""
_LARGE = 1024
_MEGABYTE = 1e6
_ONCE = ("pytorch-grad-cam", "torchcam", "fp32", "fp32, variant torchcam", "bf16")


def measure() -> list[Row]:
    """Run every library once on all channels of ResNet50."""
    done = {}
    for name in _ONCE:
        done[name] = once("resnet50", _ALL, SIDE, name)
        Console(stderr=True).print(
            name, done[name].seconds, done[name].extra_bytes, highlight=False
        )
    head = f"ResNet50, {_ALL} channels, {SIDE} px"
    return [
        *(Row(f"{head}: {name}", "s", [one.seconds]) for name, one in done.items()),
        *(Row(f"{head}: load before {name}", "", [one.load[0]]) for name, one in done.items()),
        *against_libraries(head, {name: [one.seconds] for name, one in done.items()}),
        *_agreement(head, done),
        *_memory(head, done),
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


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.score_cam.full", description=__doc__).parse_args()
    publish(measure(), "score_cam_full", PACKAGES, **settings())


if __name__ == "__main__":
    main()
