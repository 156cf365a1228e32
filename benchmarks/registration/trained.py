"""EC under flips and turns of a ResNet18 trained on synthetic slides, registered or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from benchmarks.harness.rows import Goal, Row
from her2_models.config import SyntheticConfig
from her2_models.data import draw_slides
from her2_models.explain import CamExplainer, predict
from her2_models.models import Backbone, InputSpec
from membrane_xai import CamGrid, PerturbationConsistency, perturbation_consistency
from membrane_xai.her2_rule import GRADES
from membrane_xai.integrations.pytorch import receptive_field_grid
from membrane_xai.io import read_image
from membrane_xai.perturb import horizontal_flip, rotation, vertical_flip

__all__ = ["EPOCHS", "SLIDES", "trained"]

SLIDES = SyntheticConfig(slides={"train": 60, "val": 1, "test": 20})  # as many as the demo draws
EPOCHS = 6
SIZE = 224
_BATCH = 32
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EXPLAINED = 24  # images of 2+ and 3+, which have membrane to look at
_VIEWS = (horizontal_flip(), vertical_flip(), rotation(90))
_GOAL = Goal(">=", 0.9)


@dataclass(frozen=True)
class _Images:
    rgb: list[NDArray[np.uint8]]
    grades: torch.Tensor


@dataclass(frozen=True)
class _SumOfActivations:
    """The target layer's activations added up, which depend on no class."""

    backbone: Backbone
    input_size: int
    grid: CamGrid

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        kept: list[Any] = []
        hook = self.backbone.explained_layer().register_forward_hook(lambda *io: kept.append(io[2]))
        try:
            inputs = [self.backbone.to_input(one, self.input_size) for one in rgb]
            with torch.inference_mode():
                self.backbone.network(torch.cat(inputs))
        finally:
            hook.remove()
        return kept[0].sum(1).double().numpy()


def trained(folder: Path) -> list[Row]:
    """Train the network, and compare its maps of views; slides are drawn in `folder`."""
    splits = draw_slides(SLIDES, folder / "slides").by_split()
    backbone, test = _train(_images(splits["train"])), _images(splits["test"])
    inputs = torch.cat([backbone.to_input(one, SIZE) for one in test.rgb])
    right = predict(backbone, inputs).argmax(1) == test.grades.numpy()
    rows = [Row("accuracy on test slides", "share", [float(right.mean())])]
    chosen = np.flatnonzero(test.grades.numpy() >= 2)[:: max(1, len(test.rgb) // 2 // _EXPLAINED)]
    images = [test.rgb[i] for i in chosen[:_EXPLAINED]]
    for size in (SIZE, SIZE + 1):
        rows += _consistency(backbone, images, size)
    return rows


def _images(records: Sequence[Any]) -> _Images:
    rgb = [read_image(record.path, mpp=SLIDES.mpp).rgb for record in records]
    return _Images(rgb, torch.tensor([record.score for record in records]))


def _train(images: _Images) -> Backbone:
    """Train from scratch on whole fields, flipped at random."""
    torch.manual_seed(0)
    network = timm.create_model("resnet18", num_classes=len(GRADES))
    spec = InputSpec(SIZE, _MEAN, _STD)
    whole = torch.stack([spec.to_tensor(one) for one in images.rgb])
    steps = EPOCHS * (len(whole) // _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    network.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(whole))
        for step in range(len(whole) // _BATCH):
            chosen = order[_BATCH * step : _BATCH * (step + 1)]
            axes = [axis for axis in (3, 2) if torch.rand(()) < 0.5]
            loss = cross_entropy(network(whole[chosen].flip(axes)), images.grades[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)
    layer = network.feature_info[-1]["module"]
    return Backbone(
        "resnet18", "synthetic", network.eval(), network.get_submodule(layer), layer, _MEAN, _STD
    )


def _consistency(backbone: Backbone, images: Sequence[NDArray[np.uint8]], size: int) -> list[Row]:
    inputs = torch.cat([backbone.to_input(one, size) for one in images])
    grades = [GRADES[i] for i in predict(backbone, inputs).argmax(1)]
    explain = CamExplainer(backbone, "GradCAM", size)
    cells = tuple(explain(np.stack(images[:1]), grades[:1]).shape[1:])
    grids = {
        "half-pixel centres": CamGrid.half_pixel(cells, (size, size)),
        "measured": explain.grid,
        "arithmetic": receptive_field_grid(backbone.network, backbone.explained_layer(), size),
    }
    places = [
        Row(f"cells lie beside half-pixel centres, {size} px, {how}", "cells", list(grid.shift))
        for how, grid in grids.items()
    ]
    explainers = {
        "Grad-CAM": partial(perturbation_consistency, explain, targets=grades),
        "sum of activations": partial(
            perturbation_consistency, _SumOfActivations(backbone, size, explain.grid)
        ),
    }
    return places + [
        row
        for name, measure in explainers.items()
        for how, grid in grids.items()
        for row in _rows(
            f"{name}, {size} px, {how}",
            measure(images=list(images), perturbations=_VIEWS, grid=grid),
            goal=_GOAL if (name, how, size) == ("Grad-CAM", "measured", SIZE) else None,
        )
    ]


def _rows(name: str, found: PerturbationConsistency, goal: Goal | None) -> list[Row]:
    """Return the mean of every view; the goal is one of flips."""
    return [
        Row(f"{name}, {view}", "EC", [mean], goal if "flip" in view else None)
        for view, mean in zip(
            found.perturbations, np.nanmean(found.similarity, axis=0).tolist(), strict=True
        )
    ]
