"""Where interests go, in worlds that have them."""

from typing import Any

import numpy as np

from recsys.simulation.records import Log, Population, Round
from recsys.types import RecsysError
from recsys.types.arrays import Doubles


class InterestShift:
    """How far each user's interests are from where they began: the Euclidean distance over all items.

    It is for worlds with interests, as `ReinforcedInterests` has, and measured after the round.
    """

    def __init__(self, population: Population, log: Log) -> None:
        """Refuse a world without interests.

        Raises:
            RecsysError: if it is one.
        """
        if not hasattr(population, "first_interests"):
            raise RecsysError("measure interest_shift: this world has no interests, expected reinforced_interests")

    def observe(self, now: Round) -> Doubles:
        """Return it after the round, (U,)."""
        people: Any = now.population
        return np.asarray(np.linalg.norm(people.interests - people.first_interests, axis=1))
