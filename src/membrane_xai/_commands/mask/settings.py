"""``Settings`` of the command ``mask``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.masks import MembraneMask

__all__ = ["Settings", "class_map"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Options that decide on results."""

    mpp: float | None
    formats: tuple[str, ...]
    stain_matrix: Any
    """"hdab" or six numbers in two rows."""
    background: Any
    """"auto" or three numbers."""
    max_pixels: int
    bits: int | None = None

    def parameters(self) -> dict[str, Any]:
        """Return plain values for the record."""
        depth = {} if self.bits is None else {"bits": self.bits}
        return depth | {
            "mpp": self.mpp,
            "formats": sorted(self.formats),
            "stain_matrix": self.stain_matrix,
            "background": self.background,
            "max_pixels": self.max_pixels,
        }


def class_map(found: MembraneMask) -> NDArray[np.uint8]:
    """Return 0 where there is no membrane, else 1 weak, 2 moderate, 3 strong."""
    return np.where(found.mask, np.maximum(found.intensity, 1), 0).astype(np.uint8)
