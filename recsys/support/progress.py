"""A live progress display on standard error: silent when it is no terminal, and when asked to be quiet."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_outer_progress: ContextVar["Progress | None"] = ContextVar("around", default=None)


@contextmanager
def show_progress(quiet: bool = False) -> Iterator["Progress"]:
    """Yield a rich `Progress` with a bar, the count and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    disable = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=disable) as bars:
        outer = _outer_progress.set(bars)
        try:
            yield bars
        finally:
            _outer_progress.reset(outer)


def show_step(what: str) -> Callable[[], None]:
    """Name what is done on the `show_progress` around it, if there is one, and return what removes the name."""
    bars = _outer_progress.get()
    if bars is None:
        return lambda: None
    return partial(bars.remove_task, bars.add_task(what, total=None))


@contextmanager
def track_rounds(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that is to be called after each of `total` rounds.

    A bar on the `show_progress` around it, if there is one.
    """
    bars = _outer_progress.get()
    if bars is None:
        yield lambda: None
        return
    task = bars.add_task(what, total=total)
    try:
        yield lambda: bars.advance(task)
    finally:
        bars.remove_task(task)
