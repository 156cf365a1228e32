"""What QuPath says of an object beside its outline: its kind and its measurements.

The kind is ``objectType`` since version 0.4, ``object_type`` in 0.3, and was the feature's ``id``
in 0.2; ``type`` is taken for it as well. QuPath goes by the first of these that is there.
"""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["legacy_kind", "object_kind", "with_kind", "without_nan"]

_LEGACY = {
    "PathAnnotationObject": "annotation",
    "PathCellObject": "cell",
    "PathDetectionObject": "detection",
    "PathRootObject": "root",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "tma_core": "tmaCore",
}
_KINDS = {*_LEGACY.values()}


def legacy_kind(identifier: Any) -> str | None:
    """Return the kind of an object whose id is none but its class, as in QuPath 0.2."""
    return _LEGACY.get(identifier) if isinstance(identifier, str) else None


def object_kind(properties: Mapping[str, Any], identifier: Any = None) -> str | None:
    """Return the kind in QuPath's present words, or None where nothing says it."""
    for key in ("objectType", "object_type"):
        if isinstance(kind := properties.get(key), str):
            return _LEGACY.get(kind, kind)
    kind = properties.get("type")
    if isinstance(kind, str) and _is_kind(kind):
        return _LEGACY.get(kind, kind)
    return legacy_kind(identifier)


def with_kind(properties: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    """Return the properties with the kind where QuPath looks first, and nowhere else."""
    rest = {
        key: value
        for key, value in properties.items()
        if key not in ("objectType", "object_type") and not (key == "type" and _is_kind(value))
    }
    return rest if kind is None else {"objectType": kind} | rest


def _is_kind(value: Any) -> bool:
    return isinstance(value, str) and (value in _KINDS or value in _LEGACY)


def without_nan(measurements: Any) -> dict[str, float]:
    """Return the measurements that are finite numbers, by name; before 0.4 they were in a list."""
    if isinstance(measurements, Mapping):
        items = list(measurements.items())
    elif isinstance(measurements, list | tuple):
        items = [(x.get("name"), x.get("value")) for x in measurements if isinstance(x, Mapping)]
    else:
        items = []
    numbers = {str(name): _number(value) for name, value in items if name is not None}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _number(value: Any) -> float:
    """Return a number, also one in text; NaN for all else."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
