"""TorchMetrics: MAP and EC as metrics whose states add up over batches and processes."""

from typing import Any

import numpy as np

from membrane_xai._backend.cam_grid import check_cam_grid
from membrane_xai._backend.checks import check_choice, check_fraction
from membrane_xai._backend.vocabulary import SCORES, STATUSES
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.torchmetrics._base import SummedMetric, check_resampling, torch
from membrane_xai.integrations.torchmetrics._consistency import ExplanationConsistency
from membrane_xai.metrics import CamGrid, alignment, map_score
from membrane_xai.metrics._mass import check_negative

__all__ = ["ExplanationConsistency", "MembraneActivationPrecision"]

_SCORES = tuple(name for name in SCORES if name not in ("chance", "ideal", "ceiling"))


class MembraneActivationPrecision(SummedMetric):
    """Mean Membrane Activation Precision, or one of its kin, over samples; higher is better.

    Parameters
    ----------
    score : {"map", "toward_ideal", "enrichment", "skill", "relative", "coverage"}
        Which field of :class:`membrane_xai.AlignmentResult` to average.
    threshold : float in [0, 1], optional
        As in :func:`membrane_xai.map_score`; for ``score="map"`` alone.
    grid : CamGrid, optional
        Where the cells of the maps lie, as in :func:`membrane_xai.map_score`.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.
    **kwargs
        As of every ``torchmetrics.Metric``, such as `sync_on_compute`.

    Raises
    ------
    InvalidInputError
        An unknown option.

    Notes
    -----
    States, all summed: `total` of the scores (float64), `scored` samples, samples by status. A
    device without float64, such as MPS, cannot hold them: leave the metric on the CPU there and
    update it with ``cams.cpu()``. In a ``MetricCollection`` pass arguments by name, so that each
    metric gets its own. ``BootStrapper`` resamples tensors only: within it, masks and regions of a
    batch have to be tensors, too, and a mask of all samples an array of NumPy; others are refused.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.torchmetrics import MembraneActivationPrecision
    >>> metric = MembraneActivationPrecision()
    >>> cams = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]], [[0.0, 0.0]]])
    >>> masks = torch.tensor([[[True, False]], [[False, False]], [[True, False]]])
    >>> metric.update(cams, masks)

    The second sample has no membrane, the third no activation: they are counted and left out.

    >>> metric.compute().item()
    0.75
    >>> {status: n for status, n in metric.status_counts().items() if n}
    {'ok': 1, 'no_activation': 1, 'empty_mask': 1}
    """

    plot_lower_bound = 0.0
    total: torch.Tensor
    scored: torch.Tensor
    statuses: torch.Tensor

    def __init__(
        self,
        *,
        score: str = "map",
        threshold: float | None = None,
        grid: CamGrid | None = None,
        negative: str = "clip",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice(score, "score", _SCORES)
        check_negative(negative)
        if threshold is not None:
            threshold = check_fraction(threshold, "threshold")
            if score != "map":
                raise InvalidInputError(f"threshold is {threshold!r}; it is for score='map' alone")
        self.score = score
        self.threshold = threshold
        self.grid = check_cam_grid(grid)
        self.negative = negative
        self.add_sum("total", (), torch.float64)
        self.add_sum("scored", (), torch.int64)
        self.add_sum("statuses", (len(STATUSES),), torch.int64)
        cells = "half-pixel" if self.grid is None else self.grid.to_text()
        self.tell_apart(score=score, threshold=threshold, grid=cells, negative=negative)

    def update(self, cams: Any, masks: Any, region: Any = None) -> None:
        """Add a batch.

        Parameters
        ----------
        cams : torch.Tensor of shape (h, w), (N, h, w) or (N, 1, h, w)
            On the grid of their layer, not scaled.
        masks : array of shape (H, W), (N, H, W) or (N, 1, H, W)
            Membrane, bool or fractions in [0, 1].
        region : array, optional
            What counts, such as tissue; shaped like `masks`.

        Raises
        ------
        InvalidInputError
            As in :func:`membrane_xai.map_score`.
        """
        check_resampling(cams=(cams, 3), masks=(masks, 3), region=(region, 3))
        options: dict[str, Any] = {"region": region, "grid": self.grid, "negative": self.negative}
        result = alignment(cams, masks, **options)
        if self.threshold is None:
            values = getattr(result, self.score)
        else:
            values = map_score(cams, masks, threshold=self.threshold, **options)
        scores = torch.as_tensor(values).to(self.total).reshape(-1)
        words = np.atleast_1d(result.status)
        counts = torch.tensor([int((words == status).sum()) for status in STATUSES])
        self.total += torch.nansum(scores)
        self.scored += torch.isfinite(scores).sum()
        self.statuses += counts.to(self.statuses)

    def compute(self) -> torch.Tensor:
        """Return the mean over the samples that have the score, a float64 scalar; NaN if none."""
        return self.total / self.scored  # 0 / 0 is NaN

    def status_counts(self) -> dict[str, int]:
        """Return the number of samples by status, over all processes.

        Returns
        -------
        dict of str to int
            "ok", "no_activation", "empty_mask", "empty_region" and "non_finite", as in
            :class:`membrane_xai.AlignmentResult`. Under distributed use every process must call it.
        """
        return dict(zip(STATUSES, self.summed("statuses").tolist(), strict=True))
