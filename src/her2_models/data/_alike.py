"""Images that show the same though their bytes differ: written anew, resized, cropped, turned.

An image is shrunk to a thumbnail. Two are candidates if the coarse waves of their thumbnails (of a
discrete cosine transform) agree in one of the eight ways to turn and flip one, and are alike if the
fine structure does, too, where it fits best. Coarse waves alone also agree where two patches have
the same outline of tissue, and fine structure alone would have to be compared for every pair.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

__all__ = ["Look", "alike", "look_of"]

_SIZE = 64  # pixels along a thumbnail
_WAVES = 12  # along each axis; finer ones shift with a slight crop
_WINDOW = np.sqrt(np.hanning(_SIZE + 2)[1:-1])  # a crop changes the rim most
_SMOOTH = 4.0  # pixels of a thumbnail: what is coarser is no structure
# On fields of tissue the fine structure's standard deviation is 6.8 grey levels or more; glass is
# below, and all glass looks the same
_FLAT = 2.0
# Of 27,261 pairs of different fields of real slides the closest had 0.63 and 0.39, of copies, each
# edge cropped by up to 4 %, the farthest 0.84 and 0.83
_COARSE, _FINE = 0.6, 0.6
_ZOOMED = (66, 68, 70, 72)  # sizes that a crop of 3 to 11 % in all would have had
_MOST = 5  # candidates compared closely for each image: the cost stays in proportion
_BLOCK = 256  # rows at a time

Array = NDArray[np.float32]
Name = TypeVar("Name", bound=Hashable)


class Look(NamedTuple):
    """What is kept of an image, 5 KiB."""

    waves: Array
    """(12, 12), without the mean."""
    structure: NDArray[np.float16]
    """(64, 64), of mean 0 and norm 1."""


def look_of(rgb: NDArray[np.uint8]) -> Look | None:
    """Return what an image looks like; None if it is flat, like empty glass."""
    grey = Image.fromarray(rgb).convert("L")
    small = np.asarray(grey.resize((_SIZE, _SIZE), Image.Resampling.BOX), np.float32)
    structure = small - gaussian_filter(small, _SMOOTH)
    structure -= structure.mean()
    if structure.std() < _FLAT:
        return None
    windowed = (small - small.mean()) * np.outer(_WINDOW, _WINDOW)
    order = np.arange(_WAVES)
    # Natural images have less of a fine wave, and none of their mean is to count
    weights = np.sqrt(np.hypot(order[:, None], order))
    waves = weights * scipy.fft.dctn(windowed, norm="ortho")[:_WAVES, :_WAVES]
    return Look(_unit(waves), _unit(structure).astype(np.float16))


def alike(looks: Mapping[Name, Look]) -> list[tuple[Name, ...]]:
    """Return the sets of images that look alike."""
    names = list(looks)
    parts = list(range(len(names)))  # a forest: each tree is a set

    def root(i: int) -> int:
        while parts[i] != i:
            parts[i] = parts[parts[i]]
            i = parts[i]
        return i

    for i, j, way in _candidates([looks[name].waves for name in names]):
        one, other = looks[names[i]].structure, looks[names[j]].structure
        if root(i) != root(j) and _fit(one, _turned(other, way)) >= _FINE:
            parts[root(j)] = root(i)
    found: dict[int, list[Name]] = {}
    for i, name in enumerate(names):
        found.setdefault(root(i), []).append(name)
    return [tuple(same) for same in found.values() if len(same) > 1]


class _Way(NamedTuple):
    """One of the eight ways to turn and flip an image."""

    transposed: bool
    upside_down: bool
    mirrored: bool


_WAYS = tuple(_Way(*flags) for flags in product((False, True), repeat=3))


def _turned(image: NDArray[Any], way: _Way) -> NDArray[Any]:
    if way.transposed:
        image = image.T
    return image[:: -1 if way.upside_down else 1, :: -1 if way.mirrored else 1]


def _turned_waves(waves: Array, way: _Way) -> Array:
    """Turn (n, 12, 12) waves as `_turned` turns images: an odd wave changes its sign in a flip."""
    if way.transposed:
        waves = waves.swapaxes(1, 2)
    sign = (-1.0) ** np.arange(_WAVES, dtype=np.float32)
    rows = sign if way.upside_down else sign**2
    columns = sign if way.mirrored else sign**2
    return waves * np.outer(rows, columns)


def _candidates(waves: Sequence[Array]) -> Iterator[tuple[int, int, _Way]]:
    """Yield pairs whose coarse waves agree in some way, the closest of each image first."""
    if not waves:
        return
    each = np.stack(waves)
    n = len(each)
    turned = [_turned_waves(each, way).reshape(n, -1).T for way in _WAYS]
    for start in range(0, n, _BLOCK):
        block = each[start : start + _BLOCK].reshape(-1, _WAVES**2)
        best, way = np.full((len(block), n), -1.0, np.float32), np.zeros((len(block), n), np.int8)
        for k, others in enumerate(turned):
            agree = block @ others
            way[agree > best] = k
            np.maximum(best, agree, out=best)
        for row in range(len(block)):
            later = best[row, start + row + 1 :]
            close = np.flatnonzero(later >= _COARSE)
            for at in close[np.argsort(-later[close])[:_MOST]]:
                j = int(start + row + 1 + at)
                yield start + row, j, _WAYS[way[row, j]]


def _fit(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the correlation of fine structure where one fits best into the other, or just so."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    fits = [float((a * b).sum())]
    for size in _ZOOMED:
        if max(fits) >= _FINE:
            break
        fits += [_best_place(a, _zoomed(b, size)), _best_place(b, _zoomed(a, size))]
    return max(fits)


def _best_place(small: Array, large: Array) -> float:
    """Return the highest correlation of `small` with a window of `large`."""
    windows = sliding_window_view(large, small.shape)
    products = np.einsum("ijkl,kl->ij", windows, small)
    means = windows.mean((2, 3))
    squares = np.einsum("ijkl,ijkl->ij", windows, windows) - small.size * means**2
    return float((products / np.sqrt(np.maximum(squares, 1e-12))).max())


def _zoomed(image: Array, size: int) -> Array:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _unit(values: NDArray[Any]) -> Array:
    return (values / np.linalg.norm(values)).astype(np.float32)
