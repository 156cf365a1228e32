"""Layout of a Zarr store of CAMs and masks: its checks, parts, and samples."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import is_count
from membrane_xai._backend.layout import check_dims
from membrane_xai.errors import InvalidInputError, MembraneXAIError, missing
from membrane_xai.io._zarr_codecs import check_codecs

__all__ = ["Layout", "Part", "Samples", "Source", "parts_of", "read_layout", "read_part"]

SAMPLE = "sample"


class Source(NamedTuple):
    """Path of a store, and the names of its variables; None for those it has not."""

    store: str
    cam: str
    mask: str
    region: str | None
    group: str | None
    label: str | None
    identity: str | None


class Layout(NamedTuple):
    """Sizes and grids of a store, read before any CAM."""

    source: Source
    samples: int
    grid: tuple[int, int]
    mask: tuple[int, int]
    chunk: int
    """Samples in a chunk of the CAMs."""
    cam_grid: Any
    """Attribute of the CAMs of that name, None if there is none."""
    mpp: Any
    """Attribute of the masks of that name, likewise."""


class Part(NamedTuple):
    """Samples that are scored in one go."""

    number: int
    start: int
    stop: int


class Samples(NamedTuple):
    """Some samples in memory."""

    cam: NDArray[Any]
    mask: NDArray[Any]
    region: NDArray[Any] | None
    group: NDArray[Any] | None
    label: NDArray[Any] | None
    identity: NDArray[Any] | None


def read_layout(
    store: Any, *, cam: str, mask: str, region: str | None, groups: str | None, classes: str | None
) -> Layout:
    """Check a store; of what is not asked for by name, ``region``, ``group``, ``class`` count."""
    name = str(Path(store).resolve()) if _is_local(store) else str(store)
    with _opened(name) as data:
        if cam not in data.variables:
            raise InvalidInputError(f"{name}: has no {cam!r}; it has {_names(data)}")
        source = Source(
            name, cam, mask,
            _name(data, region, "region", name), _name(data, groups, "group", name),
            _name(data, classes, "class", name), _name(data, None, "id", name),
        )  # fmt: skip
        if mask not in data.variables:
            raise InvalidInputError(f"{name}: has no {mask!r}; it has {_names(data)}")
        _check_maps(data, source)
        for label in (source.group, source.label, source.identity):
            if label is not None and data[label].dims != (SAMPLE,):
                raise InvalidInputError(
                    f"{name}: {label!r} has dims {data[label].dims}; it takes ({SAMPLE!r},)"
                )
        cams = data[cam]
        stored = cams.encoding.get("chunks") or cams.shape
        return Layout(
            source,
            samples=int(cams.shape[0]),
            grid=(int(cams.shape[1]), int(cams.shape[2])),
            mask=(int(data[mask].shape[-2]), int(data[mask].shape[-1])),
            chunk=int(stored[0]),
            cam_grid=cams.attrs.get("cam_grid"),
            mpp=data[mask].attrs.get("mpp"),
        )


def parts_of(layout: Layout, chunk: int | None) -> list[Part]:
    """Cut a store into parts: its chunks, or so many samples each."""
    if chunk is not None and (not is_count(chunk) or chunk < 1):
        raise InvalidInputError(f"chunk is {chunk!r}; it takes a positive integer, samples")
    step = int(chunk or layout.chunk)
    starts = range(0, layout.samples, step)
    return [Part(i, start, min(start + step, layout.samples)) for i, start in enumerate(starts)]


def read_part(source: Source, part: Part) -> Samples:
    """Read the samples of a part, or raise saying what cannot be read."""

    def read(name: str | None) -> Any:
        if name is None:
            return None
        variable = data[name]
        chosen = variable[part.start : part.stop] if SAMPLE in variable.dims else variable
        try:
            return np.asarray(chosen.values)
        except Exception as error:  # of the store, or of a codec below it
            raise InvalidInputError(
                f"samples {part.start} to {part.stop - 1}: {name!r} cannot be read: "
                f"{type(error).__name__}: {error}"
            ) from error

    with _opened(source.store) as data:
        return Samples(*(read(name) for name in source[1:]))


def _opened(store: str) -> Any:
    try:
        import xarray
        import zarr
    except ImportError as error:
        raise missing(error, "a store of CAMs", extra="dask") from error
    try:
        check_codecs(store)
        described = zarr.open_group(store, mode="r").metadata.consolidated_metadata
        # The fill value of older stores is 0, which is no missing value in a CAM. open_dataset
        # takes an option for that and does not pass it on (xarray 2026.9).
        opened = xarray.backends.ZarrStore.open_group(
            store,
            mode="r",
            consolidated=described is not None,
            use_zarr_fill_value_as_mask=False,
        )
        return xarray.open_dataset(opened, chunks=None, cache=False)
    except MembraneXAIError:
        raise
    except Exception as error:  # each kind of store has errors of its own
        raise InvalidInputError(f"{store}: cannot be opened as Zarr: {error}") from error


def _is_local(store: Any) -> bool:
    return isinstance(store, Path) or "://" not in str(store)


def _name(data: Any, asked: str | None, usual: str, store: str) -> str | None:
    if asked is None:
        return usual if usual in data.variables else None
    if asked not in data.variables:
        raise InvalidInputError(f"{store}: has no {asked!r}; it has {_names(data)}")
    return asked


def _names(data: Any) -> list[Hashable]:
    return sorted(data.variables, key=str)


def _check_maps(data: Any, source: Source) -> None:
    for name in (source.cam, source.mask, source.region):
        if name is None:
            continue
        dims, shape = data[name].dims, data[name].shape
        shared = name != source.cam and len(dims) == 2 and SAMPLE not in dims
        if not shared and not (len(dims) == 3 and dims[0] == SAMPLE):
            also = "" if name == source.cam else ", or two dims for all samples"
            raise InvalidInputError(
                f"{source.store}: {name!r} has dims {dims}; it takes ({SAMPLE!r}, row, column)"
                f"{also}"
            )
        check_dims(dims, f"{source.store}: {name!r}")
        if 0 in shape:
            raise InvalidInputError(f"{source.store}: {name!r} is empty, its shape is {shape}")
        if data[name].dtype.kind not in "biuf":
            raise InvalidInputError(
                f"{source.store}: {name!r} has dtype {data[name].dtype}; it takes real numbers"
            )
    if source.region is not None and data[source.region].shape[-2:] != data[source.mask].shape[-2:]:
        raise InvalidInputError(
            f"{source.store}: {source.region!r} has shape {data[source.region].shape} and "
            f"{source.mask!r} {data[source.mask].shape}; rows and columns must agree"
        )
