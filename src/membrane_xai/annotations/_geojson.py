"""GeoJSON as QuPath reads and writes it.

Beyond RFC 7946: a bare list of features, ``nucleusGeometry`` beside ``geometry``, ``childObjects``
among the properties, and a ``classification`` that is ``{name, color}`` or ``{names, color}`` since
version 0.4, ``{name, colorRGB}`` before, or a plain string.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._annotation import Annotation, check_geometries, named
from membrane_xai.errors import InvalidInputError

__all__ = ["read_features", "to_feature", "without_nan"]

_OWN_FIELDS = ("classification", "name", "childObjects", "children")

_LISTS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
"""Number of lists around the positions of a geometry."""


def read_features(document: Any) -> list[Annotation]:
    """Return the annotations of a parsed GeoJSON document, children after their parents."""
    features = list(_walk(_top_level(document)))
    names = [name for name, _ in features]
    geometries = check_geometries(
        [_geometry(feature.get("geometry"), name) for name, feature in features], names
    )
    nuclei = _nuclei(features)
    return [
        _annotation(feature, geometry, nuclei.get(i), name)
        for i, ((name, feature), geometry) in enumerate(zip(features, geometries, strict=True))
    ]


def to_feature(annotation: Annotation) -> dict[str, Any]:
    """Return an annotation as a GeoJSON feature; measurements without a value are left out."""
    from shapely.geometry import mapping

    properties = {"objectType": "annotation"} | dict(annotation.properties)
    if "measurements" in properties:
        properties["measurements"] = without_nan(_measurements(properties["measurements"]))
    if annotation.name is not None:
        properties["name"] = annotation.name
    if annotation.classification is not None:
        color = annotation.color or (200, 0, 0)  # QuPath refuses a class without one
        properties["classification"] = {"name": annotation.classification, "color": list(color)}
    feature = {"type": "Feature"}
    if annotation.id is not None:
        feature["id"] = annotation.id
    feature["geometry"] = mapping(annotation.geometry)
    if annotation.nucleus is not None:
        feature["nucleusGeometry"] = mapping(annotation.nucleus)
    return feature | {"properties": properties}


def without_nan(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values that JSON can hold."""
    return {key: float(x) for key, x in values.items() if math.isfinite(float(x))}


def _measurements(values: Any) -> Mapping[str, Any]:
    """Read measurements as a mapping; before 0.4 they were a list of names and values."""
    if isinstance(values, Mapping):
        return values
    return {item["name"]: item["value"] for item in values}


