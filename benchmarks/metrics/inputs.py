"""CAMs and masks to measure on; the metrics' cost does not depend on where the values lie."""

import numpy as np

SEED = 0


def cams(count: int, side: int) -> np.ndarray:
    """Return float32 CAMs (count, side, side) in [0, 1)."""
    return np.random.default_rng(SEED).random((count, side, side), dtype=np.float32)


def masks(count: int, side: int) -> np.ndarray:
    """Return bool masks (count, side, side), a fifth of their pixels true."""
    values = np.random.default_rng(SEED + 1).random((count, side, side), dtype=np.float32)
    return values < 0.2


def read(*arrays: np.ndarray) -> None:
    """Read arrays from memory once: ``np.sum``, the plainest use of every value.

    Masks are summed as 64-bit words: summed as bool, NumPy would convert every byte, which takes
    longer than reading it.
    """
    for array in arrays:
        np.sum(_words(array))


def fast_read(*arrays: np.ndarray) -> None:
    """Read arrays with ``np.max``, which needs fewer instructions a value than ``np.sum``."""
    for array in arrays:
        np.max(_words(array))


def _words(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint64) if array.dtype == bool else array
