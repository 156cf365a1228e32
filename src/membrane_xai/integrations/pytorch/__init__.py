"""PyTorch: where the cells of a network's layer lie, measured or by arithmetic."""

from membrane_xai.errors import missing

try:
    import torch  # noqa: F401
except ImportError as error:
    raise missing(error, "membrane_xai.integrations.pytorch", package="torch") from error

from membrane_xai.integrations.pytorch._arithmetic import receptive_field_grid
from membrane_xai.integrations.pytorch._measured import measured_grid

__all__ = ["measured_grid", "receptive_field_grid"]
