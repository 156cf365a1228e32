"""Unpack zips of zips of images: within the folder, within limits, resumable.

All members of a zip are judged before any of them is written.
"""

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from membrane_xai.cli import progress
from membrane_xai.errors import InvalidInputError
from membrane_xai.results import atomic_path

__all__ = ["extract"]

_CHUNK = 2**20  # bytes written at a time
_SMALL = 2**20  # what is smaller may shrink by any ratio: a table, an image of one colour
_JUNK = ("__MACOSX", ".DS_Store")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.I)
"""Names that Windows takes for devices, with any ending."""


def extract(
    archive: str | Path,
    out: str | Path,
    *,
    max_bytes: int = 2**38,
    max_files: int = 500_000,
    max_ratio: float = 100.0,
) -> Path:
    """Unpack a zip, and the zips in it, into a folder.

    It works in hidden folders beside `out`, one of which gets its name when all is there. After a
    cut the same call goes on: members of the right size and checksum are not written again.

    Parameters
    ----------
    archive : path
        The zip. A zip in it becomes a folder of its name; those in turn must hold no zips.
    out : path
        The folder to make. If it is there and not empty, it is taken as complete.
    max_bytes : int
        Largest sum of sizes, unpacked.
    max_files : int
        Largest number of files.
    max_ratio : float
        Largest ratio of unpacked to packed size of a member above 1 MiB; images hardly shrink.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InvalidInputError
        Not a zip, or a damaged one; a member that would lie outside the folder or has a name
        that another system gives a meaning of its own (a drive, a device, a trailing dot); one that
        is a link, encrypted, or would take the place of another, whichever zip that is in; more
        than the limits or the disk take. Names archive and member; a zip is checked whole before
        anything of it is written.

    Examples
    --------
    >>> import zipfile
    >>> from her2_models.data import extract
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as file:
    ...     file.writestr("class_0/a.png", b"...")
    >>> [path.name for path in extract(folder / "a.zip", folder / "a").rglob("*.png")]
    ['a.png']
    >>> with zipfile.ZipFile(folder / "b.zip", "w") as file:
    ...     file.writestr("../evil.png", b"...")
    >>> extract(folder / "b.zip", folder / "b")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...b.zip: its member '../evil.png' lies outside ...
    """
    archive, out = Path(archive), Path(out)
    if out.name == ".." or (out.exists() and not out.is_dir()):
        kind = "the folder above" if out.name == ".." else "a file"
        raise InvalidInputError(f"out is {str(out)!r}, {kind}; it takes a folder")
    if out.is_dir():
        if any(out.iterdir()):
            return out
        out.rmdir()
    partial = out.with_name(f".{out.name}.partial")
    with progress(unit="bytes") as show:
        done = _Done(lambda bytes_, total: show(bytes_, archive.name, total))
        limits = _Limits(max_bytes, max_files, max_ratio)
        _Work(limits, _Places(partial), done).unpack(archive)
    partial.mkdir(parents=True, exist_ok=True)  # of an empty zip
    partial.rename(out)
    return out


class _Member(NamedTuple):
    """A file in a zip and where it goes, relative to the folder of that zip."""

    info: zipfile.ZipInfo
    place: PurePosixPath

    @property
    def is_zip(self) -> bool:
        return self.place.name[1:].lower().endswith(".zip")


@dataclass
class _Limits:
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


@dataclass
class _Places:
    """Paths below one folder, each given away once, to members of the zip and of zips in it."""

    root: Path
    _files: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)

    def take(self, place: PurePosixPath) -> None:
        """Give a place away, or raise a ValueError that says who has it."""
        # Some disks tell no a from A, some no composed letter from letter and accent
        key = PurePosixPath(unicodedata.normalize("NFC", place.as_posix()).casefold())
        above = {parent.as_posix() for parent in key.parents}
        if key.as_posix() in self._files:
            raise ValueError("is there twice")
        if key.as_posix() in self._folders or above & self._files:
            raise ValueError("is there as a file and as a folder")
        self._files.add(key.as_posix())
        self._folders |= above

    def path(self, place: PurePosixPath) -> Path:
        """Return where a place is on disk, or raise a ValueError; all paths are made here."""
        for part in place.parts:
            if part == ".." or re.search(r"[/\\:\x00]", part):
                raise ValueError("lies outside the folder")
            if part[-1] in ". " or _DEVICE.fullmatch(part):
                raise ValueError("has a name that some systems change or take for a device")
        target = self.root.joinpath(*place.parts)
        # A link that was put into the folder meanwhile leads out of it as well as a name
        if not place.parts or not target.resolve().is_relative_to(self.root.resolve()):
            raise ValueError("lies outside the folder")
        return target


@dataclass
class _Done:
    """Bytes that are written, of those that were found so far."""

    show: Callable[[int, int], None]
    done: int = 0
    total: int = 0

    def add(self, done: int, total: int = 0) -> None:
        self.done += done
        self.total += total
        self.show(self.done, self.total)


