"""The layer of a network of timm that CAMs are made of."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import as_maps, unchanged

__all__ = ["target_layer_name"]

# What networks raise for inputs of a size that they do not take.
_REFUSALS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)


def target_layer_name(network: torch.nn.Module, size: int) -> str:
    """Return the name of the layer to explain; empty if none is known to give a map.

    The network is run once, so that a layer that timm names but does not run, or whose output is
    no map, is not taken.

    Parameters
    ----------
    network : torch.nn.Module
        Of timm; left as it was.
    size : int
        Side of the input in pixels.

    Returns
    -------
    str
        The last layer of timm's `feature_info`, the first norm of the last block of a ViT, or else
        the last of the network's parts that gives a map.
    """
    names = [name for name in dict.fromkeys(_named(network)) if _module(network, name) is not None]
    cells = _cells(network, names, size)
    if cells is None:  # it takes no such input, which explaining will say
        return next(iter(names), "")
    given = next((name for name in names if cells.get(name)), None)
    if given is not None:
        return given
    parts = [name for name, _ in network.named_children() if not name.startswith("patch_embed")]
    every = _cells(network, parts, size) or {}
    return next((name for name in reversed(every) if every[name] > 1), "")


def _named(network: Any) -> Iterator[str]:
    """Yield the names of layers that networks of timm are explained by, the best first."""
    info = getattr(network, "feature_info", None) or ()
    blocks = getattr(network, "blocks", None)
    if getattr(network, "num_prefix_tokens", 0) and blocks is not None and len(blocks):
        # The class is read from a token of its own, and no later layer mixes it with the others.
        last = f"blocks.{len(blocks) - 1}"
        if _module(network, f"{last}.norm1") is not None:
            yield f"{last}.norm1"
        elif getattr(network, "global_pool", "") == "token" and len(blocks) > 1:
            yield f"blocks.{len(blocks) - 2}"
    if isinstance(getattr(network, "cls_token", None), torch.Tensor):
        for stage in list(info)[:-2:-1]:  # of PiT, whose stages give their class token beside maps
            inner = _module(network, f"{stage['module']}.blocks")
            if isinstance(inner, torch.nn.Sequential) and len(inner):
                yield f"{stage['module']}.blocks.{len(inner) - 1}.norm1"
    for stage in list(info)[:-3:-1]:
        yield stage["module"]
    for stage in list(info)[:-3:-1]:
        yield stage["module"].replace("block.", "stages.")  # as timm misnames those of MViT


def _module(network: torch.nn.Module, name: str) -> torch.nn.Module | None:
    try:
        return network.get_submodule(name)
    except AttributeError:
        return None


def _cells(network: torch.nn.Module, names: Sequence[str], size: int) -> dict[str, int] | None:
    """Return how many cells the maps of layers have, in the order in which they run.

    None if the network does not run on an input of that size.
    """
    found: dict[str, int] = {}

    def watch(name: str, layer: torch.nn.Module) -> Any:
        def count(_: torch.nn.Module, __: Any, output: Any) -> None:
            try:
                maps = as_maps(output, network, layer, size)
            except InvalidInputError:
                return
            found.pop(name, None)
            whole = len(maps) == 1 and maps.shape[2] == maps.shape[3]  # of a square input
            found[name] = maps.shape[2] * maps.shape[3] if whole else 0

        return layer.register_forward_hook(count)

    like = next(network.parameters())
    with unchanged(network), torch.no_grad(), ExitStack() as stack:
        for name in names:
            stack.callback(watch(name, network.get_submodule(name)).remove)
        try:
            network(torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype))
        except _REFUSALS:
            return None
    return found
