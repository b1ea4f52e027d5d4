"""Work that ends at any of its lines: by an interrupt, or by a kill of its process."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import ModuleType


def do_until_line(work: Callable[[], object], modules: tuple[ModuleType, ...], number: int, end: Callable[[], object]):
    """Do `work`, and call `end` before a line of it: the `number`-th of those in modules. Return whether it came there.

    Lines of `contextlib` count: what a `with` begins and ends may be cut off there, too.
    """
    files, left = {contextlib.__file__, *(one.__file__ for one in modules)}, number

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                end()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return left <= 0


def interrupt() -> None:
    raise KeyboardInterrupt


def interrupt_and_fail(*given: object, **named: object) -> None:
    """Fail as what is interrupted and then cannot close what it had opened."""
    try:
        raise KeyboardInterrupt
    finally:
        raise OSError("it cannot be closed")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt_at_each_line(work: Callable[[], object], *modules: ModuleType) -> Iterator[int]:
    """Interrupt `work` at its first line in modules, at its second, and so on; yield after each, until it ends itself.

    An interrupt that does not arrive, or as another error, fails.
    """
    for number in count(1):
        arrived = reached = False
        try:
            reached = do_until_line(work, modules, number, interrupt)
        except KeyboardInterrupt:
            arrived = True
        if not arrived:
            assert not reached, f"the interrupt at line {number} is lost"
            return
        yield number  # by now nothing refers to what the interrupted work had
