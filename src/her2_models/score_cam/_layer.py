"""One layer's activations, weighted by the scores of its masks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from torch import Tensor

from her2_models.score_cam._forward import BatchSizes, Queue, Read
from her2_models.score_cam._plan import fill, scored_by
from her2_models.score_cam._settings import ScoreCAMSettings
from membrane_xai.cli import progress as progress_bar

__all__ = ["Layer", "weigh"]


@dataclass(frozen=True)
class Layer:
    """Weighted sums (N, classes, h, w) and the number of masked images they took."""

    sums: NDArray[np.float32]
    forwards: int


@torch.no_grad()
def weigh(
    inputs: Tensor,
    activations: Tensor,
    settings: ScoreCAMSettings,
    network: Callable[[Tensor], Any],
    read: Read,
    *,
    batch_size: int | str,
    progress: bool,
    eigen_smooth: bool,
) -> Layer:
    """Score the masks of a layer and sum its activations.

    Parameters
    ----------
    inputs : Tensor of shape (N, 3, H, W)
        The images.
    activations : Tensor of shape (N, C, h, w)
        Of the layer for these images.
    settings : ScoreCAMSettings
        What to compute.
    network : function
        From a batch to outputs.
    read : function
        From outputs and the indices of their images to scores (batch, classes).
    batch_size, progress, eigen_smooth
        As in ``ScoreCAM``.
    """
    maps = activations.float()
    sizes = BatchSizes(batch_size, inputs)
    takes = scored_by(maps, (inputs.shape[2], inputs.shape[3]), sizes.largest, settings)
    queue = Queue(inputs, maps, settings.computation, takes)
    forwards = len(queue.items())
    with progress_bar(forwards, shown=progress) as show:
        scores = queue.scores(network, read, sizes, lambda done: show(done, "Score-CAM")).cpu()
    every = [settings.computation.weights(fill(one, takes)).numpy() for one in scores.unbind(-1)]
    values = maps.cpu().numpy()
    return Layer(np.stack([_sum(values, one, eigen_smooth) for one in every], 1), forwards)


def _sum(
    values: NDArray[np.float32], weights: NDArray[np.float32], eigen_smooth: bool
) -> NDArray[np.float32]:
    weighted = weights[:, :, None, None] * values
    if eigen_smooth:
        projected: NDArray[np.float32] = get_2d_projection(weighted)
        return projected
    total: NDArray[np.float32] = weighted.sum(axis=1)
    return total
