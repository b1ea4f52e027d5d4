"""The function that any engine of record batches calls: users or candidates in, slates out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.batch.columns import PLACE, make_output_schema
from recsys.batch.counts import BatchCounts
from recsys.batch.requests import BatchRequest, iter_request_blocks
from recsys.data.identifiers import normalize_id
from recsys.rankers import Ranker
from recsys.rankers.slate_columns import SlateColumns, join_columns, refuse_all
from recsys.types import Exposures, Guard, RecsysError
from recsys.types.arrays import Longs
from recsys.types.extras import needs_extra
from recsys.types.moments import parse_moment

if TYPE_CHECKING:
    import pyarrow as pa

ShownRows = list[tuple[str, int, bool]]


class RankedBatches:
    """Record batches of slates, made as they are asked for, and what was counted of the requests so far."""

    def __init__(self, ranked: Callable[["RankedBatches"], Iterator["pa.RecordBatch"]], schema: "pa.Schema") -> None:
        """Take what makes the batches, and their schema."""
        self.schema, self.counts = schema, BatchCounts()
        self._batches = ranked(self)

    def __iter__(self) -> Iterator["pa.RecordBatch"]:
        """Return itself: the batches can be read once."""
        return self

    def __next__(self) -> "pa.RecordBatch":
        """Return the slates of the next block of requests."""
        return next(self._batches)


@needs_extra("recsys.batch.rank_batches")
def rank_batches(
    ranker: Ranker,
    batches: Iterable["pa.RecordBatch"],
    *,
    k: int | None = None,
    seed: int | None = None,
    weights: Mapping[str, float] | None = None,
    shown: Exposures | None = None,
    guards: Sequence[Guard] = (),
    now: Any = None,
    contributions: bool = False,
    place: str = PLACE,
) -> RankedBatches:
    """Return the slates of all requests in record batches of Arrow, as record batches of Arrow.

    Each row is a request of the `user` in it, with what it brings: `history`, `more` and `dislikes` (lists of items;
    those of the first two may be records of item and time), `shown` (a list of records of item_id, datetime and
    dismissed), `weights` (a map or record of factors by objective) and `k`. With `item` and `score`, rows are
    candidates: those of one user stand together, also over the end of a batch, and what the request brings stands in
    the first of them. Other columns are not read, and any column but `user`, `item` and `score` may be absent or null.

    A slate is to the bit that of `Ranker.rank`, or of `Ranker.rerank` for candidates, with `user` where the ranker
    knows the user, whose `history` here counts as `more`, and else with the `history`. A user whom it does not know and
    who has none is counted and not answered, as are users whom its forget list took out, later requests of a user who
    was there before, and requests that the ranker refuses for what they bring. `counts` of the result says how many so
    far.

    The batches that come back have one row per pick: user, item, rank (from 1), score (the blended gain at its pick),
    base_rank (by relevance alone, from 1), log_propensity (null where picks are not drawn), notes and policy, and with
    `contributions` a column `contribution_<objective>` for each objective (null where a dial turned it off).

    `k`, `weights` and `shown` (a log of exposures of these users) hold for all requests beside what each brings, and
    `guards` for all of them beside the ranker's own, as those of a request do; `now` is the moment of all, the clock's
    at the call by default. Memory does not grow with the number of requests, but for a bit of each known user, the
    names of other users who have a history, and `shown`.

    Raises:
        RecsysError: for settings that no request can have, and, when the batch is asked for, for columns that cannot
            be read, a row without a user, and candidates of a user in two places.
    """
    moment = int(parse_moment("batch: now", _read_clock() if now is None else now))
    settings = {"seed": seed, "now": moment}
    _check_settings(ranker, k, weights, guards, settings)
    objectives = tuple(ranker.blend) if contributions else ()
    answer = _Answerer(ranker, k, dict(weights or {}), guards, settings, ShownOfUsers(shown))
    seen, output = SeenUsers(ranker), OutputColumns(ranker, objectives)

    def iter_ranked(result: RankedBatches) -> Iterator["pa.RecordBatch"]:
        for block in iter_request_blocks(batches, place):
            chosen, counted = _choose_requests(ranker, seen, block, place)
            slates = answer(chosen)
            result.counts += counted + count_slates(ranker, k, chosen, slates)
            yield output.build([one.user for one in chosen], slates)

    return RankedBatches(iter_ranked, make_output_schema(objectives))


def _read_clock() -> int:
    import time

    return int(time.time())


def _check_settings(
    ranker: Ranker,
    k: int | None,
    weights: Mapping[str, float] | None,
    guards: Sequence[Guard],
    settings: Mapping[str, Any],
) -> None:
    """Refuse what every request would be refused for."""
    ranker.rerank_many([], [], k=k, **settings)
    items = list(ranker.known_items)[:1]
    ranker.rerank(items, np.ones(len(items), np.float32), k=k, weights=weights, guards=guards, **settings)


class SeenUsers:
    """Users who were there before: a byte for each whom the ranker knows, and the names of others."""

    def __init__(self, ranker: Ranker) -> None:
        """Take the ranker that knows users."""
        self._codes = ranker.known_users
        self._known = np.zeros(len(ranker.context.user_ids), bool)
        self._others: set[str] = set()

    def add(self, user: str) -> bool:
        """Return whether a user is new, who is not from now on."""
        code = self._codes.get(user)
        if code is not None:
            is_new, self._known[code] = not self._known[code], True
            return is_new
        if user in self._others:
            return False
        self._others.add(user)
        return True


class ShownOfUsers:
    """The rows of a log of exposures by user."""

    def __init__(self, log: Exposures | None) -> None:
        """Take the log, None where there is none."""
        self._log = log
        if log is not None:
            self._order = np.argsort(log.user, kind="stable")
            self._ends = np.searchsorted(log.user[self._order], np.arange(len(log.user_ids) + 1))
            self._codes = {name: code for code, name in enumerate(log.user_ids.tolist())}

    def find(self, user: str) -> ShownRows | None:
        """Return the rows of a user, None where there are none."""
        if self._log is None or (code := self._codes.get(user)) is None:
            return None
        rows, log = self._order[self._ends[code] : self._ends[code + 1]], self._log
        dismissed = [False] * len(rows) if log.dismissed is None else log.dismissed[rows].tolist()
        return list(zip(log.item_ids[log.item[rows]].tolist(), log.datetime[rows].tolist(), dismissed, strict=True))


def is_forgotten(ranker: Ranker, user: str) -> bool:
    """Return whether the ranker's forget list took a user out since it was fitted or saved."""
    state = ranker.forget_state
    return state is not None and user not in ranker.known_users and user in state.base.known_users


