"""Progress: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

__all__ = ["Show", "progress"]

_SECONDS = 30.0  # between lines: of a night's work a log then has as many as one can read
_MEGABYTE = 1e6

_one_at_a_time = threading.Lock()


class Show(Protocol):
    """Say how much is done, what at present, and of how much, if that has changed."""

    def __call__(self, done: float, text: str, total: float | None = None, /) -> None:
        """Show it."""


@contextmanager
def progress(
    total: float | None = None, *, shown: bool = True, unit: str = "items"
) -> Iterator[Show]:
    """Show on stderr how far work has come.

    Parameters
    ----------
    total : float, optional
        How much there is to do, if it is known.
    shown : bool
        Whether to show anything.
    unit : {"items", "bytes"}
        Of what is counted; bytes are shown as megabytes.

    Yields
    ------
    callable
        ``show(done, text)``: how much is done, and what at present; ``show(done, text, total)`` if
        the total has changed.

    Notes
    -----
    On a terminal a bar, which vanishes at the end; it needs rich (extra ``report``). Elsewhere, as
    in the log of a cluster, a line at most every 30 seconds, so short work says nothing. Of works
    within each other the outer one is shown.

    Examples
    --------
    >>> from membrane_xai.cli import progress
    >>> with progress(2) as show:
    ...     for done, name in enumerate(["a.png", "b.png"], 1):
    ...         show(done, name)
    """
    if not shown or not _one_at_a_time.acquire(blocking=False):
        yield lambda _done, _text, _total=None, /: None
        return
    try:
        with _bar(total, unit) or _lines(total, unit) as show:
            yield show
    finally:
        _one_at_a_time.release()


def _bar(total: float | None, unit: str) -> AbstractContextManager[Show] | None:
    """Return a bar, or None where there can be none."""
    if not sys.stderr.isatty():
        return None
    try:
        from rich import progress as parts
        from rich.console import Console
    except ImportError:
        return None

    @contextmanager
    def shown() -> Iterator[Show]:
        counted = parts.DownloadColumn() if unit == "bytes" else parts.MofNCompleteColumn()
        text = parts.TextColumn("{task.description}")
        columns = (parts.BarColumn(), counted, parts.TimeRemainingColumn(), text)
        with parts.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)

            def show(done: float, text: str, more: float | None = None, /) -> None:
                bar.update(task, completed=done, description=text, total=more)

            yield show

    return shown()


def _lines(total: float | None, unit: str) -> AbstractContextManager[Show]:
    """Return what prints a line, if the last one is long ago."""
    scale, name = (_MEGABYTE, " MB") if unit == "bytes" else (1.0, "")
    started = last = time.monotonic()
    first: float | None = None

    def show(done: float, text: str, more: float | None = None, /) -> None:
        nonlocal total, last, first
        total = total if more is None else more
        first = done if first is None else first
        now = time.monotonic()
        if now - last < _SECONDS:
            return
        last = now
        of = "" if total is None else f" of {total / scale:.0f}"
        left = "" if total is None else _left(done - first, total - done, now - started)
        print(f"{text}: {done / scale:.0f}{of}{name}{left}", file=sys.stderr, flush=True)

    return nullcontext(show)


def _left(made: float, missing: float, seconds: float) -> str:
    """Say how many minutes the rest takes at the pace so far."""
    if made <= 0 or missing <= 0:
        return ""
    return f", {max(1, round(seconds * missing / made / 60))} min left"
