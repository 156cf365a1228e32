"""The former path of :mod:`membrane_xai.tables`: the same names."""

from membrane_xai.tables import (
    array_hash,
    interval_text,
    json_text,
    provenance,
    write_csv,
    write_json,
    write_markdown,
)

__all__ = [
    "array_hash",
    "interval_text",
    "json_text",
    "provenance",
    "write_csv",
    "write_json",
    "write_markdown",
]
