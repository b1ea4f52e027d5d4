"""The function that any engine of record batches calls: users or candidates in, slates out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.batch.columns import PLACE, make_output_schema
from recsys.batch.counts import BatchCounts
from recsys.batch.requests import BatchRequest, iter_request_blocks
from recsys.data.identifiers import normalize_id
from recsys.rankers import Ranker, Recommendation
from recsys.types import Exposures, RecsysError
from recsys.types.arrays import Floats, Longs
from recsys.types.extras import needs_extra
from recsys.types.moments import parse_moment

if TYPE_CHECKING:
    import pyarrow as pa

Answer = Recommendation | RecsysError
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

    `k`, `weights` and `shown` (a log of exposures of these users) hold for all requests beside what each brings;
    `now` is the moment of all, the clock's at the call by default. Memory does not grow with the number of requests,
    but for a bit of each known user, the names of other users who have a history, and `shown`.

    Raises:
        RecsysError: for settings that no request can have, and, when the batch is asked for, for columns that cannot
            be read, a row without a user, and candidates of a user in two places.
    """
    moment = int(parse_moment("batch: now", _read_clock() if now is None else now))
    settings = {"seed": seed, "now": moment}
    _check_settings(ranker, k, seed, weights, moment)
    objectives = tuple(ranker.blend) if contributions else ()
    answer = _Answerer(ranker, k, dict(weights or {}), settings, ShownOfUsers(shown))
    seen = SeenUsers(ranker)

    def iter_ranked(result: RankedBatches) -> Iterator["pa.RecordBatch"]:
        for block in iter_request_blocks(batches, place):
            chosen, counted = _choose_requests(ranker, seen, block, place)
            answers = answer(chosen)
            result.counts += counted + count_answers(ranker, k, chosen, answers)
            yield build_output(chosen, answers, objectives)

    return RankedBatches(iter_ranked, make_output_schema(objectives))


def _read_clock() -> int:
    import time

    return int(time.time())


def _check_settings(
    ranker: Ranker, k: int | None, seed: int | None, weights: Mapping[str, float] | None, now: int
) -> None:
    """Refuse what every request would be refused for."""
    ranker.rerank_many([], [], k=k, seed=seed, now=now)
    items = list(ranker.known_items)[:1]
    ranker.rerank(items, np.ones(len(items), np.float32), k=k, seed=seed, weights=weights, now=now)


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
        self, ranker: Ranker, k: int | None, weights: dict[str, float], settings: dict[str, Any], shown: ShownOfUsers
    ) -> None:
        self._ranker, self._k, self._weights = ranker, k, weights
        self._settings, self._shown = settings, shown

    def __call__(self, requests: Sequence[BatchRequest]) -> list[Answer]:
        """Return the answer to each request, or why it is refused."""
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for place, one in enumerate(requests):
            known = one.user in self._ranker.known_users
            kind = (known, known and one.likes is not None, one.items is not None, self._k if one.k is None else one.k)
            kinds.setdefault(kind, []).append(place)
        found: list[Answer] = [RecsysError("")] * len(requests)
        for kind, places in kinds.items():
            for place, answer in zip(places, self._answer_kind([requests[n] for n in places], *kind), strict=True):
                found[place] = answer
        return found

    def _answer_kind(
        self, requests: Sequence[BatchRequest], known: bool, has_more: bool, has_candidates: bool, k: int | None
    ) -> Sequence[Answer]:
        asked: dict[str, Any] = {
            "users": [one.user for one in requests] if known else None,
            "histories": None if known else [one.likes for one in requests],
            "more": [one.likes for one in requests] if has_more else None,
            "dislikes": _list_given([one.dislikes for one in requests]),
            "shown": _list_given([self._find_shown(one) for one in requests]),
            "weights": _list_given([self._join_weights(one) for one in requests]),
            "k": k,
            **self._settings,
        }
        try:
            if has_candidates:
                items, scores = [one.items or [] for one in requests], [one.scores for one in requests]
                return self._ranker.rerank_many(items, scores, **asked)
            return self._ranker.rank_many(**asked)
        except RecsysError as error:
            if k == self._k:
                raise
            return [error] * len(requests)  # the k that the requests bring

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


