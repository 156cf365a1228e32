"""Measure Score-CAM against its libraries on some channels in turns, and its approximations."""

import argparse
from collections.abc import Iterator

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from benchmarks.score_cam.approximations import approximations
from benchmarks.score_cam.networks import PACKAGES, settings
from benchmarks.score_cam.turns import in_rounds

_CHANNELS = 96


def parts(rounds: int) -> Iterator[list[Row]]:
    """Run one benchmark after another; each takes minutes."""
    yield in_rounds("resnet50", _CHANNELS, rounds)
    yield in_rounds("tf_efficientnet_lite0", _CHANNELS, rounds)
    yield approximations()


def main() -> None:
    """Measure, print and write; what is measured is kept should the next part fail."""
    parser = argparse.ArgumentParser("python -m benchmarks.score_cam", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    args = parser.parse_args()
    rows = []
    for part in parts(args.rounds):
        rows += part
        publish(rows, "score_cam", PACKAGES, **settings())


if __name__ == "__main__":
    main()
