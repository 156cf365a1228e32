"""Orientation of TIFF: how stored pixels are turned or mirrored to stand upright."""

from typing import Any, NamedTuple, TypeVar

from numpy.typing import NDArray

__all__ = ["TAG", "UPRIGHT", "Box", "Orientation", "orientation_of"]

TAG = 274
"""Number of the entry in TIFF and in EXIF."""
_Length = TypeVar("_Length", int, float)


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int


class Orientation(NamedTuple):
    """Steps from pixels as stored to pixels upright, in this order."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def size(self, width: _Length, height: _Length) -> tuple[_Length, _Length]:
        """Return the width and height upright of what is stored with these, or back."""
        return (height, width) if self.transposed else (width, height)

    def stored(self, box: Box, size: tuple[int, int]) -> Box:
        """Return where a rectangle of the upright picture, of a width and height, is stored."""
        left, top, width, height = box
        if self.mirrored:
            left = size[0] - left - width
        if self.upside_down:
            top = size[1] - top - height
        return Box(top, left, height, width) if self.transposed else Box(left, top, width, height)

    def upright(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return stored pixels (rows, columns, ...) upright, as a view."""
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        rows = slice(None, None, -1) if self.upside_down else slice(None)
        columns = slice(None, None, -1) if self.mirrored else slice(None)
        return turned[rows, columns]


UPRIGHT = Orientation()

# By the number in TIFF 6.0, which says where the first row and the first column are to be seen.
_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(mirrored=True),
    3: Orientation(mirrored=True, upside_down=True),
    4: Orientation(upside_down=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored=True),
    7: Orientation(transposed=True, mirrored=True, upside_down=True),
    8: Orientation(transposed=True, upside_down=True),
}


def orientation_of(page: Any) -> Orientation | None:
    """Return the orientation of a page of tifffile; None if it states none that there is."""
    tag = page.tags.get(TAG)
    return _ORIENTATIONS.get(tag.value) if tag else None
