"""EC under flips of a trained ResNet18, as maps are computed and registered, at 224 and 225 px."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.harness.publish import publish
from benchmarks.registration.trained import EPOCHS, SIZE, SLIDES, trained

_THREADS = 1


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.registration", description=__doc__).parse_args()
    torch.set_num_threads(_THREADS)
    with TemporaryDirectory() as folder:
        rows = trained(Path(folder))
    publish(
        rows,
        "registration",
        packages=("torch", "timm", "grad-cam"),
        slides=dict(SLIDES.slides),
        epochs=EPOCHS,
        input_size=SIZE,
        threads=_THREADS,
    )


if __name__ == "__main__":
    main()
