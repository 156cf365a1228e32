"""``MembraneActivationPrecision``: MAP, called like the metrics of pytorch-grad-cam."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.cam_grid import check_cam_grid
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.resample import upsample
from membrane_xai._backend.vocabulary import SCORES
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import CamGrid, alignment, pool_mask

__all__ = ["MembraneActivationPrecision"]


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
        cams = to_numpy(cams)
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
        inside = torch.as_tensor(np.nan_to_num(to_numpy(share)), dtype=torch.float32)
        weight = up / torch.where(top > 0, top, 1.0) * inside.reshape(-1, 1, *size)
        shown: torch.Tensor = images * weight.to(images)
        return shown
