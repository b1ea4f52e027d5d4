"""Requests of a batch: who asks, and what each of them brings."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from typing import Any, cast

from recsys.rankers.answers import Recommendation
from recsys.rankers.requests import HistoryRow, Id
from recsys.types import Guard, RecsysError


def parse_batch_users(
    count: int,
    users: Sequence[Id] | None,
    histories: Sequence[Iterable[HistoryRow]] | None,
    more: Sequence[Iterable[HistoryRow]] | None = None,
) -> list[dict[str, Any]]:
    """Return the user or history of each of `count` requests, as keywords of one request.

    Raises:
        RecsysError: for users and histories, more without users, or another number of them.
    """
    if users is not None and histories is not None:
        raise RecsysError("ranker: found users and histories, expected one of them")
    if more is not None and users is None:
        raise RecsysError("ranker: found more without users, expected the users who like more")
    if users is None and histories is None:
        return [{} for _ in range(count)]
    name, given = ("users", users) if users is not None else ("histories", histories)
    who = [{"user" if users is not None else "history": one} for one in parse_batch(count, given, name)]
    if more is None:
        return who
    return [{**one, "more": own} for one, own in zip(who, parse_batch(count, more, "more"), strict=True)]


def parse_batch(count: int, given: Any, name: str, absent: Any = None) -> Sequence[Any]:
    """Return what each of `count` requests brings as `name`: `absent` where nothing is given for any of them.

    Raises:
        RecsysError: for another number of them, or the guards of one request in the place of lists.
    """
    if given is None:
        return [absent] * count
    found = count_listed(given, name)
    if any(isinstance(own, Guard) for own in given):
        raise RecsysError(f"ranker: {name} are guards of one request, expected a list of guards for each of {count}")
    if found != count:
        raise RecsysError(f"ranker: found {found} for {name}, expected {count}: one for each request")
    return cast(Sequence[Any], given)


def count_listed(given: Any, name: str) -> int:
    """Return how many requests a list is for.

    Raises:
        RecsysError: for text, a mapping, a set, or anything else whose parts have no number and order.
    """
    if (
        not isinstance(given, Sized)
        or not isinstance(given, Iterable)
        or isinstance(given, str | bytes | Mapping | Set)
    ):
        kind = type(given).__name__
        raise RecsysError(f"ranker: {name} is of type {kind}, expected a list with one for each request")
    return len(given)


def catch_request_error(
    request: Callable[..., Recommendation], *given: Any, **settings: Any
) -> Recommendation | RecsysError:
    """Return the answer of one request of a batch, or what is wrong with it: the others do not fail for it."""
    try:
        return request(*given, **settings)
    except RecsysError as error:
        return error.with_traceback(None)
