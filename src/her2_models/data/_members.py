"""Which members of a zip may be unpacked; all are judged before any is written."""

import stat
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from membrane_xai.errors import InvalidInputError

__all__ = ["Limits", "Member", "checked_members"]

_SMALL = 2**20  # what is smaller may shrink by any ratio: a table, an image of one colour
_JUNK = ("__MACOSX", ".DS_Store")


class Member(NamedTuple):
    """A file in a zip and where it goes, relative to the folder."""

    info: zipfile.ZipInfo
    place: PurePosixPath


@dataclass
class Limits:
    """What may still be unpacked."""

    max_bytes: int
    max_files: int
    max_ratio: float

    def take(self, info: zipfile.ZipInfo, name: str) -> None:
        """Count a member, or raise."""
        self.max_bytes -= info.file_size
        self.max_files -= 1
        if self.max_bytes < 0:
            _refuse(name, info, "makes it larger than max_bytes allows")
        if self.max_files < 0:
            _refuse(name, info, "is one more than max_files allows")
        if info.file_size > max(_SMALL, self.max_ratio * info.compress_size):
            ratio = info.file_size / max(info.compress_size, 1)
            _refuse(name, info, f"grows {ratio:.0f} times, more than max_ratio={self.max_ratio:g}")


def checked_members(
    file: zipfile.ZipFile, name: str, limits: Limits, *, nested: bool
) -> list[Member]:
    """Return the files in a zip, or raise with the `name` of the archive and the member's."""
    members = []
    taken: set[str] = set()
    for info in file.infolist():
        place = _place(info, name)
        if info.is_dir() or any(part in _JUNK for part in place.parts):
            continue
        _check_kind(info, name)
        if nested and place.suffix.lower() == ".zip":
            _refuse(name, info, "is a zip in a zip in a zip; it takes one level")
        key = place.as_posix().casefold()  # some disks tell no a from A
        if key in taken:
            _refuse(name, info, "is there twice")
        taken.add(key)
        limits.take(info, name)
        members.append(Member(info, place))
    return members


def _place(info: zipfile.ZipInfo, name: str) -> PurePosixPath:
    place = PurePosixPath(info.filename.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in info.filename or not place.parts:
        _refuse(name, info, "lies outside the folder")
    return place


def _check_kind(info: zipfile.ZipInfo, name: str) -> None:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        _refuse(name, info, "is a link or a device; it takes files")
    if info.flag_bits & 1:
        _refuse(name, info, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(name, info, "is packed by another method than deflate")


def _refuse(name: str, info: zipfile.ZipInfo, why: str) -> None:
    raise InvalidInputError(f"{name}: its member {info.filename!r} {why}")
