"""Arrays and columns of other libraries as NumPy's, and NumPy's as other libraries can hold them.

A masked cell is a value that is not known: it becomes NaN, as a missing value of a table does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_xai.errors import InvalidInputError

__all__ = ["column_values", "is_array_like", "is_pandas", "native", "to_numpy", "torch_holds"]

Numpy = np.ndarray[Any, Any]

_PLAIN = frozenset({bool, int, float, str, bytes, type(None), np.float64, np.int64})
"""Types that :func:`numpy.asarray` reads from a list as it should."""


def to_numpy(x: Any) -> Numpy:
    """Copy an array, column or nested list to NumPy, off its device and out of any gradient."""
    if isinstance(x, list | tuple):
        return _from_sequence(x)
    if hasattr(x, "detach"):
        x = _from_torch(x.detach().cpu())
    elif _is_of("cupy", x):
        x = x.get()
    elif is_pandas(x):
        x = _from_pandas(x)
    elif _is_of("polars", x):
        x = x.to_numpy()
    return native(x if isinstance(x, np.ndarray) else np.asarray(x))


def native(x: Numpy) -> Numpy:
    """Return an array as a plain one of a dtype that all of NumPy computes with.

    Without masked cells, in this machine's byte order, and not of a dtype of eight or sixteen bits
    that only other libraries compute with.
    """
    if isinstance(x, np.ma.MaskedArray):
        x = _without_mask(x)
    array = np.asarray(x)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name.startswith(("bfloat16", "float8")):
        array = array.astype(np.float32)  # holds each of their values
    return array


def torch_holds(x: Numpy) -> Numpy:
    """Return an array of a dtype that torch computes with, of the same values.

    float64 rounds the largest of uint64, as it does where NumPy computes.
    """
    wider = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64}.get(x.dtype.name)
    return x if wider is None else x.astype(wider)


def is_pandas(x: Any) -> bool:
    """Tell columns and tables of pandas without importing it."""
    return _is_of("pandas", x)


def column_values(x: Any) -> Any:
    """Return a column of a table as the list of its values, whatever its index; others as given."""
    if is_pandas(x) and hasattr(x, "tolist"):
        return x.tolist()
    return x.to_list() if _is_of("polars", x) and hasattr(x, "to_list") else x


def _is_of(library: str, x: Any) -> bool:
    """Tell by module, bases included: other libraries have methods of the same names."""
    return any(base.__module__.partition(".")[0] == library for base in type(x).__mro__)


def _from_sequence(x: Sequence[Any]) -> Numpy:
    """Read a list, whose items may be arrays of any library and on any device."""
    items = x if all(type(item) in _PLAIN for item in x) else [_item(item) for item in x]
    try:
        return native(np.asarray(items))
    except ValueError as error:
        raise InvalidInputError(
            f"a list of {len(x)} cannot be read as an array, its items differ in shape: {error}"
        ) from error


def _item(item: Any) -> Any:
    """Return an item of a list as NumPy reads it; what is no array stays as it is."""
    if type(item) in _PLAIN or not (isinstance(item, list | tuple) or is_array_like(item)):
        return item
    array = to_numpy(item)
    return array[()] if array.ndim == 0 else array


def is_array_like(x: Any) -> bool:
    """Tell arrays of any library, pictures of Pillow and columns from other objects."""
    return any(hasattr(x, name) for name in ("__array__", "__array_interface__", "detach"))


def _from_torch(x: Any) -> Any:
    """Return a tensor of the CPU as NumPy reads it; its own float types have no counterpart."""
    if not _is_of("torch", x):
        return x
    if str(x.layout) != "torch.strided":
        x = x.to_dense()
    if str(x.dtype).startswith(("torch.bfloat16", "torch.float8")):
        x = x.float()
    return x.resolve_conj().resolve_neg()


def _from_pandas(x: Any) -> Numpy:
    """Read nullable numbers as NumPy's, missing ones as NaN; as they are they may be objects."""
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        columns = [_from_pandas(x.iloc[:, i]) for i in range(x.shape[1])]
        numeric = columns and all(column.dtype.kind in "biuf" for column in columns)
        return np.stack(columns, axis=1) if numeric else np.asarray(x)
    numbers = getattr(getattr(x, "dtype", None), "numpy_dtype", None)
    if numbers is None or numbers.kind not in "biuf":
        return np.asarray(x)
    if x.isna().any():
        return np.asarray(x.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(x.to_numpy(dtype=numbers))


def _without_mask(x: np.ma.MaskedArray[Any, Any]) -> Numpy:
    """Return the values, NaN or None where they are masked."""
    values, hidden = np.asarray(x.data), np.ma.getmaskarray(x)
    if not hidden.any():
        return values
    if values.dtype.kind not in "biuf":
        known: Numpy = values.astype(object)
        known[hidden] = None
        return known
    floats: Numpy = values.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    floats[hidden] = np.nan
    return floats
