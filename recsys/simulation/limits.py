"""What does not fit is refused before anything is computed: rounds, slates and memory."""

from collections.abc import Mapping
from typing import Any

from recsys.simulation.records import Policy, World
from recsys.support.memory import read_available_memory
from recsys.types import RecsysError
from recsys.types.numbers import check_int

BYTES_PER_PAIR = 24  # of users and items: what was met, liked and shown, utilities, and what a world is made of
FIT_BYTES_PER_PAIR = 48  # while tastes are fitted: scores of several models, rates and log-odds


def check_fit(world: World, policies: Mapping[str, Policy], rounds: int, jobs: int = 1) -> None:
    """Refuse what cannot be simulated in a world; the place of a policy's error is its name here.

    A world's size is `shape`, or `users` and `items`; one that says neither is not checked. A world in which each user
    consumes something new in every round has `most_rounds`, and one that keeps more of each pair `count_bytes(rounds)`.

    Raises:
        RecsysError: for more rounds than there is something to consume, a slate longer than the catalogue, or more
            memory than there is.
    """
    most = getattr(world, "most_rounds", None)
    if most is not None and rounds > most:
        raise RecsysError(f"rounds is {rounds}, expected at most {most}: then the users have consumed every item")
    shape = find_shape(world)
    if shape is None:
        return
    check_slates(policies, shape[1])
    count: Any = getattr(world, "count_bytes", lambda _: BYTES_PER_PAIR * shape[0] * shape[1])
    beside = f", in each of {jobs} jobs" if jobs > 1 else ""
    check_world_memory(shape, jobs * int(count(rounds)), f" over {rounds} rounds{beside}")


def check_slates(policies: Mapping[str, Policy], n_items: int) -> None:
    """Refuse slates longer than the catalogue; the place of a policy's error is its name here.

    Raises:
        RecsysError: naming the policy.
    """
    for place, policy in policies.items():
        if isinstance(k := getattr(policy, "k", None), int):
            check_int(f"{place}: k", k, 1, n_items, "the items of the world")


def check_world_memory(shape: tuple[int, int], need: int, during: str) -> None:
    """Refuse a world that needs more bytes than there are.

    Raises:
        RecsysError: naming its size.
    """
    found = read_available_memory()
    if found is not None and need > found:
        raise RecsysError(
            f"world: {shape[0]:,} users and {shape[1]:,} items{during} need {need:,} bytes of memory, "
            f"and {found:,} are available: expected fewer of them"
        )


def find_shape(world: World) -> tuple[int, int] | None:
    """Return the users and items of a world, None where it does not say them."""
    users, items = getattr(world, "shape", None) or (getattr(world, "users", None), getattr(world, "items", None))
    return (users, items) if isinstance(users, int) and isinstance(items, int) else None
