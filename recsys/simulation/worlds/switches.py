"""Switches of a world beside what users choose: tastes that flip, and users and items that arrive."""

from dataclasses import dataclass

import numpy as np

from recsys.simulation.records import ArrivalRounds, FlippedUsers
from recsys.support import rng
from recsys.types import RecsysError
from recsys.types.numbers import check_int, check_number, convert_fields_to_python


@dataclass(frozen=True)
class TasteFlips:
    """A share of users, drawn by the seed, take over each other's tastes in one round: what they liked is of the past.

    Each takes over the taste of another user who flips too, so that the tastes of all users together stay the same. The
    platform's log stays as it is. After the users of Hosseinmardi et al. 2024 who turn away from what they watched.

    Raises:
        RecsysError: if a setting is out of range.
    """

    round: int = 10  # from 0: tastes flip before its slates are made
    share: float = 0.2  # of the users

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_int("flips: round", self.round, 1)
        check_number("flips: share", self.share, most=1.0)

    def draw_users(self, n_users: int, seed: int) -> FlippedUsers:
        """Return who flips, and whose tastes each takes over.

        Raises:
            RecsysError: for a share above 0 that is of fewer than two users.
        """
        luck = rng.draw_uniforms(seed, "flips", np.arange(n_users))
        users = np.argsort(luck, kind="stable")[: round(self.share * n_users)]
        if self.share > 0 and len(users) < 2:
            raise RecsysError(f"flips: share is {self.share:g}, expected two of the {n_users} users or more, or 0")
        return FlippedUsers(self.round, users, np.roll(users, 1))


@dataclass(frozen=True)
class Arrivals:
    """Shares of users and items, drawn by the seed, that are not there from the start: without a history.

    Each arrives in one of `rounds` rounds after the first, all alike. Until then a user is shown nothing, takes
    nothing, and is part of no measure, and an item cannot be shown nor found.

    Raises:
        RecsysError: if a setting is out of range.
    """

    users: float = 0.0  # share that arrives later
    items: float = 0.0  # the same
    rounds: int = 50  # in which they arrive

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        convert_fields_to_python(self)
        check_number("arrivals: users", self.users, below=1.0)
        check_number("arrivals: items", self.items, below=1.0)
        check_int("arrivals: rounds", self.rounds, 1)

    def draw_rounds(self, shape: tuple[int, int], seed: int) -> ArrivalRounds:
        """Return the round from which each user and item is there."""
        drawn = []
        for name, n, share in zip(("users", "items"), shape, (self.users, self.items), strict=True):
            late = np.argsort(rng.draw_uniforms(seed, f"arriving {name}", np.arange(n)), kind="stable")
            late = late[: round(share * n)]
            rounds = np.zeros(n, dtype=np.int32)
            rounds[late] = 1 + rng.draw_uniforms(seed, f"arrivals of {name}", late) * self.rounds
            drawn.append(rounds)
        return ArrivalRounds(*drawn)
