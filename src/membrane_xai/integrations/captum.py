"""Captum: attributions of inputs and of layers in, maps that the metrics take out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from membrane_xai._backend.arrays import Array, as_array, check_arrays, namespace
from membrane_xai._backend.checks import check_choice
from membrane_xai.errors import InvalidInputError, missing

try:
    import torch
    from captum.attr import Attribution, LayerAttribution, LayerGradCam

    from membrane_xai.integrations.pytorch._maps import (
        Transform,
        not_one_tensor,
        put_back,
        transform_of,
    )
    from membrane_xai.integrations.pytorch._network import (
        ReadOutput,
        class_index,
        differentiable,
        explained,
    )
except ImportError as error:
    raise missing(error, "membrane_xai.integrations.captum", package="captum") from error

__all__ = ["attribute_maps", "to_maps"]


def _sum(x: Array) -> Array:
    return namespace(x).sum(x, axis=1)


def _sum_abs(x: Array) -> Array:
    xp = namespace(x)
    return xp.sum(xp.abs(x), axis=1)


def _max_abs(x: Array) -> Array:
    xp = namespace(x)
    return xp.max(xp.abs(x), axis=1)


def _norm(x: Array) -> Array:
    """Length over the channels, scaled by the largest value so that no square overflows."""
    xp = namespace(x)
    largest = xp.max(xp.abs(x), axis=1, keepdims=True)
    scaled = x / xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest[:, 0, ...] * xp.sqrt(xp.sum(scaled * scaled, axis=1))


_REDUCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "sum": _sum,
    "sum_abs": _sum_abs,
    "max_abs": _max_abs,
    "norm": _norm,
}


def to_maps(attributions: Any, *, channels: str = "sum") -> Any:
    """Reduce the channels of Captum's attributions to one, on the grid they came on.

    Parameters
    ----------
    attributions : torch.Tensor or array of shape (N, C, h, w), or a tuple with one of them
        What ``attribute`` returned: of inputs (C colours, image size) or of a layer (its grid;
        ``LayerGradCam`` gives C = 1). Any real floating dtype. Of ``(attributions, delta)``, as
        with ``return_convergence_delta=True``, the first is taken.
    channels : {"sum", "sum_abs", "max_abs", "norm"}
        - "sum": signed sum; what adds up to the output where the method is complete.
        - "sum_abs": sum of the sizes.
        - "max_abs": the largest size.
        - "norm": Euclidean length.

    Returns
    -------
    torch.Tensor or array of shape (N, h, w)
        Same library, device and dtype, outside the gradient graph, neither upsampled nor scaled.
        "sum" keeps the sign, and :func:`membrane_xai.map_score` then sets negative values to 0, or
        counts their size with ``negative="abs"``; the others are never negative.

    Raises
    ------
    InvalidInputError
        Several inputs or layers, another number of axes, an unknown reduction.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.captum import to_maps
    >>> red, green = torch.tensor([[3.0, 0.0]]), torch.tensor([[-4.0, 1.0]])
    >>> attributions = torch.stack([red, green])[None]
    >>> {how: to_maps(attributions, channels=how).tolist() for how in ("sum", "max_abs", "norm")}
    {'sum': [[[-1.0, 1.0]]], 'max_abs': [[[4.0, 1.0]]], 'norm': [[[5.0, 1.0]]]}

    All channels zero stay zero; NaN stays NaN, and the metrics report it:

    >>> to_maps(torch.tensor([[[[0.0, torch.nan]]]]), channels="norm").tolist()
    [[[0.0, nan]]]
    """
    check_choice(channels, "channels", tuple(_REDUCTIONS))
    array = as_array(_only(attributions))
    check_arrays(array, "attributions")
    if array.ndim != 4:
        raise InvalidInputError(
            f"attributions has shape {tuple(array.shape)}; it takes (N, C, h, w)"
        )
    if hasattr(array, "detach"):
        array = array.detach()
    return _REDUCTIONS[channels](array)


def attribute_maps(
    method: Any,
    inputs: Any,
    *,
    channels: str = "sum",
    reshape_transform: Transform | None = None,
    read_output: ReadOutput | None = None,
    **options: Any,
) -> Any:
    """Explain with a method of Captum and return maps.

    Parameters
    ----------
    method : captum.attr.Attribution
        Of inputs, such as ``IntegratedGradients(network)``, or of a layer, such as
        ``LayerGradCam(network, layer)``.
    inputs : torch.Tensor of shape (N, C, H, W)
        What the network takes.
    channels : {"sum", "sum_abs", "max_abs", "norm"}
        As in :func:`to_maps`.
    reshape_transform : function, optional
        From the layer's output to maps (N, C, h, w), for a layer with tokens or channels last.
        Layers of timm and torchvision need none, see
        :func:`membrane_xai.integrations.pytorch.as_maps`.
    read_output : function, optional
        From the network's output to scores (N, classes), for networks that give something else,
        such as a dict.
    **options
        For ``method.attribute``, such as `target` or `n_steps`.

    Returns
    -------
    torch.Tensor of shape (N, h, w)
        As in :func:`to_maps`. With ``return_convergence_delta=True`` a tuple of it and of Captum's
        `delta`, outside the gradient graph.

    Raises
    ------
    InvalidInputError
        Not a method of Captum, a target that is a float, an output that is no scores, a layer whose
        output is no map, or as in :func:`to_maps`.

    Notes
    -----
    A network that Captum holds, rather than a function around it, is put into evaluation mode
    meanwhile, and given back as it was.

    Examples
    --------
    >>> import torch
    >>> from captum.attr import LayerGradCam
    >>> from membrane_xai.integrations.captum import attribute_maps
    >>> layer = torch.nn.Conv2d(3, 2, 3, stride=2, padding=1)
    >>> network = torch.nn.Sequential(layer, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> maps = attribute_maps(LayerGradCam(network, layer), torch.rand(1, 3, 8, 8), target=1)
    >>> tuple(maps.shape)
    (1, 4, 4)
    """
    check_choice(channels, "channels", tuple(_REDUCTIONS))
    if not isinstance(method, Attribution):
        raise InvalidInputError(
            f"method is a {type(method).__name__}; it takes a method of Captum, "
            f"such as captum.attr.LayerGradCam(network, layer)"
        )
    options = {name: _normal(value) for name, value in options.items()}
    if "target" in options:
        options["target"] = _read_target(options["target"])
    inner = getattr(method, "attribution_method", method)  # of a NoiseTunnel
    network = getattr(inner, "forward_func", None)
    if not isinstance(_only(inputs), torch.Tensor):
        raise InvalidInputError(
            f"inputs is a {type(inputs).__name__}; it takes a tensor of shape (N, C, H, W)"
        )
    laid_out = _LaidOut(network, reshape_transform, _only(inputs))
    with ExitStack() as stack:
        if isinstance(network, torch.nn.Module):
            stack.enter_context(explained(network, (), read_output))
            target = options.get("target")
            handle = network.register_forward_hook(lambda _, __, output: _within(output, target))
            stack.callback(handle.remove)
        elif read_output is not None:
            raise InvalidInputError(
                "read_output is given, and the method holds no network but a function around one, "
                "which can do that itself"
            )
        stack.enter_context(differentiable())
        grad_cam = inner if isinstance(inner, LayerGradCam) else getattr(inner, "grad_cam", None)
        if isinstance(inner, LayerAttribution):
            _check_layer(inner.layer)
            stack.enter_context(_one_tensor(inner.layer, options))
            stack.enter_context(_not_in_place(network))
        if grad_cam is not None:
            stack.enter_context(_probed(grad_cam, laid_out, options))
        found = method.attribute(_detached(inputs), **options)
    delta = None
    if options.get("return_convergence_delta"):
        found, delta = found
    if grad_cam is None and isinstance(inner, LayerAttribution):
        found = laid_out(_only(found), inner.layer)
    maps = to_maps(found, channels=channels)
    return maps if delta is None else (maps, delta.detach())


class _LaidOut:
    """From what a layer gives to maps (N, C, h, w)."""

    def __init__(self, network: Any, given: Transform | None, inputs: Any) -> None:
        self.network, self.given, self.inputs = network, given, inputs

    def __call__(self, output: Any, layer: Any) -> Any:
        return self.transform(output, layer)(output)

    def transform(self, output: Any, layer: Any) -> Transform:
        """Return the transform of an output of a layer, or raise."""
        if self.given is not None:
            return self.given
        pixels = (int(self.inputs.shape[-2]), int(self.inputs.shape[-1]))
        network = self.network if isinstance(self.network, torch.nn.Module) else layer
        return transform_of(output, network, layer, pixels)


@contextmanager
def _probed(grad_cam: Any, laid_out: _LaidOut, options: Mapping[str, Any]) -> Iterator[None]:
    """Let LayerGradCam see maps whose channels are second, whatever the layer gives.

    It averages gradients over all axes but the first two, so that laying out its result is too
    late. It is shown an identity through which the layer's output goes as maps, and back.
    """
    layer, probe = grad_cam.layer, torch.nn.Identity()

    def through(output: Any) -> Any:
        transform = laid_out.transform(output, layer)
        before = transform(output)
        after = probe(before)
        return after if before is output else put_back(transform, output, after)

    if options.get("attribute_to_layer_input"):
        handle = layer.register_forward_pre_hook(lambda _, x: (through(x[0]), *x[1:]))
    else:
        handle = layer.register_forward_hook(lambda _, __, output: through(output))
    grad_cam.layer = probe
    try:
        yield
    finally:
        grad_cam.layer = layer
        handle.remove()


def _check_layer(layer: Any) -> None:
    """Raise unless it is a layer; Captum takes several, of which maps are not."""
    if not isinstance(layer, torch.nn.Module | list | tuple):
        raise InvalidInputError(
            f"method has the layer {layer!r}; it takes a torch.nn.Module, such as "
            f"network.get_submodule({layer!r})"
        )


@contextmanager
def _one_tensor(layer: Any, options: Mapping[str, Any]) -> Iterator[None]:
    """Refuse layers of several tensors, or of none, before Captum stumbles over them."""

    def check(module: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001
        single = isinstance(output, tuple) and len(output) == 1  # which Captum takes
        if not isinstance(output, torch.Tensor) and not single:
            raise InvalidInputError(not_one_tensor(output, "layer"))

    if not isinstance(layer, torch.nn.Module) or options.get("attribute_to_layer_input"):
        yield
        return
    handle = layer.register_forward_hook(check, prepend=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _not_in_place(network: Any) -> Iterator[None]:
    """Let activations write no tensor anew: Captum puts leaves of a graph in place of a layer's."""
    modules: Iterable[Any] = network.modules() if isinstance(network, torch.nn.Module) else ()
    changed = [one for one in modules if getattr(one, "inplace", None) is True]
    for module in changed:
        module.inplace = False
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True


def _detached(inputs: Any) -> Any:
    """Return inputs whose gradients are not the caller's."""
    if isinstance(inputs, tuple):
        return tuple(map(_detached, inputs))
    if not isinstance(inputs, torch.Tensor):
        return inputs
    with torch.inference_mode(False):
        own = inputs.clone() if inputs.is_inference() else inputs.detach()
        return own.requires_grad_(inputs.requires_grad)


def _normal(value: Any) -> Any:
    """Return a tensor of inference mode as one that gradients can be recorded with."""
    if not isinstance(value, torch.Tensor) or not value.is_inference():
        return value
    with torch.inference_mode(False):
        return value.clone()


def _read_target(target: Any) -> Any:
    """Return a target as Captum takes it, or raise where a class is told by a float."""
    several = isinstance(target, list) or getattr(target, "ndim", 0) > 0
    read = [
        class_index(one, "target")
        if isinstance(one, float) or getattr(one, "dtype", None) is not None
        else one
        for one in (target if several else [target])
    ]
    if isinstance(target, torch.Tensor):
        return target
    return read if several else read[0]


def _within(output: Any, target: Any) -> None:
    """Raise if a target is a class that scores (N, classes) lack."""
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        return
    count = output.shape[1]
    if isinstance(target, torch.Tensor):
        target = target.tolist()
    for one in target if isinstance(target, list) else [target]:
        if isinstance(one, int) and not -count <= one < count:
            raise InvalidInputError(f"target is {one}; the network has classes 0 to {count - 1}")


def _only(attributions: Any) -> Any:
    """Return the tensor of a tuple of one: Captum answers a tuple of inputs with a tuple."""
    if not isinstance(attributions, tuple | list):
        return attributions
    if len(attributions) == 2 and getattr(attributions[1], "ndim", None) == 1:  # and its delta
        return _only(attributions[0])
    if len(attributions) != 1:
        raise InvalidInputError(
            f"attributions is a {type(attributions).__name__} of {len(attributions)}; "
            f"it takes one at a time"
        )
    return attributions[0]
