"""CAMs by the methods of pytorch-grad-cam, on the grid where they arise."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from her2_models.models import Backbone
from membrane_xai.errors import InvalidInputError, missing

try:
    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.base_cam import BaseCAM

    from membrane_xai.integrations.pytorch import class_index, in_dtype_of, read_scores, unchanged
    from membrane_xai.integrations.pytorch_grad_cam import native_grid
except ImportError as error:
    raise missing(error, "an explanation", extra="her2") from error

from her2_models.score_cam import ScoreCAM

__all__ = [
    "NORMALIZATION",
    "cam_method",
    "cam_methods",
    "native_cam",
    "on_device",
    "predict",
    "scores_of",
]

NORMALIZATION = "negative values set to 0, not scaled"
"""What :func:`native_cam` does to the weighted sum of activations."""


def predict(backbone: Backbone, inputs: torch.Tensor) -> NDArray[np.float64]:
    """Return class probabilities.

    Parameters
    ----------
    backbone : Backbone
        The network.
    inputs : torch.Tensor of shape (N, 3, H, W)
        As ``Backbone.to_input`` makes them.

    Returns
    -------
    ndarray of shape (N, classes)
        Rows sum to 1.

    Raises
    ------
    InvalidInputError
        The network gives no scores of that shape.
    """
    # Not in inference mode, whose caches would be of no use to gradients.
    with unchanged(backbone.network), torch.no_grad():
        scores = read_scores(backbone.network(on_device(backbone, inputs)), backbone.read_output)
        if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
            raise InvalidInputError(_no_scores(scores, "(N, classes)"))
        return torch.softmax(scores, dim=-1).double().cpu().numpy()


def on_device(backbone: Backbone, inputs: torch.Tensor) -> torch.Tensor:
    """Return inputs where the network is, in its precision.

    Parameters
    ----------
    backbone : Backbone
        The network.
    inputs : torch.Tensor
        Anywhere.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    InvalidInputError
        No tensor of real numbers.
    """
    given: Any = inputs
    if not isinstance(given, torch.Tensor) or not given.is_floating_point():
        kind = getattr(given, "dtype", type(given).__name__)
        raise InvalidInputError(
            f"inputs is {kind}; it takes a tensor of real numbers (N, 3, H, W), as "
            f"Backbone.to_input makes it"
        )
    on = inputs.to(next(backbone.network.parameters()).device)
    moved: torch.Tensor = in_dtype_of(backbone.network, on)
    return moved


def native_cam(
    backbone: Backbone,
    inputs: torch.Tensor,
    method: str,
    *,
    target: int | Sequence[int],
    **options: Any,
) -> NDArray[np.float64]:
    """Explain a class with a method of pytorch-grad-cam, on the grid of the target layer.

    pytorch-grad-cam stretches its maps to the image and to [0, 1]; MAP does not need the first and
    depends on the second, so neither is done here. ScoreCAM's map is the library's, computed by
    :class:`her2_models.score_cam.ScoreCAM` in less time.

    Parameters
    ----------
    backbone : Backbone
        The network.
    inputs : torch.Tensor of shape (N, 3, H, W)
        The tensor that was predicted.
    method : str
        Name of a class of pytorch-grad-cam, such as "GradCAM", "LayerCAM" or "ScoreCAM".
    target : int or sequence of N int
        Index of the class to explain, from 0; one for all images, or one for each.
    **options
        Of the method's constructor, such as `precision` of :class:`her2_models.score_cam.ScoreCAM`
        or `reshape_transform`, and `read_output` in place of the backbone's.

    Returns
    -------
    ndarray of shape (N, h, w)
        Negative values set to 0, otherwise as the method gives them.

    Raises
    ------
    InvalidInputError
        pytorch-grad-cam has no such method, the network no such class, or a number of targets that
        is not that of the images; a target that is no integer, a layer whose output is no map, or
        to which no gradient comes.

    Notes
    -----
    As with :func:`membrane_xai.integrations.pytorch_grad_cam.native_grid`, networks may be frozen,
    in half precision or compiled; tokens and channels last of timm's are laid out as maps; and the
    network is given back as it was, with its modes and the gradients of its parameters.
    """
    library, network, layers = cam_method(method), backbone.network, [backbone.explained_layer()]
    read_output = options.pop("read_output", backbone.read_output)
    inputs, targets = on_device(backbone, inputs), scores_of(target, len(inputs))
    if method == "ScoreCAM":
        cam = ScoreCAM(network, layers, read_output=read_output, **options)
        return cam.native(inputs, targets).astype(float)
    # The library's constructor leaves the network in evaluation mode, and hooks on it.
    with unchanged(network):
        cam = library(network, layers, **options)
        with native_grid(cam, read_output=read_output):
            return np.asarray(cam(inputs, targets), dtype=float)


def cam_method(method: str) -> type[Any]:
    """Return a CAM method of pytorch-grad-cam by name.

    Parameters
    ----------
    method : str
        As in :func:`native_cam`.

    Returns
    -------
    type
        A subclass of ``pytorch_grad_cam.base_cam.BaseCAM``.

    Raises
    ------
    InvalidInputError
        pytorch-grad-cam has no such method.

    Examples
    --------
    >>> from her2_models.explain import cam_method
    >>> cam_method("GradCAM").__name__
    'GradCAM'
    """
    methods = cam_methods()
    if method not in methods:
        allowed = ", ".join(sorted(methods))
        raise InvalidInputError(f"method is {method!r}; it takes one of {allowed}")
    return methods[method]


def cam_methods() -> dict[str, type[Any]]:
    """Return the CAM methods of the pytorch-grad-cam that is installed, by name.

    Without FullGrad, whose map does not arise on the grid of a layer.

    Returns
    -------
    dict of str to type

    Examples
    --------
    >>> from her2_models.explain import cam_methods
    >>> {"GradCAM", "LayerCAM", "ScoreCAM"} <= set(cam_methods())
    True
    """
    found = vars(pytorch_grad_cam).items()
    classes = {n: c for n, c in found if isinstance(c, type) and issubclass(c, BaseCAM)}
    classes.pop("FullGrad", None)
    return classes


def scores_of(
    target: int | Sequence[int], count: int
) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Return what methods of pytorch-grad-cam take as targets.

    Parameters
    ----------
    target : int or sequence of int
        Index of the class, from 0; one for all images, or one for each.
    count : int
        Number of images.

    Returns
    -------
    list of function
        From an image's output to the score of its class.

    Raises
    ------
    InvalidInputError
        Another number of targets, or one that is no integer; when called, a class that the network
        lacks.
    """
    single = isinstance(target, str | bytes) or getattr(target, "ndim", 1) == 0
    several = isinstance(target, Iterable) and not single
    given: list[Any] = list(cast("Any", target)) if several else [target] * count
    targets = [class_index(one, "target") for one in given]
    if len(targets) != count:
        raise InvalidInputError(f"target has {len(targets)} classes for {count} images")
    return [_score_of(one) for one in targets]


def _no_scores(given: Any, takes: str) -> str:
    """Say what is no scores: a softmax over another axis would mix images or places."""
    got = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
    return (
        f"the network gives {got}, not scores of shape {takes}; pass read_output=, a function from "
        f"that to them, such as lambda output: output[:, None] for one number an image"
    )


def _score_of(target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def score(output: torch.Tensor) -> torch.Tensor:
        if getattr(output, "ndim", 1) == 0:
            raise InvalidInputError(_no_scores(output, "(classes,)"))
        # pytorch-grad-cam's context manager would swallow the IndexError of a class out of range.
        if not 0 <= target < len(output):
            last = len(output) - 1
            raise InvalidInputError(f"target is {target!r}; the network has classes 0 to {last}")
        return output[target]

    return score
