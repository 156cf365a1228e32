"""The computations that go by the name of Score-CAM: masks, weights and the map's last steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["VARIANTS", "Variant"]

_EPSILON = 1e-8
"""What pytorch-grad-cam and torchcam add to the range that they divide by."""

Size = tuple[int, int]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Variant:
    """One computation.

    Attributes
    ----------
    masks : function
        Activations (k, h, w) and the size (H, W) to masks (k, H, W).
    flat : function
        Of the same arguments: which channels have no range, so that their mask is 0, shape (k,).
    probabilities : bool
        Whether a channel's score is taken from class probabilities rather than from logits.
    softmax : bool
        Whether the weights are the softmax of the scores over the channels. Otherwise they are the
        scores, and channels without range are left out.
    finish : function
        Weighted sums (N, h, w) and the size (H, W) to maps (N, H, W) in [0, 1].
    """

    masks: Callable[[Tensor, Size], Tensor]
    flat: Callable[[Tensor, Size], Tensor]
    probabilities: bool
    softmax: bool
    finish: Callable[[Map, Size], Map]

    def weights(self, scores: Tensor) -> Tensor:
        """Turn scores (N, C) into weights (N, C)."""
        return torch.softmax(scores, dim=-1) if self.softmax else scores


def _range(maps: Tensor) -> tuple[Tensor, Tensor]:
    return maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)


def _no_range(maps: Tensor) -> Tensor:
    low, high = _range(maps)
    return (low == high).flatten()


def _aligned(activations: Tensor, size: Size) -> Tensor:
    return interpolate(activations[None], size, mode="bilinear", align_corners=True)[0]


def _half_pixel(maps: Tensor, size: Size) -> Tensor:
    if maps.shape[1:] == size:
        return maps
    return interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def _aligned_then_scaled(activations: Tensor, size: Size) -> Tensor:
    masks = _aligned(activations, size)
    low, high = _range(masks)
    return masks.sub_(low).div_(high - low + _EPSILON)


def _scaled_then_half_pixel(activations: Tensor, size: Size) -> Tensor:
    scaled = activations - activations.amin((1, 2), keepdim=True)
    return _half_pixel(scaled.div_(scaled.amax((1, 2), keepdim=True) + _EPSILON), size)


def _half_pixel_then_scaled(activations: Tensor, size: Size) -> Tensor:
    masks = _half_pixel(activations, size)
    low, high = _range(masks)
    return (masks - low).div_(high - low)


def _scaled_then_stretched(sums: Map, size: Size) -> Map:
    scaled: Map = scale_cam_image(np.maximum(sums, 0), size[::-1])
    return scaled


def _stretched_then_scaled(sums: Map, size: Size) -> Map:
    """Finish as the publication's code does; a flat map, for which it gives None, becomes zeros."""
    maps = np.maximum(_half_pixel(torch.from_numpy(np.ascontiguousarray(sums)), size).numpy(), 0)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    span = np.where(high > low, high - low, np.float32(1))
    scaled: Map = (maps - low) / span
    return scaled


VARIANTS: dict[str, Variant] = {
    "pytorch-grad-cam": Variant(
        masks=_aligned_then_scaled,
        flat=lambda maps, size: _no_range(_aligned(maps, size)),
        probabilities=False,
        softmax=True,
        finish=_scaled_then_stretched,
    ),
    "torchcam": Variant(
        masks=_scaled_then_half_pixel,
        flat=lambda maps, size: _no_range(maps),  # noqa: ARG005  # one signature for all
        probabilities=False,
        softmax=True,
        finish=_scaled_then_stretched,
    ),
    "official": Variant(
        masks=_half_pixel_then_scaled,
        flat=lambda maps, size: _no_range(_half_pixel(maps, size)),
        probabilities=True,
        softmax=False,
        finish=_stretched_then_scaled,
    ),
}
