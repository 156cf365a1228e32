"""Options of Score-CAM, checked."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from her2_models.score_cam._variants import VARIANTS, Variant
from membrane_xai.errors import InvalidInputError

__all__ = ["ScoreCAMSettings", "checked_batch_size", "low_precision"]

_CHOICES = {
    "variant": tuple(VARIANTS),
    "precision": ("fp32", "bf16", "auto"),
}


@dataclass(frozen=True)
class ScoreCAMSettings:
    """The keyword arguments of ``ScoreCAM`` that do not change between calls.

    Raises
    ------
    InvalidInputError
        A value that the argument does not take.
    """

    variant: str
    precision: str
    max_channels: int | None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                choices = ", ".join(repr(choice) for choice in allowed)
                raise InvalidInputError(f"{name} is {value!r}; it takes one of {choices}")
        if self.max_channels is not None and not _is_count(self.max_channels):
            raise InvalidInputError(
                f"max_channels is {self.max_channels!r}; it takes a positive integer, or None"
            )

    @property
    def computation(self) -> Variant:
        """The variant itself."""
        return VARIANTS[self.variant]

    @property
    def exact(self) -> "ScoreCAMSettings":
        """The same computation without anything approximated."""
        return replace(self, precision="fp32", max_channels=None)


def checked_batch_size(value: Any) -> int | str:
    """Return a batch size, or raise ``InvalidInputError`` if it is none."""
    if value == "auto" or _is_count(value):
        return value  # type: ignore[no-any-return]
    raise InvalidInputError(f'batch_size is {value!r}; it takes a positive integer, or "auto"')


def low_precision(precision: str, device: torch.device) -> bool:
    """Tell whether to score in bfloat16; "auto" does where the device multiplies it natively."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, name, bool)()) for name in probes)
    return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
