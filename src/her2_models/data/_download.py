"""Download a file: checked against its MD5, and resumed after an interruption."""

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from membrane_xai.cli import progress
from membrane_xai.errors import InvalidInputError

__all__ = ["DATA_SETS", "get"]

_CHUNK = 2**18  # bytes written at a time
_LARGEST_ANSWER = 2**22  # bytes read of the list of files that the record has
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_RECORD = "https://zenodo.org/records/15179608"
_API = "https://zenodo.org/api/records/15179608"
DATA_SETS = {
    "her2-ihc-40x-patch": "her2-ihc-40x-patch.zip",
    "her2-ihc-40x-wsi": "her2-ihc-40x-wsi.zip",
}
"""Files of record 15179608 (CC BY-SA 4.0) by the name of the data set."""


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
        url = _file_url(url_or_name)
        md5 = md5 or _checked_md5(_published_md5(url_or_name, timeout))
    elif "://" in url_or_name:
        url = _check_address(url_or_name)
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
        with _open_url(url, timeout, headers) as response:
            _receive(response, left)
    except ConnectionError as error:
        cause = error.__cause__
        if not headers or not isinstance(cause, urllib.error.HTTPError) or cause.code != 416:
            raise
        # There is nothing after what is there: it is the whole, or not of this file
        if cause.headers.get("Content-Range") != f"bytes */{left.size}":
            left.remove()
            _fetch(url, left, timeout, checked=checked)


def _receive(response: HTTPResponse, left: _Unfinished) -> None:
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
        progress(total, unit="bytes") as show,
    ):
        file.seek(start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            show(file.tell(), left.part.stem)
        os.fsync(file.fileno())
    if total is not None and left.size != total:
        raise ConnectionError(f"cut after {left.size} of {total} bytes; get it again to go on")


def _start(response: HTTPResponse, size: int) -> int:
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


def _file_url(name: str) -> str:
    """Return the address of a data set."""
    return f"{_RECORD}/files/{DATA_SETS[name]}"


def _published_md5(name: str, timeout: float) -> str:
    """Ask Zenodo for the MD5 of a data set."""
    answer = _read_url(_API, timeout)
    try:
        entries: list[dict[str, Any]] = json.loads(answer)["files"]
        checksums = {entry["key"]: str(entry["checksum"]) for entry in entries}
        kind, _, digest = checksums[DATA_SETS[name]].partition(":")
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidInputError(
            f"{_API}: has no checksum of {DATA_SETS[name]}; give md5, or the address of the file "
            f"to get it without a check"
        ) from error
    if kind != "md5":
        raise InvalidInputError(f"{_API}: gives a checksum of kind {kind!r}; it takes md5")
    return digest


def _check_address(url: str) -> str:
    """Return `url` if it is an address of http or https, or raise."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"url is {url!r}; it takes an address of http or https")
    return url


@contextmanager
def _open_url(
    url: str, timeout: float, headers: Mapping[str, str] | None = None
) -> Iterator[HTTPResponse]:
    """Open an address; network failures of all kinds become a ConnectionError that names it."""
    request = urllib.request.Request(  # noqa: S310  # the address is checked, the opener limited
        _check_address(url), headers={"User-Agent": "membrane-xai", **(headers or {})}
    )
    try:
        with _opener().open(request, timeout=timeout) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            raise ConnectionError(f"{url}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise ConnectionError(f"{url}: {error.reason}") from error
    except (HTTPException, TimeoutError, ConnectionError) as error:
        raise ConnectionError(f"{url}: {str(error) or type(error).__name__}") from error


def _read_url(url: str, timeout: float) -> bytes:
    """Return a short answer whole."""
    with _open_url(url, timeout) as response:
        return response.read(_LARGEST_ANSWER)


def _opener() -> urllib.request.OpenerDirector:
    """Open HTTP and nothing else: a redirect to file: or ftp: is an error."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
