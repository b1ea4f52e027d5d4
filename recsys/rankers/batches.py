"""Requests of a batch: the users, and the guards and weights of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recsys.rankers.answers import Recommendation
from recsys.rankers.requests import Id
from recsys.types import Guard, RecsysError


def parse_batch_users(
    count: int,
    users: Sequence[Id] | None,
    histories: Sequence[Iterable[Id]] | None,
    more: Sequence[Iterable[Id]] | None = None,
) -> list[dict[str, Any]]:
    """Return the user or history of each of `count` requests, as keywords of one request.

    Raises:
        RecsysError: for users and histories, more without users, or another number of them.
    """
    if more is not None:
        if users is None or isinstance(more, str) or len(more) != count:
            raise RecsysError(f"ranker: found {len(more)} lists for more, expected {count} users and as many lists")
        return [{**one, "more": own} for one, own in zip(parse_batch_users(count, users, histories), more, strict=True)]
    if users is not None and histories is not None:
        raise RecsysError("ranker: found users and histories, expected one of them")
    given: Sequence[Any] | None = users if users is not None else histories
    if given is None:
        return [{} for _ in range(count)]
    if isinstance(given, str) or len(given) != count:
        raise RecsysError(f"ranker: found {len(given)} of whom asks, expected {count}: one for each request")
    return [{"user" if users is not None else "history": one} for one in given]


def parse_batch_guards(count: int, guards: Sequence[Sequence[Guard]] | None) -> Sequence[Sequence[Guard]]:
    """Return the guards of each of `count` requests.

    Raises:
        RecsysError: for another number of lists, or guards in the place of lists.
    """
    if guards is None:
        return [()] * count
    if len(guards) != count or any(isinstance(own, Guard) for own in guards):
        raise RecsysError(f"ranker: found {len(guards)} for guards, expected {count} lists: one for each request")
    return guards


def parse_batch_weights(count: int, weights: Sequence[Mapping[Any, float] | None] | None) -> Sequence[Any]:
    """Return the weights of each of `count` requests, None where one brings none.

    Raises:
        RecsysError: for another number of them, or one mapping in the place of several.
    """
    if weights is None:
        return [None] * count
    if isinstance(weights, str | Mapping) or len(weights) != count:
        raise RecsysError(f"ranker: found {len(weights)} for weights, expected {count} mappings: one for each request")
    return weights


def parse_batch_shown(count: int, shown: Sequence[Any] | None) -> Sequence[Any]:
    """Return what each of `count` requests brings of what was shown.

    Raises:
        RecsysError: for another number of lists.
    """
    if shown is None:
        return [None] * count
    listed = isinstance(shown, Sequence) and not isinstance(shown, str)
    if not listed or len(shown) != count:
        found = len(shown) if listed else f"a {type(shown).__name__}"
        raise RecsysError(f"ranker: found {found} for shown, expected {count} lists: one for each request")
    return shown


def catch_request_error(
    request: Callable[..., Recommendation], *given: Any, **settings: Any
) -> Recommendation | RecsysError:
    """Return the answer of one request of a batch, or what is wrong with it: the others do not fail for it."""
    try:
        return request(*given, **settings)
    except RecsysError as error:
        return error.with_traceback(None)
