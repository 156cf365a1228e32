"""GeoJSON features of the objects of a mask."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import as_array, check_arrays, check_unit_interval, to_numpy
from membrane_xai.annotations._contours import Ring, edge_connected, region_polygons
from membrane_xai.annotations._qupath_objects import without_nan
from membrane_xai.annotations._window import Window
from membrane_xai.errors import InvalidInputError

__all__ = ["Objects", "features_of", "mask_objects"]

_HALVINGS = 3
"""How often the tolerance is halved for an object whose parts would lie in each other, before they
are joined: less is left out of the one object, but its area stays near."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "membrane_xai.annotations")


class Objects(NamedTuple):
    """The objects of a mask."""

    labels: NDArray[np.intp]
    """(H, W): 0 is background."""
    values: list[int]
    """The labels that occur, ascending."""
    polygons: list[list[list[Ring]]]
    """For each value its polygons, each a list of rings."""


def mask_objects(mask: Any, threshold: float) -> Objects:
    """Find the objects of a mask: labels as given, else what touches by an edge or a corner."""
    array = to_numpy(as_array(mask))
    check_arrays(array, "mask")
    if array.ndim != 2:
        raise InvalidInputError(f"mask has shape {array.shape}; it takes (H, W)")
    labels = _labels(array, threshold)
    regions = edge_connected(labels)
    polygons: dict[int, list[list[Ring]]] = {int(v): [] for v in np.unique(labels) if v}
    rings = region_polygons(regions)
    _, first = np.unique(regions, return_index=True)
    starts = first[-len(rings) :] if rings else first[:0]
    for value, polygon in zip(labels.flat[starts], rings, strict=True):
        polygons[int(value)].append(polygon)
    return Objects(labels, list(polygons), list(polygons.values()))


def _labels(array: NDArray[Any], threshold: float) -> NDArray[np.intp]:
    from skimage.measure import label

    if array.dtype.kind in "iu":
        if array.min() < 0:
            raise InvalidInputError(f"mask has label {array.min()}; labels are not negative")
        return array.astype(np.intp)
    if not np.isfinite(array).all():
        raise InvalidInputError(
            "mask has NaN or infinity; it takes bool, labels or fractions in [0, 1]"
        )
    check_unit_interval(array, "mask")
    inside = array if array.dtype.kind == "b" else array >= threshold
    return np.asarray(label(inside, connectivity=2), dtype=np.intp)


def features_of(
    objects: Objects,
    window: Window,
    properties: Mapping[str, Any],
    simplify: float | None,
    measurements: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return a GeoJSON feature for each object."""
    values = _means(measurements, objects)
    features = []
    for i, polygons in enumerate(objects.polygons):
        geometry = _geometry(polygons, window, simplify)
        own = without_nan({name: value[i] for name, value in values.items()})
        features.append(
            {
                "type": "Feature",
                "id": _stable_id(geometry, properties),
                "geometry": geometry,
                "properties": {**properties, **({"measurements": own} if own else {})},
            }
        )
    return features


def _geometry(
    polygons: Sequence[Sequence[Ring]], window: Window, simplify: float | None
) -> dict[str, Any]:
    """Return a Polygon or MultiPolygon in pixels of full resolution."""
    origin, scale = np.asarray(window.offset), window.downsample
    placed = [[origin + ring * scale for ring in rings] for rings in polygons]
    if simplify is not None:
        placed = _simplified(placed, simplify)
    coordinates = [[_coordinates(ring) for ring in rings] for rings in placed]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _simplified(
    polygons: Sequence[Sequence[NDArray[Any]]], tolerance: float
) -> list[list[NDArray[Any]]]:
    """Simplify without letting any ring cross itself or another; orientation is kept."""
    import shapely

    shapes = shapely.MultiPolygon([shapely.Polygon(rings[0], rings[1:]) for rings in polygons])
    simple = shapely.simplify(shapes, tolerance, preserve_topology=True)
    for halvings in range(1, _HALVINGS + 1):
        if shapely.is_valid(simple):
            break
        simple = shapely.simplify(shapes, tolerance / 2**halvings, preserve_topology=True)
    if not shapely.is_valid(simple):
        simple = _joined(simple)
    return [
        [shapely.get_coordinates(ring) for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(shapely.orient_polygons(simple))
    ]


def _joined(polygons: Any) -> Any:
    """Return what a multipolygon covers: each part was simplified alone, and may lie in another."""
    import shapely

    parts = shapely.make_valid(
        shapely.get_parts(polygons), method="structure", keep_collapsed=False
    )
    return shapely.union_all(parts)


def _coordinates(ring: NDArray[Any]) -> list[list[Any]]:
    """Return Python numbers; whole ones as int, which keeps files small."""
    whole = ring.astype(np.int64)
    return (whole if (whole == ring).all() else ring).tolist()  # type: ignore[no-any-return]


def _means(measurements: Mapping[str, Any], objects: Objects) -> dict[str, NDArray[np.float64]]:
    """Return one value per object: a number as it is, a map as its mean over the object."""
    position = np.searchsorted(objects.values, objects.labels)
    inside, count = objects.labels > 0, len(objects.values)
    pixels = np.bincount(position[inside], minlength=count)
    found = {}
    for name, value in measurements.items():
        array = to_numpy(as_array(value))
        if array.dtype.kind not in "biuf" or array.shape not in ((), objects.labels.shape):
            raise InvalidInputError(
                f"measurements[{name!r}] has shape {array.shape} and dtype {array.dtype}; "
                f"it takes a number or a map of shape {objects.labels.shape}"
            )
        if array.ndim == 0:
            found[name] = np.full(count, float(array))
            continue
        weights = array[inside].astype(float)
        found[name] = np.bincount(position[inside], weights, minlength=count) / pixels
    return found


def _stable_id(geometry: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Return a UUID that depends on nothing but where and what the object is."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([properties["classification"]["name"], geometry])))
