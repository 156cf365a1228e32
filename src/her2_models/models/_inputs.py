"""Images to inputs of a network: windows of a magnification, size, scale, normalisation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.io import MPP_AT_1X, check_rgb

try:
    import torch
    from torchvision.transforms.v2.functional import normalize, resize, to_dtype, to_image
except ImportError as error:
    raise missing(error, "her2_models", extra="her2") from error

__all__ = ["InputSpec", "random_window", "windows"]

_HIGHEST = 200.0  # no objective shows more, and windows would be countless and of a few pixels


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a network takes.

    Attributes
    ----------
    size : int
        Side in pixels.
    mean, std : tuple of float
        Per channel, for RGB in [0, 1].
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def resize(self, rgb: NDArray[np.uint8]) -> torch.Tensor:
        """Resize an image to the input's square, bilinearly with antialiasing.

        Parameters
        ----------
        rgb : ndarray of shape (H, W, 3), uint8
            The image; its aspect ratio is not kept.

        Returns
        -------
        torch.Tensor of shape (3, size, size), uint8

        Raises
        ------
        InvalidInputError
            As :func:`membrane_xai.io.check_rgb`, which :func:`membrane_xai.evaluate` asks, too.
        """
        image = to_image(np.require(check_rgb(rgb), requirements=["C", "W"]))
        scaled: torch.Tensor = resize(image, [self.size, self.size], antialias=True)
        return scaled.as_subclass(torch.Tensor)

    def rescale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scale uint8 pixels to [0, 1], and no more.

        Parameters
        ----------
        pixels : torch.Tensor of shape (..., 3, h, w), uint8
            As :meth:`resize` gives them.

        Returns
        -------
        torch.Tensor, float32
        """
        unit: torch.Tensor = to_dtype(pixels, torch.float32, scale=True)
        return unit

    def normalize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scale uint8 pixels to [0, 1] and normalise them.

        Parameters
        ----------
        pixels : torch.Tensor of shape (..., 3, h, w), uint8
            As :meth:`resize` gives them.

        Returns
        -------
        torch.Tensor, float32
        """
        normal: torch.Tensor = normalize(self.rescale(pixels), list(self.mean), list(self.std))
        return normal

    def to_tensor(self, rgb: NDArray[np.uint8]) -> torch.Tensor:
        """Resize and normalise an image.

        Parameters
        ----------
        rgb : ndarray of shape (H, W, 3), uint8
            The image.

        Returns
        -------
        torch.Tensor of shape (3, size, size), float32
        """
        return self.normalize(self.resize(rgb))


def windows(
    shape: tuple[int, int], *, mpp: float | None, magnification: float, size: int
) -> list[tuple[slice, slice]]:
    """Cut a field into windows that fill a network's input at an objective's magnification.

    Parameters
    ----------
    shape : tuple of int
        (H, W) of the image.
    mpp : float or None
        Its micrometres per pixel.
    magnification : float
        What the input shows: 10 / magnification micrometres per pixel.
    size : int
        Side of the input in pixels.

    Returns
    -------
    list of tuple of slice
        Rows and columns of as many windows as fit side by side, centred; one, cut to the image,
        where the field is smaller than that.

    Raises
    ------
    InvalidInputError
        `mpp` is not known, or `magnification` is not above 0 to 200.

    Examples
    --------
    An input of 224 pixels at 20x shows 112 micrometres, 448 pixels of an image at 40x:

    >>> from her2_models.models import windows
    >>> windows((1024, 1024), mpp=0.25, magnification=20, size=224)[0]
    (slice(64, 512, None), slice(64, 512, None))
    >>> windows((300, 300), mpp=0.25, magnification=20, size=224)
    [(slice(0, 300, None), slice(0, 300, None))]
    """
    side = _window_side(mpp=mpp, magnification=magnification, size=size)
    rows, columns = ([*_cuts(length, side)] for length in shape)
    return [(row, column) for row in rows for column in columns]


def _window_side(*, mpp: float | None, magnification: float, size: int) -> int:
    """Return the side, in pixels of the image, of what the input shows."""
    if mpp is None:
        raise InvalidInputError(
            "mpp is None; a magnification takes images whose micrometres per pixel are known "
            "(data.mpp)"
        )
    if not 0 < magnification <= _HIGHEST:
        raise InvalidInputError(
            f"magnification is {magnification!r}; it takes a positive number, such as 20, to "
            f"{_HIGHEST:g}"
        )
    return max(1, round(size * MPP_AT_1X / magnification / mpp))


def _cuts(length: int, side: int) -> Iterator[slice]:
    count = max(length // side, 1)
    start = max(length - count * side, 0) // 2
    for i in range(count):
        yield slice(start + i * side, min(start + (i + 1) * side, length))


def random_window(
    shape: tuple[int, int], *, mpp: float | None, magnification: float, size: int
) -> tuple[slice, slice]:
    """Draw one window from torch's global generator, anywhere in the field.

    Parameters
    ----------
    shape, mpp, magnification, size
        As :func:`windows` takes them.

    Returns
    -------
    tuple of slice
        Rows and columns, cut to the image where the field is smaller.

    Raises
    ------
    InvalidInputError
        `mpp` is not known, or `magnification` is not above 0 to 200.
    """
    side = _window_side(mpp=mpp, magnification=magnification, size=size)
    starts = [int(torch.randint(max(length - side, 0) + 1, ())) for length in shape]
    rows, columns = (
        slice(start, min(start + side, length)) for start, length in zip(starts, shape, strict=True)
    )
    return rows, columns
