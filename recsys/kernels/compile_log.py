"""What is compiled is said while it takes place: the first call in a process without kept code takes seconds.

A line of the log says that it begins, and one that it has ended; on a terminal the `show_progress` around names it.
Meanwhile no garbage is collected: to look again and again at what the compiler holds takes a tenth of its time.
"""

import gc
import logging
import time
from collections.abc import Callable

from numba.core import event

from recsys.support.progress import show_step

_log = logging.getLogger(__name__)


class CompileListener(event.Listener):
    """Logs the name of each function that Numba compiles, and the seconds; what it compiles inside is in these."""

    def __init__(self) -> None:
        """Know of no compilation."""
        self._starts: list[float] = []
        self._end: Callable[[], object] = bool
        self._collects = False

    def on_start(self, event: event.Event) -> None:
        """Say that it starts, where it is inside of no other one, and keep when."""
        if not self._starts:
            name = event.data["dispatcher"].py_func.__name__
            _log.info("compiling %s", name)
            self._end = show_step(f"compiling {name}")
            self._collects = gc.isenabled()
            gc.disable()
        self._starts.append(time.perf_counter())

    def on_end(self, event: event.Event) -> None:
        """Log it, where it is inside of no other one."""
        start = self._starts.pop() if self._starts else time.perf_counter()
        if not self._starts:
            if self._collects:
                gc.enable()
            self._end()
            name = event.data["dispatcher"].py_func.__name__
            _log.info("compiled %s in %.1f s", name, time.perf_counter() - start)


event.register("numba:compile", CompileListener())  # type: ignore[no-untyped-call]
