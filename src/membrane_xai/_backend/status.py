"""The five statuses of a sample, codes inside the metrics and words outside, and their error."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import Array, is_dask_array, namespace, to_numpy
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.vocabulary import STATUSES
from membrane_xai.errors import UndefinedScoreError

__all__ = ["REASONS", "STATUSES", "as_words", "check_on_undefined", "classify", "raise_undefined"]

REASONS = (*STATUSES, "full_mask")  # the last one only stops pixel_auc


def classify(
    *,
    non_finite: Array,
    empty_region: Array | None = None,
    empty_mask: Array | None = None,
    no_activation: Array | None = None,
) -> Array:
    """Return the code of each sample; of several reasons the first argument given counts."""
    xp = namespace(non_finite)
    codes = xp.zeros_like(non_finite, dtype=xp.int8)
    reasons = (no_activation, empty_mask, empty_region, non_finite)  # the last one written wins
    for code, reason in enumerate(reasons, start=1):
        if reason is not None:
            codes = xp.where(reason, xp.full_like(codes, code), codes)
    return codes


def check_on_undefined(on_undefined: str) -> None:
    """Raise unless `on_undefined` is a known policy."""
    check_choice(on_undefined, "on_undefined", ("nan", "raise"))


def raise_undefined(codes: Array) -> None:
    """Raise UndefinedScoreError that lists the samples whose code is not ok."""
    words = _lookup(codes, np.array(REASONS))
    bad = np.flatnonzero(words != "ok")
    if bad.size:
        shown = ", ".join(f"{i} ({words.flat[i]})" for i in bad[:10])
        more = f" and {bad.size - 10} more" if bad.size > 10 else ""
        raise UndefinedScoreError(
            f"{bad.size} of {words.size} samples have no score: {shown}{more}; "
            f'pass on_undefined="nan" to get NaN and a status instead'
        )


def as_words(codes: Any, words: Sequence[str] = REASONS) -> Any:
    """Turn codes into words: a string for one sample, else a string array of the same container."""
    if hasattr(codes, "dims"):  # xarray
        return codes.copy(data=_lookup(codes.data, np.array(words)))
    found = _lookup(codes, np.array(words))
    return str(found) if isinstance(found, np.str_) else found


def _lookup(codes: Any, words: np.ndarray[Any, Any]) -> Any:
    if is_dask_array(codes):
        import dask.array as da

        return da.map_blocks(partial(_lookup, words=words), codes, dtype=words.dtype)
    return words[to_numpy(codes).astype(int)]
