"""``as_maps``: a layer's output as maps, from what is known of its network."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from membrane_xai._backend.checks import check_grid, is_count
from membrane_xai.errors import InvalidInputError

__all__ = ["Transform", "as_maps", "fits", "not_one_tensor", "put_back", "transform_of"]

Transform = Callable[[Any], Tensor]
"""From a layer's output to maps (N, C, h, w)."""

# Rows and columns of cells have about the proportions of the input; where they differ by more than
# this, set by hand, the axes are not those of a map.
_SKEW = 1.5

_LAST_AXIS = {"LayerNorm", "RmsNorm", "RMSNorm", "SimpleNorm", "Linear"}
"""Layers, by the name of their class, that act on the last axis as channels."""
_PLACE_BY_PLACE = (nn.Dropout, nn.Dropout2d, nn.GELU, nn.Identity, nn.ReLU, nn.SiLU, nn.Tanh)


def as_maps(
    output: Any,
    network: nn.Module,
    layer: nn.Module,
    size: int | tuple[int, int],
    *,
    name: str = "layer",
    argument: str = "reshape_transform",
) -> Tensor:
    """Return what a layer gives as maps, channels second.

    Networks of timm and torchvision say themselves how their features are laid out: channels last
    (Swin, MambaOut, Volo, SAM), or tokens of a grid after those of class and registers (ViT). Of
    other networks only maps with channels second are taken.

    Parameters
    ----------
    output : torch.Tensor
        Of the layer.
    network : torch.nn.Module
        To which the layer belongs, or which holds a network of timm or torchvision that does.
    layer : torch.nn.Module
        Whose output it is.
    size : int or (int, int)
        Rows and columns of the network's input.
    name, argument : str
        What an error calls the layer, and the argument by which one says how to lay it out.

    Returns
    -------
    torch.Tensor of shape (N, C, h, w)
        A view of the output where that goes.

    Raises
    ------
    InvalidInputError
        Tokens or channels last, of a network that does not say so itself; no tensor of a map.

    Examples
    --------
    >>> import timm
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import as_maps
    >>> network = timm.create_model("test_vit", num_classes=4)
    >>> tokens = torch.rand(1, 101, 64)  # one of the class, and 10 x 10
    >>> tuple(as_maps(tokens, network, network.blocks[-1].norm1, 160).shape)
    (1, 64, 10, 10)

    Nothing is known of other networks:

    >>> plain = torch.nn.Sequential(torch.nn.Linear(64, 64))
    >>> as_maps(tokens, plain, plain[0], 160)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: layer gives (1, 101, 64); it takes maps (N, C, h, w): ...
    """
    pixels = check_grid((size, size) if is_count(size) else size, "size")
    return transform_of(output, network, layer, pixels, name=name, argument=argument)(output)


def transform_of(
    output: Any,
    network: nn.Module,
    layer: nn.Module,
    pixels: tuple[int, int],
    count: int | None = None,
    *,
    name: str = "layer",
    argument: str = "reshape_transform",
) -> Transform:
    """Return what makes maps of a layer's output for `count` images, or raise."""
    if not isinstance(output, Tensor):
        raise InvalidInputError(not_one_tensor(output, name))
    shape = tuple(output.shape)
    owner = _owner(network, layer)
    found = None
    if count not in (None, output.shape[0] if output.ndim else 0):
        raise InvalidInputError(
            f"{name} gives {shape} for {count} images; it takes maps (N, C, h, w), one for each: "
            f"name a layer that does not cut images into windows, or pass {argument}="
        )
    if output.ndim == 4:
        found = _of_maps(shape, owner, layer, pixels)
    elif output.ndim == 3 and owner is not None:
        found = _of_tokens(shape, owner, layer, pixels)
    if found is None:
        raise InvalidInputError(
            f"{name} gives {shape}; it takes maps (N, C, h, w): {_remedy(shape, argument)}"
        )
    return found


