"""Augmentation of images: flips, turns, colours and stains."""

from typing import Any

import numpy as np

from her2_models.config import AugmentConfig
from membrane_xai.errors import missing
from membrane_xai.perturb import stain_jitter

try:
    import torch
    from torchvision.transforms import v2
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

__all__ = ["Augmentation"]

_HUE_SHARE = 0.1  # of the jitter of brightness: hue tells the stains apart
_SEEDS = 2**31  # of which one is drawn for each jitter of the stains


class Augmentation:
    """Vary images as a configuration says.

    Everything random comes from torch's global generator, so that a seed set before the call fixes
    the result.

    Parameters
    ----------
    config : AugmentConfig
        How much of what. `magnifications` is not looked at here: windows are cut before.

    Examples
    --------
    >>> import torch
    >>> from her2_models.train import Augmentation
    >>> from her2_models.config import AugmentConfig
    >>> pixels = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    >>> still = AugmentConfig(flips=False, quarter_turns=False, stain_jitter=0.0)
    >>> bool((Augmentation(still)(pixels) == pixels).all())
    True
    """

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config
        steps: list[Any] = []
        if config.flips:
            steps.append(v2.RandomHorizontalFlip())
            if config.vertical_flips:
                steps.append(v2.RandomVerticalFlip())
        if config.rotation:
            bilinear = v2.InterpolationMode.BILINEAR
            steps.append(v2.RandomRotation(config.rotation, interpolation=bilinear))
        if config.color_jitter:
            jitter = config.color_jitter
            steps.append(v2.ColorJitter(jitter, jitter, jitter, _HUE_SHARE * jitter))
        self._steps = steps

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Vary an image.

        Parameters
        ----------
        pixels : torch.Tensor of shape (3, h, w), uint8
            Left as it is.

        Returns
        -------
        torch.Tensor of shape (3, h, w), uint8
            `h` and `w` may have changed places.
        """
        if self._config.stain_jitter:
            pixels = _vary_stains(pixels, self._config.stain_jitter)
        if self._config.quarter_turns:
            pixels = torch.rot90(pixels, int(torch.randint(4, ())), (1, 2))
        for step in self._steps:
            pixels = step(pixels)
        return pixels


def _vary_stains(pixels: torch.Tensor, strength: float) -> torch.Tensor:
    jitter = stain_jitter(strength, seed=int(torch.randint(_SEEDS, ())))
    varied = jitter.apply(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))
    return torch.from_numpy(varied.transpose(2, 0, 1).copy())
