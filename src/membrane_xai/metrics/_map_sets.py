"""Read a set of CAMs, whatever it comes in, as one array of maps of one size."""

from collections.abc import Sequence
from typing import Any

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    check_maps,
    follow,
    is_dask_array,
    is_map_list,
    namespace,
    squeeze_channel,
    to_numpy,
    wide_dtype,
)
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.resample import upsample
from membrane_xai.errors import InvalidInputError

__all__ = ["as_set", "plain_set"]


def as_set(cams: Any, name: str) -> Any:
    """Return maps as (N, h, w) or a DataArray (..., map, row, column)."""
    if is_dataarray(cams):
        if cams.ndim < 3:
            raise InvalidInputError(
                f"{name} has dims {cams.dims}; it takes (..., map, row, column)"
            )
        return cams
    if is_map_list(cams):
        return _stack(cams, name)
    maps = as_array(cams)
    check_maps(maps, name)
    maps = squeeze_channel(maps, name)
    if maps.ndim != 3:
        raise InvalidInputError(
            f"{name} has shape {tuple(maps.shape)}; it takes (N, h, w), (N, 1, h, w) or a list"
        )
    return maps


def plain_set(cams: Any) -> Array:
    """Return CAMs as (N, h, w) of a library that computes at once, without names."""
    maps = as_set(cams, "cams")
    if is_dataarray(maps):
        if maps.ndim != 3:
            raise InvalidInputError(f"cams has dims {maps.dims}; it takes (map, row, column)")
        maps = maps.data
        check_maps(maps, "cams")
    return to_numpy(maps) if is_dask_array(maps) else maps


def _stack(cams: Sequence[Array], name: str) -> Array:
    """Stack a list of (h, w) maps, upsampled to the largest height and width among them."""
    for i, cam in enumerate(cams):
        check_maps(cam, f"{name}[{i}]")
        if cam.ndim != 2:
            raise InvalidInputError(
                f"{name}[{i}] has shape {tuple(cam.shape)}; in a list each map is (h, w)"
            )
    xp = namespace(cams[0])
    size = (max(cam.shape[0] for cam in cams), max(cam.shape[1] for cam in cams))
    wide = wide_dtype(cams[0])
    same = [follow(cams[0], cam, f"{name}[{i}]") for i, cam in enumerate(cams)]
    return xp.stack([upsample(xp.astype(cam, wide), size) for cam in same], axis=0)
