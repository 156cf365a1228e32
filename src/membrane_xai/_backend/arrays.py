"""The only access to array libraries: namespaces, devices, dtypes, and the checks metrics share.

Whatever is not an array of a known library is read by :func:`numpy.asarray`. The first argument of
a metric decides library and device; NumPy arrays among the others follow it there, and if it is
itself one of NumPy, all others do.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_array_api_obj,
    is_dask_array,
    is_torch_array,
    to_device,
)
from array_api_extra import apply_where

from membrane_xai._backend.conversion import (
    column_values,
    is_array_like,
    is_pandas,
    native,
    to_numpy,
    torch_holds,
)
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
    "listed",
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


def as_array(x: Any, name: str = "") -> Array:
    """Return `x` if it is an array of a known library that can be computed with, else by NumPy.

    A masked cell becomes NaN. `name` is that of the argument, for the error.
    """
    if is_numpy_array(x):
        return native(np.asarray(x) if isinstance(x, np.generic) else x)
    if is_torch_array(x):
        return _computable(x, name)
    if is_array_api_obj(x):
        return x
    try:
        return to_numpy(x)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}" if name else str(error)) from error


def _computable(x: Array, name: str) -> Array:
    """Return a tensor dense, of a dtype that torch has all functions for, with the same values."""
    if x.is_nested or x.is_meta:
        kind = "nested" if x.is_nested else "of the meta device, without values"
        raise InvalidInputError(
            f"{name or 'an array'} is a tensor that is {kind}; it takes dense ones with values, or "
            f"a list of them"
        )
    if str(x.layout) != "torch.strided":
        x = x.to_dense()
    xp, kind = namespace(x), str(x.dtype).removeprefix("torch.")
    wider = {"uint16": xp.int32, "uint32": xp.int64}.get(kind)
    if kind == "uint64":
        wider = wide_dtype(x)
    elif kind.startswith("float8"):
        wider = xp.float32
    return x if wider is None else xp.astype(x, wider)


def to_same_backend(anchor: Array, x: Array, name: str) -> Array:
    """Bring a NumPy array to the library and device of `anchor`; others must be of the library.

    An anchor of NumPy takes all of them, as maps of NumPy beside the tensors of a DataLoader.
    """
    xp = namespace(anchor)
    if is_numpy_array(anchor):
        return to_numpy(x)
    if is_numpy_array(x):
        return from_numpy(anchor, x)
    if namespace(x) is not xp:
        raise InvalidInputError(
            f"{name} is an array of {namespace(x).__name__}, but the first argument is one of "
            f"{xp.__name__}; pass both from one library, or {name} as a NumPy array"
        )
    if is_torch_array(x) and device(x) != device(anchor):
        return to_device(x, device(anchor))
    return x


def from_numpy(anchor: Array, x: np.ndarray[Any, Any], dtype: Any = None) -> Array:
    """Copy a NumPy array to the library and device of `anchor`."""
    if is_numpy_array(anchor):
        return x if dtype is None else x.astype(dtype, copy=False)
    x = native(x)
    if x.dtype == np.longdouble:
        x = x.astype(np.float64)  # which no other library has more than
    if is_torch_array(anchor):
        x = torch_holds(x)
    # torch refuses steps backwards, and warns about sharing memory that is read-only.
    ready = x.flags.writeable and x.flags.c_contiguous and x.flags.aligned
    held = x if ready else np.array(x, order="C")
    return namespace(anchor).asarray(held, dtype=dtype, device=device(anchor))


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


def listed(x: Any) -> Any:
    """Return a list of pictures or tables as one of arrays, perhaps of unequal sizes.

    A column of a table that holds arrays is such a list, too.
    """
    held = x.to_numpy() if is_pandas(x) and getattr(x, "ndim", 0) == 1 else x
    if is_numpy_array(held) and held.dtype == object and held.ndim == 1:
        x = list(held)
    several = isinstance(x, list | tuple) and len(x) > 0 and not is_array_list(x)
    if several and all(is_array_like(item) for item in x):
        return [as_array(item) for item in x]
    return x


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
            f"{_to_one_channel(x, name)}"
        )
    return x


def _to_one_channel(x: Array, name: str) -> str:
    if x.ndim == 4 and x.shape[-1] <= min(4, x.shape[1] - 1):  # RGBA at most
        return f"its channel axis is the last one, pass {name}[..., 0] if channels are equal"
    return "reduce channels to one first, and use xarray for more batch dimensions"


def check_unit_interval(x: Array, name: str) -> None:
    """Raise if any finite value of `x`, (..., row, column), lies outside [0, 1].

    The error tells of the first map that has one, and so is that of this map alone.
    """
    xp = namespace(x)
    if xp.isdtype(x.dtype, "bool") or (_number(xp.min(x)) >= 0 and _number(xp.max(x)) <= 1):
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


def _number(x: Array) -> float:
    """Return the value of an array of one, out of any gradient graph."""
    return float(to_numpy(x))


def broadcast_batch(shapes: Sequence[tuple[int, ...]], names: Sequence[str]) -> tuple[int, ...]:
    """Return the common batch shape, or raise naming every argument's."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        got = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
        raise InvalidInputError(
            f"batch shapes differ: {got}; they must be equal, or absent for a map shared by all"
        ) from None