def not_one_tensor(output: Any, name: str) -> str:
    """Say that a layer gives something else than one tensor."""
    kind = type(output).__name__
    several = f" of {len(output)}" if isinstance(output, list | tuple | dict) else ""
    return (
        f"{name} gives a {kind}{several}; it takes maps (N, C, h, w): name a layer that gives one "
        f"tensor, such as a block or a norm within it"
    )


def put_back(transform: Transform, output: Tensor, maps: Tensor) -> Tensor:
    """Return a layer's output with other maps in place of those that `transform` makes of it.

    Laying out is linear, and its gradient leads the way back, whatever the transform.
    """
    with torch.enable_grad():
        like = output.detach().requires_grad_()
        difference = maps - transform(output)
        (change,) = torch.autograd.grad(transform(like), like, difference, create_graph=True)
    return output + change


def fits(rows: int, columns: int, pixels: tuple[int, int]) -> bool:
    """Tell whether rows and columns of cells have about the proportions of the input."""
    return 1 / _SKEW <= (rows / columns) / (pixels[0] / pixels[1]) <= _SKEW


def _remedy(shape: tuple[int, ...], argument: str) -> str:
    if len(shape) == 3:
        return f"pass {argument}= for tokens, a function from (N, tokens, C) to them"
    if len(shape) == 4:
        return (
            f"pass {argument}= if channels are last, such as lambda x: x.permute(0, 3, 1, 2), or "
            f"lambda x: x if they are not"
        )
    return f"name a layer before pooling, or pass {argument}="


# Maps of four axes


def _of_maps(
    shape: tuple[int, ...], owner: nn.Module | None, layer: nn.Module, pixels: tuple[int, int]
) -> Transform | None:
    """Return the transform of (N, ., ., .), None where it is not known."""
    axis = _channel_axis(layer)
    if axis is None and owner is not None:
        axis = _channels_told(shape, owner, pixels)
    second = fits(shape[2], shape[3], pixels)
    last = fits(shape[1], shape[2], pixels)
    if axis == 1 and (second or not last or type(layer).__module__.startswith("torch.")):
        return _as_they_are
    if axis == 3:
        return _channels_second if owner is not None and last else None
    if second:
        exact = shape[1] * pixels[1] == shape[2] * pixels[0]
        doubtful = exact and shape[2] * pixels[1] != shape[3] * pixels[0]
        return None if doubtful and owner is None else _as_they_are
    # Neither has the proportions of the input: the maps of a layer that changes them.
    return None if last else _as_they_are


def _channel_axis(layer: nn.Module) -> int | None:
    """Return the axis that the layer itself, or what ends it, takes for channels."""
    while type(layer) is nn.Sequential:
        ends = [one for one in layer if not isinstance(one, _PLACE_BY_PLACE)]
        if not ends:
            return None
        layer = ends[-1]
    if isinstance(layer, nn.GroupNorm) or type(layer).__name__.endswith("2d"):
        return 1
    shape = getattr(layer, "normalized_shape", (0,))
    return 3 if type(layer).__name__ in _LAST_AXIS and len(shape) == 1 else None


def _channels_told(shape: tuple[int, ...], owner: nn.Module, pixels: tuple[int, int]) -> int | None:
    """Return the axis of the channels by what the network says of itself."""
    if not fits(shape[1], shape[2], pixels):
        return 1 if fits(shape[2], shape[3], pixels) else None
    counts = {int(info["num_chs"]) for info in _stages(owner) if "num_chs" in info}
    counts |= {getattr(owner, name, 0) for name in ("num_features", "embed_dim")}
    second, last = shape[1] in counts, shape[3] in counts
    if second != last:
        return 3 if last else 1
    form = str(getattr(owner, "output_fmt", "")).rpartition(".")[2]
    return 3 if form == "NHWC" or _is_from(owner, "torchvision.models.swin_transformer") else None


def _as_they_are(maps: Tensor) -> Tensor:
    return maps


def _channels_second(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)


# Tokens


