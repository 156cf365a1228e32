"""``CamGrid``: where the cells of a CAM lie on the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from membrane_xai._backend.checks import check_grid, check_number
from membrane_xai.errors import InvalidInputError

__all__ = ["CELL_COLUMNS", "CamGrid", "cell_columns", "check_cam_grid"]

CELL_COLUMNS = ("grid", "cam_grid", "cell_um")
"""Of tables: rows and columns of cells, where they lie, and how large they are."""

# A grid this near half-pixel centres, in cells, is half-pixel: rounding, set by hand well below
# what any score shows.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, init=False)
class CamGrid:
    """Where the cells of a CAM lie on the image: cell i is centred at ``offset + spacing * i``.

    Positions are in pixels of an image of `size`, counted from the centre of its first pixel, so
    half-pixel centres, which upsampling assumes, are ``offset = (spacing - 1) / 2``. Strided
    convolutions with symmetric padding, as in a ResNet, have ``offset = 0`` instead: their maps
    lie half a cell off when they are drawn or scored with half-pixel centres.

    Parameters
    ----------
    spacing : float or (float, float)
        Pixels from one cell to the next, rows and columns; positive.
    offset : float or (float, float)
        Pixel on which the first cell is centred, rows and columns.
    size : int or (int, int)
        Rows and columns of the image that spacing and offset refer to, such as the network's input.
        A mask of another size is of the same field: positions scale with it.

    Raises
    ------
    InvalidInputError
        A spacing that is not positive, an offset that is not finite, a size below 1, or a grid
        whose first cell lies outside the image by more than half a cell.

    See Also
    --------
    membrane_xai.map_score, membrane_xai.alignment, membrane_xai.pool_mask : take one as ``grid=``.

    Examples
    --------
    A ResNet's last layer on an input of 224 pixels: 7 cells that start at the first pixel.

    >>> from membrane_xai import CamGrid
    >>> resnet = CamGrid(spacing=32, offset=0, size=224)
    >>> resnet.cells, resnet.shift
    ((7, 7), (-0.484375, -0.484375))

    Where cells lie if nothing else is said:

    >>> CamGrid.half_pixel((7, 7), (224, 224)).offset
    (15.5, 15.5)

    The last cell of an input of 225 pixels lies on its last pixel, so that the grid is symmetric.

    >>> odd = CamGrid(spacing=32, offset=0, size=225)
    >>> odd.cells, odd.offset[0] + 7 * odd.spacing[0]
    ((8, 8), 224.0)
    """

    spacing: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]

    def __init__(self, spacing: Any, offset: Any, size: Any) -> None:
        positive = "positive numbers of pixels, one or (rows, columns)"
        spacings = _pair(spacing, "spacing", positive, lambda x: x > 0)
        offsets = _pair(offset, "offset", "finite numbers of pixels, one or (rows, columns)")
        sides = _pair(size, "size", "whole numbers of pixels, one or (rows, columns)", _is_side)
        for first, step, side in zip(offsets, spacings, sides, strict=True):
            if not -step / 2 <= first <= side - 1 + step / 2:
                raise InvalidInputError(
                    f"offset is {offset!r}; with spacing {spacing!r} it takes a first cell within "
                    f"half a cell of an image of size {size!r}"
                )
        object.__setattr__(self, "spacing", spacings)
        object.__setattr__(self, "offset", offsets)
        object.__setattr__(self, "size", (int(sides[0]), int(sides[1])))

    @classmethod
    def half_pixel(cls, cells: tuple[int, int], size: tuple[int, int]) -> "CamGrid":
        """Return the grid that upsampling assumes: `cells` tile the image of `size`.

        Parameters
        ----------
        cells : (int, int)
            Rows and columns of the CAM.
        size : (int, int)
            Rows and columns of the image.

        Returns
        -------
        CamGrid
            ``spacing = size / cells``, ``offset = (spacing - 1) / 2``.

        Raises
        ------
        InvalidInputError
            Cells or a size that are not two positive integers.
        """
        rows, columns = check_grid(cells)
        height, width = check_grid(size, "size")
        spacing = height / rows, width / columns
        return cls(spacing, ((spacing[0] - 1) / 2, (spacing[1] - 1) / 2), (height, width))

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells that are centred on the image, to half a pixel."""
        counts = [
            int((side - 0.5 - first) // step) + 1
            for first, step, side in zip(self.offset, self.spacing, self.size, strict=True)
        ]
        return max(counts[0], 1), max(counts[1], 1)

    @property
    def shift(self) -> tuple[float, float]:
        """Offset from half-pixel centres in cells, rows and columns; -0.48 for ResNets at 224."""
        first, second = (
            (start - (step - 1) / 2) / step
            for start, step in zip(self.offset, self.spacing, strict=True)
        )
        return first, second

    def scaled(self, size: tuple[int, int]) -> "CamGrid":
        """Return the same cells in pixels of an image of another size.

        Parameters
        ----------
        size : (int, int)
            Rows and columns of another image of the same field.

        Returns
        -------
        CamGrid
            With spacing and offset in its pixels.
        """
        height, width = check_grid(size, "size")
        zoom = height / self.size[0], width / self.size[1]
        spacing = self.spacing[0] * zoom[0], self.spacing[1] * zoom[1]
        offset = tuple((o + 0.5) * z - 0.5 for o, z in zip(self.offset, zoom, strict=True))
        return CamGrid(spacing, offset, (height, width))

    @classmethod
    def from_text(cls, text: Any) -> "CamGrid":
        """Return the grid of a text, as commands take it and tables have it.

        Parameters
        ----------
        text : str
            ``SPACING,OFFSET,SIZE``, each one number for both axes or ``ROWSxCOLUMNS``.

        Returns
        -------
        CamGrid
            The grid.

        Raises
        ------
        InvalidInputError
            Another text, or one of no grid.

        Examples
        --------
        >>> from membrane_xai import CamGrid
        >>> CamGrid.from_text("32,0,224") == CamGrid(spacing=32, offset=0, size=224)
        True
        >>> CamGrid.from_text("32x16,0x-0.5,224x112").offset
        (0.0, -0.5)
        """
        parts = str(text).split(",")
        try:
            values = [tuple(float(number) for number in part.split("x")) for part in parts]
        except ValueError:
            values = []
        if len(values) != 3 or not all(len(pair) in (1, 2) for pair in values):
            raise InvalidInputError(
                f"grid is {text!r}; it takes SPACING,OFFSET,SIZE in pixels, such as 32,0,224, each "
                f"one number or ROWSxCOLUMNS"
            )
        return cls(*(pair if len(pair) == 2 else pair * 2 for pair in values))

    def to_text(self) -> str:
        """Return the text that :meth:`from_text` reads, with all digits.

        Returns
        -------
        str
            ``SPACING,OFFSET,SIZE``.
        """
        return ",".join(
            _plain(first) if first == second else f"{_plain(first)}x{_plain(second)}"
            for first, second in (self.spacing, self.offset, self.size)
        )

    def for_cells(self, cells: tuple[int, int]) -> "CamGrid | None":
        """Return the grid if a CAM of `cells` fits it, None if its centres are half-pixel ones.

        Parameters
        ----------
        cells : (int, int)
            Rows and columns of the CAM.

        Returns
        -------
        CamGrid or None
            None where nothing is to be done that upsampling does not do by itself.

        Raises
        ------
        InvalidInputError
            A CAM with more cells than the image has room for, or so few that a row is missing.
        """
        for first, step, side, count in zip(
            self.offset, self.spacing, self.size, cells, strict=True
        ):
            last = first + step * (count - 1)
            # Half a cell beyond the image at most, and at most one and a half short of its end, or
            # as far again as without padding the first cell lies within the image.
            short = 1.5 * step + max(first - step / 2, 0)
            if not side - 1 - short < last <= side - 1 + step / 2:
                raise InvalidInputError(
                    f"grid has room for {self.cells[0]}x{self.cells[1]} cells (spacing "
                    f"{self.spacing}, offset {self.offset}, size {self.size}); the CAM has "
                    f"{cells[0]}x{cells[1]}"
                )
        half = CamGrid.half_pixel(cells, self.size)
        near = all(
            abs(a - b) <= _SAME * step
            for mine, other in ((self.spacing, half.spacing), (self.offset, half.offset))
            for a, b, step in zip(mine, other, self.spacing, strict=True)
        )
        return None if near else self


def check_cam_grid(grid: Any) -> CamGrid | None:
    """Return `grid` if it is a CamGrid or None, or raise."""
    if grid is None or isinstance(grid, CamGrid):
        return grid
    raise InvalidInputError(f"grid is {grid!r}; it takes a membrane_xai.CamGrid")


def cell_columns(
    shape: Sequence[int] | None, grid: CamGrid | None, size: Sequence[int], mpp: float | None
) -> dict[str, Any]:
    """Return what tables tell of the cells of a map (h, w) on an image of `size`.

    Without a map its grid is not known, without `mpp` (micrometres per pixel) the size of a cell.
    """
    text = "" if grid is None else grid.to_text()
    if shape is None:
        return {"grid": "", "cam_grid": text, "cell_um": math.nan}
    height, width = int(size[0]), int(size[1])
    steps = (height / shape[0], width / shape[1])
    if grid is not None:
        steps = grid.scaled((height, width)).spacing
    # The side of a square cell of the same area.
    side = math.nan if mpp is None else mpp * math.sqrt(steps[0] * steps[1])
    return {"grid": "x".join(map(str, shape)), "cam_grid": text, "cell_um": side}


def _plain(value: float) -> str:
    """Return all digits of a number, whole ones without a point."""
    return repr(float(value)).removesuffix(".0")


def _is_side(value: float) -> bool:
    return value >= 1 and value == int(value)


def _pair(value: Any, name: str, takes: str, accept: Any = lambda _: True) -> tuple[float, float]:
    """Return one number for both axes, or one for each."""
    pair = isinstance(value, tuple | list) or (
        hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0
    )
    values = value if pair else (value,) * 2
    if len(values) != 2:
        raise InvalidInputError(f"{name} is {value!r}; it takes {takes}")
    first, second = (check_number(x, name, takes, accept) for x in values)
    return first, second
