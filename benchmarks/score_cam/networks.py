"""The networks that Score-CAM is measured on, and one call of every library."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import ScoreCAM as LibraryScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch.utils.flop_counter import FlopCounterMode
from torchcam.methods import ScoreCAM as TorchcamScoreCAM

from her2_models.score_cam import ScoreCAM

PACKAGES = ("torch", "timm", "grad-cam", "torchcam")
"""Whose versions matter."""
SEED = 0
CLASSES = 4
TARGET = 1
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """A network, the layer to explain, and an image."""

    network: torch.nn.Module
    layer: torch.nn.Module
    image: torch.Tensor
    channels: int

    def first(self, activations: torch.Tensor) -> torch.Tensor:
        """Keep the first channels: the time of a mask does not depend on how many there are."""
        return activations[:, : self.channels]

    def gigaflops(self) -> float:
        """Count 1e9 floating-point operations of one forward pass of one image."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.network(self.image)
        return counter.get_total_flops() / 1e9


def settings() -> dict[str, Any]:
    """Return what holds for every call."""
    return {"seed": SEED, "threads": torch.get_num_threads(), "weights": "random"}


def subject(name: str, channels: int, side: int = 224) -> Subject:
    """Make a network with random weights and random batch-norm statistics."""
    torch.manual_seed(SEED)
    network = timm.create_model(name, num_classes=CLASSES).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
    layer = network.layer4 if name.startswith("resnet") else network.blocks[-1]
    return Subject(network, layer, torch.randn(1, 3, side, side), channels)


def calls(it: Subject) -> dict[str, Callable[[], Maps]]:
    """Name a function for every way to explain one image."""
    return {
        "pytorch-grad-cam": partial(_pytorch_grad_cam, it),
        "torchcam": partial(_torchcam, it),
        "fp32": partial(_ours, it),
        "fp32, variant torchcam": partial(_ours_native, it, variant="torchcam"),
        "bf16": partial(_ours, it, precision="bf16"),
        "fp32, auto batch": partial(_ours, it, batch_size="auto"),
        "four classes": partial(_classes, it, range(CLASSES)),
        "one class": partial(_classes, it, [TARGET]),
    }


def _pytorch_grad_cam(it: Subject) -> Maps:
    with LibraryScoreCAM(it.network, [it.layer], it.first) as cam:
        return cam(it.image, [ClassifierOutputTarget(TARGET)])


def _torchcam(it: Subject) -> Maps:
    with TorchcamScoreCAM(it.network, it.layer, reshape_transform=it.first) as cam:
        with torch.no_grad():
            scores = it.network(it.image)
        return cam(TARGET, scores)[0].numpy()


def _ours(it: Subject, **kwargs: Any) -> Maps:
    with ScoreCAM(it.network, [it.layer], it.first, **kwargs) as cam:
        return cam(it.image, [ClassifierOutputTarget(TARGET)])


def _ours_native(it: Subject, **kwargs: Any) -> Maps:
    with ScoreCAM(it.network, [it.layer], it.first, **kwargs) as cam:
        native = cam.native(it.image, [ClassifierOutputTarget(TARGET)])
    low, high = native.min(), native.max()
    return (native - low) / (high - low)


def _classes(it: Subject, classes: Any) -> Maps:
    with ScoreCAM(it.network, [it.layer], it.first) as cam:
        return cam.for_classes(it.image, classes)
