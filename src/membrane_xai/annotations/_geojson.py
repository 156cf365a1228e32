"""GeoJSON as QuPath reads and writes it.

Beyond RFC 7946: a bare list of features, ``nucleusGeometry`` beside ``geometry``, ``childObjects``
among the properties, and a ``classification`` that is ``{name, color}`` or ``{names, color}`` since
version 0.4, ``{name, colorRGB}`` before, or a plain string.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._annotation import (
    Annotation,
    NothingThereError,
    Remarks,
    check_geometries,
    named,
)
from membrane_xai.annotations._other_json import other_json
from membrane_xai.annotations._qupath_objects import (
    legacy_kind,
    object_kind,
    with_kind,
    without_nan,
)
from membrane_xai.errors import InvalidInputError

__all__ = ["cleaned", "read_features", "to_feature"]

_ABSENT = object()
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


def read_features(document: Any, remarks: Remarks) -> list[Annotation]:
    """Return the annotations of a parsed GeoJSON document, children after their parents.

    Objects that cover no point are left out, and `remarks` says which.
    """
    features = list(_walk(_top_level(document)))
    geometries = _geometries(
        [(name, feature.get("geometry")) for name, feature in features], remarks
    )
    nuclei = _nuclei(features, remarks)
    return [
        _annotation(feature, geometry, nuclei.get(i), name)
        for i, ((name, feature), geometry) in enumerate(zip(features, geometries, strict=True))
        if geometry is not None
    ]


def to_feature(annotation: Annotation) -> dict[str, Any]:
    """Return an annotation as a GeoJSON feature; measurements without a value are left out."""
    from shapely.geometry import mapping

    kind = object_kind(annotation.properties, annotation.id)
    if kind is None:  # QuPath keeps the nucleus of a cell alone
        kind = "annotation" if annotation.nucleus is None else "cell"
    properties = _with_numbers(with_kind(annotation.properties, kind))
    if annotation.name is not None:
        properties["name"] = annotation.name
    if annotation.classification is not None:
        color = annotation.color or (200, 0, 0)  # QuPath refuses a class without one
        properties["classification"] = {"name": annotation.classification, "color": list(color)}
    feature = {"type": "Feature"}
    if annotation.id is not None and legacy_kind(annotation.id) is None:
        feature["id"] = annotation.id
    feature["geometry"] = mapping(annotation.geometry)
    if annotation.nucleus is not None:
        feature["nucleusGeometry"] = mapping(annotation.nucleus)
    return feature | {"properties": properties}


def cleaned(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a GeoJSON document without the measurements that have no value."""
    features = document.get("features")
    if isinstance(features, list):
        return {**document, "features": [_cleaned_feature(one) for one in features]}
    found: Mapping[str, Any] = _cleaned_feature(document)
    return found


def _cleaned_feature(feature: Any) -> Any:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    if not (isinstance(properties, Mapping) and "measurements" in properties):
        return feature
    return {**feature, "properties": _with_numbers(properties)}


