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

__all__ = ["FirstPass", "check_input", "observe"]

Transform = Callable[[Any], Tensor]


@dataclass(frozen=True)
class FirstPass:
    """Outputs of the network, activations (N, C, h, w) of each layer, names of pairs to fold."""

    outputs: Any
    activations: list[Tensor]
    pairs: list[tuple[str, str]]


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
    network: nn.Module, layers: Sequence[nn.Module], transform: Transform | None, inputs: Tensor
) -> FirstPass:
    """Run the network once; the hooks are removed afterwards, also after an error.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    layers : sequence of torch.nn.Module
        Parts of it.
    transform : function or None
        From a layer's output to activations.
    inputs : Tensor of shape (N, 3, H, W)
        The images.

    Raises
    ------
    InvalidInputError
        A layer does not run, or does not give activations (N, C, h, w).
    """
    kept: dict[int, Any] = {}
    with ExitStack() as stack:
        for index, layer in enumerate(layers):
            stack.enter_context(layer.register_forward_hook(partial(_keep, kept, index, transform)))
        watch = BatchNormWatch(network)
        with torch.no_grad(), watch:
            outputs = network(inputs)
    activations = [_checked(kept, index, len(inputs)) for index in range(len(layers))]
    return FirstPass(outputs, activations, watch.pairs())


def _keep(
    kept: dict[int, Any],
    index: int,
    transform: Transform | None,
    _module: nn.Module,
    _inputs: Any,
    output: Any,
) -> None:
    activations = output if transform is None else transform(output)
    if isinstance(activations, Tensor):
        # Not copied: where the next layer writes into it, the libraries see that too.
        activations = activations.detach()
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
