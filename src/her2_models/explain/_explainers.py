"""`CamExplainer`: a trained network as `membrane_xai.evaluate` calls it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2_models.explain._cams import cam_method, native_cam, on_device
from her2_models.models import Backbone, InputSpec, register
from membrane_xai import CamGrid
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.her2_rule import GRADES

try:
    import torch
except ImportError as error:
    raise missing(error, "an explanation", extra="her2") from error

from her2_models.score_cam import ScoreCAM

__all__ = ["CamExplainer", "inputs_of"]

Cams = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CamExplainer:
    """A CAM method on a trained HER2 classifier.

    Attributes
    ----------
    backbone : Backbone
        The network.
    method : str
        Of pytorch-grad-cam, see :func:`her2_models.explain.cam_methods`.
    input_size : int
        Side of the network's input in pixels.
    every_class : bool
        Whether to explain all four scores; Score-CAM does so with the passes of one.
    options : dict
        Of the method's constructor.
    normalize : bool
        False shows the network the rescaled image, in [0, 1], which it was not trained on; so did
        the source study's notebook.
    grid : CamGrid, optional
        Where the cells of its maps lie on the input, which :func:`membrane_xai.evaluate` and
        :func:`membrane_xai.perturbation_consistency` go by. By default
        :func:`her2_models.models.register` measures it.

    Raises
    ------
    InvalidInputError
        pytorch-grad-cam has no such method.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from her2_models.explain import CamExplainer
    >>> from her2_models.models import Backbone
    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Conv2d(3, 8, 3, stride=4)
    >>> head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4)]
    >>> network = torch.nn.Sequential(layer, *head).eval()
    >>> backbone = Backbone("small", "random", network, layer, "0", (0.5,) * 3, (0.2,) * 3)
    >>> explain = CamExplainer(backbone, "GradCAM", 32)
    >>> rgb = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    >>> explain(rgb, ["0", "3+"]).shape
    (2, 8, 8)
    >>> explain.grid.spacing
    (4.0, 4.0)
    >>> explain(rgb, ["0", "4+"])
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: targets has '4+'; it takes scores among 0, 1+, 2+, 3+
    >>> list(CamExplainer(backbone, "ScoreCAM", 32, every_class=True)(rgb, ["0", "0"]))
    ['0', '1+', '2+', '3+']
    """

    backbone: Backbone
    method: str
    input_size: int
    every_class: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    normalize: bool = True
    grid: CamGrid | None = None

    def __post_init__(self) -> None:
        cam_method(self.method)
        if self.grid is None:
            network, layer = self.backbone.network, self.backbone.explained_layer()
            reshape = self.options.get("reshape_transform")
            found = register(network, layer, self.input_size, reshape=reshape)
            object.__setattr__(self, "grid", found.grid)

    def __call__(
        self, rgb: NDArray[np.uint8], targets: Sequence[str]
    ) -> Cams | dict[str, NDArray[Any]]:
        """Explain images.

        Parameters
        ----------
        rgb : ndarray of shape (n, H, W, 3), uint8
            The images.
        targets : sequence of n str
            The score to explain in each, "0", "1+", "2+" or "3+"; not used with `every_class`.

        Returns
        -------
        ndarray of shape (n, h, w), or dict of str to such arrays
            By score with `every_class`. Negative values set to 0, not scaled.

        Raises
        ------
        InvalidInputError
            Something else than a score.
        """
        inputs = inputs_of(self.backbone, rgb, self.input_size, normalize=self.normalize)
        if self.every_class:
            return self._every_class(inputs)
        for target in targets:
            if target not in GRADES:
                raise InvalidInputError(
                    f"targets has {target!r}; it takes scores among {', '.join(GRADES)}"
                )
        classes = [GRADES.index(target) for target in targets]
        return native_cam(self.backbone, inputs, self.method, target=classes, **self.options)

    def _every_class(self, inputs: torch.Tensor) -> dict[str, NDArray[Any]]:
        classes = range(len(GRADES))
        if self.method == "ScoreCAM":
            network, layers = self.backbone.network, [self.backbone.explained_layer()]
            options = {"read_output": self.backbone.read_output, **self.options}
            cam = ScoreCAM(network, layers, **options)
            cams = cam.for_classes(on_device(self.backbone, inputs), classes)
            return {GRADES[i]: cams[:, i] for i in classes}
        return {
            GRADES[i]: native_cam(self.backbone, inputs, self.method, target=i, **self.options)
            for i in classes
        }


def inputs_of(
    backbone: Backbone,
    rgb: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    size: int,
    *,
    normalize: bool = True,
) -> torch.Tensor:
    """Turn images into the tensor that is predicted, and that is explained.

    Parameters
    ----------
    backbone : Backbone
        The network.
    rgb : ndarray of shape (n, H, W, 3), or sequence of n (H, W, 3), uint8
        The images.
    size : int
        Side of the network's input in pixels.
    normalize : bool
        As the network was trained, or only scaled to [0, 1].

    Returns
    -------
    torch.Tensor of shape (n, 3, size, size), float32
    """
    spec = InputSpec(size, backbone.mean, backbone.std)
    to_tensor = spec.normalize if normalize else spec.rescale
    return torch.stack([to_tensor(spec.resize(one)) for one in rgb])
