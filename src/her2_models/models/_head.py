"""The layers of a network of timm that give the classes."""

from typing import Any

__all__ = ["classifiers", "head_name", "is_of"]


def classifiers(network: Any) -> tuple[str, ...]:
    """Return the names of the layers that give the classes; distilled networks have two."""
    named = network.default_cfg.get("classifier") or ()  # encoders have none
    return (named,) if isinstance(named, str) else tuple(named)


def head_name(network: Any) -> str:
    """Return one name for all of them: what their names share, or the first."""
    names = classifiers(network)
    parts = [name.split(".") for name in names]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared) or names[0]


def is_of(parameter: str, layers: tuple[str, ...]) -> bool:
    """Tell whether a parameter, or a buffer, is of one of some layers."""
    return any(parameter == layer or parameter.startswith(f"{layer}.") for layer in layers)