def _choose_requests(
    ranker: Ranker, seen: SeenUsers, block: Sequence[BatchRequest], place: str
) -> tuple[list[BatchRequest], BatchCounts]:
    """Return the requests of a block that are to be answered, and the count of the others."""
    chosen: list[BatchRequest] = []
    unknown = forgotten = repeated = 0
    for one in block:
        if one.user not in ranker.known_users and is_forgotten(ranker, one.user):
            forgotten += 1
        elif one.user not in ranker.known_users and one.history is None:
            unknown += 1
        elif not seen.add(one.user):
            if one.items is not None:
                raise make_split_user_error(one.user, place)
            repeated += 1
        else:
            chosen.append(one)
    return chosen, BatchCounts(len(block), unknown_users=unknown, forgotten_users=forgotten, repeated_users=repeated)


def make_split_user_error(user: str, place: str) -> RecsysError:
    """Return the error for a user whose candidates stand in two places."""
    return RecsysError(
        f"{place}: candidates of user '{user}' come again after those of others, expected the rows of a user together"
    )


class _Answerer:
    """Answers blocks of requests, those of one kind together."""

    def __init__(
        self,
        ranker: Ranker,
        k: int | None,
        weights: dict[str, float],
        guards: Sequence[Guard],
        settings: dict[str, Any],
        shown: ShownOfUsers,
    ) -> None:
        self._ranker, self._k, self._weights, self._guards = ranker, k, weights, guards
        self._settings, self._shown = settings, shown

    def __call__(self, requests: Sequence[BatchRequest]) -> SlateColumns:
        """Return the slates of all requests, or why they are refused."""
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for place, one in enumerate(requests):
            known = one.user in self._ranker.known_users
            kind = (known, known and one.likes is not None, one.items is not None, self._k if one.k is None else one.k)
            kinds.setdefault(kind, []).append(place)
        parts = [(places, self._answer_kind([requests[n] for n in places], *kind)) for kind, places in kinds.items()]
        return join_columns(parts, len(requests))

    def _answer_kind(
        self, requests: Sequence[BatchRequest], known: bool, has_more: bool, has_candidates: bool, k: int | None
    ) -> SlateColumns:
        asked: dict[str, Any] = {
            "users": [one.user for one in requests] if known else None,
            "histories": None if known else [one.likes for one in requests],
            "more": [one.likes for one in requests] if has_more else None,
            "dislikes": _list_given([one.dislikes for one in requests]),
            "shown": _list_given([self._find_shown(one) for one in requests]),
            "weights": _list_given([self._join_weights(one) for one in requests]),
            "region_answers": _list_given([one.region_answers for one in requests]),
            "guards": [self._guards] * len(requests) if self._guards else None,
            "k": k,
            **self._settings,
        }
        try:
            if has_candidates:
                asked |= {"items": [one.items or [] for one in requests], "scores": [one.scores for one in requests]}
            return self._ranker.make_slate_columns(**asked)
        except RecsysError as error:
            if k == self._k:
                raise
            return refuse_all(len(requests), error, len(self._ranker.blend))  # the k that the requests bring

    def _find_shown(self, request: BatchRequest) -> Any:
        held = self._shown.find(request.user)
        return request.shown if held is None else [*held, *(request.shown or [])]

    def _join_weights(self, request: BatchRequest) -> dict[str, float] | None:
        if request.weights is None:
            return self._weights or None
        return {**self._weights, **request.weights}


