"""EC between 10x, 20x and 40x: whole fields resized to one input, and each objective's own field.

Synthetic 3+ fields of 1024 pixels at 0.25 um/px; Grad-CAM of EfficientNet-Lite0 with ImageNet
weights and of an untrained ResNet18, both at 224 pixels; and two explainers that are no network:
structures of 2 to 4 micrometres, and structures of 2 to 4 pixels. Resized fields are compared on
the maps' own grid.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks.harness.images import Cases, of_images
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal
from her2_models.explain import CamExplainer, inputs_of
from her2_models.models import Backbone, imagenet_efficientnet_lite0
from membrane_xai import ec_score, magnification_consistency
from membrane_xai.datasets import synthetic_her2

MAGNIFICATIONS = (10, 20, 40)
MPPS = (1.0, 0.5, 0.25)
SIZE, INPUT = 1024, 224
_SEED = 50

Floats = NDArray[np.float64]
Explain = Callable[..., Any]


def objectives(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Show a whole field as each objective does."""
    sides = [round(SIZE * MPPS[-1] / mpp) for mpp in MPPS]
    field = Image.fromarray(rgb)
    return [np.asarray(field.resize((n, n), Image.Resampling.BOX)) for n in sides]


def shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a field to the input, as networks' inputs are made."""
    return np.asarray(Image.fromarray(rgb).resize((INPUT, INPUT), Image.Resampling.BILINEAR))


def bands(rgb: NDArray[np.uint8], sizes: Sequence[float]) -> Floats:
    """Return brown structures between two widths in pixels."""
    brown = np.maximum(rgb[..., 0].astype(float) - rgb[..., 2], 0)
    fine, coarse = ([gaussian_filter(one, size) for one in brown] for size in sizes)
    return np.stack(fine) - np.stack(coarse)


def of_pixels(rgb: NDArray[np.uint8], _targets: object = None) -> Floats:
    """Explain by structures of 2 to 4 pixels."""
    return bands(rgb, (2, 4))


def of_micrometres() -> Explain:
    """Explain by structures of 2 to 4 micrometres, objective by objective."""
    sizes = iter(MPPS)

    def explain(rgb: NDArray[np.uint8], _targets: object = None) -> Floats:
        mpp = next(sizes)
        return bands(rgb, (2 / mpp, 4 / mpp))

    return explain


def resized(explain: Explain, rgb: NDArray[np.uint8]) -> float:
    """Return EC of whole fields that are resized to one input."""
    maps = [explain(shrunk(view)[None], ["3+"])[0] for view in objectives(rgb)]
    return float(ec_score(np.stack(maps)))


def own_field(explain: Explain, rgb: NDArray[np.uint8]) -> float:
    """Return EC with each objective's own field of view."""
    found = magnification_consistency(
        explain,
        [rgb],
        mpp=MPPS[-1],
        magnifications=MAGNIFICATIONS,
        window=INPUT,
        targets=["3+"],
        batch_size=64,  # all tiles of an objective at once, as of_micrometres takes them
    )
    return float(found.ec[0])


def untrained() -> Backbone:
    """Return a ResNet18 that has learned nothing."""
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=4).eval()
    return Backbone("resnet18", "none", network, network.layer4, "layer4",
                    (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # fmt: skip


def inputs_alike(backbone: Backbone, rgb: NDArray[np.uint8]) -> float:
    """Return the least correlation of the inputs that three resized fields give."""
    seen = [inputs_of(backbone, [view], INPUT).numpy().ravel() for view in objectives(rgb)]
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in itertools.combinations(seen, 2))


def measure(count: int) -> list[Cases]:
    """Measure all of it on `count` fields."""
    seeds = range(_SEED, _SEED + count)
    fields = {f"seed {i}": synthetic_her2("3+", size=SIZE, mpp=MPPS[-1], seed=i).rgb for i in seeds}
    lite, nothing = imagenet_efficientnet_lite0(), untrained()
    networks = {
        "EfficientNet-Lite0, ImageNet": CamExplainer(lite, "GradCAM", INPUT),
        "ResNet18, untrained": CamExplainer(nothing, "GradCAM", INPUT),
    }

    def row(name: str, of: Callable[[NDArray[np.uint8]], float], goal: Goal | None = None) -> Cases:
        return of_images(name, "", {case: of(rgb) for case, rgb in fields.items()}, goal)

    rows = [row("resized fields: least Pearson of two inputs", lambda f: inputs_alike(lite, f))]
    for name, explain in networks.items():
        rows += [
            row(f"{name}: EC, resized fields", lambda f, e=explain: resized(e, f)),
            row("  EC, own fields of view", lambda f, e=explain: own_field(e, f)),
        ]
    return [
        *rows,
        row("structures of 2 to 4 px: EC, resized fields", lambda f: resized(of_pixels, f)),
        row("  EC, own fields of view", lambda f: own_field(of_pixels, f)),
        row(
            "structures of 2 to 4 um: EC, own fields of view",
            lambda f: own_field(of_micrometres(), f),
            Goal(">=", 0.95),
        ),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser("python -m benchmarks.study.magnifications",
                                     description=__doc__)  # fmt: skip
    parser.add_argument("--fields", type=int, default=8, help="how many (default: 8)")
    args = parser.parse_args()
    settings = {"fields": args.fields, "seed": _SEED, "magnifications": MAGNIFICATIONS}
    publish(measure(args.fields), "magnifications", ("torch", "timm", "grad-cam"), **settings)


if __name__ == "__main__":
    main()
