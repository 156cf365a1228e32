"""Masked images through a network: one queue over images and channels, every batch full."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from her2_models.score_cam._fold import fold_batch_norms
from her2_models.score_cam._variants import Variant
from membrane_xai.integrations.pytorch import in_dtype_of, read_scores

__all__ = ["BatchSizes", "Queue", "scoring_network"]

_AUTO_SIZES = {"cpu": (8, 16, 32, 64)}
_AUTO_SIZES_ELSEWHERE = (16, 32, 64, 128, 256)
_AUTO_SIDE = 224  # of the images that these sizes are for; larger ones take fewer
_TOLERANCE = 1e-4
"""Relative deviation of the logits from which on a folded network is not used: rounding moves those
of a ResNet50 by 4e-7 of the largest, the loss of one convolution's bias by 6e-2."""

Read = Callable[[Any, Tensor], Tensor]


def scoring_network(
    network: nn.Module,
    pairs: Sequence[tuple[str, str]],
    inputs: Tensor,
    outputs: Any,
    low: bool,
    read_output: Callable[[Any], Tensor] | None = None,
) -> Callable[[Tensor], Any]:
    """Return a function that computes the scores that the network gives, faster.

    Runs a copy with folded batch norms and channels last, in bfloat16 if `low`. A network with
    hooks or one that cannot be copied runs itself.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode; not altered.
    pairs : sequence of (str, str)
        As ``BatchNormWatch.pairs`` gives them.
    inputs : Tensor of shape (N, 3, H, W)
        Images to check the folded copy with.
    outputs : Tensor
        What the network gives for them, as `read_output` reads it.
    low : bool
        Whether to compute in bfloat16.
    read_output : function, optional
        From the network's output to scores.
    """
    run = _runner(network, pairs, inputs, outputs, low, read_output)
    return lambda batch: read_scores(run(batch), read_output)


def _runner(
    network: nn.Module,
    pairs: Sequence[tuple[str, str]],
    inputs: Tensor,
    outputs: Any,
    low: bool,
    read_output: Callable[[Any], Tensor] | None,
) -> Callable[[Tensor], Any]:
    fast = _copy(network)
    if fast is None:
        return _as_it_is(network, inputs.device.type, low)
    if pairs and inputs.dtype == torch.float32 and isinstance(outputs, Tensor):
        fold_batch_norms(fast, pairs)
        with torch.inference_mode():
            given = read_scores(fast(inputs[:1]), read_output)
        limit = _TOLERANCE * float(outputs[:1].abs().max())
        if not torch.allclose(given, outputs[:1], _TOLERANCE, limit):
            fast = _copy(network) or network
    kind = torch.bfloat16 if low else inputs.dtype
    fast = fast.to(memory_format=torch.channels_last)
    fast = fast.to(kind) if low else fast
    return torch.inference_mode()(lambda batch: fast(batch.to(kind)))


def _copy(network: nn.Module) -> Any:
    if any(m._forward_hooks or m._forward_pre_hooks for m in network.modules()):
        return None
    try:
        return copy.deepcopy(network).requires_grad_(False)
    except (RuntimeError, TypeError):  # non-leaf tensors, attributes without a copy
        return None


def _as_it_is(network: nn.Module, device: str, low: bool) -> Callable[[Tensor], Any]:
    def run(batch: Tensor) -> Any:
        # Not in inference mode: what the network caches would be of no use in training.
        low_precision = torch.autocast(device, torch.bfloat16) if low else nullcontext()
        with torch.no_grad(), low_precision:
            return network(in_dtype_of(network, batch))

    return run


@dataclass(frozen=True)
class Queue:
    """Everything that one layer's forward passes need.

    Attributes
    ----------
    images : Tensor of shape (N, 3, H, W)
        As the network takes them.
    activations : Tensor of shape (N, C, h, w)
        Of the layer, float32.
    variant : Variant
        Makes the masks.
    takes : Tensor of shape (N, C)
        As ``scored_by`` gives it.
    """

    images: Tensor
    activations: Tensor
    variant: Variant
    takes: Tensor

    def items(self) -> Tensor:
        """Return the pairs of image and channel to score, shape (n, 2)."""
        return (self.takes == torch.arange(self.takes.shape[1])).nonzero()

    @torch.no_grad()
    def scores(
        self,
        network: Callable[[Tensor], Any],
        read: Read,
        sizes: "BatchSizes",
        progress: Callable[[int], object],
    ) -> Tensor:
        """Return the scores (N, C, classes) on the device, 0 where not in the queue."""
        items = self.items().to(self.images.device)
        buffer = self._buffer(min(sizes.largest, len(items)))
        scores: Tensor | None = None
        start = 0
        while start < len(items):
            with sizes.timed(len(items) - start) as size:
                image, channel = items[start : start + size].T
                read_out = read(network(self._masked(image, channel, buffer)), image).float()
            if scores is None:
                shape = (*self.activations.shape[:2], read_out.shape[1])
                scores = read_out.new_zeros(shape)
            scores[image, channel] = read_out
            start += len(image)
            progress(start)
        return self.activations.new_zeros((*self.takes.shape, 1)) if scores is None else scores

    def _buffer(self, count: int) -> Tensor:
        shape = (count, *self.images.shape[1:])
        return torch.empty(
            shape,
            dtype=self.images.dtype,
            device=self.images.device,
            memory_format=torch.channels_last,
        )

    def _masked(self, image: Tensor, channel: Tensor, buffer: Tensor) -> Tensor:
        """Write masked images into the buffer."""
        size = (self.images.shape[2], self.images.shape[3])
        masks = self.variant.masks(self.activations[image, channel], size)[:, None]
        batch = buffer[: len(image)]
        images = self.images if len(self.images) == 1 else self.images[image]
        return torch.mul(images, masks.to(batch.dtype), out=batch)


class BatchSizes:
    """A fixed size, or the one that took least time an image when each was tried once.

    Parameters
    ----------
    batch_size : int or "auto"
        "auto" keeps to as many pixels as 64 images of 224 x 224 have, on a CPU.
    inputs : Tensor of shape (N, 3, H, W)
        For their size and device.
    """

    def __init__(self, batch_size: int | str, inputs: Tensor) -> None:
        self._device = inputs.device
        sizes = _AUTO_SIZES.get(self._device.type, _AUTO_SIZES_ELSEWHERE)
        most = max(1, sizes[-1] * _AUTO_SIDE**2 // (inputs.shape[2] * inputs.shape[3]))
        fitting = [size for size in sizes if size <= most] or [most]
        self._untried = fitting if isinstance(batch_size, str) else []
        self._best = batch_size if isinstance(batch_size, int) else fitting[0]
        self._seconds = float("inf")
        self.largest = max([self._best, *self._untried])

    @contextmanager
    def timed(self, left: int) -> Iterator[int]:
        """Yield the size to use for the next batch, and time it if it is on trial."""
        if not self._untried:
            yield self._best
            return
        size = self._untried.pop(0)
        start = time.perf_counter()
        yield size
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = (time.perf_counter() - start) / min(size, left)
        if seconds < self._seconds:
            self._seconds, self._best = seconds, size
