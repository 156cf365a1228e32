"""Sum over the masks of an image or the windows of a slide, and make the row of the table."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_xai.masks import INTENSITIES, MembraneMask

__all__ = ["Tally", "empty_row"]

_MEASURES = (
    "mpp",
    "height",
    "width",
    "tissue_share",
    "mask_share",
    "mask_share_of_tissue",
    "membrane_width_um",
    *(f"membrane_{name}" for name in INTENSITIES[1:]),
    "flags",
    "background",
)


class Tally:
    """What is counted over windows that make up an image."""

    def __init__(self) -> None:
        self._windows = self._pixels = self._tissue = self._mask = self._mask_in_tissue = 0
        self._classes = np.zeros(len(INTENSITIES), np.int64)
        self._length = 0.0  # area over width
        self._flagged: dict[str, list[int]] = {}
        self._background = np.full(3, math.nan)

    def add(self, found: MembraneMask, core: tuple[slice, slice]) -> None:
        """Count a window; only `core` of it belongs to no other."""
        mask, tissue = found.mask[core], found.tissue[core]
        area, tissue_area = int(np.count_nonzero(mask)), int(np.count_nonzero(tissue))
        self._windows += 1
        self._pixels += mask.size
        self._tissue += tissue_area
        self._mask += area
        self._mask_in_tissue += int(np.count_nonzero(mask & tissue))
        self._classes += np.bincount(found.intensity[core][mask], minlength=len(INTENSITIES))
        if area and found.width > 0:
            self._length += area / found.width
        for flag in found.flags:
            self._flagged.setdefault(flag, []).append(tissue_area)
        self._background = found.background

    def row(self, source: str, kind: str, shape: tuple[int, int], mpp: float) -> dict[str, Any]:
        """Return the row of the table."""
        stained = self._classes[1:]
        shares = [_share(int(count), int(stained.sum())) for count in stained]
        values = (
            mpp,
            *shape,
            _share(self._tissue, self._pixels),
            _share(self._mask, self._pixels),
            _share(self._mask_in_tissue, self._tissue),
            self._mask / self._length if self._length else math.nan,
            *shares,
            ";".join(self._flags()),
            " ".join(f"{channel:.1f}" for channel in self._background),
        )
        return _row(source, kind, dict(zip(_MEASURES, values, strict=True)), "ok", "")

    def _flags(self) -> list[str]:
        """Return the flags of most of the tissue; "blank" if there is none in any window."""
        if self._windows == 1:
            return list(self._flagged)
        most = [
            flag
            for flag, areas in self._flagged.items()
            if flag != "blank" and 2 * sum(areas) > self._tissue
        ]
        blank = len(self._flagged.get("blank", ())) == self._windows
        return ["blank", *most] if blank else most


def empty_row(source: str, error: str) -> dict[str, Any]:
    """Return the row of an image that failed."""
    unknown = dict.fromkeys(_MEASURES, math.nan) | {"flags": "", "background": ""}
    return _row(source, "", unknown, "failed", error)


def _row(
    source: str, kind: str, measures: Mapping[str, Any], status: str, error: str
) -> dict[str, Any]:
    return {"file": source, "kind": kind, **measures, "status": status, "error": error}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
