"""Read CAMs from an array, a list or a DataArray as one array of one grid."""

from collections.abc import Sequence
from typing import Any

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    check_arrays,
    is_array_list,
    is_dask_array,
    listed,
    namespace,
    squeeze_channel,
    to_numpy,
    to_same_backend,
    wide_dtype,
)
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.layout import check_dims, check_layout
from membrane_xai._backend.resample import upsample
from membrane_xai.errors import InvalidInputError

__all__ = ["as_set", "plain_set"]


def as_set(cams: Any, name: str) -> Any:
    """Return maps as (N, h, w) or a DataArray (..., map, row, column)."""
    if is_dataarray(cams):
        check_dims(cams.dims, name)
        if cams.ndim < 3:
            raise InvalidInputError(
                f"{name} has dims {cams.dims}; it takes (..., map, row, column)"
            )
        return cams
    cams = listed(cams)
    if is_array_list(cams):
        return _stack(cams, name)
    cams = as_array(cams, name)
    check_arrays(cams, name)
    cams = squeeze_channel(cams, name)
    if cams.ndim != 3:
        raise InvalidInputError(
            f"{name} has shape {tuple(cams.shape)}; it takes (N, h, w), (N, 1, h, w) or a list"
        )
    check_layout({name: tuple(cams.shape)})
    return cams


def plain_set(cams: Any) -> Array:
    """Return CAMs as (N, h, w) of a library that computes at once, without names."""
    cams = as_set(cams, "cams")
    if is_dataarray(cams):
        if cams.ndim != 3:
            raise InvalidInputError(f"cams has dims {cams.dims}; it takes (map, row, column)")
        cams = as_array(cams.data)
        check_arrays(cams, "cams")
    return to_numpy(cams) if is_dask_array(cams) else cams


def _stack(cams: Sequence[Array], name: str) -> Array:
    """Stack a list of (h, w) maps, upsampled to the largest height and width among them."""
    cams = [as_array(cam) for cam in cams]
    for i, cam in enumerate(cams):
        check_arrays(cam, f"{name}[{i}]")
        if cam.ndim != 2:
            raise InvalidInputError(
                f"{name}[{i}] has shape {tuple(cam.shape)}; in a list each map is (h, w)"
            )
    xp = namespace(cams[0])
    size = (max(cam.shape[0] for cam in cams), max(cam.shape[1] for cam in cams))
    wide = wide_dtype(cams[0])
    same = [to_same_backend(cams[0], cam, f"{name}[{i}]") for i, cam in enumerate(cams)]
    return xp.stack([upsample(xp.astype(cam, wide), size) for cam in same], axis=0)
