"""Jobs: forks of a process that do its work beside it, and keep what they make where all find it."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NamedTuple

from recsys.types import RecsysError
from recsys.types.errors import describe_error, restore_interrupts
from recsys.types.numbers import check_int

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

END_SECONDS = 10  # that a job has, once it is interrupted, to close what it is at


class Job(NamedTuple):
    """A fork, and the end of a pipe that its last words come from."""

    process: "ForkProcess"
    words: Connection

    def wait(self) -> str:
        """Wait until the job has ended; return why it ended early, "" where it did not."""
        try:
            said = self.words.recv()
        except EOFError:  # it was killed
            said = ""
        self.process.join()
        code = self.process.exitcode or 0
        return said or (f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}" if code else "")


def check_jobs(jobs: int, most: int, why: str) -> int:
    """Return the number of jobs, of which there is work for `most`; `why` says what that many are, for errors.

    Raises:
        RecsysError: if it is none from 1 to `most`, or this system cannot fork.
    """
    jobs = check_int("jobs", jobs, 1, most, why)
    if jobs > 1 and not hasattr(os, "fork"):
        raise RecsysError(f"jobs is {jobs}: this system cannot fork, expected 1: start the command again beside it")
    return jobs


@contextmanager
def run_beside(count: int, work: Callable[[], None]) -> Iterator[list[Job]]:
    """Start `count` forks that do `work`, and yield them; those that are there at the end are interrupted.

    Work that fails is told by `Job.wait`. A job goes on where the process that started it is killed.
    """
    jobs: list[Job] = []
    try:
        jobs.extend(_start(work) for _ in range(count))
        yield jobs
    finally:
        for job in jobs:
            if job.process.is_alive():
                os.kill(job.process.pid or 0, signal.SIGINT)
        for job in jobs:
            job.process.join(END_SECONDS)
            job.process.kill()
            job.process.join()
            job.words.close()


def _start(work: Callable[[], None]) -> Job:
    context = multiprocessing.get_context("fork")
    words, sender = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(work, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process that has threads
        process.start()
    sender.close()
    return Job(process, words)


def _do(work: Callable[[], None], sender: Connection) -> None:
    try:
        with restore_interrupts():
            work()
        said = ""
    except KeyboardInterrupt:
        said = "it was interrupted"
    except Exception as error:  # of a model, a storage or somebody's own function
        said = describe_error(error)
    try:
        sender.send(said)
    except (OSError, KeyboardInterrupt):  # nobody listens any more
        os._exit(1)
