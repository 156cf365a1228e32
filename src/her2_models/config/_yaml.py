"""Configurations as YAML: bundled ones and files read, single values set, values written."""

from collections.abc import Container, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from membrane_xai.errors import InvalidInputError, missing

try:
    import yaml
except ImportError as error:
    raise missing(error, "her2_models", extra="her2") from error

__all__ = ["bundled_configs", "dump", "read_values"]

_NONE = ("", "~", "null")


def bundled_configs() -> tuple[str, ...]:
    """Return the names of the configurations that come with the package.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from her2_models.config import bundled_configs
    >>> "honest_40x" in bundled_configs()
    True
    """
    names = (entry.name for entry in files("her2_models.configs").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def read_values(
    source: str | Path, overrides: Sequence[str] = (), *, texts: Container[str] = ()
) -> dict[str, Any]:
    """Return what a bundled configuration or a YAML file says, with single values set.

    `texts` are the keys, such as "data.path", whose value is a text as it stands.
    """
    values = _read(source)
    for override in overrides:
        _set(values, override, texts)
    return values


def dump(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML, in their order."""
    text: str = yaml.safe_dump(values, sort_keys=False)
    return text


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if str(source) in bundled_configs():
        text = files("her2_models.configs").joinpath(f"{source}.yaml").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        names = ", ".join(bundled_configs())
        raise InvalidInputError(
            f"config is {str(source)!r}; it takes a YAML file or one of {names}"
        )
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{source}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInputError(f"{source}: holds {type(values).__name__}; it takes a mapping")
    return values


def _set(values: dict[str, Any], override: str, texts: Container[str]) -> None:
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise InvalidInputError(f"override is {override!r}; it takes key=value")
    *parents, last = path.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InvalidInputError(f"override is {override!r}; {parent} has no keys of its own")
        values = inner
    if path in texts and text.strip().lower() not in _NONE and text.strip()[0] not in "'\"":
        values[last] = text.strip()  # a folder "2024" and a pattern "[A-Z](.)" are other YAML
        return
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"override is {override!r}; its value is not YAML") from error
