"""SHA-256 of a file, or of all files of a Zarr folder."""

import hashlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["Content", "content_hash", "read_content"]


class Content(NamedTuple):
    """A file that was read once, for its hash and for its values."""

    digest: str
    """As of :func:`content_hash`."""
    data: bytes | None
    """None of a folder, of a file that is too large to hold, and of one that cannot be read."""


def read_content(path: Path, most: int) -> Content:
    """Read a file of up to `most` bytes; of what is larger return the hash alone."""
    try:
        if path.is_dir() or path.stat().st_size > most:
            return Content(content_hash(path), None)
        data = path.read_bytes()
    except OSError as error:
        return Content(_unreadable(error), None)
    return Content(hashlib.sha256(data).hexdigest(), data)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of the names and bytes of all files of a folder.

    64 hexadecimal digits, or "unreadable: " and why: reading the file will tell the same.
    """
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        return _unreadable(error)


def _unreadable(error: OSError) -> str:
    return f"unreadable: {error.strerror}"


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_folder(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        name = file.relative_to(path).as_posix().encode(errors="surrogateescape")
        digest.update(len(name).to_bytes(8) + name + bytes.fromhex(_of_file(file)))
    return digest.hexdigest()
