"""A layer's output as maps; its hooks are left as they were."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from membrane_xai._backend.checks import check_grid, is_count
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch._maps import fits, transform_of

__all__ = ["Reshape", "check_layer", "check_size", "kept_output", "map_of"]

Reshape = Callable[[Any], Any]
"""From a layer's output to maps (N, C, h, w)."""


def check_size(size: Any) -> tuple[int, int]:
    """Return rows and columns of the input, or raise."""
    return check_grid((size, size) if is_count(size) else size, "size")


def check_layer(network: Any, layer: Any) -> None:
    """Raise unless `layer` is one of the modules of `network`."""
    for value, name in ((network, "network"), (layer, "layer")):
        if not isinstance(value, torch.nn.Module):
            raise InvalidInputError(
                f"{name} is a {type(value).__name__}; it takes a torch.nn.Module"
            )
    if all(module is not layer for module in network.modules()):
        raise InvalidInputError(f"layer is a {type(layer).__name__} that network does not have")


@contextmanager
def kept_output(layer: torch.nn.Module) -> Iterator[list[Any]]:
    """Keep what the layer gives, in the order of its calls."""
    kept: list[Any] = []

    def keep(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001
        # What follows may overwrite it: networks with ReLU in place do.
        kept.append(output.clone() if isinstance(output, Tensor) else output)

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def map_of(
    kept: list[Any],
    reshape: Reshape | None,
    size: tuple[int, int],
    network: torch.nn.Module,
    layer: torch.nn.Module,
) -> Tensor:
    """Return the layer's output as maps (N, C, h, w), or raise."""
    if len(kept) != 1:
        raise InvalidInputError(
            f"layer ran {len(kept)} times in one pass; it takes a layer that runs once"
        )
    output = kept[0]
    maps: Any
    if reshape is None:
        maps = transform_of(output, network, layer, size, argument="reshape")(output)
    else:
        maps = reshape(output)
    shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
    takes = "maps (N, C, h, w)"
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        raise InvalidInputError(f"reshape gives {shape}; it gives {takes}")
    if not fits(int(maps.shape[-2]), int(maps.shape[-1]), size):
        raise InvalidInputError(
            f"layer gives {shape} for inputs of {size[0]}x{size[1]} pixels; it takes {takes}: pass "
            f"reshape= if channels are last, such as lambda x: x.permute(0, 3, 1, 2)"
        )
    return maps
