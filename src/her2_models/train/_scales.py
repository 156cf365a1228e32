"""Micrometres per pixel at the network's input of many images, from the headers of their files."""

import math
from collections.abc import Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from her2_models.data import Record
from her2_models.models import input_mpp, windows

__all__ = ["input_mpps"]


def input_mpps(
    records: Sequence[Record], size: int, magnifications: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Return the micrometres per pixel at which images are shown to a network.

    Parameters
    ----------
    records : sequence of Record
        The images; their pixels are not decoded.
    size : int
        Side of the network's input in pixels.
    magnifications : sequence of float
        Of the objectives that are looked through; empty for whole images.

    Returns
    -------
    ndarray of float64
        A value for each image and magnification; one NaN for an image whose pixel size or file is
        not known.

    Examples
    --------
    >>> import PIL.Image
    >>> from her2_models.data import Record
    >>> from her2_models.train import input_mpps
    >>> path = getfixture("tmp_path") / "a.png"
    >>> PIL.Image.new("RGB", (448, 448)).save(path)
    >>> input_mpps([Record(path, 0, mpp=0.25), Record(path, 0)], 224)
    array([0.5, nan])
    >>> input_mpps([Record(path, 0, mpp=0.25)], 224, [40, 20, 10])  # 10x would take 896 pixels
    array([0.25, 0.5 , 0.5 ])
    """
    return np.array([one for record in records for one in _of(record, size, magnifications)])


def _of(record: Record, size: int, magnifications: Sequence[float]) -> list[float]:
    shape = _shape(record)
    if shape is None or record.mpp is None:
        return [math.nan]
    mpp = record.mpp
    cuts = [windows(shape, mpp=mpp, magnification=m, size=size)[0] for m in magnifications]
    shown = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in cuts]
    return [input_mpp(one, mpp=mpp, size=size) for one in shown or [shape]]


def _shape(record: Record) -> tuple[int, int] | None:
    try:
        with PIL.Image.open(record.path) as image:
            return image.height, image.width
    except (OSError, ValueError, PIL.Image.DecompressionBombError):
        return None
