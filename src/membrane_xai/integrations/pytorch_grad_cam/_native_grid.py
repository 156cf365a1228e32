"""``native_grid``: the methods of pytorch-grad-cam with their maps as they arise."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import AblationLayer, FullGrad
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from torch.nn.attention import SDPBackend, sdpa_kernel

from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch._maps import not_one_tensor, put_back, transform_of
from membrane_xai.integrations.pytorch._network import HALF, NO_GRADIENT, ReadOutput, explained

__all__ = ["native_grid"]

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
        laid_out.one_tensor = cam.uses_gradients or hasattr(cam, "ablation_layer")
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
        self.one_tensor = False  # whether something else cannot be explained
        self.known: dict[tuple[int, ...], Any] = {}  # by shape: AblationCAM takes the layer out

    def __call__(self, output: Any) -> torch.Tensor:
        maps = self.as_they_come(output)
        return maps.float() if maps.dtype in HALF else maps

    def as_they_come(self, output: Any) -> torch.Tensor:
        """Return maps in the precision of the output, which itself is returned if it is them."""
        maps = self._transform(output)(output)
        if not isinstance(maps, torch.Tensor) or maps.ndim not in (4, 5):
            got = tuple(maps.shape) if isinstance(maps, torch.Tensor) else type(maps).__name__
            raise InvalidInputError(f"reshape_transform gives {got}; it gives maps (N, C, h, w)")
        return maps

    def _transform(self, output: Any) -> Any:
        if self.given is not None:
            if self.one_tensor and not isinstance(output, torch.Tensor):
                raise InvalidInputError(
                    f"{not_one_tensor(output, 'target_layers[0]')}, or take a method that needs "
                    f"neither gradients nor ablation, such as ScoreCAM or EigenCAM"
                )
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
    if not len(input_tensor):
        raise InvalidInputError("input_tensor is empty; it takes at least one image")
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
