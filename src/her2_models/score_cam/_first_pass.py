"""The forward pass of the unmasked images: outputs, activations, batch norms to fold."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from her2_models.score_cam._fold import BatchNormWatch
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import as_maps, in_dtype_of, read_scores

__all__ = ["FirstPass", "check_input", "check_layers", "observe"]

Transform = Callable[[Any], Tensor]


@dataclass(frozen=True)
class FirstPass:
    """Outputs of the network, activations (N, C, h, w) of each layer, names of pairs to fold."""

    outputs: Any
    activations: list[Tensor]
    pairs: list[tuple[str, str]]


def check_layers(layers: Any) -> list[nn.Module]:
    """Return target layers as a list.

    Raises
    ------
    InvalidInputError
        No list of at least one layer: a layer alone may hold others, which would be taken instead.
    """
    if isinstance(layers, list | tuple) and layers:
        for layer in layers:
            if not isinstance(layer, nn.Module):
                raise InvalidInputError(f"target_layers has {layer!r}; it takes torch.nn.Modules")
        return list(layers)
    given = type(layers).__name__ if isinstance(layers, nn.Module) else repr(layers)
    raise InvalidInputError(
        f"target_layers is {given}; it takes a list of layers of the network: [layer]"
    )


def check_input(inputs: Any, device: torch.device) -> Tensor:
    """Return images on the device.

    Raises
    ------
    InvalidInputError
        No real tensor of shape (N, C, H, W), or values that are not finite.
    """
    if not isinstance(inputs, Tensor):
        raise InvalidInputError(
            f"input_tensor is a {type(inputs).__name__}; it takes a tensor of shape (N, C, H, W)"
        )
    if inputs.ndim != 4 or not inputs.is_floating_point() or not inputs.numel():
        raise InvalidInputError(
            f"input_tensor has shape {tuple(inputs.shape)} and dtype {inputs.dtype}; "
            "it takes real numbers of shape (N, C, H, W), at least one"
        )
    if not inputs.isfinite().all():
        raise InvalidInputError("input_tensor has NaN or infinity; it takes finite values")
    return inputs.detach().to(device)


def observe(
    network: nn.Module,
    layers: Sequence[nn.Module],
    transform: Transform | None,
    inputs: Tensor,
    read_output: Callable[[Any], Tensor] | None = None,
) -> FirstPass:
    """Run the network once; the hooks are removed afterwards, also after an error.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    layers : sequence of torch.nn.Module
        Parts of it.
    transform : function or None
        From a layer's output to activations; by default what is known of the network.
    inputs : Tensor of shape (N, 3, H, W)
        The images.
    read_output : function, optional
        From the network's output to scores.

    Raises
    ------
    InvalidInputError
        A layer does not run, or does not give activations (N, C, h, w); an output without scores.
    """
    kept: dict[int, Any] = {}
    with ExitStack() as stack:
        for index, layer in enumerate(layers):
            lay_out = transform or partial(_known_maps, network, layer, index, inputs)
            stack.enter_context(layer.register_forward_hook(partial(_keep, kept, index, lay_out)))
        watch = BatchNormWatch(network)
        with torch.no_grad(), watch:
            outputs = network(in_dtype_of(network, inputs))
    activations = [_checked(kept, index, len(inputs)) for index in range(len(layers))]
    return FirstPass(read_scores(outputs, read_output), activations, watch.pairs())


def _known_maps(
    network: nn.Module, layer: nn.Module, index: int, inputs: Tensor, output: Any
) -> Tensor:
    size = (inputs.shape[2], inputs.shape[3])
    return as_maps(output, network, layer, size, name=f"target_layers[{index}]")


def _keep(
    kept: dict[int, Any],
    index: int,
    lay_out: Transform,
    _module: nn.Module,
    _inputs: Any,
    output: Any,
) -> None:
    activations = lay_out(output)
    if isinstance(activations, Tensor):
        activations = activations.detach().clone()  # a ReLU in place may follow
    kept.setdefault(index, activations)


def _checked(kept: dict[int, Any], index: int, count: int) -> Tensor:
    if index not in kept:
        raise InvalidInputError(f"target_layers[{index}] is not run by the network")
    activations = kept[index]
    if isinstance(activations, Tensor) and activations.ndim == 4 and len(activations) == count:
        return activations
    shape = tuple(activations.shape) if isinstance(activations, Tensor) else type(activations)
    raise InvalidInputError(
        f"target_layers[{index}] gives {shape}; it takes activations of shape ({count}, C, h, w), "
        "which reshape_transform can make"
    )
