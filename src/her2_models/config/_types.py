"""Plain values in, dataclass out: every value has its type, or the error names its place."""

import dataclasses
import types
import typing
from typing import Any

from membrane_xai.errors import InvalidInputError

__all__ = ["build"]


def build(kind: Any, values: Any, place: str) -> Any:
    """Make the dataclass `kind` from plain values; `place` is where they stand."""
    if not isinstance(values, dict):
        raise InvalidInputError(f"{place} is {values!r}; it takes keys of its own")
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            known = ", ".join(hints)
            where = f"{place}.{name}".lstrip(".")
            raise InvalidInputError(f"{where} is unknown; {place or 'a config'} takes {known}")
    inside = {name: f"{place}.{name}".lstrip(".") for name in values}
    return kind(**{name: _convert(hints[name], v, inside[name]) for name, v in values.items()})


def _convert(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return build(kind, value, place)
    for allowed in typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,):
        found, converted = _as_type(allowed, value)
        if found:
            return converted
    raise InvalidInputError(f"{place} is {value!r}; it takes {_name(kind)}")


def _as_type(kind: Any, value: Any) -> tuple[bool, Any]:
    """Return whether `value` is of the type, and the value as one."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        known = isinstance(value, list | tuple) and all(_as_type(float, x)[0] for x in value)
        return known, tuple(float(x) for x in value) if known else None
    if origin is not None:
        key, item = typing.get_args(kind)
        known = isinstance(value, dict) and all(
            _as_type(key, k)[0] and _as_type(item, v)[0] for k, v in value.items()
        )
        return known, dict(value) if known else None
    if kind is type(None):
        return value is None, None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float:
        # YAML 1.1 reads 1e-3 as text
        if isinstance(value, str):
            try:
                return True, float(value)
            except ValueError:
                return False, None
        return number, float(value) if number else None
    return isinstance(value, kind) and (kind is not int or number), value


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind).replace("collections.abc.", "")
