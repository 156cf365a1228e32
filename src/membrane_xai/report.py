"""The former path of :mod:``membrane_xai.tables``: the same names."""

from membrane_xai.tables import (
    CsvTable,
    array_hash,
    interval_text,
    json_text,
    p_text,
    provenance,
    read_csv,
    score_text,
    write_csv,
    write_json,
    write_markdown,
)

__all__ = [
    "CsvTable",
    "array_hash",
    "interval_text",
    "json_text",
    "p_text",
    "provenance",
    "read_csv",
    "score_text",
    "write_csv",
    "write_json",
    "write_markdown",
]
