"""Name the file in errors about what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from membrane_xai.errors import InvalidInputError

__all__ = ["naming"]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the path before errors that do not name it."""
    try:
        yield
    except InvalidInputError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise InvalidInputError(f"{path}: {error}") from None
