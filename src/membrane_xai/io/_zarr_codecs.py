"""The codecs that a Zarr store may use, checked in its metadata before anything is decoded.

Some codecs, pickle first of all, run what is in the data. So those that only move, compress, check
or count bytes are listed here, and others are refused, whatever zarr and numcodecs would do.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from membrane_xai.errors import InvalidInputError

__all__ = ["ALLOWED_V2", "ALLOWED_V3", "check_codecs"]

ALLOWED_V2 = (
    "adler32", "astype", "bitround", "blosc", "bz2", "categorize", "crc32", "crc32c", "delta",
    "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits",
    "quantize", "shuffle", "vlen-bytes", "vlen-utf8", "zlib", "zstd",
)  # fmt: skip
"""Compressors and filters of Zarr 2, by the names of numcodecs."""

ALLOWED_V3 = (
    "blosc", "bytes", "crc32c", "endian", "gzip", "sharding_indexed", "transpose", "vlen-bytes",
    "vlen-utf8", "zstd", *(f"numcodecs.{name}" for name in ALLOWED_V2),
)  # fmt: skip
"""Codecs of Zarr 3."""

_ARRAY_2, _GROUP_2, _ALL_2, _NODE_3 = ".zarray", ".zgroup", ".zmetadata", "zarr.json"
_NESTED = ("codecs", "index_codecs")  # of a shard
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # as zarr takes them


class _Files(Protocol):
    """The files of a store, by keys with slashes."""

    def read(self, key: str) -> bytes | None:
        """Return what a file holds; None where there is none."""

    def folders(self) -> list[str]:
        """Return the keys of the folders at the root, each with a slash at its end."""


class _Codec(NamedTuple):
    place: str
    """Key of the file that names it."""
    name: Any
    allowed: tuple[str, ...]


def check_codecs(store: str | Path) -> None:
    """Raise if any array of a store, a folder or a URL of fsspec, has a codec not on the list.

    Metadata that is not JSON raises ValueError; zarr could not read it either.
    """
    files: _Files = _Remote(str(store)) if "://" in str(store) else _Local(Path(store))
    for codec in _of_store(files):
        if codec.name not in codec.allowed:
            raise InvalidInputError(
                f"{store}: {codec.place} names the codec {codec.name!r}; "
                f"it takes {', '.join(codec.allowed)}"
            )


def _of_store(files: _Files) -> Iterator[_Codec]:
    """Go through the root and, if that does not describe its members, through these.

    Members of members are never read.
    """
    node, described = _document(files, _NODE_3), _document(files, _ALL_2)
    yield from _of_place(files, "")
    for name, document in _members(described):
        if name.rpartition("/")[2] == _ARRAY_2:
            yield from _of_array(document, _ALL_2)
    # Of a folder with both versions zarr opens the third.
    if node is None:
        is_group, is_described = files.read(_GROUP_2) is not None, described is not None
    else:
        is_group = node.get("node_type") == "group"
        is_described = bool(node.get("consolidated_metadata"))
    if is_group and not is_described:
        for folder in files.folders():
            yield from _of_place(files, folder)


def _of_place(files: _Files, folder: str) -> Iterator[_Codec]:
    yield from _of_node(_document(files, folder + _NODE_3), folder + _NODE_3)
    yield from _of_array(_document(files, folder + _ARRAY_2), folder + _ARRAY_2)


def _document(files: _Files, key: str) -> dict[str, Any] | None:
    content = files.read(key)
    if content is None:
        return None
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError(f"{key} holds {type(document).__name__}, not an object of JSON")
    return document


def _members(document: Any) -> list[tuple[str, Any]]:
    """Return the nodes that consolidated metadata has, with their names."""
    members = document.get("metadata") if isinstance(document, dict) else None
    return list(members.items()) if isinstance(members, dict) else []


def _of_array(document: Any, place: str) -> Iterator[_Codec]:
    """Give the codecs of an array of Zarr 2."""
    if not isinstance(document, dict):
        return
    for codec in (document.get("compressor"), *_listed(document.get("filters"))):
        if codec is not None:
            name = codec.get("id") if isinstance(codec, dict) else codec
            yield _Codec(place, name, ALLOWED_V2)


def _of_node(document: Any, place: str) -> Iterator[_Codec]:
    """Give the codecs of an array of Zarr 3, or of all arrays that a group describes."""
    if not isinstance(document, dict):
        return
    yield from _in_pipeline(document.get("codecs"), place)
    for _, member in _members(document.get("consolidated_metadata")):
        yield from _of_node(member, place)


def _in_pipeline(codecs: Any, place: str) -> Iterator[_Codec]:
    for codec in _listed(codecs):
        name = codec.get("name") if isinstance(codec, dict) else codec
        yield _Codec(place, name, ALLOWED_V3)
        options = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(options, dict):
            for nested in _NESTED:
                yield from _in_pipeline(options.get(nested), place)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


class _Local:
    """The files of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes | None:
        try:
            return (self._root / key).read_bytes()
        except _ABSENT:
            return None

    def folders(self) -> list[str]:
        return sorted(f"{one.name}/" for one in self._root.iterdir() if one.is_dir())


class _Remote:
    """The files below a URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._system, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def read(self, key: str) -> bytes | None:
        try:
            content: bytes = self._system.cat_file(f"{self._root}/{key}")
        except _ABSENT:
            return None
        return content

    def folders(self) -> list[str]:
        inside = self._system.ls(self._root, detail=True)
        names = [one["name"].rstrip("/") for one in inside if one["type"] == "directory"]
        return sorted(f"{name.rpartition('/')[2]}/" for name in names)
