"""HER2-IHC-40x at Zenodo: where its files are, and what their checksums are said to be."""

import json
from typing import Any

from her2_models.data._http import read_url
from membrane_xai.errors import InvalidInputError

__all__ = ["DATA_SETS", "file_url", "published_md5"]

RECORD = "https://zenodo.org/records/15179608"
API = "https://zenodo.org/api/records/15179608"
DATA_SETS = {
    "her2-ihc-40x-patch": "her2-ihc-40x-patch.zip",
    "her2-ihc-40x-wsi": "her2-ihc-40x-wsi.zip",
}
"""Files of record 15179608 (CC BY-SA 4.0) by the name of the data set."""


def file_url(name: str) -> str:
    """Return the address of a data set."""
    return f"{RECORD}/files/{DATA_SETS[name]}"


def published_md5(name: str, timeout: float) -> str:
    """Ask Zenodo for the MD5 of a data set."""
    answer = read_url(API, timeout)
    try:
        entries: list[dict[str, Any]] = json.loads(answer)["files"]
        checksums = {entry["key"]: str(entry["checksum"]) for entry in entries}
        kind, _, digest = checksums[DATA_SETS[name]].partition(":")
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidInputError(
            f"{API}: has no checksum of {DATA_SETS[name]}; give md5, or the address of the file "
            f"to get it without a check"
        ) from error
    if kind != "md5":
        raise InvalidInputError(f"{API}: gives a checksum of kind {kind!r}; it takes md5")
    return digest
