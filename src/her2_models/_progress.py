"""A progress bar on stderr, where there is someone to see it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Bar", "progress_bar"]


class Bar(NamedTuple):
    """What moves a progress bar; one at a time can be shown."""

    advance: Callable[[int], None]
    extend: Callable[[int], None]
    """Add to the total what was not known before."""


@contextmanager
def progress_bar(
    what: str, total: int | None, *, done: int = 0, shown: bool = True
) -> Iterator[Bar]:
    """Show a bar that vanishes at the end, unless stderr is no terminal or rich not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining
    except ImportError:
        yield Bar(lambda _step: None, lambda _more: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Remaining())
    shown = shown and sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield Bar(
            lambda step: bar.advance(task, step),
            lambda more: bar.update(task, total=(bar.tasks[0].total or 0) + more),
        )
