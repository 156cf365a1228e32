"""``consensus``: the masks of several annotators as one, in which each pixel has their share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import as_array, check_arrays, check_unit_interval, to_numpy
from membrane_xai.errors import InvalidInputError

__all__ = ["Consensus", "consensus"]


class Consensus(NamedTuple):
    """What several annotators agree on, as :func:`membrane_xai.consensus` returns it."""

    mask: NDArray[np.float64]
    """(H, W) in [0, 1]: mean over the annotators who looked there; 0 where none did."""
    region: NDArray[np.bool_]
    """(H, W): where at least one annotator looked."""
    annotators: NDArray[np.intp]
    """(H, W): how many looked."""


def consensus(masks: Sequence[Any], *, regions: Sequence[Any] | None = None) -> Consensus:
    """Combine the masks of several annotators into the share of them who marked each pixel.

    Parameters
    ----------
    masks : sequence of arrays of shape (H, W)
        One for each annotator, bool or fractions, as :func:`rasterize` gives them.
    regions : sequence of arrays of shape (H, W), optional
        Where each annotator looked, bool; everywhere by default. An annotator counts in no pixel
        outside, instead of counting as having seen no membrane.

    Returns
    -------
    Consensus
        Its `mask` and `region` are what :func:`map_score` takes.

    Raises
    ------
    InvalidInputError
        No mask, masks of unequal shape, outside [0, 1] or with NaN, or as many regions as there are
        not masks.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.annotations import consensus
    >>> first, second = np.array([[1, 1, 0]], bool), np.array([[1, 0, 0]], bool)
    >>> consensus([first, second]).mask
    array([[1. , 0.5, 0. ]])

    The second did not look at the pixel in the middle, and nobody at the last.

    >>> looked = [np.array([[1, 1, 0]], bool), np.array([[1, 0, 0]], bool)]
    >>> both = consensus([first, second], regions=looked)
    >>> both.mask, both.region
    (array([[1., 1., 0.]]), array([[ True,  True, False]]))
    """
    marked = _stack(masks, "masks")
    looked = np.ones(marked.shape, bool) if regions is None else _stack(regions, "regions") > 0
    if looked.shape != marked.shape:
        raise InvalidInputError(
            f"regions has {len(looked)} of shape {looked.shape[1:]}; "
            f"it takes {len(marked)} of shape {marked.shape[1:]}, like masks"
        )
    count = looked.sum(axis=0)
    mean = np.where(looked, marked, 0).sum(axis=0) / np.maximum(count, 1)
    return Consensus(mean, count > 0, count)


def _stack(masks: Sequence[Any], name: str) -> NDArray[np.float64]:
    arrays = [to_numpy(as_array(x)) for x in masks]
    if not arrays:
        raise InvalidInputError(f"{name} is empty; it takes one map for each annotator")
    for i, array in enumerate(arrays):
        check_arrays(array, f"{name}[{i}]")
        check_unit_interval(array, f"{name}[{i}]")
        if array.ndim != 2 or array.shape != arrays[0].shape:
            raise InvalidInputError(
                f"{name}[{i}] has shape {array.shape}, {name}[0] has {arrays[0].shape}; "
                f"it takes (H, W), the same for all"
            )
        if not np.isfinite(array).all():
            raise InvalidInputError(f"{name}[{i}] has NaN or infinity")
    return np.stack(arrays).astype(float)
