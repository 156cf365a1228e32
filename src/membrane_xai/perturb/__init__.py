"""Image in, perturbed image out, and the way back for its CAM.

Photometric perturbations change colour or sharpness; geometric ones move pixels. Everything random
is drawn from a seed: the same seed gives the same bytes on the same image.
"""

from functools import partial
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import Array
from membrane_xai._backend.checks import check_seed
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb._geometric import (
    checked_cam,
    horizontal_flip,
    rotation,
    translation,
    vertical_flip,
    zero_outside,
    zoom,
)
from membrane_xai.perturb._perturbation import Bools, Perturbation, everywhere
from membrane_xai.perturb._photometric import (
    blur,
    illumination,
    illumination_jitter,
    jpeg,
    magnification,
    noise,
    stain_jitter,
)
from membrane_xai.perturb._registered import restore_registered

__all__ = [
    "Perturbation",
    "blur",
    "compose",
    "horizontal_flip",
    "illumination",
    "illumination_jitter",
    "jpeg",
    "magnification",
    "noise",
    "restore_registered",
    "rotation",
    "stain_jitter",
    "standard_perturbations",
    "translation",
    "vertical_flip",
    "zoom",
]

Steps = tuple[Perturbation, ...]

_WEIGHT_OF_NOTHING = 1e-9  # an undefined cell that counts less than this does no harm


def standard_perturbations(*, mpp: float, seed: int = 0) -> Steps:
    """Return the set of perturbations for an audit of Explanation Consistency.

    Small enough that a pathologist reads the same score:

    1. and 2. :func:`stain_jitter` by up to 10 %, two draws
    3. :func:`illumination_jitter`: gain up to 5 %, tint up to 3 %
    4. :func:`blur` with a sigma of 0.5 micrometres
    5. :func:`noise` with a standard deviation of 3 of 255
    6. :func:`jpeg` of quality 70
    7. :func:`horizontal_flip`
    8. :func:`rotation` by 90 degrees

    Parameters
    ----------
    mpp : float
        Micrometres per pixel of the images.
    seed : int
        Of all draws; sets of different seeds share none.

    Returns
    -------
    tuple of 8 Perturbation
        All are valid everywhere.

    Raises
    ------
    InvalidInputError
        For an `mpp` that is not positive, or a seed that is not a non-negative integer.

    Examples
    --------
    >>> from membrane_xai.perturb import standard_perturbations
    >>> for perturbation in standard_perturbations(mpp=0.5):
    ...     print(perturbation.name)
    stain jitter (seed 0: H x1.03, DAB x0.95)
    stain jitter (seed 1: H x1.00, DAB x1.09)
    illumination jitter (seed 2: gain 0.98, tint 0.99 1.02 0.98)
    blur (sigma 0.5 um)
    noise (seed 3: std 3)
    JPEG (quality 70)
    horizontal flip
    rotation (90 degrees)
    """
    first = 4 * check_seed(seed)
    return (
        stain_jitter(0.1, seed=first),
        stain_jitter(0.1, seed=first + 1),
        illumination_jitter(0.05, tint=0.03, seed=first + 2),
        blur(0.5, mpp=mpp),
        noise(3, seed=first + 3),
        jpeg(70),
        horizontal_flip(),
        rotation(90),
    )


def compose(*perturbations: Perturbation) -> Perturbation:
    """Apply perturbations one after the other; the CAM goes back through them in reverse.

    Parameters
    ----------
    *perturbations : Perturbation
        At least one, the first to be applied first.

    Returns
    -------
    Perturbation
        Valid where every step is: a CAM cell that a later step leaves undefined makes undefined
        what an earlier step interpolates from it.

    Raises
    ------
    InvalidInputError
        For none, or for something else among them.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.perturb import compose, horizontal_flip, translation
    >>> both = compose(horizontal_flip(), translation(0, 0.25))
    >>> both.name
    'horizontal flip, then translation (0 down, 0.25 right)'
    >>> both.restore(np.array([[0.1, 0.2, 0.3, 0.4]]))
    array([[0. , 0.4, 0.3, 0.2]])
    >>> both.valid((1, 4))
    array([[False,  True,  True,  True]])
    """
    if not perturbations:
        raise InvalidInputError("perturbations are none; compose takes at least one Perturbation")
    for position, one in enumerate(perturbations):
        if not isinstance(one, Perturbation):
            raise InvalidInputError(
                f"perturbations[{position}] is {one!r}; compose takes Perturbation objects"
            )
    return Perturbation(
        ", then ".join(one.name for one in perturbations),
        partial(_apply_steps, steps=perturbations),
        partial(_restore_steps, steps=perturbations),
        partial(_valid_steps, steps=perturbations),
        {
            "perturbation": "compose",
            "steps": [{"name": one.name, **one.parameters} for one in perturbations],
        },
    )


def _apply_steps(rgb: Any, steps: Steps) -> Any:
    for step in steps:
        rgb = step.apply(rgb)
    return rgb


def _restore_steps(cam: Any, steps: Steps) -> Array:
    cam = checked_cam(cam)
    valid = _valid_steps((cam.shape[-2], cam.shape[-1]), steps)
    for step in reversed(steps):
        cam = step.restore(cam)
    return zero_outside(cam, valid)


def _valid_steps(grid: tuple[int, int], steps: Steps) -> Bools:
    valid = everywhere(grid)
    for step in reversed(steps):
        lost = np.asarray(step.restore((~valid).astype(float))) > _WEIGHT_OF_NOTHING
        valid = step.valid((valid.shape[0], valid.shape[1])) & ~lost
    return valid
