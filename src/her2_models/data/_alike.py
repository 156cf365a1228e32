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
from scipy.ndimage import gaussian_filter, median_filter

__all__ = ["Look", "alike", "look_of"]

_SIZE = 64  # pixels along a thumbnail
_WAVES = 12  # along each axis; finer ones shift with a slight crop
_WINDOW = np.sqrt(np.hanning(_SIZE + 2)[1:-1])  # a crop changes the rim most
_NEAR = 9  # pixels of a thumbnail: what is wider is no structure
_CONTRAST = 4.0  # pixels, the deviation of a Gaussian: the contrast of a place is that around it
# Fields of real tissue have a structure whose standard deviation is 6.5 grey levels or more at 256
# pixels and up; glass is below, and all glass looks the same
_FLAT = 2.0
# The closest of 61,516 pairs of different fields, 289 real and 200 synthetic, had 0.67 and 0.18; of
# copies that lost 4 % on every side, all had more, on two sides all but one: benchmarks.data_sets
_COARSE, _FINE = 0.6, 0.6
_ZOOMED = (66, 68, 70, 72)  # sizes that a crop of 3 to 11 % in all would have had
_MOST = 5  # candidates compared closely for each image: the cost stays in proportion
_BLOCK = 64  # rows at a time: 8 times as many numbers for each image

Array = NDArray[np.float32]
Name = TypeVar("Name", bound=Hashable)


class Look(NamedTuple):
    """What is kept of an image, 9 KiB."""

    waves: Array
    """(12, 12), without the mean."""
    structure: NDArray[np.float16]
    """(64, 64), of about equal contrast everywhere, mean 0 and norm 1."""


def look_of(rgb: NDArray[np.uint8]) -> Look | None:
    """Return what an image looks like; None if it is flat, like empty glass."""
    grey = Image.fromarray(rgb).convert("L")
    small = np.asarray(grey.resize((_SIZE, _SIZE), Image.Resampling.BOX), np.float32)
    # A median follows the outline of tissue, so that no halo of it is left: all cores of an array
    # have the same outline
    structure = small - median_filter(small, _NEAR)
    if structure.std() < _FLAT:
        return None
    structure /= np.sqrt(gaussian_filter(structure**2, _CONTRAST) + _FLAT**2)
    structure -= structure.mean()
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
        if root(i) != root(j) and _fit(_turned(one, way), other) >= _FINE:
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
    turned: Array = waves * rows[:, None] * columns
    return turned


def _candidates(waves: Sequence[Array]) -> Iterator[tuple[int, int, _Way]]:
    """Yield pairs, and the way to turn the first so that their coarse waves agree.

    Of each image the closest pairs come first.
    """
    if not waves:
        return
    each = np.stack(waves)
    flat = each.reshape(len(each), -1)
    for start in range(0, len(each), _BLOCK):
        block = each[start : start + _BLOCK]
        later = flat[start:].T  # of a pair, the first is in the block
        agree = np.stack(
            [_turned_waves(block, way).reshape(len(block), -1) @ later for way in _WAYS]
        )
        best = agree.max(0)
        for row in range(len(block)):
            others = np.arange(row + 1, best.shape[1])
            close = others[best[row, row + 1 :] >= _COARSE]
            for at in close[np.argsort(-best[row, close])[:_MOST]]:
                way = _WAYS[int(agree[:, row, at].argmax())]
                yield start + row, start + int(at), way


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
    zoomed = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.array(zoomed, dtype=np.float32)


def _unit(values: NDArray[Any]) -> Array:
    unit: Array = (values / np.linalg.norm(values)).astype(np.float32)
    return unit
