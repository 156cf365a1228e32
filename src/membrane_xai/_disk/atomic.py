"""``atomic_path``: write a file whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from membrane_xai.errors import InvalidInputError

__all__ = ["atomic_path", "write_text"]


@contextmanager
def atomic_path(path: Path, *, temporary: Path | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends without error.

    Parameters
    ----------
    path : Path
        The file to write; its folder is made. What is there stays until the new one is whole.
    temporary : Path, optional
        By default a new, hidden name beside `path` with its suffix, which no other process has. One
        of your own, on the same disk, leaves nothing behind after a kill, as the next call writes
        over it, but then one process alone may write.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    InvalidInputError
        A folder.

    Examples
    --------
    >>> from membrane_xai.results import atomic_path
    >>> path = getfixture("tmp_path") / "weights" / "a.txt"
    >>> with atomic_path(path) as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('all of it', ['a.txt'])
    """
    if path.is_dir():
        raise InvalidInputError(f"{path}: is a folder; it takes the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    place = _new(path) if temporary is None else temporary
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield place
        if temporary is None:
            place.chmod(0o644)  # mkstemp makes files that only their owner can read
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _new(path: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    return Path(name)
