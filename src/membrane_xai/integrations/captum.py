"""Captum: attributions of inputs and of layers in, maps that the metrics take out."""

from collections.abc import Callable, Mapping
from typing import Any

from membrane_xai._backend.arrays import Array, as_array, check_arrays, namespace
from membrane_xai._backend.checks import check_choice
from membrane_xai.errors import InvalidInputError, missing

try:
    from captum.attr import Attribution
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
        ``LayerGradCam`` gives C = 1). Any real floating dtype.
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


def attribute_maps(method: Any, inputs: Any, *, channels: str = "sum", **options: Any) -> Any:
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
    **options
        For ``method.attribute``, such as `target` or `n_steps`.

    Returns
    -------
    torch.Tensor of shape (N, h, w)
        As in :func:`to_maps`.

    Raises
    ------
    InvalidInputError
        Not a method of Captum, or as in :func:`to_maps`.

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
    return to_maps(method.attribute(inputs, **options), channels=channels)


def _only(attributions: Any) -> Any:
    """Return the tensor of a tuple of one: Captum answers a tuple of inputs with a tuple."""
    if not isinstance(attributions, tuple | list):
        return attributions
    if len(attributions) != 1:
        raise InvalidInputError(
            f"attributions is a {type(attributions).__name__} of {len(attributions)}; "
            f"it takes one at a time"
        )
    return attributions[0]
