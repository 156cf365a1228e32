"""Plan of a layer's channels: those to score, and whose score the others take."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from her2_models.score_cam._settings import ScoreCAMSettings

__all__ = ["UNSCORED", "ZERO", "fill", "scored_by"]

UNSCORED = -1
"""Takes the mean of the image's scores."""
ZERO = -2
"""Has the score 0."""


def scored_by(
    activations: Tensor, size: tuple[int, int], chunk: int, settings: ScoreCAMSettings
) -> Tensor:
    """Return for every channel the channel whose score it takes.

    Channels without range have the mask 0 and hence one score, computed once.

    Parameters
    ----------
    activations : Tensor of shape (N, C, h, w)
        Of the target layer.
    size : (int, int)
        Height and width of the input.
    chunk : int
        How many channels may be upsampled at a time.
    settings : ScoreCAMSettings
        The variant and what may be approximated.

    Returns
    -------
    Tensor of shape (N, C), int64
        An index of a channel, `UNSCORED` or `ZERO`. Indices refer to channels that take their own.
    """
    plans = []
    for maps in activations:
        flat = torch.cat([settings.computation.flat(m, size) for m in maps.split(chunk)]).cpu()
        plans.append(_plan(maps, flat.numpy(), settings))
    return torch.from_numpy(np.stack(plans))


def fill(scores: Tensor, takes: Tensor) -> Tensor:
    """Spread the scores of scored channels (N, C) over those that take them."""
    own = takes == torch.arange(takes.shape[1], device=takes.device)
    mean = torch.where(own, scores, 0).sum(1, keepdim=True) / own.sum(1, keepdim=True).clamp(min=1)
    taken = scores.gather(1, takes.clamp(min=0))
    return torch.where(takes == ZERO, 0, torch.where(takes == UNSCORED, mean, taken))


def _plan(maps: Tensor, flat: NDArray[np.bool_], settings: ScoreCAMSettings) -> NDArray[np.int64]:
    takes = np.arange(len(maps))
    if flat.any():
        takes[flat] = np.flatnonzero(flat)[0] if settings.computation.softmax else ZERO
    varied = np.flatnonzero(~flat)
    if settings.max_channels is not None:
        values = maps[torch.from_numpy(varied)].flatten(1).double().cpu().numpy()
        order = np.argsort(-np.abs(values).sum(1), kind="stable")
        takes[varied[order[settings.max_channels :]]] = UNSCORED
    return takes