def _of_tokens(
    shape: tuple[int, ...], owner: nn.Module, layer: nn.Module, pixels: tuple[int, int]
) -> Transform | None:
    """Return the transform of (N, tokens, C) or (N, C, tokens), None where it is not known."""
    reroll = getattr(owner, "reroll", None)  # Hiera's tokens are not in the order of the image
    block = next((i for i, one in enumerate(getattr(owner, "blocks", ())) if _has(one, layer)), -1)
    if reroll is not None:
        if block < 0:
            return None
        return lambda x: _channels_second(reroll(x, block))
    grids = list(dict.fromkeys(_grids(owner, layer, pixels)))
    for count in dict.fromkeys((_prefix_tokens(owner), 0)):
        for rows, columns in grids:
            if shape[1] == count + rows * columns:
                return _laid_out(count, rows, columns)
    for rows, columns in grids:
        if shape[2] == rows * columns:
            return lambda x: x.unflatten(2, (rows, columns))
    return None


def _laid_out(count: int, rows: int, columns: int) -> Transform:
    return lambda x: x[:, count:].transpose(1, 2).unflatten(2, (rows, columns))


def _prefix_tokens(owner: nn.Module) -> int:
    """Return the number of tokens before those of the grid: class, distillation, registers."""
    if hasattr(owner, "class_token"):  # torchvision's
        return 1
    told = getattr(owner, "num_prefix_tokens", None)
    own = getattr(owner, "cls_token", None)  # of PiT, which does not tell
    if told is None and isinstance(own, Tensor) and own.ndim == 3:
        return own.shape[1]
    return int(told or 0)


def _grids(
    owner: nn.Module, layer: nn.Module, pixels: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield the grids that the tokens of a network may have."""
    patches: Any = getattr(owner, "patch_embed", None)
    if hasattr(patches, "dynamic_feat_size"):
        rows, columns = patches.dynamic_feat_size(pixels)
        yield int(rows), int(columns)
    if getattr(patches, "grid_size", None) is not None:
        rows, columns = patches.grid_size
        if fits(rows, columns, pixels):
            yield int(rows), int(columns)
    patch = getattr(owner, "patch_size", None)
    if is_count(patch) and patch:  # torchvision's
        yield pixels[0] // patch, pixels[1] // patch
    for reduction in _reductions(owner, layer):
        yield pixels[0] // reduction, pixels[1] // reduction
        yield -(-pixels[0] // reduction), -(-pixels[1] // reduction)


def _reductions(owner: nn.Module, layer: nn.Module) -> list[int]:
    """Return by how much the stage of a layer reduces the input, or all where none is its."""
    stages, modules = _stages(owner), dict(owner.named_modules())
    mine = [one for one in stages if _has(modules.get(one["module"]), layer)]
    return [int(one["reduction"]) for one in mine or stages if "reduction" in one]


# What is known of a network


def _owner(network: nn.Module, layer: nn.Module) -> nn.Module | None:
    """Return the network of timm or torchvision that the layer is of, None if there is none."""
    modules = list(network.modules())
    of_timm = [one for one in modules if _is_from(one, "timm.models.") and _has_features(one)]
    for one in reversed(of_timm):  # the innermost, as an encoder within a classifier
        if _has(one, layer):
            return one
    others = (one for one in modules if _is_from(one, "torchvision.models."))
    return next((one for one in others if _has(one, layer)), None)


def _is_from(module: nn.Module, package: str) -> bool:
    return any(kind.__module__.startswith(package) for kind in type(module).__mro__)


def _has_features(module: nn.Module) -> bool:
    return hasattr(module, "feature_info") or hasattr(module, "forward_features")


def _has(module: nn.Module | None, layer: nn.Module) -> bool:
    return module is not None and any(one is layer for one in module.modules())


def _stages(owner: nn.Module) -> list[Any]:
    """Return what timm says of the stages of a network: names, channels, reductions."""
    found: Any = getattr(owner, "feature_info", None) or ()
    return list(getattr(found, "info", found))