@dataclass
class _Work:
    """An archive being unpacked; what is in it counts towards the same limits as what it is in."""

    limits: _Limits
    places: _Places
    done: _Done

    @property
    def scratch(self) -> Path:
        """Where files lie until they are whole: apart, so that no member is called like them."""
        return self.places.root.with_name(f"{self.places.root.name}-files")

    def unpack(self, archive: Path) -> None:
        self._unpack(archive, str(archive), None)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _unpack(self, archive: Path, name: str, inner: PurePosixPath | None) -> None:
        """Unpack a zip; `inner` is the place of one that is in the other."""
        with _opened(archive, name) as file:
            folder = PurePosixPath() if inner is None else _folder_of(file, inner)
            members = self._checked(file, name, folder, nested=inner is not None)
            self._check_space(members, folder, name)
            self.done.add(0, sum(member.info.file_size for member in members))
            for member in members:
                self._write(file, member, folder, name)

    def _checked(
        self, file: zipfile.ZipFile, name: str, folder: PurePosixPath, *, nested: bool
    ) -> list[_Member]:
        """Return the files in a zip, or raise with the `name` of the archive and the member's."""
        members = []
        for info in file.infolist():
            place = _place(info)
            with _refusing(name, info):
                self.places.path(folder / place)
            if info.is_dir() or any(part in _JUNK for part in place.parts):
                continue
            _check_kind(info, name)
            member = _Member(info, place)
            if member.is_zip and nested:
                _refuse(name, info, "is a zip in a zip in a zip; it takes one level")
            with _refusing(name, info):
                self.places.take(folder / place)
                if member.is_zip:
                    self.places.path(place.with_name(_stem(place)))
            self.limits.take(info, name)
            members.append(member)
        return members

    def _check_space(self, members: list[_Member], folder: PurePosixPath, name: str) -> None:
        root = self.places.root.parent
        root.mkdir(parents=True, exist_ok=True)
        missing = [m for m in members if not self.places.path(folder / m.place).is_file()]
        need = sum(member.info.file_size for member in missing)
        free = shutil.disk_usage(root).free
        if need > free:
            raise InvalidInputError(f"{name}: needs {need} bytes; there are {free} on the disk")

    def _write(
        self, file: zipfile.ZipFile, member: _Member, folder: PurePosixPath, name: str
    ) -> None:
        place = folder / member.place
        target = self.scratch / "inner.zip" if member.is_zip else self.places.path(place)
        if _is_there(target, member.info):
            self.done.add(member.info.file_size)
        else:
            self._copy(file, member.info, target, name)
        if member.is_zip:
            self._unpack(target, f"{member.info.filename} in {name}", place)
            target.unlink()

    def _copy(self, file: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, name: str) -> None:
        """Write a member apart and give it its place when it is complete."""
        try:
            # zipfile reads no more than the size that was checked, and compares the CRC at the end
            with atomic_path(target, temporary=self.scratch / "part") as part:
                with file.open(info) as source, part.open("wb") as sink:
                    while chunk := source.read(_CHUNK):
                        sink.write(chunk)
                        self.done.add(len(chunk))
                if part.stat().st_size != info.file_size:
                    raise EOFError("it is shorter than it says")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as bad:
            raise InvalidInputError(
                f"{name}: its member {info.filename!r} is damaged: {bad}"
            ) from bad


def _place(info: zipfile.ZipInfo) -> PurePosixPath:
    # Not info.filename, which ends at a NUL; some programs write backslashes
    return PurePosixPath(info.orig_filename.replace("\\", "/"))


def _stem(place: PurePosixPath) -> str:
    """Return the name of a zip without its ending, or raise a ValueError if only dots are left."""
    stem = place.name[: -len(".zip")]
    if not stem.strip("."):
        raise ValueError("lies outside the folder")
    return stem


def _folder_of(file: zipfile.ZipFile, place: PurePosixPath) -> PurePosixPath:
    """Return where to unpack an inner zip: into a folder of its name, unless it brings that."""
    tops = {name.split("/")[0] for name in file.namelist()}
    return place.parent if tops == {_stem(place)} else place.with_name(_stem(place))


def _check_kind(info: zipfile.ZipInfo, name: str) -> None:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        _refuse(name, info, "is a link or a device; it takes files")
    if info.flag_bits & 1:
        _refuse(name, info, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(name, info, "is packed by another method than deflate")


@contextmanager
def _refusing(name: str, info: zipfile.ZipInfo) -> Iterator[None]:
    """Name the member in errors of its place."""
    try:
        yield
    except ValueError as error:
        _refuse(name, info, str(error))


def _refuse(name: str, info: zipfile.ZipInfo, why: str) -> NoReturn:
    raise InvalidInputError(f"{name}: its member {info.orig_filename!r} {why}") from None


@contextmanager
def _opened(archive: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        file = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InvalidInputError(f"{name}: is not a zip, or is truncated: {error}") from error
    with file:
        yield file


def _is_there(target: Path, info: zipfile.ZipInfo) -> bool:
    if not target.is_file() or target.stat().st_size != info.file_size:
        return False
    crc = 0
    with target.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == info.CRC
