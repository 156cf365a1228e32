"""pytorch-grad-cam: its maps on the grid of their layer, and MAP called like its metrics."""

from membrane_xai.errors import missing

try:
    import pytorch_grad_cam  # noqa: F401
except ImportError as error:
    raise missing(
        error, "membrane_xai.integrations.pytorch_grad_cam", package="grad-cam"
    ) from error

from membrane_xai.integrations.pytorch_grad_cam._metric import MembraneActivationPrecision
from membrane_xai.integrations.pytorch_grad_cam._native_grid import native_grid

__all__ = ["MembraneActivationPrecision", "native_grid"]
