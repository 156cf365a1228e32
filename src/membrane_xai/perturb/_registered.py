"""The way back for CAMs whose cells do not lie at half-pixel centres."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import check_grid
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb._geometric import bilinear, checked_cam, zero_outside
from membrane_xai.perturb._perturbation import Bools, Perturbation

__all__ = ["restore_registered"]

Floats = NDArray[np.float64]


def restore_registered(
    perturbation: Perturbation,
    cam: Any,
    grid: CamGrid,
    *,
    cells: tuple[int, int] | None = None,
) -> tuple[Array, Bools]:
    """Bring the CAM of a perturbed image back onto the cells of the image as it was.

    Flipping the CAM of a flipped image back puts each cell where it does not lie, unless the grid
    is symmetric. Here each cell of the original gets the value that the CAM has where the perturbed
    image shows it, interpolated bilinearly between the cells as they lie.

    Parameters
    ----------
    perturbation : Perturbation
        What was done to the image.
    cam : array of shape (..., h, w)
        The CAM of the perturbed image, of any array library.
    grid : CamGrid
        Where cells lie on the image, and likewise on the perturbed one.
    cells : (int, int), optional
        Rows and columns of the CAM of the original; by default those of `cam`, or, if the
        perturbation swaps the image's sides, these swapped.

    Returns
    -------
    cam : array of shape (..., rows, columns)
        Of the same library; 0 where it is not valid.
    valid : ndarray of bool, shape (rows, columns)
        Where the perturbed image shows the original, at most half a cell beyond its outer cells.

    Raises
    ------
    InvalidInputError
        A grid that the CAM does not fit, or something else than a perturbation.

    Notes
    -----
    A grid of half-pixel centres, and a perturbation that moves nothing, give what `restore` and
    `valid` give.

    Examples
    --------
    Cells that begin on the first of 64 pixels lie 32 pixels apart: the second one's mirror image is
    between both, one pixel from the first, and nothing of the flipped image's cells shows the
    original's first.

    >>> import numpy as np
    >>> from membrane_xai import CamGrid
    >>> from membrane_xai.perturb import horizontal_flip, restore_registered
    >>> cam = np.array([[1.0, 2.0], [1.0, 2.0]])
    >>> restore_registered(horizontal_flip(), cam, CamGrid(32, 0, 64))
    (array([[0.     , 1.96875],
           [0.     , 1.96875]]), array([[False,  True],
           [False,  True]]))
    """
    if not isinstance(perturbation, Perturbation):
        raise InvalidInputError(f"perturbation is {perturbation!r}; it takes a Perturbation")
    if not isinstance(grid, CamGrid):
        raise InvalidInputError(f"grid is {grid!r}; it takes a membrane_xai.CamGrid")
    array = checked_cam(cam)
    shape = int(array.shape[-2]), int(array.shape[-1])
    valid = np.asarray(perturbation.valid(shape), bool)
    target = (int(valid.shape[0]), int(valid.shape[1])) if cells is None else check_grid(cells)
    places = _places(perturbation, grid, shape, target)
    if places is None:
        return perturbation.restore(array), valid
    inside = _inside(places, shape)
    filled = np.where(inside, places, 0.0)
    return zero_outside(bilinear(array, filled), inside), inside


@lru_cache(maxsize=256)
def _places(
    perturbation: Perturbation, grid: CamGrid, shape: tuple[int, int], target: tuple[int, int]
) -> Floats | None:
    """Return where the view's map of `shape` has the cells of the original, (2, rows, columns).

    In cells of the view, NaN for what it does not show. None if `restore` says it: nothing moves,
    or all centres are half-pixel ones.
    """
    size = _view_size(perturbation, grid.size)
    view = _view_grid(grid, size, shape)
    if grid.for_cells(target) is None and view.for_cells(shape) is None:
        return None
    pixels = np.indices(size, float)
    # The way back of a picture of positions tells where the view shows each pixel of the original.
    moved = np.stack([np.asarray(perturbation.restore(ramp), float) for ramp in pixels])
    shown = np.asarray(perturbation.valid(size), bool)
    if moved.shape == pixels.shape and shown.all() and bool((moved == pixels).all()):
        return None
    steps, starts = (np.reshape(x, (2, 1, 1)) for x in (grid.spacing, grid.offset))
    at = _between(np.where(shown, moved, np.nan), starts + steps * np.indices(target))
    steps, starts = (np.reshape(x, (2, 1, 1)) for x in (view.spacing, view.offset))
    places: Floats = np.round((at - starts) / steps, 9)  # whole cells are met exactly
    places.flags.writeable = False
    return places


def _view_size(perturbation: Perturbation, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the perturbed image: quarter turns swap them."""
    return size if np.shape(perturbation.valid(size)) == size else (size[1], size[0])


def _view_grid(grid: CamGrid, size: tuple[int, int], shape: tuple[int, int]) -> CamGrid:
    """Return the grid of the perturbed image, whose sides may be swapped.

    A network that takes any size has the same spacing there; one that has images resized has the
    same cells.
    """
    if size == grid.size:
        return grid
    turned = CamGrid(grid.spacing, grid.offset, size)
    try:
        turned.for_cells(shape)
    except InvalidInputError:
        return grid.scaled(size)
    return turned


def _between(values: Floats, points: Floats) -> Floats:
    """Interpolate (2, H, W) at points (2, rows, columns), and go on straight beyond the border."""
    sides = np.reshape(values.shape[1:], (2, 1, 1))
    low = np.clip(np.floor(points), 0, np.maximum(sides - 2, 0)).astype(int)
    high = np.minimum(low + 1, sides - 1)
    down, right = points - low

    def along(row: NDArray[np.int_]) -> Floats:
        left, end = values[:, row, low[1]], values[:, row, high[1]]
        return np.where(right == 0, left, left + (end - left) * right)  # no NaN of no weight

    top = along(low[0])
    found: Floats = np.where(down == 0, top, top + (along(high[0]) - top) * down)
    return found


def _inside(places: Floats, shape: tuple[int, int]) -> Bools:
    """Tell places at most half a cell beyond the outer cells."""
    sides = np.reshape(shape, (2, 1, 1))
    within = (places >= -0.5) & (places <= sides - 0.5)
    inside: Bools = within[0] & within[1]
    return inside
