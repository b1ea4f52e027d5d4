"""The end of a sweep: a limit of its time, a summary of what it did, and a command that is told of it."""

import json
import re
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from recsys.escaping import convert_to_one_line
from recsys.sweeps.search_plans import SearchPlan
from recsys.sweeps.trial_search import SearchedTrials
from recsys.types import RecsysError, RecsysWarning
from recsys.types.errors import describe_error, restore_interrupts
from recsys.types.secrets import mask_url_secrets

R = TypeVar("R")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}  # seconds
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
NOTIFY_SECONDS = 60  # that a command may take


def parse_duration(place: str, given: str | float) -> float:
    """Return seconds: a number of them, or a text such as "8h", "90m" or "1h 30m".

    >>> parse_duration("timeout", "8h"), parse_duration("timeout", "1h 30m"), parse_duration("timeout", 20)
    (28800.0, 5400.0, 20.0)

    Raises:
        RecsysError: if it is none above 0.
    """
    seconds = 0.0
    if isinstance(given, str):
        parts = _DURATION.findall(given)
        if not _DURATION.sub("", given).strip():
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    if not 0 < seconds < float("inf"):
        raise RecsysError(f"{place} is {given!r}, expected a time such as '8h', '90m', '30s' or '1h 30m'")
    return seconds


def run_search(
    search: Callable[[float | None], tuple[R, SearchedTrials]],
    name: str,
    timeout: str | float | None,
    command: str | None,
) -> R:
    """Return the result of a search with its summary, and tell `command` how it ended, if there is one.

    `search` is given the moment of `time.monotonic` at which it ends, None for no limit. Its result is a record of a
    plan, lines, notes, folder and summary.

    Raises:
        RecsysError: for a `timeout` that is none. What the search raises is raised on.
    """
    start = time.monotonic()
    ends_at = None if timeout is None else start + parse_duration("timeout", timeout)
    try:
        with restore_interrupts():
            result, searched = search(ends_at)
    except Exception as error:
        if command is not None:
            told = build_failure_summary(name, describe_error(error), time.monotonic() - start)
            if (note := notify(command, told)) is not None:
                warnings.warn(note, RecsysWarning, stacklevel=3)
        raise
    done = cast(Any, result)
    summary = build_summary(done.plan, searched, done.lines, done.notes, done.folder, time.monotonic() - start)
    said = None if command is None else notify(command, summary)
    return cast(R, replace(done, summary=summary, notes=done.notes if said is None else (*done.notes, said)))


def build_summary(
    plan: SearchPlan, searched: SearchedTrials, lines: Sequence[str], notes: Sequence[str], folder: Path, seconds: float
) -> dict[str, Any]:
    """Return in plain values what a sweep did: trials of each method, those that failed, what was chosen, and where."""
    trials = {
        name: {"done": len(found), "failed": len(searched.failures[name])} for name, found in searched.results.items()
    }
    return {
        "sweep": plan.name,
        "status": "done",
        "seconds": round(seconds, 1),
        "wanted": searched.wanted,
        "trials": trials,
        "said": list(lines),
        "notes": list(notes),
        "folder": str(folder),
        "winner": str(folder / "winner.toml"),
        "report": str(folder / "report.html"),
    }


def build_failure_summary(name: str, reason: str, seconds: float) -> dict[str, Any]:
    """Return in plain values that a sweep ended without a result, and why."""
    return {"sweep": name, "status": "failed", "seconds": round(seconds, 1), "reason": reason}


def describe_summary(summary: Mapping[str, Any]) -> str:
    """Return in one line how many trials of each method there are, and how long the start took."""
    counts = [
        f"{name} {one['done']}" + (f" ({one['failed']} failed)" if one["failed"] else "")
        for name, one in summary["trials"].items()
    ]
    hours, rest = divmod(round(summary["seconds"]), 3600)
    return (
        f"{summary['sweep']}: trials of {summary['wanted']} each: {', '.join(counts)}; "
        f"this start took {hours}:{rest // 60:02}:{rest % 60:02}"
    )


def notify(command: str, summary: Mapping[str, Any]) -> str | None:
    """Run a command of the shell with the summary as JSON on its standard input; return what went wrong, in a line."""
    try:
        done = subprocess.run(
            command, shell=True, input=json.dumps(summary).encode(), capture_output=True, timeout=NOTIFY_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the command of --notify is ended after {NOTIFY_SECONDS} s: nobody may know that the sweep has ended"
    except OSError as error:
        return f"the command of --notify cannot be run: {error.strerror or error}"
    if not done.returncode:
        return None
    said = convert_to_one_line(done.stderr.decode(errors="replace").strip().partition("\n")[0])[:200]
    return mask_url_secrets(
        f"the command of --notify ended with code {done.returncode}" + (f": {said}" if said else "")
    )
