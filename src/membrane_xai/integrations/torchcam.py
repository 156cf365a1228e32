"""TorchCAM: an extractor's output as maps, and MAP summed up over batches like its metrics."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from membrane_xai._backend.cam_grid import check_cam_grid
from membrane_xai._backend.checks import is_count
from membrane_xai.accumulate import MapAccumulator
from membrane_xai.accumulate._columns import columns_of_sums, scored_alike
from membrane_xai.errors import InvalidInputError, UndefinedScoreError, missing
from membrane_xai.metrics import CamGrid, alignment
from membrane_xai.metrics._mass import check_negative

try:
    import torch
    from torchcam.methods.core import _CAM  # noqa: PLC2701  the base of all extractors

    from membrane_xai.integrations.pytorch._maps import Transform, not_one_tensor, transform_of
    from membrane_xai.integrations.pytorch._network import (
        HALF,
        NO_GRADIENT,
        ReadOutput,
        class_index,
        explained,
    )
except ImportError as error:
    raise missing(error, "membrane_xai.integrations.torchcam", package="torchcam") from error

__all__ = ["MembraneActivationPrecision", "to_maps"]


def to_maps(cams: Any, *, layer: int | None = None) -> torch.Tensor:
    """Return the maps of one layer from what an extractor gives.

    Parameters
    ----------
    cams : list of torch.Tensor
        One tensor per target layer, (N, h, w) or (h, w). Get it with ``normalized=False``: by
        default TorchCAM stretches each map to [0, 1], which changes MAP.
    layer : int, optional
        Which of them; needed if there are several, as each layer has a grid of its own and so a
        ceiling of its own.

    Returns
    -------
    torch.Tensor of shape (N, h, w) or (h, w)
        On the grid of the layer, outside the gradient graph, values as they were. Whether channels
        were second cannot be seen here any more: an extractor on a transformer takes TorchCAM's
        `reshape_transform`; :class:`MembraneActivationPrecision` knows networks of timm.

    Raises
    ------
    InvalidInputError
        No list of such tensors, a volume, several layers without `layer`, or an index beyond them.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai import map_score
    >>> from membrane_xai.integrations.torchcam import to_maps
    >>> cams = [torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.0]]])]  # as of two layers
    >>> membrane = torch.tensor([[True, False]])
    >>> [map_score(to_maps(cams, layer=i), membrane).item() for i in range(2)]
    [0.75, 0.5]
    >>> to_maps(cams)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: cams has 2 layers; pass layer=0 to 1
    """
    if not isinstance(cams, list | tuple) or not cams:
        raise InvalidInputError(f"cams is {type(cams).__name__}; it takes a list, one per layer")
    for i, cam in enumerate(cams):
        if not isinstance(cam, torch.Tensor) or cam.ndim not in (2, 3):
            got = tuple(cam.shape) if isinstance(cam, torch.Tensor) else type(cam).__name__
            raise InvalidInputError(f"cams[{i}] is {got}; it takes tensors (N, h, w) or (h, w)")
    if layer is None and len(cams) > 1:
        raise InvalidInputError(f"cams has {len(cams)} layers; pass layer=0 to {len(cams) - 1}")
    index = 0 if layer is None else layer
    if not is_count(index) or not -len(cams) <= index < len(cams):
        raise InvalidInputError(f"layer is {layer!r}; cams has layers 0 to {len(cams) - 1}")
    found: torch.Tensor = cams[index]
    return found.detach()


class MembraneActivationPrecision:
    """MAP and its frame of reference over a dataset, used like ``torchcam.metrics``.

    Parameters
    ----------
    cam_extractor : torchcam extractor
        Such as ``LayerCAM(network, layer)``, with its hooks on.
    logits_fn : callable, optional
        Applied to the network's output before the class is chosen, such as a softmax.
    layer : int, optional
        Which target layer to score; needed if the extractor has several.
    read_output : function, optional
        From the network's output to scores (N, classes), for networks that give something else,
        such as a dict; `logits_fn` comes after it.
    grid : CamGrid, optional
        Where the cells of the maps lie, as in :func:`membrane_xai.map_score`.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.

    Raises
    ------
    InvalidInputError
        Not an extractor, or an unknown option.

    Examples
    --------
    >>> import torch
    >>> from torchcam.methods import GradCAM
    >>> from membrane_xai.integrations.torchcam import MembraneActivationPrecision
    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Conv2d(3, 2, 3, stride=2, padding=1)
    >>> network = torch.nn.Sequential(layer, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> membrane = torch.zeros(2, 8, 8, dtype=torch.bool)
    >>> membrane[0, :, 3] = True
    >>> with GradCAM(network, layer) as extractor:
    ...     metric = MembraneActivationPrecision(extractor)
    ...     metric.update(torch.rand(2, 3, 8, 8), membrane)

    The second image has no membrane: it is counted and left out of the means.

    >>> summary = metric.summary()
    >>> summary["rows"], summary["scored"], summary["empty_mask"], summary["chance"]
    (2, 1, 1, 0.125)
    """

    def __init__(
        self,
        cam_extractor: Any,
        logits_fn: Callable[[torch.Tensor], torch.Tensor] | None = None,
        *,
        layer: int | None = None,
        read_output: ReadOutput | None = None,
        grid: CamGrid | None = None,
        negative: str = "clip",
    ) -> None:
        if not isinstance(cam_extractor, _CAM):
            raise InvalidInputError(
                f"cam_extractor is a {type(cam_extractor).__name__}; it takes an extractor of "
                f"TorchCAM, such as LayerCAM(network, layer)"
            )
        check_negative(negative)
        self.cam_extractor = cam_extractor
        self.logits_fn = logits_fn
        self.layer = layer
        self.read_output = read_output
        self.grid = check_cam_grid(grid)
        self.negative = negative
        self.reset()

    def update(
        self,
        input_tensor: torch.Tensor,
        masks: Any,
        class_idx: int | list[int] | None = None,
        *,
        region: Any = None,
        groups: Sequence[Any] | None = None,
    ) -> None:
        """Explain a batch and add its scores.

        Parameters
        ----------
        input_tensor : torch.Tensor of shape (N, C, H, W)
            What the network takes. The network is put into evaluation mode meanwhile, and given
            back as it was. It may be frozen, and in half precision.
        masks : array of shape (H, W), (N, H, W) or (N, 1, H, W)
            Membrane, bool or fractions in [0, 1].
        class_idx : int or list of N int, optional
            Which class to explain; by default the predicted one of each sample.
        region : array, optional
            What counts, such as tissue; shaped like `masks`.
        groups : sequence of N labels, optional
            The patient of each sample, for intervals; in every update, or in none.

        Raises
        ------
        InvalidInputError
            As in :func:`membrane_xai.alignment` and :func:`to_maps`; an output that is no scores, a
            layer whose output is no map, or to which no gradient comes.

        Notes
        -----
        Channels that are last and tokens are laid out as maps by
        :func:`membrane_xai.integrations.pytorch.as_maps`, which knows the networks of timm and
        torchvision, or by the `reshape_transform` that the extractor was made with.
        """
        of_layer = to_maps(self._explain(input_tensor, class_idx), layer=self.layer)
        result = alignment(of_layer, masks, region=region, grid=self.grid, negative=self.negative)
        self._sums.update_scores(scored_alike(result), groups=groups)

    def _explain(self, input_tensor: torch.Tensor, class_idx: Any) -> list[torch.Tensor]:
        extractor = self.cam_extractor
        inputs, chosen = input_tensor.detach(), _classes(class_idx)
        layers = [extractor.submodule_dict[name] for name in extractor.target_names]
        with (
            explained(extractor.model, layers, self.read_output),
            _laid_out(extractor, layers, inputs),
        ):
            scores = extractor.model(inputs)
            scores = scores if self.logits_fn is None else self.logits_fn(scores)
            chosen = scores.argmax(dim=-1).tolist() if chosen is None else chosen
            _check_classes(chosen, scores)
            try:
                cams: list[torch.Tensor] = extractor(chosen, scores, normalized=False)
            except RuntimeError as error:
                if "not connected to every target layer" in str(error):
                    raise InvalidInputError(NO_GRADIENT) from error
                raise
        return [cam.float() if cam.dtype in HALF else cam for cam in cams]

    def summary(self, *, ci: float = 0.95, draws: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """Count and average the samples so far.

        Parameters
        ----------
        ci : float in (0, 1)
            Nominal coverage of the intervals.
        draws, seed : int
            Of a bootstrap; the intervals are by the jackknife, which draws nothing.

        Returns
        -------
        dict
            Counts, means, ends of intervals and notes, named as in
            :meth:`membrane_xai.StudyResult.summary`; `rows` are samples. Without groups all
            intervals are withheld, with the note "few_groups".

        Raises
        ------
        UndefinedScoreError
            No batch so far.
        """
        found = columns_of_sums(self._sums, ci=ci, draws=draws, seed=seed)
        if not found["rows"]:
            raise UndefinedScoreError("no sample so far: call update before summary")
        return found

    def reset(self) -> None:
        """Forget all samples."""
        self._sums = MapAccumulator(negative=self.negative)


def _classes(class_idx: Any) -> int | list[int] | None:
    """Return classes as TorchCAM takes them, or raise."""
    if class_idx is None:
        return None
    several = isinstance(class_idx, list | tuple | range) or getattr(class_idx, "ndim", 0) > 0
    if several:
        return [class_index(one, "class_idx") for one in class_idx]
    return class_index(class_idx, "class_idx")


def _check_classes(chosen: Any, scores: torch.Tensor) -> None:
    """Raise unless there is one class for each sample, or for all, that the network has."""
    if isinstance(chosen, list) and len(chosen) != len(scores):
        raise InvalidInputError(f"class_idx has {len(chosen)} classes for {len(scores)} samples")
    count = scores.shape[-1]
    for one in chosen if isinstance(chosen, list) else [chosen]:
        if scores.ndim == 2 and not 0 <= one < count:
            raise InvalidInputError(f"class_idx is {one}; the network has classes 0 to {count - 1}")


@contextmanager
def _laid_out(
    extractor: Any, layers: Sequence[torch.nn.Module], inputs: torch.Tensor
) -> Iterator[None]:
    """Give an extractor the transform of its layers, unless it has one."""
    given = extractor._reshape_transform
    pixels = (int(inputs.shape[-2]), int(inputs.shape[-1]))
    known: dict[tuple[int, ...], Transform] = {}  # by the shape of an output, and of its gradient

    def tell(layer: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001
        name = f"layer {type(layer).__name__}"
        if not isinstance(output, torch.Tensor):
            raise InvalidInputError(not_one_tensor(output, name))
        shape = tuple(output.shape)
        if given is None and len(shape) != 5:  # volumes have their channels second
            known[shape] = transform_of(output, extractor.model, layer, pixels, name=name)

    handles = [layer.register_forward_hook(tell, prepend=True) for layer in layers]

    def lay_out(output: torch.Tensor) -> torch.Tensor:
        found = known.get(tuple(output.shape))
        return output if found is None else found(output)

    extractor._reshape_transform = given or lay_out
    try:
        yield
    finally:
        extractor._reshape_transform = given
        for handle in handles:
            handle.remove()
