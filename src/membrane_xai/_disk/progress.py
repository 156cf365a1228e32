"""A progress bar on stderr, where there is someone to see it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(total: int | None, *, shown: bool = True) -> Iterator[Callable[[float, str], None]]:
    """Give a function that shows how much of `total` is done, and what at present.

    It does nothing unless `shown`, stderr is a terminal and rich is installed. `total` may be
    unknown.
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining
    except ImportError:
        yield lambda _done, _text: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), Remaining(), TextColumn("{task.description}"))
    shown = shown and sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text)
