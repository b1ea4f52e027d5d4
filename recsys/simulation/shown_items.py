"""What a recommender in a closed loop showed to whom, and when, as guards and objectives read it."""

import numpy as np

from recsys.simulation.records import Log
from recsys.types.arrays import Bools, Longs
from recsys.types.exposures import DAY, ExposureHistories

MAX_ROUNDS = 2**20


class ShownItems:
    """The exposures of all users, one number each, ascending by user, item and round."""

    def __init__(self, shape: tuple[int, int], round_days: float) -> None:
        """Begin with nothing shown; a round takes `round_days` days."""
        self.shape, self.seconds = shape, round(round_days * DAY)
        self.n_read = 0  # rounds of the log that are in
        self.keys: Longs = np.empty(0, dtype=np.int64)  # (user I + item) 2^20 + round

    def read(self, log: Log) -> None:
        """Add the slates of the rounds that are new in a log."""
        for number in range(self.n_read, len(log.slates)):
            user, place = np.nonzero(log.slates[number] >= 0)
            pairs = user * self.shape[1] + log.slates[number][user, place]
            new = np.sort(pairs * MAX_ROUNDS + number)
            self.keys = np.insert(self.keys, np.searchsorted(self.keys, new), new)
        self.n_read = len(log.slates)

    def build_histories(self, number: int) -> ExposureHistories:
        """Return what was shown before a round, with its moment as now."""
        pairs, rounds = np.divmod(self.keys, MAX_ROUNDS)
        pointers = np.searchsorted(pairs, np.arange(self.shape[0] + 1) * self.shape[1])
        return ExposureHistories(
            pointers.astype(np.int64), (pairs % self.shape[1]).astype(np.int32), rounds * self.seconds,
            np.zeros(len(pairs), dtype=bool), now=number * self.seconds,
        )  # fmt: skip

    def mark_often_shown(self, least: int) -> Bools:
        """Return which items were shown to a user at least so often, (U, I)."""
        marked = np.zeros(self.shape, dtype=bool)
        pairs, counts = np.unique(self.keys // MAX_ROUNDS, return_counts=True)
        marked.reshape(-1)[pairs[counts >= least]] = True
        return marked
