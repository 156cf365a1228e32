"""Allowed values of configuration keys, kept with their fields; checks and JSON schema by them."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from membrane_xai.errors import InvalidInputError

__all__ = [
    "at_least",
    "below",
    "between",
    "build",
    "check",
    "not_negative",
    "one_of",
    "positive",
    "rule",
    "schema_of",
    "text_fields",
]

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


class _Rule(NamedTuple):
    """What a value takes in words, the check, and the same in JSON Schema."""

    takes: str
    accept: Callable[[Any], bool]
    schema: Mapping[str, Any]


def rule(takes: str, accept: Callable[[Any], bool], **schema: Any) -> dict[str, _Rule]:
    """Return the metadata of a field that takes what `accept` does."""
    return {"rule": _Rule(takes, accept, schema)}


def one_of(*choices: str, none: bool = False) -> dict[str, _Rule]:
    """Return the metadata of a field that takes one of some words, or nothing with `none`."""
    allowed = [*choices, *([None] if none else [])]
    takes = "one of " + ", ".join(choices) + (", or null" if none else "")
    return rule(takes, lambda x: x in allowed, enum=allowed)


def at_least(least: int) -> dict[str, _Rule]:
    """Return the metadata of a field that takes integers from `least` on."""
    words = {0: "a non-negative integer", 1: "a positive integer"}
    takes = words.get(least, f"an integer from {least}")
    return rule(takes, lambda x: x >= least, minimum=least)


def between(low: float, high: float, takes: str = "") -> dict[str, _Rule]:
    """Return the metadata of a field that takes numbers from `low` to `high`."""
    takes = takes or f"a number in [{low:g}, {high:g}]"
    return rule(takes, lambda x: low <= x <= high, minimum=low, maximum=high)


def below(high: float) -> dict[str, _Rule]:
    """Return the metadata of a field that takes numbers from 0 to below `high`."""
    return rule(
        f"a number in [0, {high:g})", lambda x: 0 <= x < high, minimum=0, exclusiveMaximum=high
    )


def not_negative() -> dict[str, _Rule]:
    """Return the metadata of a field that takes numbers from 0 on."""
    return rule("a non-negative number", lambda x: x >= 0, minimum=0)


def positive() -> dict[str, _Rule]:
    """Return the metadata of a field that takes positive numbers."""
    return rule("a positive number", lambda x: 0 < x < float("inf"), exclusiveMinimum=0)


def check(config: Any, place: str = "") -> None:
    """Raise if a value of a dataclass, or of one in it, breaks the rule of its field."""
    for field in dataclasses.fields(config):
        value, here = getattr(config, field.name), f"{place}{field.name}"
        if dataclasses.is_dataclass(value):
            check(value, f"{here}.")
        allowed: _Rule | None = field.metadata.get("rule")
        if allowed and not allowed.accept(value):
            raise InvalidInputError(f"{here} is {value!r}; it takes {allowed.takes}")


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
    for allowed in _alternatives(kind):
        found, converted = _as_type(allowed, value)
        if found:
            return converted
    raise InvalidInputError(f"{place} is {value!r}; it takes {_name(kind)}")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


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


def text_fields(kind: Any, place: str = "") -> frozenset[str]:
    """Return the places, such as "data.path", of the texts in the dataclass `kind`."""
    found: set[str] = set()
    for name, hint in typing.get_type_hints(kind).items():
        here = f"{place}.{name}".lstrip(".")
        if dataclasses.is_dataclass(hint):
            found |= text_fields(hint, here)
        elif str in _alternatives(hint):
            found.add(here)
    return frozenset(found)


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind).replace("collections.abc.", "")


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of the dataclass `kind`, from the types and rules of its fields."""
    hints, defaults = typing.get_type_hints(kind), kind()
    return {
        "description": (inspect.getdoc(kind) or "").partition("\n")[0],
        "type": "object",
        "properties": {
            field.name: schema_of(hints[field.name])
            if dataclasses.is_dataclass(hints[field.name])
            else _value_schema(hints[field.name], field, getattr(defaults, field.name))
            for field in dataclasses.fields(kind)
        },
        "additionalProperties": False,
    }


def _value_schema(kind: Any, field: "dataclasses.Field[Any]", default: Any) -> dict[str, Any]:
    allowed: _Rule | None = field.metadata.get("rule")
    if isinstance(default, Mapping):  # JSON has no other keys than text
        default = {str(key): value for key, value in default.items()}
    if isinstance(default, tuple):
        default = list(default)
    return _type_schema(kind) | dict(allowed.schema if allowed else {}) | {"default": default}


def _type_schema(kind: Any) -> dict[str, Any]:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return {"type": "array", "items": _type_schema(inside[0])}
    if origin is not None and not isinstance(kind, types.UnionType):
        return {"type": "object", "additionalProperties": _type_schema(inside[1])}
    names = [_JSON_TYPES[each] for each in _alternatives(kind)]
    return {"type": names[0] if len(names) == 1 else names}
