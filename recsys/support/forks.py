"""Whether this process is a fork, in which OpenMP's threads of the parent are gone and waited for all the same."""

import os
from pathlib import Path

_LOADED_IN = os.getpid()
_FORKED_FLAG = 0x40  # PF_FORKNOEXEC of Linux: forked, and no other program was started since
_FLAGS_FIELD = 6  # the place of the flags behind the name in /proc/self/stat


def is_forked() -> bool:
    """Return whether this process was forked by another and goes on with its memory.

    A fork that took place before this module was loaded is seen on Linux only.
    """
    return os.getpid() != _LOADED_IN or _has_forked_flag()


def get_openmp_thread_limit() -> int:
    """Return how many OpenMP threads a call may have, 0 for any number: 1 in a fork.

    GNU's OpenMP keeps its threads for the next call. A fork inherits the note that they are there, not the threads, and
    a call with more than one of them never ends.
    """
    return int(is_forked())


def _has_forked_flag() -> bool:
    try:
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        return bool(int(stat.rpartition(")")[2].split()[_FLAGS_FIELD]) & _FORKED_FLAG)
    except (OSError, ValueError, IndexError):
        return False
