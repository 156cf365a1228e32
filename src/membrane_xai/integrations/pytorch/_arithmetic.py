"""``receptive_field_grid``: where the cells of a layer lie, from kernels, strides and paddings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import is_count
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch._layer import (
    check_layer,
    check_size,
    kept_output,
    map_of,
)
from membrane_xai.integrations.pytorch._network import unchanged

__all__ = ["receptive_field_grid"]

_SAME = 0.05  # cells by which paths may differ where they meet: set by hand, as what a score shows


def receptive_field_grid(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    size: int | tuple[int, int],
    *,
    channels: int = 3,
) -> CamGrid:
    """Compute where the cells of a layer lie on the network's input.

    The spacing is the product of the strides on the way. A convolution or pooling of kernel k,
    dilation d and padding p moves the first cell by ``(d (k - 1) / 2 - p)`` cells of its input.

    Parameters
    ----------
    network : torch.nn.Module
        Of convolutions, pooling, and what acts on each place alone: ResNet, DenseNet, VGG,
        ConvNeXt, EfficientNet, those padded as in TensorFlow among them. It is run once, in
        evaluation mode, and left as it was.
    layer : torch.nn.Module
        Of the network, whose maps are explained.
    size : int or (int, int)
        Rows and columns of the input, as in use: padding as in TensorFlow depends on it.
    channels : int
        Of the input.

    Returns
    -------
    CamGrid
        For ``grid=`` of the metrics.

    Raises
    ------
    InvalidInputError
        A layer that the network does not run or whose output is no map; an operation on the way
        that moves places in another way, such as attention, or that resizes; paths that lead to
        different places, as those of a ResNet-D do: measure it instead.

    See Also
    --------
    measured_grid : The same by gradients, for any network.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.pytorch import receptive_field_grid
    >>> stem = torch.nn.Conv2d(3, 8, 7, stride=2, padding=3)
    >>> pool = torch.nn.MaxPool2d(3, stride=2, padding=1)
    >>> receptive_field_grid(torch.nn.Sequential(stem, pool), pool, 64)
    CamGrid(spacing=(4.0, 4.0), offset=(0.0, 0.0), size=(64, 64))

    Without padding, the first cell lies in the middle of its kernel:

    >>> receptive_field_grid(stem := torch.nn.Conv2d(3, 8, 8, stride=8), stem, 64).shift
    (0.0, 0.0)
    """
    check_layer(network, layer)
    pixels = check_size(size)
    if not is_count(channels) or channels < 1:
        raise InvalidInputError(f"channels is {channels!r}; it takes a positive integer")
    like = next(network.parameters(), torch.empty(0))
    inputs = torch.zeros((1, channels, *pixels), device=like.device, dtype=like.dtype)
    followed = _Followed(inputs)
    with unchanged(network), torch.no_grad(), kept_output(layer) as kept, followed:
        network(inputs)
    map_of(kept, None, pixels, network, layer)  # else there are no places to tell
    found = followed.of(kept[0])
    if not isinstance(found, _Places):
        why = found.why if isinstance(found, _Lost) else "no part of it follows the input's places"
        raise InvalidInputError(
            f"layer has places that receptive fields do not tell: {why}; use measured_grid"
        )
    rows, columns = found.axes
    return CamGrid((rows.spacing, columns.spacing), (rows.offset, columns.offset), pixels)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Cell i lies at ``offset + spacing * i``, along the dimension `dim` of the tensor."""

    spacing: float
    offset: float
    dim: int

    def slid(self, kernel: int, stride: int, padding: float, dilation: int) -> "_Axis":
        """Return the cells of a window that slides along this axis."""
        moved = self.offset + self.spacing * (dilation * (kernel - 1) / 2 - padding)
        return _Axis(self.spacing * stride, moved, self.dim)

    def near(self, other: "_Axis") -> bool:
        same = self.spacing == other.spacing and self.dim == other.dim
        return same and abs(self.offset - other.offset) <= _SAME * self.spacing


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the cells of a tensor lie, rows and columns."""

    axes: tuple[_Axis, _Axis]


@dataclass(frozen=True, slots=True)
class _Lost:
    """Places that cannot be told."""

    why: str


_Known = _Places | _Lost | None
"""None is for tensors without places: weights, and means over the whole map."""


class _Followed(TorchFunctionMode):
    """Follow the places of the input through every function that the network calls."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self._known: Any = WeakTensorKeyDictionary()
        self._known[inputs] = _Places((_Axis(1.0, 0.0, 2), _Axis(1.0, 0.0, 3)))

    def of(self, tensor: Tensor) -> _Known:
        """Return what is known of the places of a tensor."""
        found: _Known = self._known.get(tensor)
        return found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, and note where the cells of its result lie."""
        options = kwargs or {}
        result = func(*args, **options)
        given = [(x, self.of(x)) for x in _tensors((*args, *options.values()))]
        placed = [(x, places) for x, places in given if places is not None]
        results = list(_tensors((result,)))
        if placed and results:
            found = _result(func, args, options, placed, results)
            for one in results:
                self._known[one] = found
        return result


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _result(
    func: Any,
    args: Sequence[Any],
    options: dict[str, Any],
    placed: list[tuple[Tensor, Any]],
    results: list[Tensor],
) -> _Known:
    """Return the places of a function's result."""
    lost = [places for _, places in placed if isinstance(places, _Lost)]
    if lost:
        return lost[0]
    name = func.__name__.strip("_")
    source, places = placed[0]
    rule = _RULES.get(name)
    if rule is not None:
        return rule(places, source, args[1:], options, results[0])
    if name in _POINTWISE:
        return _met([places for _, places in placed], name)
    return _Lost(f"{name} is none of the operations whose places it knows")


