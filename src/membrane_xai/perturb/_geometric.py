"""Perturbations that move pixels, and the way back for the CAM.

Positions are those of pixel centres, and a CAM's grid covers the field of its image: the same
half-pixel convention as in ``membrane_xai._backend.resample``, so one affine map serves every grid.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import stain
from membrane_xai._backend.arrays import (
    Array,
    as_array,
    check_arrays,
    compute_dtype,
    from_numpy,
    namespace,
)
from membrane_xai._backend.checks import check_grid, check_number
from membrane_xai._backend.layout import check_layout
from membrane_xai.perturb._perturbation import (
    Bools,
    Perturbation,
    Rgb,
    apply_checked,
    everywhere,
    to_uint8,
)

__all__ = [
    "bilinear",
    "checked_cam",
    "horizontal_flip",
    "rotation",
    "translation",
    "vertical_flip",
    "zero_outside",
    "zoom",
]

Floats = NDArray[np.float64]


def horizontal_flip() -> Perturbation:
    """Mirror left and right.

    Returns
    -------
    Perturbation
        Exact both ways.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import horizontal_flip
    >>> horizontal_flip().restore(np.array([[1, 2, 3]]))
    array([[3, 2, 1]])
    """
    return _flip("horizontal flip", axis=1)


def vertical_flip() -> Perturbation:
    """Mirror top and bottom.

    Returns
    -------
    Perturbation
        Exact both ways.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import vertical_flip
    >>> vertical_flip().restore(np.array([[1], [2], [3]])).ravel()
    array([3, 2, 1])
    """
    return _flip("vertical flip", axis=0)


def rotation(angle: float) -> Perturbation:
    """Rotate about the centre of the image, counter-clockwise.

    Multiples of 90 degrees are exact both ways, and 90 and 270 swap height and width. At other
    angles the image keeps its shape: it is interpolated with cubic splines, and what comes from
    outside is filled with its glass (:func:`membrane_xai.estimate_background`). Its CAM is rotated
    back with bilinear interpolation.

    Parameters
    ----------
    angle : float
        In degrees.

    Returns
    -------
    Perturbation
        At angles other than multiples of 90, `restore` takes the cells of a CAM as square: its grid
        must have the proportions of the image, as a square grid of a square image has.

    Raises
    ------
    InvalidInputError
        For an angle that is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import rotation
    >>> rotation(90).restore(np.array([[2, 4], [1, 3]]))
    array([[1, 2],
           [3, 4]])

    What the rotated image does not show is not valid:

    >>> rotation(45).valid((4, 4)).astype(int)
    array([[0, 1, 1, 0],
           [1, 1, 1, 1],
           [1, 1, 1, 1],
           [0, 1, 1, 0]])
    """
    angle = check_number(angle, "angle", "a finite number, degrees", lambda _: True)
    name = f"rotation ({angle:g} degrees)"
    parameters = {"perturbation": "rotation", "angle_degrees": angle}
    if angle % 90 == 0:
        turns = int(angle // 90) % 4
        return Perturbation(
            name,
            partial(apply_checked, change=partial(np.rot90, k=turns)),
            partial(_turn, turns=-turns % 4),
            partial(_turned, turns=turns),
            parameters,
        )
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return _affine(name, _Affine(((cosine, -sine), (sine, cosine))), parameters)


def translation(rows: float, columns: float) -> Perturbation:
    """Move the image down and to the right, and fill what comes into view with its glass.

    Parameters
    ----------
    rows, columns : float in (-1, 1)
        Fraction of the image's height and width, so that it means the same on a CAM's grid: p
        pixels are ``p / height`` and ``p / width``. Whole pixels are moved exactly; between them
        the image is interpolated with cubic splines. Negative: up, left.

    Returns
    -------
    Perturbation
        Its CAM is moved back with bilinear interpolation.

    Raises
    ------
    InvalidInputError
        For fractions out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import translation
    >>> moved = translation(0, 0.25)  # one column of four
    >>> moved.restore(np.array([[0.1, 0.2, 0.3, 0.4]]))
    array([[0.2, 0.3, 0.4, 0. ]])
    >>> moved.valid((1, 4))
    array([[ True,  True,  True, False]])
    """
    shift = tuple(
        check_number(value, name, "a fraction of the image's side in (-1, 1)", lambda x: -1 < x < 1)
        for value, name in ((rows, "rows"), (columns, "columns"))
    )
    return _affine(
        f"translation ({shift[0]:g} down, {shift[1]:g} right)",
        _Affine(((1.0, 0.0), (0.0, 1.0)), (shift[0], shift[1])),
        {"perturbation": "translation", "rows": shift[0], "columns": shift[1]},
    )


def zoom(factor: float) -> Perturbation:
    """Enlarge the centre of the image to its full size, as an objective of higher power shows it.

    The result has as many pixels as the original, and covers the central ``1 / factor`` of its
    height and width. Interpolated with cubic splines, so no detail is added; to lose detail on the
    same field see :func:`magnification`.

    Parameters
    ----------
    factor : float
        Enlargement, above 1.

    Returns
    -------
    Perturbation
        Its CAM goes back to the centre, with bilinear interpolation; around it nothing is valid.

    Raises
    ------
    InvalidInputError
        For a factor that does not enlarge.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import zoom
    >>> zoom(2).restore(np.array([[1.0, 1.0, 3.0, 3.0]] * 4))[1]
    array([0., 1., 3., 0.])
    """
    factor = check_number(factor, "factor", "a finite number above 1", lambda x: x > 1)
    return _affine(
        f"zoom (x{factor:g})",
        _Affine(((factor, 0.0), (0.0, factor))),
        {"perturbation": "zoom", "factor": factor},
    )


def zero_outside(cam: Array, valid: Bools) -> Array:
    """Return `cam` with 0 where it is not valid."""
    if valid.all():
        return cam
    xp = namespace(cam)
    return xp.where(from_numpy(cam, valid), cam, xp.zeros_like(cam))


@dataclass(frozen=True, slots=True)
class _Affine:
    """Where a pixel of the original goes: ``matrix @ p + shift * (h, w)``, p from the centre."""

    matrix: tuple[tuple[float, float], tuple[float, float]]
    shift: tuple[float, float] = (0.0, 0.0)

    def positions(self, grid: tuple[int, int], *, inverse: bool = False) -> Floats:
        """Return row and column that each cell goes to (comes from), shape (2, h, w)."""
        sides = np.array(grid, float).reshape(2, 1, 1)
        centered = np.indices(grid) - (sides - 1) / 2
        shift = np.reshape(self.shift, (2, 1, 1)) * sides
        matrix = np.array(self.matrix)
        if inverse:
            moved = np.tensordot(np.linalg.inv(matrix), centered - shift, axes=1)
        else:
            moved = np.tensordot(matrix, centered, axes=1) + shift
        return np.round(moved + (sides - 1) / 2, 9)  # whole cells are met exactly


def _inside(positions: Floats) -> Bools:
    """Tell positions in the field, which reaches half a pixel beyond the outer centres."""
    sides = np.array(positions.shape[1:]).reshape(2, 1, 1)
    within = (positions >= -0.5) & (positions <= sides - 0.5)
    inside: Bools = within[0] & within[1]
    return inside


def _affine(name: str, affine: _Affine, parameters: Mapping[str, Any]) -> Perturbation:
    return Perturbation(
        name,
        partial(apply_checked, change=partial(_warp, affine=affine)),
        partial(_restore, affine=affine),
        partial(_valid, affine=affine),
        dict(parameters),
    )


def _warp(rgb: Rgb, affine: _Affine) -> Rgb:
    from scipy import ndimage

    positions = affine.positions((rgb.shape[0], rgb.shape[1]), inverse=True)
    channels = [
        ndimage.map_coordinates(rgb[..., c], positions, np.float64, order=3, mode="nearest")
        for c in range(3)
    ]
    warped = to_uint8(np.stack(channels, axis=-1))
    outside = ~_inside(positions)
    if outside.any():
        warped[outside] = to_uint8(stain.estimate_background(rgb))
    return warped


def _restore(cam: Any, affine: _Affine) -> Array:
    cam = checked_cam(cam)
    positions = affine.positions((cam.shape[-2], cam.shape[-1]))
    return zero_outside(bilinear(cam, positions), _inside(positions))


def _valid(grid: tuple[int, int], affine: _Affine) -> Bools:
    return _inside(affine.positions(check_grid(grid)))


def bilinear(cam: Array, positions: Floats) -> Array:
    """Interpolate (..., h, w) at positions (2, rows, columns), constant beyond outer centres."""
    xp = namespace(cam)
    sides = np.array(cam.shape[-2:]).reshape(2, 1, 1)
    clipped = np.clip(positions, 0, sides - 1)
    low = np.floor(clipped).astype(np.int64)
    high = np.minimum(low + 1, sides - 1)
    dtype = compute_dtype(cam)
    flat = xp.reshape(xp.astype(cam, dtype), (*cam.shape[:-2], cam.shape[-2] * cam.shape[-1]))
    down, right = (from_numpy(cam, weight.ravel(), dtype) for weight in clipped - low)

    def along_row(row: NDArray[np.int64]) -> Array:
        left = row * cam.shape[-1] + low[1]
        start = xp.take(flat, from_numpy(cam, left.ravel()), axis=-1)
        end = xp.take(flat, from_numpy(cam, (left + high[1] - low[1]).ravel()), axis=-1)
        return start + (end - start) * right  # exact where both are equal: no plateau is split

    top = along_row(low[0])
    shape = (*cam.shape[:-2], *positions.shape[1:])
    values = xp.reshape(top + (along_row(high[0]) - top) * down, shape)
    return xp.astype(values, cam.dtype) if xp.isdtype(cam.dtype, "real floating") else values


def _flip(name: str, axis: int) -> Perturbation:
    return Perturbation(
        name,
        partial(apply_checked, change=partial(np.flip, axis=axis)),
        partial(_flip_cam, axis=axis - 2),
        everywhere,
        {"perturbation": name},
    )


def _flip_cam(cam: Any, axis: int) -> Array:
    cam = checked_cam(cam)
    return namespace(cam).flip(cam, axis=axis)


def _turn(cam: Any, turns: int) -> Array:
    """Turn counter-clockwise by quarter turns."""
    cam = checked_cam(cam)
    xp = namespace(cam)
    if turns == 2:
        return xp.flip(cam, axis=(-2, -1))
    if turns % 2:
        turned = xp.matrix_transpose(cam)
        return xp.flip(turned, axis=-2 if turns == 1 else -1)
    return cam


def _turned(grid: tuple[int, int], turns: int) -> Bools:
    rows, columns = check_grid(grid)
    return everywhere((columns, rows) if turns % 2 else (rows, columns))


def checked_cam(cam: Any) -> Array:
    """Return maps (..., h, w) of a known library, or raise."""
    cam = as_array(cam, "cam")
    check_arrays(cam, "cam")
    check_layout({"cam": tuple(cam.shape)})
    return cam
