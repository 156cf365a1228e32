"""Tell what a file is by how it begins, for messages about files that are something else."""

import json
from pathlib import Path

from membrane_xai.errors import InvalidInputError

__all__ = [
    "HEAD",
    "IMAGE_KINDS",
    "JPEG_START",
    "NUMPY_START",
    "PNG_START",
    "TIFF_STARTS",
    "any_kind",
    "as_text",
    "check_no_folder",
    "content_kind",
    "is_dicom",
    "unlike",
]

HEAD = 512
"""Bytes from the start of a file that :func:`content_kind` looks at."""

IMAGE_KINDS = ("a JPEG image", "a PNG image", "a TIFF image")
"""Of images that are read."""

JPEG_START = b"\xff\xd8\xff"
NUMPY_START = b"\x93NUMPY"
PNG_START = b"\x89PNG"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Of the classic one and of BigTIFF, in both byte orders."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LFS = b"version https://git-lfs"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_BEGINNINGS = (
    (PNG_START, "a PNG image"),
    (JPEG_START, "a JPEG image"),
    (b"GIF8", "a GIF image"),
    *((start, "a TIFF image") for start in TIFF_STARTS),
    (b"\0\0\0\x0cjP", "a JPEG 2000 image"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xac\xed\0\x05", "a data file of QuPath (.qpdata) or other serialized Java objects"),
    (b"\xd0\xcf\x11\xe0", "a file of an old Microsoft Office"),
    (NUMPY_START, "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet table"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)


def content_kind(head: bytes) -> str | None:
    """Return what begins so, to stand after "is", or None for text and what is not known."""
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not bare:
        return "empty"
    if bare.startswith(_LFS):
        return "a pointer of Git LFS (git lfs pull fetches the file itself)"
    if bare.lower().startswith(_HTML):
        return "an HTML page (servers send one in place of a file that they do not give)"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    if is_dicom(head):
        return "a DICOM file"
    return next((what for start, what in _BEGINNINGS if head.startswith(start)), None)


def is_dicom(head: bytes) -> bool:
    """Tell DICOM by the word after its preamble, which may be the beginning of another format."""
    return head[128:132] == b"DICM"


def as_text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 as Windows writes it, without the mark at the beginning."""
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")


def check_no_folder(path: Path, expected: str) -> None:
    """Raise for a folder in place of a file."""
    if path.is_dir():
        raise InvalidInputError(f"{path}: is a folder; it takes {expected}")


def unlike(path: Path, *expected: str) -> str | None:
    """Return what a file is, or None where that is `expected`, or not known."""
    try:
        kind = _file_kind(path)
    except OSError:
        return None
    return None if kind in expected else kind


def _file_kind(path: Path) -> str | None:
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        return any_kind(file.read(HEAD))


def any_kind(head: bytes) -> str | None:
    """Return what begins so, like :func:`content_kind`; XML, JSON and text are told apart."""
    known = content_kind(head)
    if known is not None:
        return known
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if bare.startswith((b"<?xml", b"<!--")):
        return "XML"
    if head.startswith(_UTF16):
        return "text in UTF-16"
    if not _is_text(bare):
        return None
    return "JSON" if bare.startswith((b"{", b"[")) else "text"


def _is_text(head: bytes) -> bool:
    """Tell text by what can be decoded and shown; the last character may be cut."""
    text = head.decode("utf-8", "replace").removesuffix("\ufffd")
    return "\ufffd" not in text and all(one.isprintable() or one in "\t\r\n\f" for one in text)