def _top_level(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        yield from ((f"features[{i}]", item) for i, item in enumerate(document))
        return
    kind = document.get("type") if isinstance(document, Mapping) else None
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise InvalidInputError("the FeatureCollection has no list of features")
        yield from _top_level(features)
    else:
        yield "the document", document


def _walk(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each feature with its name; wrap bare geometries, descend into children."""
    for place, item in items:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind == "GeometryCollection" or kind in _LISTS:
            yield place, {"geometry": item}
        elif kind == "Feature":
            yield from _feature_and_children(place, item)
        else:
            got = f"type {kind!r}" if isinstance(item, Mapping) else type(item).__name__
            raise InvalidInputError(
                f"{place} is {got}; GeoJSON takes a FeatureCollection, a Feature or a geometry"
            )


def _feature_and_children(
    place: str, feature: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = named(place, feature.get("id"))
    properties = feature.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise InvalidInputError(f"{name} has properties of {type(properties).__name__}")
    kind = properties.get("objectType", properties.get("object_type", feature.get("id")))
    if kind not in ("root", "PathRootObject"):  # QuPath's root has no place
        yield name, feature
    children = properties.get("childObjects", properties.get("children"))
    if isinstance(children, list):
        yield from _walk((f"{place}.childObjects[{i}]", child) for i, child in enumerate(children))


def _nuclei(features: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[int, Any]:
    found = [
        (i, f"nucleusGeometry of {name}", feature["nucleusGeometry"])
        for i, (name, feature) in enumerate(features)
        if feature.get("nucleusGeometry") is not None
    ]
    names = [name for _, name, _ in found]
    geometries = check_geometries([_geometry(value, name) for _, name, value in found], names)
    return {i: geometry for (i, _, _), geometry in zip(found, geometries, strict=True)}


def _annotation(feature: Mapping[str, Any], geometry: Any, nucleus: Any, name: str) -> Annotation:
    properties = feature.get("properties") or {}
    classification, color = _classification(properties.get("classification"), name)
    own_name, identifier = properties.get("name"), feature.get("id")
    return Annotation(
        geometry=geometry,
        classification=classification,
        name=None if own_name is None else str(own_name),
        properties={key: x for key, x in properties.items() if key not in _OWN_FIELDS},
        id=None if identifier is None else str(identifier),
        nucleus=nucleus,
        color=color,
    )


def _classification(value: Any, where: str) -> tuple[str | None, tuple[int, int, int] | None]:
    if value is None or value == {}:
        return None, None
    if isinstance(value, str):
        return value, None
    names = value.get("names", value.get("name")) if isinstance(value, Mapping) else None
    names = [names] if isinstance(names, str) else names
    if not (isinstance(names, list) and names and all(isinstance(x, str) for x in names)):
        raise InvalidInputError(f"{where} has classification {value!r}, which has no name")
    return ": ".join(_parents(value) + names), _color(value)


def _parents(value: Mapping[str, Any]) -> list[str]:
    """Return the names above a derived class, as versions before 0.4 nested them."""
    parent = value.get("parentClass")
    if not (isinstance(parent, Mapping) and isinstance(parent.get("name"), str)):
        return []
    return [*_parents(parent), parent["name"]]


def _color(value: Mapping[str, Any]) -> tuple[int, int, int] | None:
    color = value.get("color", value.get("colorRGB"))
    if isinstance(color, int):  # packed by Java: alpha, red, green, blue, with a sign
        return (color >> 16) & 255, (color >> 8) & 255, color & 255
    if isinstance(color, list) and len(color) >= 3 and all(isinstance(x, int) for x in color):
        return color[0], color[1], color[2]
    return None


def _geometry(value: Any, where: str) -> Any:
    import shapely
    from shapely.geometry import shape

    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{where} has no geometry")
    kind = value.get("type")
    if kind == "GeometryCollection":
        parts = value.get("geometries")
        if not isinstance(parts, list):
            raise InvalidInputError(f"{where} is a GeometryCollection without geometries")
        return shapely.GeometryCollection([_geometry(part, where) for part in parts])
    if kind not in _LISTS:
        raise InvalidInputError(
            f"{where} has geometry of type {kind!r}; "
            f"it takes GeometryCollection, {', '.join(_LISTS)}"
        )
    coordinates = _parts(value.get("coordinates"), where)
    return shape({"type": kind, "coordinates": _checked(coordinates, where, kind, _LISTS[kind])})


def _checked(value: Any, where: str, kind: str, lists: int) -> Any:
    """Return coordinates with every list of positions as an array, without z."""
    if lists > 1:
        return [_checked(part, where, kind, lists - 1) for part in _parts(value, where)]
    if kind.endswith("Polygon"):
        return _ring(value, where)
    if kind.endswith("LineString"):
        return _positions(value, where, at_least=2)
    return _positions(value, where) if lists else _positions([value], where)[0]


def _parts(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidInputError(f"{where} has no coordinates")
    return value


def _ring(value: Any, where: str) -> NDArray[np.float64]:
    ring = _positions(value, where, at_least=4)
    if (ring[0] != ring[-1]).any():
        first, last = ring[0].tolist(), ring[-1].tolist()
        raise InvalidInputError(
            f"{where} has a ring that is not closed: it starts at {first} and ends at {last}"
        )
    return ring


def _positions(value: Any, where: str, at_least: int = 1) -> NDArray[np.float64]:
    """Return (n, 2) finite coordinates, without z."""
    parts = _parts(value, where)
    try:
        array = np.asarray(parts)
    except ValueError:  # positions of unequal lengths
        array = np.empty(0)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] not in (2, 3):
        raise InvalidInputError(f"{where} has coordinates that are not a list of [x, y]")
    if not np.isfinite(array[:, :2]).all():
        raise InvalidInputError(f"{where} has coordinates that are NaN or infinite")
    if len(array) < at_least:
        what = "ring" if at_least == 4 else "line"
        raise InvalidInputError(
            f"{where} has a {what} of {len(array)} points; it takes {at_least} or more"
        )
    return array[:, :2].astype(float)
