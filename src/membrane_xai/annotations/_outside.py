"""How much of what is drawn lies outside its image: a slip of coordinates shows there."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._window import Window

__all__ = ["Outside", "outside"]

# How far annotation tools let an outline reach over the edge, by rounding and by free hand: pixels,
# or where that is more, a share of the image's longer side.
_REACH = 5.0
_REACH_SHARE = 0.005


class Outside(NamedTuple):
    """What lies outside a window."""

    outlines: int
    """How many there are."""
    wholly: int
    """How many have no point inside."""
    partly: int
    """How many others reach over the edge by more than tools let them."""
    share: float
    """Of the area of all."""

    def __bool__(self) -> bool:
        return self.wholly + self.partly > 0

    def __str__(self) -> str:
        parts = [f"{self.wholly} wholly"] * (self.wholly > 0)
        parts += [f"{self.partly} partly"] * (self.partly > 0)
        return f"{' and '.join(parts)} of {self.outlines} ({self.share:.1%} of their area)"


def outside(polygons: NDArray[np.object_], window: Window) -> Outside:
    """Measure how much of polygons lies outside a window."""
    import shapely

    (rows, columns), (x, y), downsample = window
    right, bottom = x + columns * downsample, y + rows * downsample
    frame = shapely.box(x, y, right, bottom)
    left, top, far, low = shapely.bounds(polygons).reshape(-1, 4).T
    beyond = np.max([x - left, y - top, far - right, low - bottom], axis=0)
    crossing = polygons[beyond > 0]
    area = shapely.area(crossing)
    inside = shapely.area(shapely.intersection(crossing, frame))
    wholly = inside <= 0
    reach = max(_REACH, _REACH_SHARE * max(rows, columns)) * downsample
    partly = ~wholly & (beyond[beyond > 0] > reach)
    total = shapely.area(polygons).sum()
    lost = (area - inside)[wholly | partly].sum()
    share = float(lost / total) if total else 0.0
    return Outside(len(polygons), int(wholly.sum()), int(partly.sum()), share)
