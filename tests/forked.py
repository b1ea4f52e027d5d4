"""Work in a fork of the process of the tests: another process, without the seconds that another interpreter takes."""

import os
import traceback
import warnings
from collections.abc import Callable


def fork(work: Callable[[], object]) -> int:
    """Do `work` in a fork; return the number of its process.

    It ends with the code of a `SystemExit`, with 1 where the work fails otherwise, and else with 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process that has threads
        child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except SystemExit as stop:
        os._exit(stop.code if isinstance(stop.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def wait_for(child: int) -> int:
    """Wait for a fork; return its exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
