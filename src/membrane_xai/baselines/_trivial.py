"""Maps that ignore the network, called like an explainer of :func:`membrane_xai.evaluate`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_grid
from membrane_xai._backend.images import rgb_array
from membrane_xai._backend.resample import pool, pooled_ones
from membrane_xai.stain import optical_density, separate_stains

__all__ = ["TRIVIAL_MAPS", "brownness", "center", "darkness", "flat"]

Maps = NDArray[np.float64]

_CELLS = (7, 7)  # of a ResNet at 224 pixels
_WIDTH = 0.25  # of the image's sides: standard deviation of the blob in the center


def flat(rgb: Any, targets: Any = None, *, cells: tuple[int, int] = _CELLS) -> Maps:  # noqa: ARG001
    """Return maps of ones: MAP is chance.

    Parameters
    ----------
    rgb : array of shape (H, W, 3) or (n, H, W, 3)
        One image, or several of one size.
    targets : sequence, optional
        Taken, since :func:`membrane_xai.evaluate` passes them, and not used.
    cells : (int, int)
        Rows and columns of the map.

    Returns
    -------
    ndarray of float64, shape (h, w) or (n, h, w)

    Raises
    ------
    InvalidInputError
        Another shape of `rgb`, or `cells` that are not two positive integers.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.baselines import flat
    >>> flat(np.zeros((3, 8, 8, 3), np.uint8), cells=(2, 2)).shape
    (3, 2, 2)
    """
    return _maps(rgb, lambda _, shape: np.ones(shape), cells)


def center(rgb: Any, targets: Any = None, *, cells: tuple[int, int] = _CELLS) -> Maps:  # noqa: ARG001
    """Return a blob in the middle of each image: a Gaussian of a quarter of the sides.

    Parameters
    ----------
    rgb, targets, cells
        As in :func:`flat`.

    Returns
    -------
    ndarray of float64, shape (h, w) or (n, h, w)
        At most 1.

    Raises
    ------
    InvalidInputError
        As in :func:`flat`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.baselines import center
    >>> center(np.zeros((8, 8, 3), np.uint8), cells=(3, 3))[1].round(2)
    array([0.41, 1.  , 0.41])
    """
    return _maps(rgb, lambda _, shape: _blob(shape), cells)


def darkness(rgb: Any, targets: Any = None, *, cells: tuple[int, int] = _CELLS) -> Maps:  # noqa: ARG001
    """Return how dark each cell of the map is: the mean optical density of its pixels.

    Parameters
    ----------
    rgb, targets, cells
        As in :func:`flat`; the background is estimated for each image.

    Returns
    -------
    ndarray of float64, shape (h, w) or (n, h, w)

    Raises
    ------
    InvalidInputError
        As in :func:`flat`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.baselines import darkness
    >>> image = np.full((8, 8, 3), 240, np.uint8)
    >>> image[:, :4] = 24
    >>> darkness(image, cells=(1, 2)).round(2)
    array([[0.88, 0.12]])
    """
    return _maps(rgb, lambda image, shape: _pooled(_dark(image), shape), cells)


def brownness(rgb: Any, targets: Any = None, *, cells: tuple[int, int] = _CELLS) -> Maps:  # noqa: ARG001
    """Return how brown each cell of the map is: the mean DAB density of its pixels.

    Parameters
    ----------
    rgb, targets, cells
        As in :func:`darkness`.

    Returns
    -------
    ndarray of float64, shape (h, w) or (n, h, w)

    Raises
    ------
    InvalidInputError
        As in :func:`flat`.

    Examples
    --------
    A map of the brown alone comes close to the ideal of the membrane, since membrane is brown:

    >>> from membrane_xai import alignment
    >>> from membrane_xai.baselines import brownness
    >>> from membrane_xai.datasets import synthetic_her2
    >>> field = synthetic_her2("3+", size=224, mpp=1.0, seed=0)
    >>> alignment(brownness(field.rgb), field.membrane).toward_ideal > 0.7
    True
    """
    return _maps(rgb, lambda image, shape: _pooled(_brown(image), shape), cells)


TRIVIAL_MAPS: Mapping[str, Callable[..., Maps]] = MappingProxyType(
    {"flat": flat, "center": center, "darkness": darkness, "brownness": brownness}
)
"""By name, as :func:`membrane_xai.evaluate` takes explainers."""


def _maps(rgb: Any, one: Callable[[Any, tuple[int, int]], Maps], cells: tuple[int, int]) -> Maps:
    shape = check_grid(cells)
    if np.ndim(rgb) != 4:
        return one(rgb_array(rgb, "rgb"), shape)
    maps = [one(rgb_array(image, f"rgb[{i}]"), shape) for i, image in enumerate(rgb)]
    return np.stack(maps) if maps else np.empty((0, *shape))


def _blob(shape: tuple[int, int]) -> Maps:
    rows, columns = (((np.arange(n) + 0.5) / n - 0.5) / _WIDTH for n in shape)
    blob: Maps = np.exp(-(rows[:, None] ** 2 + columns**2) / 2)
    return blob


def _dark(image: NDArray[Any]) -> NDArray[Any]:
    density: NDArray[Any] = optical_density(image).mean(axis=-1)
    return density


def _brown(image: NDArray[Any]) -> NDArray[Any]:
    density: NDArray[np.float32] = separate_stains(image).dab
    return density


def _pooled(density: NDArray[Any], shape: tuple[int, int]) -> Maps:
    """Average over the cells of a map, as a mask is pooled; noise below 0 is 0."""
    values = np.maximum(density, 0).astype(np.float64)[None]
    size = (density.shape[0], density.shape[1])
    found: Maps = (pool(values, shape) / pooled_ones(values, size, shape))[0]
    return found
