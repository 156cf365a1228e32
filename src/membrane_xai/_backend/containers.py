"""Run a pure core over pairs, batches, lists, dask arrays and DataArrays.

A core takes a block of maps of one library, shapes (n, h, w) or (1, h, w) where shared, and returns
(n, F): F numbers a sample. Everything else about containers is here and nowhere else.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    broadcast_batch,
    check_arrays,
    from_numpy,
    is_array_list,
    is_dask_array,
    is_numpy_array,
    listed,
    namespace,
    squeeze_channel,
    to_same_backend,
)
from membrane_xai._backend.layout import (
    channels_last_hint,
    check_cells,
    check_dims,
    check_layout,
)
from membrane_xai.errors import InvalidInputError

__all__ = ["CAM_MASK", "columns", "is_dataarray", "over_arrays"]

Core = Callable[..., Array]

CAM_MASK = ("cam", "mask", "region")
"""Arguments of the functions that hold a CAM against a mask."""

# NumPy makes one pass per operation: a block that stays in cache is read from memory once. Other
# libraries fuse or parallelise; there a block only bounds the memory of temporaries.
_NUMPY_BLOCK_BYTES = 1 << 23
_BLOCK_BYTES = 1 << 28


def over_arrays(
    core: Core,
    names: Sequence[str],
    arrays: Sequence[Any],
    n_columns: int,
    *,
    cells: tuple[int, int] | None = None,
) -> Any:
    """Apply `core` to `arrays` (None is passed on) and return its columns on the last axis.

    `cells` is the grid of CAMs, where none is among the arrays.

    Returns
    -------
    array of shape (F,) for one sample or (N, F), or a DataArray with the batch dims and "column"
    """
    for x, name in zip(arrays, names, strict=True):
        if x is None and name != "region":
            raise InvalidInputError(f"{name} is None; it takes an array of shape (..., h, w)")
    arrays = [listed(x) for x in arrays]
    if any(is_dataarray(x) for x in arrays):
        return _over_dataarrays(core, names, arrays, n_columns, cells)
    if is_array_list(arrays[0]):
        return _over_lists(core, names, arrays, n_columns, cells)
    prepared = [
        None if x is None else _as_batch(x, name) for x, name in zip(arrays, names, strict=True)
    ]
    shapes = _shapes(prepared, names)
    _check_same_batch(shapes)
    check_layout(shapes, cells)
    return _over_batch(core, names, prepared, n_columns, cells)


def columns(result: Any) -> list[Any]:
    """Split the last axis; a single NumPy sample becomes Python floats."""
    if is_dataarray(result):
        return [result.isel(column=i) for i in range(result.sizes["column"])]
    parts = [result[..., i] for i in range(result.shape[-1])]
    return [float(part) if is_numpy_array(result) and part.ndim == 0 else part for part in parts]


def is_dataarray(x: Any) -> bool:
    """Tell an xarray.DataArray without importing xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(x, xarray.DataArray)


def _as_batch(x: Any, name: str) -> Array:
    array = as_array(x, name)
    check_arrays(array, name)
    return squeeze_channel(array, name)


def _shapes(arrays: Sequence[Array | None], names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(x.shape) for x, name in zip(arrays, names, strict=True) if x is not None}


