"""Image in, perturbed image out, and the way back for its CAM."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import stain
from membrane_xai.errors import InvalidInputError

__all__ = ["Perturbation", "horizontal_flip", "stain_jitter", "vertical_flip"]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A change of an image that should not change its explanation.

    Attributes
    ----------
    name : str
        For tables.
    apply : callable
        (H, W, 3) uint8 image -> perturbed image of the same dtype. Gives the same result each time.
    restore : callable
        (..., h, w) CAM of the perturbed image -> CAM in the geometry of the original.
    """

    name: str
    apply: Callable[[Any], Any]
    restore: Callable[[Any], Any]


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
    return Perturbation("horizontal flip", partial(np.flip, axis=1), partial(np.flip, axis=-1))


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
    return Perturbation("vertical flip", partial(np.flip, axis=0), partial(np.flip, axis=-2))


def stain_jitter(strength: float = 0.1, *, seed: int) -> Perturbation:
    """Make each stain stronger or weaker, as another staining run would.

    Densities of hematoxylin and DAB are each multiplied by a factor drawn uniformly from
    ``[1 - strength, 1 + strength]``; the background stays. One draw per perturbation: the same seed
    changes every image by the same factors.

    Parameters
    ----------
    strength : float in (0, 1)
        Largest relative change of a stain's optical density.
    seed : int
        Of the draw.

    Returns
    -------
    Perturbation
        The CAM needs no way back.

    Raises
    ------
    InvalidInputError
        For a strength out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import stain_jitter
    >>> glass = np.full((4, 4, 3), 240, np.uint8)
    >>> bool((stain_jitter(seed=1).apply(glass) == glass).all())  # glass has no stain to change
    True
    """
    if not 0 < strength < 1:
        raise InvalidInputError(f"strength is {strength!r}; it takes a number in (0, 1)")
    factors = 1 + np.random.default_rng(seed).uniform(-strength, strength, 2)
    name = f"stain jitter (H x{factors[0]:.2f}, DAB x{factors[1]:.2f})"
    return Perturbation(name, partial(_scale_stains, factors=factors), lambda cam: cam)


def _scale_stains(rgb: Any, factors: NDArray[np.float64]) -> NDArray[np.uint8]:
    background = stain.estimate_background(rgb)
    found = stain.separate_stains(rgb, background=background)
    scaled = found._replace(
        hematoxylin=found.hematoxylin * np.float32(factors[0]),
        dab=found.dab * np.float32(factors[1]),
    )
    return stain.combine_stains(scaled, background=background)
