"""HTTP by the standard library, and nothing but HTTP: a redirect to file: or ftp: is an error."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from membrane_xai.errors import InvalidInputError

__all__ = ["check_address", "open_url", "read_url"]

_LARGEST_ANSWER = 2**22


def check_address(url: str) -> str:
    """Return `url` if it is an address of http or https, or raise."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"url is {url!r}; it takes an address of http or https")
    return url


@contextmanager
def open_url(
    url: str, timeout: float, headers: Mapping[str, str] | None = None
) -> Iterator[HTTPResponse]:
    """Open an address; network failures of all kinds become a ConnectionError that names it."""
    request = urllib.request.Request(  # noqa: S310  # the address is checked, the opener limited
        check_address(url), headers={"User-Agent": "membrane-xai", **(headers or {})}
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


def read_url(url: str, timeout: float) -> bytes:
    """Return a short answer whole."""
    with open_url(url, timeout) as response:
        return response.read(_LARGEST_ANSWER)


def _opener() -> urllib.request.OpenerDirector:
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
