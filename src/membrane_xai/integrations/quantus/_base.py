"""Base class of the Quantus metrics, which takes CAMs as they are, on any grid."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai.errors import InvalidInputError, missing

try:
    from quantus.helpers import utils
    from quantus.helpers.enums import DataType, EvaluationCategory, ModelType, ScoreDirection
    from quantus.metrics.base import Metric
except ImportError as error:
    raise missing(error, "membrane_xai.integrations.quantus", package="quantus") from error

__all__ = ["EvaluationCategory", "ImageMetric"]


def mean_of_defined(scores: Any) -> float:
    """Return the mean of what is not NaN; NaN if nothing is."""
    values = np.asarray(scores, dtype=float)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


class ImageMetric(Metric[list[float]]):
    """Base of both metrics: they read attributions as they are, neither scaled nor made abs."""

    data_applicability: ClassVar = {DataType.IMAGE}
    model_applicability: ClassVar = {ModelType.TORCH, ModelType.TF}
    score_direction = ScoreDirection.HIGHER

    def __init__(self, return_aggregate: bool, display_progressbar: bool) -> None:
        super().__init__(
            abs=False,
            normalise=False,
            normalise_func=None,
            normalise_func_kwargs=None,
            return_aggregate=return_aggregate,
            aggregate_func=mean_of_defined,
            default_plot_func=None,
            disable_warnings=True,
            display_progressbar=display_progressbar,
        )

    def __call__(
        self,
        model: Any,
        x_batch: NDArray[Any],
        y_batch: NDArray[Any],
        a_batch: NDArray[Any] | None = None,
        s_batch: NDArray[Any] | None = None,
        channel_first: bool | None = None,
        explain_func: Callable[..., NDArray[Any]] | None = None,
        explain_func_kwargs: dict[str, Any] | None = None,
        model_predict_kwargs: dict[str, Any] | None = None,
        softmax: bool | None = False,
        device: str | None = None,
        batch_size: int = 64,
        **kwargs: Any,
    ) -> list[float]:
        """Score the attributions of each image.

        Parameters
        ----------
        model, x_batch, y_batch, channel_first, model_predict_kwargs, softmax, device, batch_size
            As of every metric of Quantus.
        a_batch : ndarray of shape (N, h, w) or (N, 1, h, w), optional
            Maps, on the grid of the images or of their layer; by default `explain_func` makes them,
            on the grid of the images.
        s_batch : ndarray of shape (N, H, W) or (N, 1, H, W)
            Membrane, bool or fractions in [0, 1], on any grid.
        explain_func, explain_func_kwargs
            What explains, if it is needed.
        **kwargs
            Not used.

        Returns
        -------
        list of N float
            NaN for an image without a score; one mean of the others with ``return_aggregate=True``.
        """
        # torch, to which Quantus hands them, refuses steps backwards and another byte order.
        x_batch = np.ascontiguousarray(to_numpy(x_batch))
        y_batch = np.ascontiguousarray(to_numpy(y_batch))
        if a_batch is not None:
            # Quantus takes maps of the image's grid, none of them flat: it gets a stand-in.
            if len(a_batch) != len(x_batch):
                raise InvalidInputError(
                    f"a_batch has {len(a_batch)} maps for {len(x_batch)} images; "
                    f"it takes one per image"
                )
            kwargs["custom_batch"] = to_numpy(a_batch)
            first = utils.infer_channel_first(x_batch) if channel_first is None else channel_first
            shape = utils.make_channel_first(x_batch, first).shape
            ramp = np.arange(shape[-2] * shape[-1]).reshape(shape[-2:])
            a_batch = np.broadcast_to(ramp, (shape[0], 1, *ramp.shape))
        scores: list[float] = super().__call__(
            model=model,
            x_batch=x_batch,
            y_batch=y_batch,
            a_batch=a_batch,
            s_batch=s_batch,
            channel_first=channel_first,
            explain_func=explain_func,
            explain_func_kwargs=explain_func_kwargs,
            model_predict_kwargs=model_predict_kwargs,
            softmax=softmax,
            device=device,
            batch_size=batch_size,
            **kwargs,
        )
        return scores