def _check_same_batch(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Plain arrays must have one batch size, or none: a size-1 batch is likelier a slip."""
    sizes = {name: shape[0] for name, shape in shapes.items() if len(shape) > 2}
    if len(set(sizes.values())) > 1:
        got = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InvalidInputError(
            f"batch sizes differ: {got}; they must be equal, or absent for a map shared by all"
            f"{channels_last_hint(shapes)}"
        )


def _over_lists(
    core: Core,
    names: Sequence[str],
    arrays: Sequence[Any],
    n_columns: int,
    cells: tuple[int, int] | None,
) -> Array:
    """Score a list pair by pair, as sizes may differ; a single (h, w) map is shared by all."""
    count = len(arrays[0])
    per_argument = [_items(x, name, count) for x, name in zip(arrays, names, strict=True)]
    rows = [
        over_arrays(core, names, item, n_columns, cells=cells)
        for item in zip(*per_argument, strict=True)
    ]
    return namespace(rows[0]).stack(rows, axis=0)


def _items(x: Any, name: str, count: int) -> list[Any]:
    if x is None:
        return [None] * count
    array = x if is_array_list(x) else as_array(x, name)
    if not is_array_list(x) and array.ndim == 2:
        return [array] * count
    items = [array[i] for i in range(len(array))]
    if len(items) != count:
        raise InvalidInputError(f"{name} has {len(items)} maps for a list of {count}")
    for i, item in enumerate(items):
        if item.ndim != 2:
            raise InvalidInputError(
                f"{name}[{i}] has shape {tuple(item.shape)}; in a list each map is (h, w)"
            )
    return items


def _over_dataarrays(
    core: Core,
    names: Sequence[str],
    arrays: Sequence[Any],
    n_columns: int,
    cells: tuple[int, int] | None,
) -> Any:
    """Treat the last two dims as rows and columns; the others are batch dims, matched by name."""
    import xarray

    arguments, dims = [], []
    for x, name in zip(arrays, names, strict=True):
        if x is None:
            continue
        array = x if is_dataarray(x) else _shared_dataarray(x, name)
        if array.ndim < 2:
            raise InvalidInputError(f"{name} has dims {array.dims}; it takes (..., row, column)")
        check_dims(array.dims, name)
        spatial = [f"{name}_row", f"{name}_column"]
        renamed = array.rename(dict(zip(array.dims[-2:], spatial, strict=True)))
        arguments.append(renamed.drop_vars(spatial, errors="ignore"))
        dims.append(spatial)
    given = [x is not None for x in arrays]

    def on_arrays(*arrays: Array) -> Array:
        rest = iter(arrays)
        present = [next(rest) if g else None for g in given]
        return _over_batch(core, names, present, n_columns, cells)

    return xarray.apply_ufunc(
        on_arrays,
        *arguments,
        input_core_dims=dims,
        output_core_dims=[["column"]],
        join="exact",
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"column": n_columns}, "allow_rechunk": True},
    )


def _shared_dataarray(x: Any, name: str) -> Any:
    import xarray

    array = _as_batch(x, name)
    if array.ndim != 2:
        raise InvalidInputError(
            f"{name} has shape {tuple(array.shape)} and no dims to match those of a DataArray; "
            f"it takes a DataArray or a single (h, w) map"
        )
    return xarray.DataArray(array, dims=["row", "column"])


def _over_batch(
    core: Core,
    names: Sequence[str],
    arrays: Sequence[Array | None],
    n_columns: int,
    cells: tuple[int, int] | None,
) -> Array:
    """Apply `core` to arrays (..., h, w) whose leading axes broadcast."""
    shapes = _shapes(arrays, names)
    on_grid = cells or shapes["cam"][-2:]
    check_cells(on_grid, shapes["mask"][-2:])
    if any(is_dask_array(x) for x in arrays if x is not None):
        return _over_dask(core, names, arrays, n_columns, cells)
    alike: list[Array | None] = []
    for x, name in zip(arrays, names, strict=True):
        if x is not None:
            x = as_array(x)
            check_arrays(x, name)
            x = to_same_backend(alike[0] if alike and alike[0] is not None else x, x, name)
        alike.append(x)
    return _over_blocks(core, names, alike)


def _over_dask(
    core: Core,
    names: Sequence[str],
    arrays: Sequence[Array | None],
    n_columns: int,
    cells: tuple[int, int] | None,
) -> Array:
    import dask.array as da

    given = [_whole_arrays(x) for x in arrays if x is not None]
    signature = ",".join(f"(h{i},w{i})" for i in range(len(given))) + "->(f)"

    def on_chunks(*chunks: Array) -> Array:
        rest = iter(chunks)
        present = [None if x is None else next(rest) for x in given_or_none]
        return _over_batch(core, names, present, n_columns, cells)

    given_or_none = [None if x is None else True for x in arrays]
    return da.apply_gufunc(
        on_chunks,
        signature,
        *given,
        output_dtypes=np.float64,
        output_sizes={"f": n_columns},
        allow_rechunk=True,  # of batch axes that are chunked differently
    )


def _whole_arrays(x: Array) -> Array:
    """Put each map into one chunk; the batch axes keep theirs."""
    return x.rechunk({x.ndim - 2: -1, x.ndim - 1: -1}) if is_dask_array(x) else x


def _over_blocks(core: Core, names: Sequence[str], arrays: Sequence[Array | None]) -> Array:
    """Flatten the batch axes and run `core` block by block."""
    present = [(x, name) for x, name in zip(arrays, names, strict=True) if x is not None]
    shapes = [tuple(x.shape[:-2]) for x, _ in present]
    batch = broadcast_batch(shapes, [name for _, name in present])
    count = int(np.prod(batch, dtype=int))
    step = _block_length([x for x, _ in present])
    pickers = [None if x is None else _picker(x, batch) for x in arrays]
    blocks = []
    if count > step:
        _keep_freed_memory()
    # A core finds overflow and invalid values itself and reports them by status.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, step):
            stop = min(start + step, count)
            blocks.append(core(*(pick and pick(start, stop) for pick in pickers)))
    xp = namespace(blocks[0])
    joined = blocks[0] if len(blocks) == 1 else xp.concat(blocks, axis=0)
    return xp.reshape(joined, (*batch, joined.shape[-1]))


def _keep_freed_memory() -> None:
    """Let the allocator reuse the temporaries of one block for the next.

    glibc returns freed memory to the system above twice the largest array freed so far; two
    temporaries of a block pass that, and every block then pays for fresh pages, 15 times the work.
    """
    np.empty(2 * _NUMPY_BLOCK_BYTES, dtype=np.uint8)


def _block_length(arrays: Sequence[Array]) -> int:
    largest = max(int(np.prod(x.shape[-2:])) for x in arrays)
    budget = _NUMPY_BLOCK_BYTES if is_numpy_array(arrays[0]) else _BLOCK_BYTES
    return max(1, budget // (8 * largest))


def _picker(x: Array, batch: tuple[int, ...]) -> Callable[[int, int], Array]:
    """Return a function of (start, stop) giving those samples of the broadcast batch."""
    xp = namespace(x)
    own = tuple(x.shape[:-2])
    flat = xp.reshape(x, (-1, *x.shape[-2:]))
    if own == batch:
        return lambda start, stop: flat[start:stop, :, :]
    if flat.shape[0] == 1:
        return lambda _start, _stop: flat
    index = np.broadcast_to(np.arange(flat.shape[0]).reshape(own), batch).ravel()
    return lambda start, stop: xp.take(flat, from_numpy(flat, index[start:stop]), axis=0)
