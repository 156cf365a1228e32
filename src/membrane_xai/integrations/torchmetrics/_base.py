"""Base class of the TorchMetrics metrics: states are sums over batches and processes."""

from typing import Any

from membrane_xai.errors import missing

try:
    import torch
    from torchmetrics import Metric
except ImportError as error:
    raise missing(
        error, "membrane_xai.integrations.torchmetrics", package="torchmetrics"
    ) from error

__all__ = ["SummedMetric", "torch"]


class SummedMetric(Metric):
    """Base of this package's metrics; higher is better."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def add_sum(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.add_state(name, torch.zeros(shape, dtype=dtype), dist_reduce_fx="sum")

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