def count_answers(
    ranker: Ranker, k: int | None, requests: Sequence[BatchRequest], answers: Sequence[Answer]
) -> BatchCounts:
    """Return the counts of answers to requests of k picks, where these do not say another number."""
    made = [(asked, one) for asked, one in zip(requests, answers, strict=True) if isinstance(one, Recommendation)]
    pairs = zip(requests, answers, strict=True)
    refused = [f"user '{asked.user}': {one}" for asked, one in pairs if isinstance(one, RecsysError)]
    usual = ranker.policy.k if k is None else k
    sizes = [len(answer.items) for _, answer in made]
    wanted = [usual if asked.k is None else asked.k for asked, _ in made]
    return BatchCounts(
        slates=len(made),
        rows=sum(sizes),
        refused=len(refused),
        without_history=count_without_history(ranker, [asked for asked, _ in made]),
        short_slates=sum(size < most for size, most in zip(sizes, wanted, strict=True)),
        empty_slates=sizes.count(0),
        unknown_items=sum(len(answer.unknown_items) for _, answer in made),
        unknown_history=sum(len(answer.unknown_history) for _, answer in made),
        unmet_guards=Counter(name for _, answer in made for name in answer.violations),
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


def build_output(
    requests: Sequence[BatchRequest], answers: Sequence[Answer], objectives: Sequence[str]
) -> "pa.RecordBatch":
    """Return the picks of answers as rows."""
    import pyarrow as pa

    made = [
        (one.user, answer) for one, answer in zip(requests, answers, strict=True) if not isinstance(answer, RecsysError)
    ]
    sizes = np.array([len(answer.items) for _, answer in made], np.int64)
    slates = np.repeat(np.arange(len(made)), sizes)
    ranks = np.arange(len(slates)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    columns: list[Any] = [
        pa.array([user for user, _ in made], pa.string()).take(pa.array(slates)),
        pa.array([item for _, answer in made for item in answer.items], pa.string()),
        pa.array(ranks.astype(np.int32)),
        _join([answer.scores if len(answer.items) else _NO_NUMBERS for _, answer in made]),
        pa.array(np.concatenate([_NO_RANKS, *(answer.base_ranks for _, answer in made)]).astype(np.int32)),
        _join([answer.log_propensity for _, answer in made], sizes),
        pa.array([list(answer.notes) for _, answer in made], pa.list_(pa.string())).take(pa.array(slates)),
        pa.array([answer.policy for _, answer in made], pa.string()).take(pa.array(slates)),
    ]
    columns += [_join([_get_contributions(answer, name) for _, answer in made], sizes) for name in objectives]
    return pa.RecordBatch.from_arrays(columns, schema=make_output_schema(objectives))


_NO_NUMBERS = np.zeros(0, np.float32)
_NO_RANKS = np.zeros(0, np.int64)


def _get_contributions(answer: Recommendation, objective: str) -> Floats | None:
    if objective not in answer.objectives:
        return None
    return answer.contributions[:, answer.objectives.index(objective)]


def _join(parts: Sequence[Floats | None], sizes: Longs | None = None) -> "pa.Array":
    """Return the numbers of all slates, null for those of a slate that has none."""
    import pyarrow as pa

    if sizes is None:
        return pa.array(np.concatenate([_NO_NUMBERS, *(one for one in parts if one is not None)]), pa.float32())
    filled = [np.zeros(size, np.float32) if one is None else one for one, size in zip(parts, sizes, strict=True)]
    absent = np.repeat(np.array([one is None for one in parts], bool), sizes)
    return pa.array(np.concatenate([_NO_NUMBERS, *filled]).astype(np.float32), pa.float32(), mask=absent)
