"""Tiles whose names say where on the slide they lie, as QuPath names those that it exports.

``name [x=4000,y=4000,w=64,h=64]``, at a lower resolution ``name [d=2,x=..,y=..,w=..,h=..]``, with
``z`` and ``t`` of other planes: x, y, w and h are in pixels of the slide.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._annotation import Annotation
from membrane_xai.errors import InvalidInputError

__all__ = ["Tile", "bare_name", "in_tile", "lies_on_slide", "tile_of"]

_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]")
# d may have the decimal comma of the computer that exported
_NUMBER = re.compile(r"(?<![a-z])([a-z])\s*=\s*(-?\d+(?:[.,]\d+)?)", re.IGNORECASE)
_SHARE = 0.02  # by which a tile may be cut otherwise along x and y, for whole pixels
_EQUAL = 1e-9  # of the number of outlines, for rounding
_PIXELS = 1.0  # by which its size may miss, for the same reason


@dataclass(frozen=True)
class Tile:
    """A rectangle of a slide, in pixels of the slide."""

    x: float
    y: float
    width: float
    height: float
    downsample: float = field(default=1.0, compare=False)
    """As the name says it; what counts is the size of the image."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that its image should have."""
        return round(self.height / self.downsample), round(self.width / self.downsample)

    def scales(self, shape: tuple[int, int], name: str) -> tuple[float, float]:
        """Return pixels of the slide along x and y of one of the tile's image, or raise."""
        rows, columns = shape
        scales = self.width / columns, self.height / rows
        # as far apart as whole pixels make them
        slack = max(_SHARE, _PIXELS / min(rows, columns))
        if abs(scales[0] / scales[1] - 1) > slack:
            raise InvalidInputError(
                f"{name} says that it is {self.width:g} x {self.height:g} pixels of the slide, and "
                f"the image is {columns} x {rows}; outlines in coordinates of the slide take a "
                f"tile as it was exported"
            )
        return scales


def tile_of(name: str) -> Tile | None:
    """Return where on the slide a tile lies by its name; None if the name does not say."""
    found = _place_in(name)
    return None if found is None else found[0]


def bare_name(name: str) -> str:
    """Return the name of the slide of a tile."""
    found = _place_in(name)
    return name if found is None else name[: found[1].start()] + name[found[1].end() :]


def _place_in(name: str) -> tuple[Tile, re.Match[str]] | None:
    """Return the place that the last fitting brackets of a name say."""
    for brackets in reversed(list(_BRACKETS.finditer(name))):
        numbers = _NUMBER.findall(brackets[1])
        values = {key.lower(): float(text.replace(",", ".")) for key, text in numbers}
        if {"x", "y", "w", "h"} <= values.keys() and min(values["w"], values["h"]) > 0:
            x, y, width, height = (values[key] for key in "xywh")
            return Tile(x, y, width, height, values.get("d") or 1.0), brackets
    return None


def lies_on_slide(
    annotations: Sequence[Annotation], tile: Tile, shape: tuple[int, int]
) -> bool | None:
    """Tell coordinates of the slide from those of the tile, by which hold more of the outlines.

    None where both hold as much, and it makes a difference. An outline around the whole tile, as of
    tissue, is one of the slide; what neither holds is said to be of the tile, outside of it.
    """
    import shapely

    bounds = shapely.bounds(np.array([one.geometry for one in annotations], dtype=object))
    rows, columns = shape
    on_slide = _held(bounds.reshape(-1, 4), (tile.x, tile.y), (tile.width, tile.height))
    on_tile = _held(bounds.reshape(-1, 4), (0, 0), (columns, rows))
    if abs(on_slide - on_tile) > _EQUAL * len(annotations):
        return on_slide > on_tile
    if on_slide == 0 or tile == Tile(0, 0, columns, rows):
        return False
    return True if on_tile < len(annotations) / 2 else None


def in_tile(
    annotations: Sequence[Annotation], tile: Tile, shape: tuple[int, int], name: str
) -> list[Annotation]:
    """Return annotations in coordinates of the slide as those of the tile's image."""
    import shapely

    scale, corner = np.asarray(tile.scales(shape, name)), np.asarray((tile.x, tile.y))

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((points - corner) / scale)

    geometries = np.array([one.geometry for one in annotations], dtype=object)
    moved = shapely.transform(geometries, place)
    return [
        replace(one, geometry=geometry, nucleus=None)
        for geometry, one in zip(moved, annotations, strict=True)
    ]


def _held(
    bounds: NDArray[np.float64], corner: tuple[float, float], size: tuple[float, float]
) -> float:
    """Return the sum over bounding boxes of the share of each that lies in a rectangle."""
    low, high = bounds[:, :2], bounds[:, 2:]
    left, right = np.asarray(corner), np.add(corner, size)
    inside = np.minimum(high, right) - np.maximum(low, left)
    sides = high - low
    flat = sides == 0  # of lines along an axis
    shares = np.where(flat, inside >= 0, np.maximum(inside, 0) / np.where(flat, 1, sides))
    return float(shares.prod(axis=1).sum())
