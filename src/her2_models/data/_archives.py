"""Unpack zips of zips of images: nothing outside the folder, nothing endless, resumable."""

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from her2_models._progress import Bar, progress_bar
from her2_models.data._members import Limits, Member, checked_members
from membrane_xai.errors import InvalidInputError

__all__ = ["extract"]

_CHUNK = 2**20


def extract(
    archive: str | Path,
    out: str | Path,
    *,
    max_bytes: int = 2**38,
    max_files: int = 500_000,
    max_ratio: float = 100.0,
) -> Path:
    """Unpack a zip, and the zips in it, into a folder.

    It works in a hidden folder beside `out` that gets its name when all is there. After a cut the
    same call goes on: members of the right size and checksum are not written again.

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
        A file that is no zip or damaged; a member with an absolute path, with ``..``, that is a
        link, encrypted or there twice; more than the limits or the disk take. Names archive and
        member; a zip is checked whole before anything of it is written.

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
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"out is {str(out)!r}, a file; it takes a folder")
    if out.is_dir():
        if any(out.iterdir()):
            return out
        out.rmdir()
    partial = out.with_name(f".{out.name}.partial")
    with progress_bar(archive.name, 0) as bar:
        work = _Work(Limits(max_bytes, max_files, max_ratio), partial, bar)
        work.unpack(archive, partial)
    partial.mkdir(parents=True, exist_ok=True)  # of an empty zip
    partial.rename(out)
    return out


@dataclass
class _Work:
    """An archive being unpacked; what is in it counts towards the same limits as what it is in."""

    limits: Limits
    root: Path
    bar: Bar
    outer: list[Path] = field(default_factory=list)

    def unpack(self, archive: Path, folder: Path) -> None:
        self.outer.append(archive)
        name = " in ".join(str(path) for path in reversed(self.outer))
        with _opened(archive, name) as file:
            members = checked_members(file, name, self.limits, nested=len(self.outer) > 1)
            self._check_space([m for m in members if not (folder / m.place).is_file()], name)
            folder.mkdir(parents=True, exist_ok=True)
            self.bar.extend(sum(member.info.file_size for member in members))
            for member in members:
                self._take(file, member, folder, name)
        self.outer.pop()

    def _check_space(self, members: list[Member], name: str) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        need = sum(member.info.file_size for member in members)
        free = shutil.disk_usage(self.root.parent).free
        if need > free:
            raise InvalidInputError(f"{name}: needs {need} bytes; there are {free} on the disk")

    def _take(self, file: zipfile.ZipFile, member: Member, folder: Path, name: str) -> None:
        target = folder / member.place
        if member.place.suffix.lower() != ".zip":
            _write(file, member.info, target, name, self.bar)
            return
        inner = target.with_name(f".{target.name}")
        _write(file, member.info, inner, name, self.bar)
        self.unpack(inner, _folder_of(inner, target))
        inner.unlink()


def _folder_of(archive: Path, target: Path) -> Path:
    """Return where to unpack an inner zip: into a folder of its name, unless it brings that."""
    with _opened(archive, str(target)) as file:
        tops = {name.split("/")[0] for name in file.namelist()}
    return target.parent if tops == {target.stem} else target.with_suffix("")


@contextmanager
def _opened(archive: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        file = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InvalidInputError(f"{name}: is no zip, or is truncated: {error}") from error
    with file:
        yield file


def _write(file: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, name: str, bar: Bar) -> None:
    """Write a member under another name and give it its own when it is complete."""
    if _is_there(target, info):
        bar.advance(info.file_size)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.part")
    try:
        # zipfile reads no more than the size that was checked, and compares the CRC at the end
        with file.open(info) as source, temporary.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                sink.write(chunk)
                bar.advance(len(chunk))
        if temporary.stat().st_size != info.file_size:
            raise EOFError("it is shorter than it says")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise InvalidInputError(
            f"{name}: its member {info.filename!r} is damaged: {error}"
        ) from error
    temporary.replace(target)


def _is_there(target: Path, info: zipfile.ZipInfo) -> bool:
    if not target.is_file() or target.stat().st_size != info.file_size:
        return False
    crc = 0
    with target.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc == info.CRC
