"""PyTorch: a layer's output as maps, where its cells lie, and a network given back as it was."""

from membrane_xai.errors import missing

try:
    import torch  # noqa: F401
except ImportError as error:
    raise missing(error, "membrane_xai.integrations.pytorch", package="torch") from error

from membrane_xai.integrations.pytorch._arithmetic import receptive_field_grid
from membrane_xai.integrations.pytorch._maps import as_maps
from membrane_xai.integrations.pytorch._measured import measured_grid
from membrane_xai.integrations.pytorch._network import (
    class_index,
    in_dtype_of,
    read_scores,
    unchanged,
)

__all__ = [
    "as_maps",
    "class_index",
    "in_dtype_of",
    "measured_grid",
    "read_scores",
    "receptive_field_grid",
    "unchanged",
]
