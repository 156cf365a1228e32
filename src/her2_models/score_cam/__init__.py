"""Score-CAM in the computation of a named library, as fast as its forward passes allow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from membrane_xai import ec_score
from membrane_xai.errors import InvalidInputError, missing

try:
    import torch
    from pytorch_grad_cam.base_cam import BaseCAM
    from torch import Tensor, nn

    from membrane_xai.integrations.pytorch import class_index, in_dtype_of, unchanged
except ImportError as error:
    raise missing(error, "Score-CAM", extra="her2") from error

from her2_models.score_cam._first_pass import check_input, check_layers, observe
from her2_models.score_cam._forward import Read, scoring_network
from her2_models.score_cam._layer import Layer, weigh
from her2_models.score_cam._settings import ScoreCAMSettings, checked_batch_size, low_precision
from her2_models.score_cam._targets import read_classes, read_targets

__all__ = ["Approximation", "ScoreCAM", "approximation_error"]

Maps = NDArray[np.float32]
Reader = Callable[[Any], Read]


class ScoreCAM(BaseCAM):  # type: ignore[misc]
    """Score-CAM, a drop-in for ``pytorch_grad_cam.ScoreCAM``.

    Each channel of the target layer is made a mask; the network's score for the masked image weighs
    the channel. Libraries differ in how, so the computation is named:

    ====================  ====================  ==========================  =====================
    variant               "pytorch-grad-cam"    "torchcam"                  "official"
    ====================  ====================  ==========================  =====================
    mask, upsampled       aligned corners       half-pixel centres          half-pixel centres
    mask, scaled          after upsampling      before upsampling           after upsampling
    divided by            range + 1e-8          range + 1e-8                range
    channel's score       logit                 logit, less the image's     probability
    weight                softmax of scores     softmax of scores           score
    channel without       weighed, its masked   weighed, its masked         left out
    range                 image is 0            image is 0
    negative sums         set to 0 on the grid  set to 0 on the grid        set to 0 once upsampled
    result                scaled, upsampled     scaled, on the grid         upsampled, scaled
    ====================  ====================  ==========================  =====================

    A softmax does not change if the image's own logit is taken off every score. A call gives maps
    of the image's size; for torchcam's result they are upsampled as pytorch-grad-cam does it, and
    :meth:`native` has its grid. Each variant is tested against its library or the code of [1]_.

    Nothing is approximated unless `precision` or `max_channels` ask for it. All channels go through
    a copy of the network with batch norms folded into convolutions and channels last, in full
    batches over images and channels; channels without range share one pass. A network with hooks
    runs itself instead of a copy. The network is given back as it was.

    Parameters
    ----------
    model : torch.nn.Module
        The network.
    target_layers : list of torch.nn.Module
        Maps of several layers are averaged.
    reshape_transform : function, optional
        From the layer's output to (N, C, h, w). Vision transformers and channels-last networks of
        timm and torchvision need none, see :func:`membrane_xai.integrations.pytorch.as_maps`.
    variant : {"pytorch-grad-cam", "torchcam", "official"}
        See the table.
    batch_size : int or "auto"
        Masked images a forward pass; "auto" tries several, fewer for large images, and keeps the
        fastest. An attribute of this name can be set later.
    precision : {"fp32", "bf16", "auto"}
        "fp32" leaves the network in its own precision, "bf16" runs the masked images in bfloat16,
        "auto" does so where the processor multiplies it natively. Masks and maps stay in float32.
    progress : bool
        Whether to show on stderr how far it has come.
    max_channels : int, optional
        Score so many channels of an image, those with the largest sum of absolute activations. The
        others take the mean score; :func:`approximation_error` says how close that comes.
    read_output : function, optional
        From the network's output to scores (N, classes), for networks that give something else,
        such as a dict.

    Raises
    ------
    InvalidInputError
        A value that an argument does not take.

    References
    ----------
    .. [1] Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
       Networks", CVPR Workshops 2020.

    Examples
    --------
    >>> import torch
    >>> from her2_models.score_cam import ScoreCAM
    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=4), torch.nn.ReLU())
    >>> head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4)]
    >>> network = torch.nn.Sequential(layer, *head)
    >>> image = torch.rand(1, 3, 32, 48)
    >>> with ScoreCAM(network, [layer]) as cam:
    ...     cam(image).shape, cam.native(image).shape, cam.for_classes(image, [0, 3]).shape
    ((1, 32, 48), (1, 8, 12), (1, 2, 8, 12))

    A layer that is dead gives a map of zeros:

    >>> _ = layer[0].weight.data.zero_(), layer[0].bias.data.zero_()
    >>> ScoreCAM(network, [layer], variant="official")(image).max()
    np.float32(0.0)
    """

    def __init__(
        self,
        model: nn.Module,
        target_layers: list[nn.Module],
        reshape_transform: Callable[[Any], Tensor] | None = None,
        *,
        variant: str = "pytorch-grad-cam",
        batch_size: int | str = 32,
        precision: str = "fp32",
        progress: bool = False,
        max_channels: int | None = None,
        read_output: Callable[[Any], Tensor] | None = None,
    ) -> None:
        layers = check_layers(target_layers)
        with unchanged(model):  # the library's constructor leaves it in evaluation mode
            super().__init__(model, layers, reshape_transform, uses_gradients=False)
        self.activations_and_grads.release()  # hooks are set for one pass at a time
        self.settings = ScoreCAMSettings(variant, precision, max_channels)
        self.batch_size = checked_batch_size(batch_size)
        self.progress = progress
        self.read_output = read_output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Let every exception through; the library's own swallows an IndexError."""

    def __del__(self) -> None:
        """Release nothing: hooks are set for one pass at a time."""

    def forward(
        self, input_tensor: Tensor, targets: list[Any] | None, eigen_smooth: bool = False
    ) -> Maps:
        """Explain one target an image; called by the object itself, as in the library.

        Parameters
        ----------
        input_tensor : Tensor of shape (N, 3, H, W)
            Normalised images.
        targets : list of function, or None
            From an image's output to a number, one an image; None for the predicted class.
        eigen_smooth : bool
            Whether to replace the sum over channels by their first principal component.

        Returns
        -------
        ndarray of shape (N, H, W), float32
            In [0, 1]; zeros if a map is flat.
        """
        layers, size = self._weighed(input_tensor, self._reader(targets), eigen_smooth)
        return self._finish([layer.sums[:, 0] for layer in layers], size)

    def __call__(
        self,
        input_tensor: Tensor,
        targets: list[Any] | None = None,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
    ) -> Maps:
        """Explain one target an image, at the image's size.

        Parameters
        ----------
        input_tensor, targets, eigen_smooth
            As in :meth:`forward`.
        aug_smooth : bool
            Whether to average over flips and brightness, as the library does.

        Returns
        -------
        ndarray of shape (N, H, W), float32
            In [0, 1]; zeros if a map is flat.

        Raises
        ------
        InvalidInputError
            No images of shape (N, 3, H, W), values that are not finite, another number of targets,
            a class that the network lacks, a layer without activations (N, C, h, w), or an output
            that is no scores.
        """
        maps: Maps = super().__call__(input_tensor, targets, aug_smooth, eigen_smooth)
        return maps

    def native(self, input_tensor: Tensor, targets: list[Any] | None = None) -> Maps:
        """Explain one target an image, on the grid of the layer.

        Parameters
        ----------
        input_tensor, targets
            As in :meth:`forward`.

        Returns
        -------
        ndarray of shape (N, h, w), float32
            Weighted sums of activations, negative values set to 0, not scaled.

        Raises
        ------
        InvalidInputError
            As in a call, or several target layers.
        """
        return self._native(input_tensor, self._reader(targets))[:, 0]

    def for_classes(
        self, input_tensor: Tensor, classes: Sequence[int], *, upsampled: bool = False
    ) -> Maps:
        """Explain several classes with the forward passes of one.

        Parameters
        ----------
        input_tensor
            As in :meth:`forward`.
        classes : sequence of int
            Indices from 0.
        upsampled : bool
            Whether to give maps as a call does instead of :meth:`native` ones.

        Returns
        -------
        ndarray of shape (N, classes, h, w) or, upsampled, (N, classes, H, W), float32

        Raises
        ------
        InvalidInputError
            As in a call, several target layers, no class, or a class that the network lacks.
        """
        self._one_layer()
        given: Any = classes
        several = isinstance(given, Iterable) and getattr(given, "ndim", 1) > 0
        chosen = [class_index(one, "classes") for one in (given if several else [given])]
        if not chosen:
            raise InvalidInputError(f"classes is {classes!r}; it takes at least one class")
        reader = partial(read_classes, chosen, self.settings.computation.probabilities)
        if not upsampled:
            return self._native(input_tensor, reader)
        (layer,), size = self._weighed(input_tensor, reader)
        return np.stack([self._finish([sums], size) for sums in layer.sums.swapaxes(0, 1)], 1)

    def _reader(self, targets: list[Any] | None) -> Reader:
        return partial(read_targets, targets, self.settings.computation.probabilities)

    def _finish(self, sums: Sequence[Maps], size: tuple[int, int]) -> Maps:
        """Take the last steps with weighted sums (N, h, w), one array a layer."""
        maps = [self.settings.computation.finish(one, size) for one in sums]
        if len(maps) == 1 and self.settings.variant == "official":
            return maps[0]
        aggregated: Maps = self.aggregate_multi_layers([one[:, None] for one in maps])
        return aggregated

    def _native(self, input_tensor: Tensor, reader: Reader) -> Maps:
        self._one_layer()
        (layer,), _ = self._weighed(input_tensor, reader)
        return np.maximum(layer.sums, 0)

    def _one_layer(self) -> None:
        if len(self.target_layers) != 1:
            raise InvalidInputError(
                f"target_layers has {len(self.target_layers)} layers; this map takes one"
            )

    def _weighed(
        self,
        input_tensor: Tensor,
        reader: Reader,
        eigen_smooth: bool = False,
        settings: ScoreCAMSettings | None = None,
    ) -> tuple[list[Layer], tuple[int, int]]:
        """Return every layer's weighted sums and the size of the images."""
        settings = settings or self.settings
        size, read_output = checked_batch_size(self.batch_size), self.read_output
        # Not in inference mode: what the network caches would be of no use in training.
        with unchanged(self.model), torch.inference_mode(False):
            inputs = in_dtype_of(self.model, check_input(input_tensor, self.device))
            layers, transform = self.target_layers, self.reshape_transform
            seen = observe(self.model, layers, transform, inputs, read_output)
            self.outputs = seen.outputs
            read = reader(seen.outputs)
            low = low_precision(settings.precision, inputs.device)
            run = scoring_network(self.model, seen.pairs, inputs, seen.outputs, low, read_output)
            weighed = [
                weigh(
                    inputs,
                    activations,
                    settings,
                    run,
                    read,
                    batch_size=size,
                    progress=self.progress,
                    eigen_smooth=eigen_smooth,
                )
                for activations in seen.activations
            ]
        return weighed, (inputs.shape[2], inputs.shape[3])


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


def approximation_error(
    cam: ScoreCAM, input_tensor: Tensor, targets: list[Any] | None = None
) -> Approximation:
    """Measure how far approximated maps are from the exact ones, which are computed too.

    Parameters
    ----------
    cam : ScoreCAM
        With `max_channels` or a `precision`.
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
    reader = cam._reader(targets)
    both = [
        cam._weighed(input_tensor, reader, settings=settings)[0]
        for settings in (cam.settings, cam.settings.exact)
    ]
    sums = [  # all layers of an image together, negative values set to 0 as in a map
        np.concatenate([np.maximum(x.sums, 0).reshape(len(x.sums), -1) for x in layers], axis=1)
        for layers in both
    ]
    pearson = [_pearson(one, exact) for one, exact in zip(*sums, strict=True)]
    forwards, exact_forwards = (sum(x.forwards for x in layers) for layers in both)
    return Approximation(np.array(pearson), forwards, exact_forwards)


def _pearson(one: Maps, other: Maps) -> float:
    """Return NaN where one is flat."""
    return float(ec_score(np.stack([one, other])[:, None].astype(float)))
