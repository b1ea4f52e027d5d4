"""Requests of a batch: what each of them brings, in columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from typing import Any, NamedTuple, TypeVar, cast

from recsys.types import Guard, RecsysError

T = TypeVar("T")


class BatchColumns(NamedTuple):
    """What the requests of a batch bring: of each column one entry for each request, None where nobody brings any."""

    size: int  # the number of requests
    users: Sequence[Any] | None = None
    histories: Sequence[Any] | None = None
    more: Sequence[Any] | None = None
    dislikes: Sequence[Any] | None = None
    guards: Sequence[Any] | None = None
    weights: Sequence[Any] | None = None
    shown: Sequence[Any] | None = None
    items: Sequence[Any] | None = None  # candidates; None: they are retrieved
    scores: Sequence[Any] | None = None
    region_answers: Sequence[Any] | None = None

    def describe_request(self, n: int) -> dict[str, Any]:
        """Return what one request brings, as keywords of `rank` and `rerank`."""
        columns = {name: getattr(self, name) for name in ("more", "dislikes", "weights", "shown", "items", "scores")}
        columns |= {
            "region_answers": self.region_answers,
            "user": self.users,
            "history": self.histories,
            "guards": self.guards,
        }
        return {name: column[n] for name, column in columns.items() if column is not None}

    @property
    def own(self) -> list[Sequence[Any]]:
        """The columns of what requests bring beside users and candidates."""
        given = (self.histories, self.more, self.dislikes, self.guards, self.weights, self.shown, self.region_answers)
        return [column for column in given if column is not None]


def read_columns(
    count: int,
    users: Sequence[Any] | None,
    histories: Sequence[Any] | None,
    *,
    more: Sequence[Any] | None = None,
    dislikes: Sequence[Any] | None = None,
    guards: Sequence[Any] | None = None,
    weights: Sequence[Any] | None = None,
    shown: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    scores: Sequence[Any] | None = None,
    region_answers: Sequence[Any] | None = None,
) -> BatchColumns:
    """Return what `count` requests bring.

    Raises:
        RecsysError: for users and histories, more without users, or a list that does not have one for each request.
    """
    if users is not None and histories is not None:
        raise RecsysError("ranker: found users and histories, expected one of them")
    if more is not None and users is None:
        raise RecsysError("ranker: found more without users, expected the users who like more")
    if (items is None) != (scores is None):
        raise RecsysError("ranker: found one of items and scores, expected both, or neither")
    if items is not None and region_answers is not None:
        raise RecsysError(
            "ranker: found region_answers beside items, whose scores they do not change, expected no items"
        )
    given = {
        "users": users, "histories": histories, "more": more, "guards": guards, "weights": weights, "shown": shown,
        "dislikes": dislikes, "items": items, "scores": scores, "region_answers": region_answers,
    }  # fmt: skip
    return BatchColumns(count, **{name: _list_column(count, column, name) for name, column in given.items()})


def _list_column(count: int, given: Any, name: str) -> Sequence[Any] | None:
    """Return what each of `count` requests brings as `name`, None where nothing is given for any of them.

    Raises:
        RecsysError: for another number of them, or the guards of one request in the place of lists.
    """
    if given is None:
        return None
    found = count_listed(given, name)
    if name == "guards" and any(isinstance(own, Guard) for own in given):
        raise RecsysError(f"ranker: {name} are guards of one request, expected a list of guards for each of {count}")
    if found != count:
        raise RecsysError(f"ranker: found {found} for {name}, expected {count}: one for each request")
    return cast(Sequence[Any], given) if isinstance(given, list | tuple) else list(given)


def count_users(users: Any, histories: Any) -> int:
    """Return how many requests there are of users, or of histories.

    Raises:
        RecsysError: for neither, or a list that is none.
    """
    if users is None and histories is None:
        raise RecsysError("ranker: found neither users nor histories, expected one of them")
    return count_listed(histories, "histories") if users is None else count_listed(users, "users")


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


def catch_request_error(request: Callable[..., T], *given: Any) -> T | RecsysError:
    """Return the answer of one request of a batch, or what is wrong with it: the others do not fail for it."""
    try:
        return request(*given)
    except RecsysError as error:
        return error.with_traceback(None)