def _with_numbers(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties whose measurements, if there are any, are all numbers."""
    if "measurements" not in properties:
        return dict(properties)
    return {**properties, "measurements": without_nan(properties["measurements"])}


def _top_level(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        yield from ((f"features[{i}]", item) for i, item in enumerate(document))
        return
    kind = _type_of(document)
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise InvalidInputError("the FeatureCollection has no list of features")
        yield from _top_level(features)
    else:
        yield "the document", document


def _type_of(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return kind if kind is None or isinstance(kind, str) else repr(kind)


def _walk(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each feature with its name; wrap bare geometries, descend into children."""
    for place, item in items:
        kind = _type_of(item)
        if item is None or kind == "GeometryCollection" or kind in _LISTS:
            yield place, {"geometry": item}
        elif kind == "Feature":
            yield from _feature_and_children(place, item)
        else:
            got = f"type {kind!r}" if isinstance(item, Mapping) else type(item).__name__
            other = other_json(item)
            raise InvalidInputError(
                f"{place} is {other or got}; GeoJSON takes a FeatureCollection, a Feature or a "
                f"geometry{': export GeoJSON' if other else ''}"
            )


def _feature_and_children(
    place: str, feature: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    identifier = feature.get("id")
    name = named(place, None if legacy_kind(identifier) else identifier)
    properties = feature.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise InvalidInputError(f"{name} has properties of {type(properties).__name__}")
    if object_kind(properties, identifier) != "root":  # QuPath's root has no place
        yield name, feature
    children = properties.get("childObjects", properties.get("children"))
    if isinstance(children, list):
        yield from _walk((f"{place}.childObjects[{i}]", child) for i, child in enumerate(children))


def _nuclei(features: list[tuple[str, Mapping[str, Any]]], remarks: Remarks) -> dict[int, Any]:
    """Return the nuclei by the index of their cells, which are kept where a nucleus is none."""
    found = [
        (i, f"nucleusGeometry of {name}", feature["nucleusGeometry"])
        for i, (name, feature) in enumerate(features)
        if feature.get("nucleusGeometry") is not None
    ]
    own = Remarks()
    geometries = _geometries([(name, value) for _, name, value in found], own)
    remarks.parts += own.left_out + own.parts
    remarks.repaired += own.repaired
    return {
        i: geometry
        for (i, _, _), geometry in zip(found, geometries, strict=True)
        if geometry is not None
    }


def _geometries(named_values: list[tuple[str, Any]], remarks: Remarks) -> list[Any | None]:
    """Return valid geometries, None for those that cover no point."""
    parsed: list[Any | None] = []
    for name, value in named_values:
        try:
            parsed.append(_geometry(value, name, remarks.parts))
        except NothingThereError as error:
            parsed.append(None)
            remarks.left_out.append(str(error))
            remarks.count += 1
    return check_geometries(parsed, [name for name, _ in named_values], remarks)


def _annotation(feature: Mapping[str, Any], geometry: Any, nucleus: Any, name: str) -> Annotation:
    properties = feature.get("properties") or {}
    classification, color = _classification(properties.get("classification"), name)
    own_name, identifier = properties.get("name"), feature.get("id")
    rest = {key: x for key, x in properties.items() if key not in _OWN_FIELDS}
    kind = object_kind(properties, identifier)
    if legacy_kind(identifier) is not None:
        identifier = None
    return Annotation(
        geometry=geometry,
        classification=classification,
        name=None if own_name is None else str(own_name),
        properties=with_kind(rest, kind),
        id=None if identifier is None else str(identifier),
        nucleus=nucleus,
        color=color,
    )


def _classification(value: Any, where: str) -> tuple[str | None, tuple[int, int, int] | None]:
    if value is None or value == {}:
        return None, None
    if isinstance(value, str):
        return value or None, None
    names = value.get("names", value.get("name", _ABSENT)) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and names in (None, "", []):
        return None, None  # the class of what has none
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


def _geometry(value: Any, where: str, dropped: list[str]) -> Any:
    """Return a geometry; parts that cover no point are left out of it, and named in `dropped`."""
    import shapely
    from shapely.geometry import shape

    if value is None:
        raise NothingThereError(f"{where} has no geometry")
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{where} has a geometry of {type(value).__name__}")
    kind = _type_of(value)
    if kind == "GeometryCollection":
        members = value.get("geometries")
        if not isinstance(members, list):
            raise InvalidInputError(f"{where} is a GeometryCollection without geometries")
        return shapely.GeometryCollection(
            _some(members, dropped, lambda one: _geometry(one, where, dropped))
        )
    if kind not in _LISTS:
        raise InvalidInputError(
            f"{where} has geometry of type {kind!r}; "
            f"it takes GeometryCollection, {', '.join(_LISTS)}"
        )
    coordinates = _checked(value.get("coordinates"), where, kind, _LISTS[kind], dropped)
    return shape({"type": kind, "coordinates": coordinates})


def _checked(value: Any, where: str, kind: str, lists: int, dropped: list[str]) -> Any:
    """Return coordinates with every list of positions as an array, without z."""
    parts = _parts(value, where)
    if kind.endswith("Polygon") and lists == 2:
        holes, reasons = _those_there(parts[1:], lambda hole: _ring(hole, where))
        dropped += reasons
        return [_ring(parts[0], where), *holes]
    if lists > 1:
        return _some(parts, dropped, lambda part: _checked(part, where, kind, lists - 1, dropped))
    if kind.endswith("LineString"):
        return _line(parts, where)
    return _positions(parts, where) if lists else _positions([parts], where)[0]


def _some(values: list[Any], dropped: list[str], read: Callable[[Any], Any]) -> list[Any]:
    """Return those of the values that cover a point, of which there must be one."""
    found, reasons = _those_there(values, read)
    if reasons and not found:
        raise NothingThereError(reasons[0])
    dropped += reasons
    return found


def _those_there(values: list[Any], read: Callable[[Any], Any]) -> tuple[list[Any], list[str]]:
    """Return what is read of the values that cover a point, and why the others do not."""
    found, reasons = [], []
    for value in values:
        try:
            found.append(read(value))
        except NothingThereError as error:
            reasons.append(str(error))
    return found, reasons


def _parts(value: Any, where: str) -> list[Any]:
    if value is None or value == []:
        raise NothingThereError(f"{where} has no coordinates")
    if not isinstance(value, list | tuple):
        raise InvalidInputError(f"{where} has coordinates that are not a list of [x, y]")
    return list(value)


def _ring(value: Any, where: str) -> NDArray[np.float64]:
    ring = _positions(value, where)
    closed = (ring[0] == ring[-1]).all()
    if len(ring) < 3 or (len(ring) == 3 and closed):
        raise NothingThereError(f"{where} has a ring of {len(ring)} points; it takes 4 or more")
    if not closed:
        first, last = ring[0].tolist(), ring[-1].tolist()
        raise InvalidInputError(
            f"{where} has a ring that is not closed: it starts at {first} and ends at {last}"
        )
    return ring


def _line(value: Any, where: str) -> NDArray[np.float64]:
    line = _positions(value, where)
    if len(line) < 2:
        raise NothingThereError(f"{where} has a line of 1 points; it takes 2 or more")
    return line


def _positions(value: Any, where: str) -> NDArray[np.float64]:
    """Return (n, 2) finite coordinates, without z."""
    parts = _parts(value, where)
    if all(part == [] for part in parts):
        raise NothingThereError(f"{where} has no coordinates")
    try:
        array = np.asarray(parts)
    except ValueError:  # positions of unequal lengths
        array = np.empty(0)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] not in (2, 3):
        raise InvalidInputError(f"{where} has coordinates that are not a list of [x, y]")
    if not np.isfinite(array[:, :2]).all():
        raise InvalidInputError(f"{where} has coordinates that are NaN or infinite")
    return array[:, :2].astype(float)
