"""pytorch-grad-cam: its maps on the grid of their layer, and MAP called like its metrics."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.cam_grid import check_cam_grid
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.resample import upsample
from membrane_xai._backend.vocabulary import SCORES
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.metrics import CamGrid, alignment, pool_mask

try:
    import torch
    from pytorch_grad_cam import AblationLayer, FullGrad
    from pytorch_grad_cam.base_cam import BaseCAM
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from membrane_xai.integrations.pytorch._maps import put_back, transform_of
    from membrane_xai.integrations.pytorch._network import NO_GRADIENT, ReadOutput, explained
except ImportError as error:
    raise missing(
        error, "membrane_xai.integrations.pytorch_grad_cam", package="grad-cam"
    ) from error

__all__ = ["MembraneActivationPrecision", "native_grid"]

# What PyTorch says where no gradient can be taken.
_GRADIENT_WORDS = ("does not require grad", "nference tensors cannot", "not have been used in")


@contextmanager
def native_grid(cam: Any, *, read_output: ReadOutput | None = None) -> Iterator[Any]:
    """Let a method of pytorch-grad-cam return its maps as they arise.

    pytorch-grad-cam stretches its maps to the image and to [0, 1]. MAP does not need the first,
    which raises its ceiling to that of the image's grid, and depends on the second.

    Parameters
    ----------
    cam : pytorch_grad_cam.base_cam.BaseCAM
        Any of its methods with one target layer, but FullGrad, whose map has no layer's grid.
    read_output : function, optional
        From the network's output to scores (N, classes), for networks that give something else,
        such as a dict.

    Yields
    ------
    pytorch_grad_cam.base_cam.BaseCAM
        The same object. Until the context ends, calling it gives an ndarray of shape (N, h, w):
        negative values set to 0, not scaled, on the grid of the layer.

    Raises
    ------
    InvalidInputError
        Not a method of pytorch-grad-cam, FullGrad, or several target layers; when called, targets
        that do not fit, an output that is no scores, a layer whose output is no map, or to which no
        gradient comes.

    Notes
    -----
    While it is called, the network is in evaluation mode; every call gives it back as it was, with
    the gradients of its parameters. Frozen networks are explained like others, also within
    ``torch.no_grad`` and ``torch.inference_mode``, and in half precision, whose maps are float32.
    The map is that of the layer's own output, also where a ReLU in place follows.

    Channels that are last and tokens are laid out as maps by
    :func:`membrane_xai.integrations.pytorch.as_maps`, which knows the networks of timm and
    torchvision, or by the `reshape_transform` that the method was made with.

    Examples
    --------
    >>> import torch
    >>> from pytorch_grad_cam import GradCAM
    >>> from membrane_xai.integrations.pytorch_grad_cam import native_grid
    >>> layer = torch.nn.Conv2d(3, 2, 3, stride=2, padding=1)
    >>> network = torch.nn.Sequential(layer, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> images = torch.rand(2, 3, 8, 8)
    >>> with GradCAM(network, [layer]) as cam:
    ...     with native_grid(cam):
    ...         print(cam(images, None).shape)
    ...     print(cam(images, None).shape)
    (2, 4, 4)
    (2, 8, 8)
    """
    _check_method(cam)
    native = _NativeGrid(cam, read_output)
    # Within another such context its methods are kept, and put back.
    before = {name: value for name, value in vars(cam).items() if name in native.replacing}
    vars(cam).update(native.replacing)
    try:
        yield cam
    finally:
        for name in native.replacing:
            delattr(cam, name)
        vars(cam).update(before)


class _NativeGrid:
    """What a method of pytorch-grad-cam does instead of its own."""

    def __init__(self, cam: Any, read_output: ReadOutput | None) -> None:
        self.cam, self.read_output = cam, read_output
        self.own = {name: _own(cam, name) for name in ("forward", "get_cam_image")}
        self.kept: list[Any] = []
        self.replacing = {
            "forward": self.forward,
            "get_cam_image": self.get_cam_image,
            "aggregate_multi_layers": self.aggregate_multi_layers,
        }

    def forward(
        self, input_tensor: Any, targets: Sequence[Any] | None, eigen_smooth: bool = False
    ) -> Any:
        """Compute what pytorch-grad-cam does, and leave the network alone."""
        cam, seen = self.cam, self.cam.activations_and_grads
        _check_call(input_tensor, targets)
        (layer,) = cam.target_layers
        laid_out = _LaidOut(cam.model, layer, cam.reshape_transform, input_tensor)
        seen.reshape_transform = laid_out
        try:
            with (
                explained(cam.model, [layer], self.read_output),
                _ablating(cam, laid_out),
                nullcontext() if cam.detach else _differentiable_twice(),
            ):
                inputs = input_tensor.detach().clone()  # no gradient comes to the caller's
                return self.own["forward"](inputs, targets, eigen_smooth)
        except IndexError as error:  # which the library's own context manager swallows
            message = f"targets do not fit what the network gives: {error}"
            raise InvalidInputError(message) from error
        except RuntimeError as error:
            if any(words in str(error) for words in _GRADIENT_WORDS):
                raise InvalidInputError(NO_GRADIENT) from error
            raise
        finally:
            seen.reshape_transform = cam.reshape_transform
            seen.activations, seen.gradients = [], []  # the library cannot detach all views

    def get_cam_image(
        self,
        input_tensor: Any,
        target_layer: Any,
        targets: Any,
        activations: Any,
        grads: Any,
        eigen_smooth: bool = False,
    ) -> Any:
        """Keep the map on its grid."""
        if activations is None:
            raise InvalidInputError("target_layers[0] is not run by the network")
        if grads is None and self.cam.uses_gradients:
            raise InvalidInputError(NO_GRADIENT)
        given = (input_tensor, target_layer, targets, activations, grads)
        if self.cam.detach or type(self.cam).get_cam_image is not BaseCAM.get_cam_image:
            found = self.own["get_cam_image"](*given, eigen_smooth)
        else:
            found = self._of_graph(given, eigen_smooth)
        self.kept[:] = [found]
        return found

    def _of_graph(self, given: tuple[Any, ...], eigen_smooth: bool) -> Any:
        """Weigh activations that came as the layer gave them, for gradients of gradients."""
        weights = self.cam.get_cam_weights(*given)
        maps = self.cam.activations_and_grads.reshape_transform(given[3]).detach().cpu().numpy()
        weighted = weights.reshape(weights.shape[:2] + (1,) * (maps.ndim - 2)) * maps
        return get_2d_projection(weighted) if eigen_smooth else weighted.sum(axis=1)

    def aggregate_multi_layers(self, _: Any) -> NDArray[Any]:
        """Return the map that was kept."""
        positive: NDArray[Any] = np.maximum(self.kept.pop(), 0)
        return positive


def _own(cam: Any, name: str) -> Any:
    """Return a method of the object, not that of a context around this one."""
    found = getattr(cam, name)
    context = getattr(found, "__self__", None)
    return context.own[name] if isinstance(context, _NativeGrid) else found


class _LaidOut:
    """From the layer's output, or its gradient, to maps (N, C, h, w), at least float32."""

    def __init__(self, network: Any, layer: Any, given: Any, inputs: torch.Tensor) -> None:
        self.network, self.layer, self.given = network, layer, given
        self.pixels = (int(inputs.shape[-2]), int(inputs.shape[-1]))
        self.count: int | None = len(inputs)  # of the first pass; later ones are of masked images
        self.known: dict[tuple[int, ...], Any] = {}  # by shape: AblationCAM takes the layer out

    def __call__(self, output: Any) -> torch.Tensor:
        maps = self.as_they_come(output)
        return maps.float() if maps.dtype in (torch.bfloat16, torch.float16) else maps

    def as_they_come(self, output: Any) -> torch.Tensor:
        """Return maps in the precision of the output, which itself is returned if it is them."""
        maps = self._transform(output)(output)
        if not isinstance(maps, torch.Tensor) or maps.ndim not in (4, 5):
            got = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
            raise InvalidInputError(f"reshape_transform gives {got}; it gives maps (N, C, h, w)")
        return maps

    def _transform(self, output: Any) -> Any:
        if self.given is not None:
            return self.given
        if isinstance(output, torch.Tensor) and output.ndim == 5:  # volumes, channels second
            return lambda maps: maps
        shape = tuple(getattr(output, "shape", ()))[1:]
        if shape not in self.known:
            self.known[shape] = transform_of(
                output, self.network, self.layer, self.pixels, self.count, name="target_layers[0]"
            )
            self.count = None
        return self.known[shape]


class _Ablated(AblationLayer):  # type: ignore[misc]
    """The library's layer, for outputs whose channels are not second."""

    def __init__(self, laid_out: _LaidOut) -> None:
        super().__init__()
        self.laid_out = laid_out

    def set_next_batch(
        self, input_batch_index: int, activations: Any, num_channels_to_ablate: int
    ) -> None:
        """Take an image's activations, once for each channel to ablate."""
        self.output = activations[[input_batch_index] * num_channels_to_ablate]
        maps = self.laid_out.as_they_come(activations)
        super().set_next_batch(input_batch_index, maps, num_channels_to_ablate)

    def __call__(self, x: Any) -> Any:
        """Return the activations with channels ablated, laid out as the layer gives them."""
        after = super().__call__(x)
        if self.laid_out.as_they_come(self.output) is self.output:
            return after
        return put_back(self.laid_out.as_they_come, self.output, after)


@contextmanager
def _ablating(cam: Any, laid_out: _LaidOut) -> Iterator[None]:
    """Let AblationCAM ablate channels wherever they are, unless it has a layer of its own."""
    own = getattr(cam, "ablation_layer", None)
    if type(own) is AblationLayer:
        cam.ablation_layer = _Ablated(laid_out)
    try:
        yield
    finally:
        if type(own) is AblationLayer:
            cam.ablation_layer = own


class MembraneActivationPrecision:
    """MAP, called like the metrics of ``pytorch_grad_cam.metrics``; higher is better.

    Parameters
    ----------
    masks : array of shape (H, W), (N, H, W) or (N, 1, H, W)
        Membrane, bool or fractions in [0, 1], of the field that the images show, on any grid. One
        (H, W) mask serves every image.
    region : array, optional
        What counts, such as tissue; shaped like `masks`.
    score : str
        Which field of :class:`membrane_xai.AlignmentResult` to return: one of
        ``membrane_xai.metrics.SCORES``, such as "map" or "toward_ideal".
    grid : CamGrid, optional
        Where the cells of the maps lie, as in :func:`membrane_xai.map_score`.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.

    Raises
    ------
    InvalidInputError
        An unknown score.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from membrane_xai.integrations.pytorch_grad_cam import MembraneActivationPrecision
    >>> masks = np.array([[[True, False]], [[False, False]]])
    >>> metric = MembraneActivationPrecision(masks)
    >>> cams = np.array([[[3.0, 1.0]], [[1.0, 1.0]]], dtype=np.float32)

    The second image has no membrane, so it has no score:

    >>> metric(torch.rand(2, 3, 1, 2), cams)
    array([0.75,  nan])
    """

    def __init__(
        self,
        masks: Any,
        *,
        region: Any = None,
        score: str = "map",
        grid: CamGrid | None = None,
        negative: str = "clip",
    ) -> None:
        check_choice(score, "score", SCORES)
        self.masks = masks
        self.region = region
        self.score = score
        self.grid = check_cam_grid(grid)
        self.negative = negative

    def __call__(
        self,
        input_tensor: torch.Tensor,
        cams: NDArray[Any],
        targets: Sequence[Any] | None = None,  # noqa: ARG002  the signature of its metrics
        model: torch.nn.Module | None = None,  # noqa: ARG002
        return_visualization: bool = False,
    ) -> Any:
        """Score the CAM of each image.

        Parameters
        ----------
        input_tensor : torch.Tensor of shape (N, C, H, W)
            What was explained.
        cams : ndarray of shape (N, h, w)
            Its maps, on the grid of the image or, better, of the layer: see :func:`native_grid`.
        targets, model
            Not used: the activation is there already.
        return_visualization : bool
            Also return the images times what the score counts: the activation on the membrane.

        Returns
        -------
        ndarray of shape (N,), float64
            NaN for an image without a score; :func:`membrane_xai.alignment` tells the reason.
        torch.Tensor of shape (N, C, H, W), if `return_visualization`
            Each image times its upsampled positive activation, scaled to a maximum of 1, times the
            share of membrane of each pixel.

        Raises
        ------
        InvalidInputError
            As many CAMs as images are needed; else as in :func:`membrane_xai.map_score`.
        """
        cams = np.asarray(cams)
        if cams.ndim < 3 or len(cams) != len(input_tensor):
            raise InvalidInputError(
                f"cams has shape {cams.shape} for {len(input_tensor)} images; it takes (N, h, w)"
            )
        result = alignment(
            cams, self.masks, region=self.region, grid=self.grid, negative=self.negative
        )
        scores = np.asarray(getattr(result, self.score))
        if not return_visualization:
            return scores
        return scores, self._visualize(input_tensor, cams)

    def _visualize(self, images: torch.Tensor, cams: NDArray[Any]) -> torch.Tensor:
        size = (images.shape[-2], images.shape[-1])
        positive = np.abs(cams) if self.negative == "abs" else np.maximum(cams, 0)
        activation = torch.from_numpy(np.asarray(positive, dtype=np.float32)).reshape(
            len(cams), 1, *cams.shape[-2:]
        )
        placed = None if self.grid is None else self.grid.for_cells(cams.shape[-2:])
        up: torch.Tensor = upsample(activation, size, placed)
        top = up.amax((2, 3), keepdim=True)
        pooled = pool_mask(self.masks, size, region=self.region)
        share = pooled.mask if self.region is None else pooled.mask * pooled.region
        inside = torch.as_tensor(np.nan_to_num(np.asarray(share)), dtype=torch.float32)
        weight = up / torch.where(top > 0, top, 1.0) * inside.reshape(-1, 1, *size)
        shown: torch.Tensor = images * weight.to(images)
        return shown


def _differentiable_twice() -> AbstractContextManager[None]:
    """Let attention have gradients of gradients, which its fast kernels lack."""
    context: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


def _check_method(cam: Any) -> None:
    if not isinstance(cam, BaseCAM) or isinstance(cam, FullGrad):
        raise InvalidInputError(
            f"cam is a {type(cam).__name__}; it takes a method of pytorch-grad-cam other than "
            f"FullGrad, such as GradCAM(network, [layer])"
        )
    if isinstance(cam.target_layers, torch.nn.Module):  # of which it explains the children
        raise InvalidInputError(
            f"cam has the target_layers {type(cam.target_layers).__name__}; it takes a list of "
            f"layers: [layer]"
        )
    if len(cam.target_layers) != 1:
        raise InvalidInputError(
            f"cam has {len(cam.target_layers)} target layers; each layer has a grid of its own: "
            f"explain one at a time"
        )


def _check_call(input_tensor: Any, targets: Sequence[Any] | None) -> None:
    if not isinstance(input_tensor, torch.Tensor) or input_tensor.ndim < 4:
        shape = tuple(getattr(input_tensor, "shape", ()))
        raise InvalidInputError(
            f"input_tensor is a {type(input_tensor).__name__} of shape {shape}; it takes a tensor "
            f"of shape (N, C, H, W)"
        )
    if targets is None:
        return
    if len(targets) != len(input_tensor):
        raise InvalidInputError(
            f"targets has {len(targets)} elements; it takes one for each of {len(input_tensor)} "
            f"images"
        )
    for target in targets:
        if not callable(target):
            raise InvalidInputError(
                f"targets has {target!r}; it takes functions of an image's output, such as "
                f"ClassifierOutputTarget(1)"
            )
