"""Base class of the TorchMetrics metrics: states are sums over batches and processes."""

import sys
from typing import Any

from membrane_xai.errors import InvalidInputError, missing

try:
    import torch
    from torchmetrics import Metric
    from torchmetrics.wrappers import BootStrapper

    from membrane_xai.integrations.pytorch._network import HALF
except ImportError as error:
    raise missing(
        error, "membrane_xai.integrations.torchmetrics", package="torchmetrics"
    ) from error

__all__ = ["SummedMetric", "check_resampling", "torch"]

_FRAMES = 6  # from here to the wrapper's update: ours, and what TorchMetrics puts around it


class SummedMetric(Metric):
    """Base of this package's metrics; higher is better."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def add_sum(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Move the states, but leave them precise: in half precision a sum stops growing."""
        return super()._apply(_Precise(fn), *args, **kwargs)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a value or a list of values, as every metric of TorchMetrics does; needs matplotlib.

        Parameters
        ----------
        val : torch.Tensor or list of them, optional
            Of `compute` or `forward`; by default what `compute` gives.
        ax : matplotlib.axes.Axes, optional
            Where to.

        Returns
        -------
        tuple of (matplotlib.figure.Figure, matplotlib.axes.Axes)
        """
        return self._plot(val, ax)

    def tell_apart(self, **options: Any) -> None:
        """Add a state whose name carries the options.

        MetricCollection lets metrics share their states if these have equal names and, after the
        first batch, equal values; scores of different options may agree by chance.
        """
        name = ", ".join(f"{key}={value}" for key, value in options.items())
        self.add_sum(name, (), torch.int64)

    def summed(self, name: str) -> torch.Tensor:
        """Return a copy of a state, summed over all processes; each of them must call this."""
        synced = self._is_synced
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync and not synced,
            should_unsync=not synced,
        ):
            state: torch.Tensor = getattr(self, name)
            return state.clone()


class _Precise:
    """What is done to each state, but for half precision, as of Lightning's "bf16-true"."""

    def __init__(self, fn: Any) -> None:
        self.fn = fn

    def __repr__(self) -> str:
        return repr(self.fn)  # by which TorchMetrics tells what changes precisions

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        after: torch.Tensor = self.fn(state)
        return state.to(after.device) if after.dtype in HALF else after


def check_resampling(**arguments: tuple[Any, int]) -> None:
    """Raise where BootStrapper would part what belongs together; to be called by `update`.

    It resamples tensors by their first axis and leaves all else as it is, so that maps would meet
    the masks of others. A metric is not told that it is wrapped: the callers are looked at.

    Parameters
    ----------
    **arguments : (value, int)
        By name, with the number of axes from which on the first one counts samples.
    """
    if not _is_bootstrapped():
        return
    for name, (value, axes) in arguments.items():
        count = getattr(value, "ndim", 0)
        if isinstance(value, torch.Tensor) and count < axes:
            raise InvalidInputError(
                f"{name} is a tensor of {count} axes, whose rows BootStrapper resamples; it takes "
                f"one element for each sample, such as {name}[None].expand(N, -1, -1), or what all "
                f"share as an array of NumPy"
            )
        if not isinstance(value, torch.Tensor) and (isinstance(value, list) or count >= axes):
            raise InvalidInputError(
                f"{name} is a {type(value).__name__}, which BootStrapper does not resample with "
                f"the tensors; it takes a tensor, such as torch.as_tensor({name})"
            )


def _is_bootstrapped() -> bool:
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if isinstance(frame.f_locals.get("self"), BootStrapper):
            return True
    return False
