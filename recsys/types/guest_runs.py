"""Guest runs: a run of positives, close in time, that fits none of the rest of its history."""

from dataclasses import dataclass

from recsys.types.held_back import HeldBack


@dataclass(frozen=True, eq=False)
class GuestRuns(HeldBack):
    """The score of the run of each history that fits the rest of it least, at the positives of that run, 0 at others
    and where no run has a score above 0.

    `recsys.evidence.detect_guest_runs` makes it.
    """

    n_judged: int = 0  # histories that are long enough, and have a run that is close in time
    n_short: int = 0  # other histories with a positive: nothing is told of them
