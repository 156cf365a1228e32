"""Images in, CAMs out, by the methods of pytorch-grad-cam, on the grid where they arise."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2_models.models import Backbone
from membrane_xai.errors import InvalidInputError, MissingDependencyError

try:
    import pytorch_grad_cam
    import torch
    from pytorch_grad_cam.base_cam import BaseCAM

    from membrane_xai.integrations.pytorch_grad_cam import native_grid
except ImportError as error:
    raise MissingDependencyError(
        f'explanations need {error.name}: pip install "membrane-xai[her2]"'
    ) from error

from her2_models.score_cam import ScoreCAM

__all__ = ["NORMALISATION", "cam_method", "cam_methods", "native_cam", "predict"]

NORMALISATION = "negative values set to 0, not scaled"
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
    """
    with torch.inference_mode():
        probabilities = torch.softmax(backbone.network(inputs), dim=-1)
    return probabilities.double().numpy()


def native_cam(
    backbone: Backbone, inputs: torch.Tensor, method: str, *, target: int
) -> NDArray[np.float64]:
    """Explain one class with a method of pytorch-grad-cam, on the grid of the target layer.

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
    target : int
        Index of the class to explain, from 0.

    Returns
    -------
    ndarray of shape (N, h, w)
        Negative values set to 0, otherwise as the method gives them.

    Raises
    ------
    InvalidInputError
        pytorch-grad-cam has no such method, or the network no such class.
    """
    library, layers = cam_method(method), [backbone.target_layer]
    targets = [_score_of(target)] * len(inputs)
    if method == "ScoreCAM":
        return ScoreCAM(backbone.network, layers).native(inputs, targets).astype(float)
    with library(backbone.network, layers) as cam, native_grid(cam):
        maps = cam(inputs, targets)
    return np.asarray(maps, dtype=float)


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


def _score_of(target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def score(output: torch.Tensor) -> torch.Tensor:
        # pytorch-grad-cam's context manager would swallow the IndexError of a class out of range.
        if not 0 <= target < len(output):
            last = len(output) - 1
            raise InvalidInputError(f"target is {target!r}; the network has classes 0 to {last}")
        return output[target]

    return score