def _list_given(values: list[Any]) -> list[Any] | None:
    """Return what each request brings, None where none of them brings anything."""
    return None if all(one is None for one in values) else values


def count_slates(ranker: Ranker, k: int | None, requests: Sequence[BatchRequest], slates: SlateColumns) -> BatchCounts:
    """Return the counts of slates of requests of k picks, where these do not say another number."""
    usual = ranker.policy.k if k is None else k
    made = np.ones(len(requests), bool)
    made[list(slates.errors)] = False
    wanted = np.array([usual if asked.k is None else asked.k for asked in requests], np.int64)
    refused = [f"user '{requests[place].user}': {slates.errors[place]}" for place in sorted(slates.errors)[:1]]
    return BatchCounts(
        slates=int(made.sum()),
        rows=len(slates.items),
        refused=len(slates.errors),
        without_history=count_without_history(ranker, [requests[place] for place in np.flatnonzero(made).tolist()]),
        short_slates=int((made & (slates.sizes < wanted)).sum()),
        empty_slates=int((made & (slates.sizes == 0)).sum()),
        unknown_items=int(slates.unknown_items.sum()),
        unknown_history=int(slates.unknown_history.sum()),
        unknown_regions=int(slates.unknown_regions.sum()),
        unmet_guards=Counter(name for told in slates.violations.values() for name in told),
        refusal=refused[0] if refused else "",
    )


def count_without_history(ranker: Ranker, requests: Sequence[BatchRequest]) -> int:
    """Return how many of the users of requests like no item that the ranker knows of."""
    pointers = ranker.context.need_train("a ranker").indptr
    codes = np.array([ranker.known_users.get(one.user, -1) for one in requests], np.int64)
    empty = (codes < 0) | (pointers[codes + 1] == pointers[codes])
    return sum(not _names_known_item(ranker, requests[n].likes) for n in np.flatnonzero(empty).tolist())


def _names_known_item(ranker: Ranker, likes: Sequence[Any] | None) -> bool:
    ids = (one[0] if isinstance(one, tuple) else one for one in likes or ())
    return any(normalize_id(one) in ranker.known_items for one in ids)


class OutputColumns:
    """Makes rows of slates: one for each pick."""

    def __init__(self, ranker: Ranker, objectives: Sequence[str]) -> None:
        """Take a ranker, and the objectives whose contributions are told."""
        import pyarrow as pa

        self._policy, self._blend, self._objectives = ranker.name, list(ranker.blend), objectives
        self._items = pa.array(ranker.context.item_ids.tolist(), pa.string())
        self._schema = make_output_schema(objectives)

    def build(self, users: Sequence[str], slates: SlateColumns) -> "pa.RecordBatch":
        """Return the picks of the slates of users."""
        import pyarrow as pa

        sizes = slates.sizes
        owner = np.repeat(np.arange(len(sizes)), sizes)
        ranks = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
        drawn = slates.log_propensity
        columns: list[Any] = [
            pa.array(users, pa.string()).take(pa.array(owner)),
            self._items.take(pa.array(slates.items)),
            pa.array(ranks.astype(np.int32)),
            pa.array(slates.scores),
            pa.array(slates.base_ranks.astype(np.int32)),
            pa.nulls(len(owner), pa.float32()) if drawn is None else pa.array(drawn),
            _take_said(slates.notes, [], pa.list_(pa.string()), owner),
            _take_said(slates.policies, self._policy, pa.string(), owner),
        ]
        for name in self._objectives:
            place = self._blend.index(name)
            absent = slates.turned_off[owner, place]
            columns.append(pa.array(np.ascontiguousarray(slates.contributions[:, place]), mask=absent))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _take_said(said: Mapping[int, Any], usual: Any, kind: "pa.DataType", owner: Longs) -> "pa.Array":
    """Return what is said of the request of each pick: what is said of few of them, and what is usual."""
    import pyarrow as pa

    order = {place: n for n, place in enumerate(said, start=1)}
    values = pa.array([usual, *(list(one) if isinstance(one, tuple) else one for one in said.values())], kind)
    which = np.zeros(int(owner.max(initial=-1)) + 1, np.int64)
    places = [place for place in order if place < len(which)]
    which[places] = [order[place] for place in places]
    return values.take(pa.array(which[owner]))
