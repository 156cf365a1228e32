"""How close approximated maps are to the exact ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from her2_models.score_cam._layer import Layer

if TYPE_CHECKING:
    from torch import Tensor

    from her2_models.score_cam import ScoreCAM

__all__ = ["Approximation", "approximation_error", "compared"]


@dataclass(frozen=True)
class Approximation:
    """How close approximated maps are to the exact ones.

    Attributes
    ----------
    pearson : ndarray of shape (N,)
        Correlation of both maps on the grid of the layer, in [-1, 1], higher is closer; NaN if one
        of them is flat.
    forwards, exact_forwards : int
        Masked images that went through the network, over all N.
    """

    pearson: NDArray[np.float64]
    forwards: int
    exact_forwards: int


def compared(layers: Sequence[Layer], exact: Sequence[Layer]) -> Approximation:
    """Compare on the grid, all layers and classes of an image together."""
    pearson = [
        _pearson(*(np.concatenate([x.sums[i].ravel() for x in xs]) for xs in (layers, exact)))
        for i in range(len(layers[0].sums))
    ]
    forwards, exact_forwards = (sum(x.forwards for x in xs) for xs in (layers, exact))
    return Approximation(np.array(pearson), forwards, exact_forwards)


def _pearson(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = (np.maximum(x, 0).astype(float) for x in (one, other))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def approximation_error(
    cam: "ScoreCAM", input_tensor: "Tensor", targets: list[Any] | None = None
) -> Approximation:
    """Measure how far approximated maps are from the exact ones, which are computed too.

    Parameters
    ----------
    cam : ScoreCAM
        With `max_channels`, `cluster` or a `precision`.
    input_tensor : Tensor of shape (N, 3, H, W)
        Normalised images.
    targets : list of function, optional
        As in a call.

    Returns
    -------
    Approximation

    Raises
    ------
    InvalidInputError
        As in a call.

    Examples
    --------
    >>> import torch
    >>> from her2_models.score_cam import ScoreCAM, approximation_error
    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Conv2d(3, 8, 3, stride=4)
    >>> head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4)]
    >>> network = torch.nn.Sequential(layer, *head)
    >>> cam = ScoreCAM(network, [layer], max_channels=6)
    >>> error = approximation_error(cam, torch.rand(1, 3, 32, 32))
    >>> error.forwards, error.exact_forwards, bool(error.pearson[0] > 0.9)
    (6, 8, True)
    """
    before = cam.compare_exact, cam.approximation
    cam.compare_exact = True
    try:
        cam.forward(input_tensor, targets)
        found = cam.approximation
    finally:
        cam.compare_exact, cam.approximation = before
    assert found is not None  # noqa: S101  # for the type checker
    return found
