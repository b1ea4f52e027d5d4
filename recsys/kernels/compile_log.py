"""A line of the log for each kernel that is compiled: the first call in a process without kept code takes seconds."""

import logging
import time

from numba.core import event

_log = logging.getLogger(__name__)


class CompileListener(event.Listener):
    """Logs the name of each function that Numba compiles, and the seconds; what it compiles inside is in these."""

    def __init__(self) -> None:
        """Know of no compilation."""
        self._starts: list[float] = []

    def on_start(self, event: event.Event) -> None:
        """Keep when it starts."""
        self._starts.append(time.perf_counter())

    def on_end(self, event: event.Event) -> None:
        """Log it, where it is inside of no other one."""
        start = self._starts.pop() if self._starts else time.perf_counter()
        if not self._starts:
            name = event.data["dispatcher"].py_func.__name__
            _log.info("compiled %s in %.1f s", name, time.perf_counter() - start)


event.register("numba:compile", CompileListener())  # type: ignore[no-untyped-call]
