"""Get a file, whole and unaltered, however often the network is cut on the way."""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from her2_models._progress import progress_bar
from her2_models.data._http import check_address, open_url
from her2_models.data._zenodo import DATA_SETS, file_url, published_md5
from membrane_xai.errors import InvalidInputError

if TYPE_CHECKING:
    from http.client import HTTPResponse

__all__ = ["get"]

_CHUNK = 2**18
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class _Unfinished(NamedTuple):
    """What an earlier call left, and the server's mark of the version that it is of."""

    part: Path
    mark: Path

    @property
    def size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def remove(self) -> None:
        self.part.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)


def get(
    url_or_name: str, out: str | Path, *, md5: str | None = None, timeout: float = 60.0
) -> Path:
    """Download a data set, or any file.

    A download that is cut leaves ``NAME.part``; the same call goes on from there if the server
    can and still has the same version.

    Parameters
    ----------
    url_or_name : str
        "her2-ihc-40x-patch" or "her2-ihc-40x-wsi" (Zenodo record 15179608, CC BY-SA 4.0, several
        gigabytes), or an address of http or https. BCI has to be asked for at its own page.
    out : path
        Folder for the file; it is made.
    md5 : str, optional
        32 hexadecimal digits that the file must have. By default that which Zenodo publishes for
        a named data set, asked from it; an address alone is not checked.
    timeout : float
        Seconds without an answer after which to give up.

    Returns
    -------
    Path
        The file. One that is there already is checked and not got again.

    Raises
    ------
    InvalidInputError
        Another name, address or checksum; a file of another checksum. What was just downloaded is
        removed then, what was there before is not.
    ConnectionError
        No answer, an error of the server, or a cut.

    Examples
    --------
    >>> from her2_models.data import get
    >>> get("her2-ihc-20x", ".")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: url_or_name is 'her2-ihc-20x'; it takes
    her2-ihc-40x-patch, her2-ihc-40x-wsi or an address of http or https
    """
    md5 = None if md5 is None else _checked_md5(md5)
    if url_or_name in DATA_SETS:
        url = file_url(url_or_name)
        md5 = md5 or _checked_md5(published_md5(url_or_name, timeout))
    elif "://" in url_or_name:
        url = check_address(url_or_name)
    else:
        raise InvalidInputError(
            f"url_or_name is {url_or_name!r}; it takes {', '.join(DATA_SETS)} or an address of "
            f"http or https"
        )
    target = Path(out) / _file_name(url)
    if not target.exists():
        _download(url, target, md5, timeout)
    elif md5 is not None and (found := _md5(target)) != md5:
        raise InvalidInputError(f"{target}: is there, with MD5 {found}; {url} has {md5}")
    return target


def _download(url: str, target: Path, md5: str | None, timeout: float) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = _Unfinished(
        target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part-version")
    )
    _fetch(url, left, timeout, checked=md5 is not None)
    if md5 is not None and (found := _md5(left.part)) != md5:
        left.remove()
        raise InvalidInputError(
            f"{url}: came with MD5 {found} instead of {md5}, and was removed; get it again"
        )
    left.part.replace(target)
    left.remove()


def _fetch(url: str, left: _Unfinished, timeout: float, *, checked: bool) -> None:
    """Write what is still missing."""
    headers = {}
    if left.size and (checked or left.mark.is_file()):
        headers["Range"] = f"bytes={left.size}-"
    if headers and left.mark.is_file():
        # If the file has changed since, the server sends the whole of the new one
        headers["If-Range"] = left.mark.read_text("utf-8")
    try:
        with open_url(url, timeout, headers) as response:
            _receive(response, left)
    except ConnectionError as error:
        cause = error.__cause__
        if not headers or not isinstance(cause, HTTPError) or cause.code != 416:
            raise
        # There is nothing after what is there: it is the whole, or not of this file
        if cause.headers.get("Content-Range") != f"bytes */{left.size}":
            left.remove()
            _fetch(url, left, timeout, checked=checked)


def _receive(response: "HTTPResponse", left: _Unfinished) -> None:
    start = _start(response, left.size)
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    if version and not version.startswith("W/"):  # a weak mark does not promise the same bytes
        left.mark.write_text(version, "utf-8")
    else:
        left.mark.unlink(missing_ok=True)
    with (
        left.part.open("r+b" if start else "wb") as file,
        progress_bar(left.part.stem, total, done=start) as bar,
    ):
        file.seek(start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.advance(len(chunk))
        os.fsync(file.fileno())
    if total is not None and left.size != total:
        raise ConnectionError(f"cut after {left.size} of {total} bytes; get it again to go on")


def _start(response: "HTTPResponse", size: int) -> int:
    """Return where the answer starts: 0 if the server sends the whole file."""
    if response.status != 206:
        return 0
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != size:
        raise ConnectionError("the server sent another range than asked for")
    return size


def _file_name(url: str) -> str:
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    if not name or name in (".", "..") or re.search(r'[/\\:*?"<>|\x00-\x1f]', name):
        raise InvalidInputError(f"url is {url!r}; it takes an address that ends in a file name")
    return name


def _checked_md5(md5: str) -> str:
    digest = md5.lower().removeprefix("md5:")
    if not re.fullmatch("[0-9a-f]{32}", digest):
        raise InvalidInputError(f"md5 is {md5!r}; it takes 32 hexadecimal digits")
    return digest


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
