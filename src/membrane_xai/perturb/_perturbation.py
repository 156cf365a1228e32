"""``Perturbation``, and the checks that all perturbations share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_grid
from membrane_xai._backend.images import check_rgb

__all__ = [
    "KINDS",
    "Bools",
    "Perturbation",
    "Rgb",
    "apply_checked",
    "everywhere",
    "photometric",
    "to_uint8",
]

Rgb = NDArray[np.uint8]
"""An image of shape (H, W, 3)."""
Bools = NDArray[np.bool_]

KINDS = ("geometric", "photometric")
"""Of perturbations: those that move pixels, and those that do not."""


def everywhere(grid: tuple[int, int]) -> Bools:
    """Return the valid region of a perturbation that loses nothing."""
    return np.ones(check_grid(grid), bool)


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A change of an image that should not change its explanation.

    Attributes
    ----------
    name : str
        For tables.
    apply : callable
        (H, W, 3) uint8 image -> perturbed image, a new uint8 array. Gives the same result each
        time. Raises InvalidInputError for another shape or dtype.
    restore : callable
        (..., h, w) CAM of the perturbed image -> CAM in the geometry of the original. Any grid, any
        array library; the result is of the same library, and may be `cam` itself or a view of it.
        Real dtypes are kept (integers become float32 where values are interpolated). Where the
        perturbed image does not show the original, the result is 0.
    valid : callable
        Grid (h, w) of the CAM of the perturbed image -> NumPy bool array of the shape of the
        restored CAM: True where the perturbed image shows the original, judged at the centre of
        each CAM cell. Compare CAMs there only.
    parameters : dict
        What was chosen and drawn, in plain numbers and text, for tables and provenance.

    Examples
    --------
    Any other change, here a grey image, which moves nothing:

    >>> import numpy as np
    >>> from membrane_xai.perturb import Perturbation
    >>> def grey(rgb):
    ...     return np.repeat(rgb.mean(axis=2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    >>> Perturbation("grey", grey, lambda cam: cam)
    Perturbation(name='grey', parameters={})
    >>> Perturbation("grey", grey, lambda cam: cam).kind
    'photometric'
    """

    name: str
    apply: Callable[[Any], Any] = field(repr=False)
    restore: Callable[[Any], Any] = field(repr=False)
    valid: Callable[[tuple[int, int]], Bools] = field(default=everywhere, repr=False)
    parameters: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def kind(self) -> str:
        """Is "geometric" if the way back moves the cells of a CAM, else "photometric"."""
        probe = np.arange(16.0).reshape(4, 4)  # no two cells are equal
        back = np.asarray(self.restore(probe))
        same = back.shape == probe.shape and bool((back == probe).all())
        return "photometric" if same else "geometric"


def photometric(
    name: str, change: Callable[[Rgb], Rgb], parameters: Mapping[str, Any]
) -> Perturbation:
    """Make a perturbation that moves nothing, so that the CAM needs no way back."""
    return Perturbation(
        name, partial(apply_checked, change=change), _unchanged, parameters=dict(parameters)
    )


def apply_checked(rgb: Any, change: Callable[[Rgb], Rgb]) -> Rgb:
    """Check an image, change it, and return memory of its own in C order."""
    image = check_rgb(rgb)
    return np.array(change(image), order="C")


def to_uint8(values: NDArray[np.floating[Any]]) -> Rgb:
    """Round and clip to 0 ... 255."""
    rounded: Rgb = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _unchanged(cam: Any) -> Any:
    return cam