def _met(found: Sequence[_Places], name: str) -> _Known:
    """Return the places of what meets there, if all are the same."""
    first = found[0]
    for other in found[1:]:
        pairs = list(zip(first.axes, other.axes, strict=True))
        if not all(a.near(b) for a, b in pairs):
            cells = max(abs(a.offset - b.offset) / a.spacing for a, b in pairs)
            return _Lost(f"{name} joins paths that lie {cells:.2g} cells apart")
    return first


def _argument(
    place: int, name: str, args: Sequence[Any], options: dict[str, Any], default: Any
) -> Any:
    """Return an argument after the first one, by place or name."""
    given = args[place] if place < len(args) else options.get(name)
    return default if given is None else given


def _two(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _slid(places: _Places, kernels: Any, strides: Any, paddings: Any, dilations: Any) -> _Places:
    first, second = (
        axis.slid(*window)
        for axis, *window in zip(
            places.axes, _two(kernels), _two(strides), _two(paddings), _two(dilations), strict=True
        )
    )
    return _Places((first, second))


def _conv2d(
    places: _Places, _: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    weight = _argument(0, "weight", args, options, None)
    strides = _argument(2, "stride", args, options, 1)
    paddings = _argument(3, "padding", args, options, 0)
    dilations = _two(_argument(4, "dilation", args, options, 1))
    kernels = int(weight.shape[-2]), int(weight.shape[-1])
    if paddings == "valid":
        paddings = 0
    elif paddings == "same":  # what is odd goes to the end
        paddings = tuple(d * (k - 1) // 2 for d, k in zip(dilations, kernels, strict=True))
    return _slid(places, kernels, strides, paddings, dilations)


def _max_pool2d(
    places: _Places, _: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    kernels = _argument(0, "kernel_size", args, options, None)
    strides = _argument(1, "stride", args, options, None) or kernels
    paddings = _argument(2, "padding", args, options, 0)
    return _slid(places, kernels, strides, paddings, _argument(3, "dilation", args, options, 1))


def _avg_pool2d(
    places: _Places, _: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    kernels = _argument(0, "kernel_size", args, options, None)
    strides = _argument(1, "stride", args, options, None) or kernels
    return _slid(places, kernels, strides, _argument(2, "padding", args, options, 0), 1)


def _pad(
    places: _Places, source: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    amounts = _argument(0, "pad", args, options, ())
    # The list goes from the last dimension to the first, two numbers each: before and after.
    before = {source.ndim - 1 - i // 2: amounts[i] for i in range(0, len(amounts), 2)}
    rows, columns = (axis.slid(1, 1, before.get(axis.dim, 0), 1) for axis in places.axes)
    return _Places((rows, columns))


def _adaptive(
    places: _Places, source: Tensor, _: Sequence[Any], __: dict[str, Any], result: Tensor
) -> _Known:
    if tuple(result.shape[-2:]) == tuple(source.shape[-2:]):
        return places
    if tuple(result.shape[-2:]) == (1, 1):
        return None
    return _Lost("adaptive pooling resizes the map")


def _mean(
    places: _Places, source: Tensor, args: Sequence[Any], options: dict[str, Any], result: Tensor
) -> _Known:
    over = _argument(0, "dim", args, options, tuple(range(source.ndim)))
    dims = {int(d) % source.ndim for d in (over if isinstance(over, list | tuple) else (over,))}
    mine = {axis.dim for axis in places.axes}
    if mine <= dims:
        return None
    if not mine & dims and result.ndim == source.ndim:
        return places
    return _Lost("a mean or sum leaves one axis of two")


def _permute(
    places: _Places, source: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    order = _argument(0, "dims", args, options, ())
    dims = list(order if isinstance(order, list | tuple) else args)
    moved = {int(old) % source.ndim: new for new, old in enumerate(dims)}
    rows, columns = (_Axis(a.spacing, a.offset, moved[a.dim]) for a in places.axes)
    return _Places((rows, columns))


def _linear(places: _Places, source: Tensor, *_: Any) -> _Known:
    if any(axis.dim == source.ndim - 1 for axis in places.axes):
        return _Lost("linear mixes the places of a row")
    return places


def _norm(
    places: _Places, source: Tensor, args: Sequence[Any], options: dict[str, Any], __: Tensor
) -> _Known:
    shape = _argument(0, "normalized_shape", args, options, ())
    if any(axis.dim >= source.ndim - len(shape) for axis in places.axes):
        return _Lost("layer_norm mixes places")
    return places


_RULES: dict[str, Callable[..., _Known]] = {
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "pad": _pad,
    "adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "mean": _mean,
    "sum": _mean,
    "amax": _mean,
    "permute": _permute,
    "linear": _linear,
    "layer_norm": _norm,
}

# Functions that act on each place alone. A scale by a mean over the whole map, as of
# squeeze-and-excitation, has no places, and is left out where it meets some.
_POINTWISE = frozenset(
    {
        "add",
        "alpha_dropout",
        "batch_norm",
        "bfloat16",
        "cat",
        "clamp",
        "clone",
        "contiguous",
        "detach",
        "div",
        "double",
        "dropout",
        "dropout2d",
        "elu",
        "feature_dropout",
        "float",
        "gelu",
        "group_norm",
        "half",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "iadd",
        "imul",
        "instance_norm",
        "isub",
        "leaky_relu",
        "mish",
        "mul",
        "radd",
        "relu",
        "relu6",
        "rmul",
        "rsub",
        "selu",
        "sigmoid",
        "silu",
        "sub",
        "tanh",
        "to",
        "truediv",
        "type",
        "type_as",
    }
)
