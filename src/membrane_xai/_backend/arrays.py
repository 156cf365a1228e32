"""The only access to array libraries: namespaces, devices, dtypes, and the checks metrics share.

Whatever is not an array of a known library is read by :func:`numpy.asarray`. The first argument of
a metric decides library and device; NumPy arrays among the others follow it there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_array
from array_api_extra import apply_where

from membrane_xai.errors import InvalidInputError

__all__ = [
    "apply_where",
    "as_array",
    "broadcast_batch",
    "check_arrays",
    "check_unit_interval",
    "column_values",
    "compute_dtype",
    "device",
    "from_numpy",
    "is_array_list",
    "is_dask_array",
    "is_numpy_array",
    "is_pandas",
    "namespace",
    "squeeze_channel",
    "to_numpy",
    "to_same_backend",
    "wide_dtype",
]

Array = Any
"""An array of any library that follows the array API standard."""

_KINDS = ("bool", "integral", "real floating")

_NUMPY = array_namespace(np.empty(0))


def namespace(x: Array) -> Any:
    """Return the array-API namespace of `x`."""
    return _NUMPY if type(x) is np.ndarray else array_namespace(x)  # asked once per operation


def is_numpy_array(x: Any) -> bool:
    """Tell NumPy arrays and scalars from arrays of other libraries."""
    return isinstance(x, np.ndarray | np.generic)


def as_array(x: Any) -> Array:
    """Return `x` if it is an array of a known library, else read it with NumPy."""
    return x if is_array_api_obj(x) else to_numpy(x)


def to_same_backend(anchor: Array, x: Array, name: str) -> Array:
    """Bring a NumPy array to the library and device of `anchor`; others must be there."""
    xp = namespace(anchor)
    if is_numpy_array(x):
        return x if is_numpy_array(anchor) else from_numpy(anchor, x)
    if namespace(x) is not xp:
        raise InvalidInputError(
            f"{name} is an array of {namespace(x).__name__}, but the first argument is one of "
            f"{xp.__name__}; pass both from one library, or {name} as a NumPy array"
        )
    return x


def from_numpy(anchor: Array, x: np.ndarray[Any, Any], dtype: Any = None) -> Array:
    """Copy a NumPy array to the library and device of `anchor`."""
    if is_numpy_array(anchor):
        return x if dtype is None else x.astype(dtype, copy=False)
    writable = x if x.flags.writeable else x.copy()  # torch warns about sharing read-only memory
    return namespace(anchor).asarray(writable, dtype=dtype, device=device(anchor))


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Copy an array to NumPy, off its device and out of any gradient graph."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    elif _is_of("cupy", x):
        x = x.get()
    elif is_pandas(x):
        return _from_pandas(x)
    return np.asarray(x)


def is_pandas(x: Any) -> bool:
    """Tell columns and tables of pandas without importing it."""
    return _is_of("pandas", x)


def column_values(x: Any) -> Any:
    """Return a column of pandas as the list of its values, whatever its index; others as given."""
    return x.tolist() if is_pandas(x) and hasattr(x, "tolist") else x


def _is_of(library: str, x: Any) -> bool:
    """Tell by module, bases included: other libraries have methods of the same names."""
    return any(base.__module__.partition(".")[0] == library for base in type(x).__mro__)


def _from_pandas(x: Any) -> np.ndarray[Any, Any]:
    """Read nullable numbers as NumPy's, missing ones as NaN; as they are they may be objects."""
    numbers = getattr(getattr(x, "dtype", None), "numpy_dtype", None)
    if numbers is None or numbers.kind not in "biuf":
        return np.asarray(x)
    if x.isna().any():
        return np.asarray(x.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(x.to_numpy(dtype=numbers))


def wide_dtype(x: Array) -> Any:
    """Return float64 where the device of `x` has it (JAX may not), else float32."""
    if type(x) is np.ndarray:
        return np.dtype(np.float64)
    xp = namespace(x)
    known = xp.__array_namespace_info__().dtypes(kind="real floating", device=device(x))
    return known.get("float64", known["float32"])


def compute_dtype(*arrays: Array) -> Any:
    """Return the dtype for products of `arrays`: float32 unless one of them needs more.

    float16, bfloat16, bool and integers of up to 16 bits are exact in float32.
    """
    narrow = all(_fits_float32(x) for x in arrays)
    return namespace(arrays[0]).float32 if narrow else wide_dtype(arrays[0])


def _fits_float32(x: Array) -> bool:
    xp = namespace(x)
    return bool(
        xp.isdtype(x.dtype, "bool")
        or x.dtype in (xp.float32, xp.int8, xp.uint8, xp.int16)
        or (xp.isdtype(x.dtype, "real floating") and xp.finfo(x.dtype).bits < 32)
    )


def is_array_list(x: Any) -> bool:
    """Tell a list of arrays, perhaps of unequal sizes, from nested lists of numbers."""
    return isinstance(x, list | tuple) and len(x) > 0 and all(is_array_api_obj(item) for item in x)


def check_arrays(x: Array, name: str) -> None:
    """Raise unless `x` has a real dtype, two axes or more, and at least one element."""
    xp = namespace(x)
    if not xp.isdtype(x.dtype, _KINDS) if not is_numpy_array(x) else x.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"{name} has dtype {x.dtype}; it takes bool, integer or real floating arrays"
        )
    if x.ndim < 2:
        raise InvalidInputError(
            f"{name} has shape {tuple(x.shape)}; it takes (h, w), (N, h, w) or (N, 1, h, w)"
        )
    if 0 in x.shape:
        raise InvalidInputError(f"{name} is empty: its shape is {tuple(x.shape)}")


def squeeze_channel(x: Array, name: str) -> Array:
    """Return `x` as (h, w) or (N, h, w), without the channel axis of (N, 1, h, w)."""
    if x.ndim == 4 and x.shape[1] == 1:
        return x[:, 0, :, :]
    if x.ndim > 3:
        raise InvalidInputError(
            f"{name} has shape {tuple(x.shape)}; it takes (h, w), (N, h, w) or (N, 1, h, w): "
            f"reduce channels to one first, and use xarray for more batch dimensions"
        )
    return x


def check_unit_interval(x: Array, name: str) -> None:
    """Raise if any finite value of `x`, (..., row, column), lies outside [0, 1].

    The error tells of the first map that has one, and so is that of this map alone.
    """
    xp = namespace(x)
    if xp.isdtype(x.dtype, "bool") or (float(xp.min(x)) >= 0 and float(xp.max(x)) <= 1):
        return
    if xp.isdtype(x.dtype, "real floating"):  # NaN and infinity hide the range of other values
        x = xp.where(xp.isfinite(x), x, xp.zeros_like(x))
    lows, highs = (
        np.atleast_1d(to_numpy(xp.astype(end(x, axis=(-2, -1)), wide_dtype(x)))).ravel()
        for end in (xp.min, xp.max)
    )
    bad = np.flatnonzero((lows < 0) | (highs > 1))
    if bad.size:
        low, high = lows[bad[0]], highs[bad[0]]
        hint = "; divide a 0/255 image by 255" if high == 255 else ""
        raise InvalidInputError(
            f"{name} has values from {low:g} to {high:g}; "
            f"it takes bool or fractions in [0, 1]{hint}"
        )


def broadcast_batch(shapes: Sequence[tuple[int, ...]], names: Sequence[str]) -> tuple[int, ...]:
    """Return the common batch shape, or raise naming every argument's."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        got = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
        raise InvalidInputError(
            f"batch shapes differ: {got}; they must be equal, or absent for a map shared by all"
        ) from None
