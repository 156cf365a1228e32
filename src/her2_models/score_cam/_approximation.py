"""How close approximated maps are to the exact ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2_models.score_cam._layer import Layer

__all__ = ["Approximation", "compared"]


@dataclass(frozen=True)
class Approximation:
    """How close approximated maps are to the exact ones.

    Attributes
    ----------
    pearson : ndarray of shape (N,)
        Correlation of both maps on the grid of the layer, in [-1, 1], higher is closer; NaN if one
        of them is flat.
    forwards, exact_forwards : int
        Masked images that went through the network, over all N.
    """

    pearson: NDArray[np.float64]
    forwards: int
    exact_forwards: int


def compared(layers: Sequence[Layer], exact: Sequence[Layer]) -> Approximation:
    """Compare on the grid, all layers and classes of an image together."""
    pearson = [
        _pearson(*(np.concatenate([x.sums[i].ravel() for x in xs]) for xs in (layers, exact)))
        for i in range(len(layers[0].sums))
    ]
    forwards, exact_forwards = (sum(x.forwards for x in xs) for xs in (layers, exact))
    return Approximation(np.array(pearson), forwards, exact_forwards)


def _pearson(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = (np.maximum(x, 0).astype(float) for x in (one, other))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
