"""Networks that turn with their image, but for where their cells lie."""

from collections.abc import Callable
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray

__all__ = ["FAMILIES", "activation_sums", "symmetric_network"]

FAMILIES = (
    "resnet18",
    "resnet50",
    "test_resnet",
    "densenet121",
    "convnext_atto",
    "test_efficientnet",
    "tf_efficientnet_lite0",
)
"""Of timm, those that tests use; windows of a Swin do not turn with the image."""


def symmetric_network(name: str) -> tuple[Any, torch.nn.Module]:
    """Return a network whose kernels are their own mirror images, and its last map's layer."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=4).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            kernel = module.weight
            module.weight.copy_((kernel + kernel.flip(2)) / 2)
            module.weight.copy_((kernel + kernel.flip(3)) / 2)
            module.weight.copy_((kernel + kernel.transpose(2, 3)) / 2)
    return network, network.get_submodule(network.feature_info[-1]["module"])


def activation_sums(
    network: torch.nn.Module, layer: torch.nn.Module
) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Return an explainer that adds up the activations of a layer."""
    kept: list[torch.Tensor] = []
    layer.register_forward_hook(lambda *io: kept.append(io[2].clone()))

    def explain(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        kept.clear()
        with torch.inference_mode():
            network((torch.from_numpy(rgb).permute(0, 3, 1, 2) - 128) / 64)
        return kept[0].sum(1).double().numpy()

    return explain
