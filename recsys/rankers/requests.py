"""Requests: ids of items as codes, and the user as a context of one row."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from recsys.data.identifiers import normalize_id
from recsys.maths.ordering import NUMBER_KINDS, argsort_descending, make_comparable
from recsys.rankers.history_weights import (
    NO_WEIGHTS,
    build_row_weights,
    find_one_offs,
    has_dated_rows,
    split_dated_rows,
    weigh_request_history,
)
from recsys.rankers.user_names import make_unknown_user_error
from recsys.support import rng
from recsys.types import Context, ExposureHistories, RecsysError
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs
from recsys.types.errors import Setting, SettingError
from recsys.types.repeats import RepeatHistories

Id = str | int | float
HistoryRow = Id | tuple[Id, Any]  # an item, or an item and its datetime
NO_ITEMS = np.zeros(0, np.int32)
NO_TIMES: Mapping[int, int] = MappingProxyType({})
NO_ANSWERS: Mapping[int, bool] = MappingProxyType({})


class ShownRows(NamedTuple):
    """What was shown to the user of a request before: R rows by item, then time."""

    items: Ints  # (R,) codes, ascending
    times: Longs  # (R,) seconds since 1970
    dismissed: Bools  # (R,) whether the user said not to show the item
    now: int = 0  # seconds since 1970: the moment of the request


NO_EXPOSURES = ShownRows(NO_ITEMS, np.zeros(0, np.int64), np.zeros(0, bool))


class RequestUser(NamedTuple):
    """The user of a request: one whom the ranker was fitted to, or a history."""

    code: int  # among the ranker's users, -1 for who is none of them
    history: Ints  # (h,) codes of the items liked, ascending
    unknown: tuple[str, ...] = ()  # ids of the history that the ranker does not know
    is_extended: bool = False  # a user whose history is longer than the fitted one, or counts otherwise
    shown: ShownRows = NO_EXPOSURES
    exposure_notes: tuple[str, ...] = ()  # a plain sentence about exposures that are left out
    hidden: Ints = NO_ITEMS  # codes of the items that guards exclude for what was shown, ascending
    now: int = 0  # seconds since 1970: the moment of the request
    dated: Mapping[int, int] = NO_TIMES  # seconds since 1970 of items that a request brings with a time, by code
    weights: Floats = NO_WEIGHTS  # (h,) how much each item of the history counts, by age or as a one-off; () without
    one_offs: Ints = NO_ITEMS  # codes of the items of the history that fit nothing else of it, ascending
    again: Ints = NO_ITEMS  # codes of those that would be one-offs if they had not come again
    dislikes: Ints = NO_ITEMS  # codes of the items that the request says are disliked, ascending
    regions: Mapping[int, bool] = NO_ANSWERS  # whether the request likes each region that it brings an answer about
    unknown_regions: tuple[str, ...] = ()  # names of regions in answers that the ranker does not know
    stopper: int = (
        -1
    )  # the code of the user whose stopped topics are closed, also where nothing else is read of the user

    def count_unknown(self) -> int:
        """Return how many ids of the history and names of regions the ranker does not know."""
        return len(self.unknown) + len(self.unknown_regions)


NOBODY = RequestUser(-1, NO_ITEMS)  # of whom nothing is known


class Candidates(NamedTuple):
    """The candidates of a request, best first; equal scores in the order in which they were given."""

    items: Ints  # (N,)
    scores: Floats  # (N,)
    unknown: tuple[str, ...] = ()  # ids that the ranker does not know: they are left out
    likelihood_kind: str = ""  # as in `recsys.types.Pool`


class IdIndex:
    """Ids and their codes. Ids are names, as in data that is read: 50, 50.0 and "50" are one."""

    def __init__(self, names: list[str], codes: dict[str, int], number_codes: Ints = NO_ITEMS) -> None:
        """Take ids (I,), the code of each, and for arrays of integers what `build_number_codes` returns."""
        self.names, self.codes, self.number_codes = names, codes, np.asarray(number_codes)

    def look_up(self, given: Iterable[Id]) -> tuple[Ints, list[str]]:
        """Return the codes of the known ids, in their order, and the names of the others.

        Raises:
            RecsysError: if there is no list of ids.
        """
        if isinstance(given, np.ndarray) and given.dtype.kind in "iu" and given.ndim == 1 and len(self.number_codes):
            codes = np.empty(len(given), np.int32)
            if load_kernels().look_up_codes(self.number_codes, given.astype(np.int64), codes):
                return codes, []
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise RecsysError(f"ranker: found {given!r} for items, expected a list of ids")
        names = given.tolist() if isinstance(given, np.ndarray) else list(given)
        try:
            return np.fromiter(map(self.codes.get, names), np.int32, len(names)), []
        except TypeError:  # None among them, or something that has no hash
            found = [self.codes.get(normalize_id(name)) for name in names]
        unknown = [normalize_id(name) for name, code in zip(names, found, strict=True) if code is None]
        return np.array([code for code in found if code is not None], dtype=np.int32), unknown


@cache
def load_kernels() -> Any:
    """Return the compiled functions of requests, imported when first asked for: importing Numba takes a while."""
    from recsys.kernels import requests

    return requests


@cache
def load_exposure_kernels() -> Any:
    """Return the compiled functions of exposures, imported when first asked for."""
    from recsys.kernels import exposures

    return exposures


def resolve_request_user(
    context: Context, users: IdIndex, items: IdIndex, user: Id | None, history: Iterable[HistoryRow] | None,
    more: Iterable[HistoryRow] | None, now: int, dislikes: Iterable[Id] | None = None,
) -> RequestUser:  # fmt: skip
    """Return the user of a request: a known one, who may like `more` by now, a history, or nobody known.

    `now` is the moment of the request, in seconds since 1970; `dislikes` are items that it says are disliked.

    Raises:
        RecsysError: for a user and a history, more without a user, a user whom the ranker does not know: nobody is
            guessed; or an item that is both liked and disliked.
    """
    asks = _resolve_likes(context, users, items, user, history, more, now)
    return asks if dislikes is None else _add_dislikes(items, asks, dislikes)


def _add_dislikes(items: IdIndex, asks: RequestUser, dislikes: Iterable[Id]) -> RequestUser:
    codes, unknown = items.look_up(dislikes)
    codes = np.unique(codes)
    both = np.intersect1d(codes, asks.history)
    if len(both):
        raise RecsysError(f"ranker: item '{items.names[both[0]]}' is liked and disliked, expected one of them")
    return asks._replace(dislikes=codes, unknown=(*asks.unknown, *unknown))


def _resolve_likes(
    context: Context, users: IdIndex, items: IdIndex, user: Id | None, history: Iterable[HistoryRow] | None,
    more: Iterable[HistoryRow] | None, now: int,
) -> RequestUser:  # fmt: skip
    if more is not None and user is None:
        raise SettingError(
            "ranker: found more without a user, expected both, or ",
            Setting("history"),
            after=" with all that they like",
        )
    if user is not None and history is not None:
        raise RecsysError("ranker: found user and history, expected one of them: a known user has a history")
    if user is None:
        codes, unknown, dated = (
            (NO_ITEMS, [], NO_TIMES) if history is None else _look_up_history(items, "history", history)
        )
        liked = np.unique(codes)
        light, again = find_one_offs(context, -1, liked, NO_ITEMS, codes)
        weights = weigh_request_history(context, -1, liked, NO_ITEMS, dated, light)
        return RequestUser(
            -1, liked, tuple(unknown), now=now, weights=weights, dated=dated, one_offs=light, again=again
        )
    code = users.codes.get(user) if isinstance(user, str) else None
    code = users.codes.get(normalize_id(user)) if code is None else code
    if code is None:
        raise make_unknown_user_error(user, users.codes, Setting("history"))
    own = get_row_columns(context.need_train("a ranker"), code)
    if more is None:
        light = NO_ITEMS if context.one_offs is None else context.one_offs.find_items(code)
        weights = weigh_request_history(context, code, own, own, NO_TIMES, light)
        return RequestUser(code, own, now=now, weights=weights, one_offs=light)
    codes, unknown, dated = _look_up_history(items, "more", more)
    both = np.union1d(own, codes).astype(np.int32)
    light, again = find_one_offs(context, code, both, own, np.concatenate([own, codes]))
    weights = weigh_request_history(context, code, both, own, dated, light)
    extended = len(both) > len(own) or len(again) > 0
    told: dict[str, Any] = {"weights": weights, "dated": dated, "one_offs": light, "again": again}
    return RequestUser(code, both, tuple(unknown), is_extended=extended, now=now, **told)


def _look_up_history(items: IdIndex, name: str, given: Any) -> tuple[Ints, list[str], Mapping[int, int]]:
    """Return the codes of the known items of a history, the names of others, and the last time of each dated item."""
    if not has_dated_rows(given):
        codes, unknown = items.look_up(given)
        if not unknown or not any(isinstance(row, tuple | list) for row in given):
            return codes, unknown, NO_TIMES
    ids, times = split_dated_rows(f"ranker: {name}", given)
    dated: dict[int, int] = {}
    undated: set[int] = set()
    for one, time in zip(ids, times, strict=True):
        for code in items.look_up([one])[0].tolist():
            if time is None:
                undated.add(code)
            else:
                dated[code] = max(time, dated.get(code, time))
    codes, unknown = items.look_up(ids)
    return codes, unknown, {code: time for code, time in dated.items() if code not in undated}


def get_row_columns(matrix: Csr, row: int) -> Ints:
    """Return the columns of one row."""
    columns: Ints = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def parse_candidates(ids: IdIndex, items: Sequence[Id], scores: Any) -> Candidates:
    """Return the caller's candidates, best first by the given scores, which are then stored in 32 bits.

    Raises:
        RecsysError: for lists of unequal length, scores that are no finite numbers, or an item that is there twice.
    """
    try:
        array = np.asarray(scores)
    except ValueError:
        raise _build_score_error("lists of unequal length", -1) from None
    if array.dtype.kind not in NUMBER_KINDS:
        raise _build_score_error(f"type {array.dtype}", -1)
    codes, unknown = ids.look_up(items)
    if array.ndim != 1 or len(array) != len(codes) + len(unknown):
        found = f"{len(codes) + len(unknown)} items and scores of shape {array.shape}"
        raise RecsysError(f"ranker: found {found}, expected a score for each item")
    known: Any = slice(None)
    if unknown:
        missing = set(unknown)
        known = np.array([normalize_id(item) not in missing for item in items], dtype=bool)
        array = array[known]
    try:
        values = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _build_score_error("something that is no number", -1) from None
    given = np.empty(len(values), np.float32)
    wrong = load_kernels().check_candidates(codes, values, given)
    if wrong & load_kernels().TWICE:
        place = next(n for n, code in enumerate(codes) if code in codes[:n])
        raise RecsysError(f"ranker: item '{ids.names[codes[place]]}' is there twice, expected each once")
    if wrong & load_kernels().ENDLESS:
        raise _build_score_error("NaN, infinity or a larger one", -1)
    listed = not isinstance(scores, np.ndarray)
    if array.dtype.kind not in "fiub" or (wrong & load_kernels().LARGE and (listed or array.dtype.kind != "f")):
        exact = np.asarray(scores, dtype=object)[known] if listed else array
        values, wrong = make_comparable(exact, _build_score_error), load_kernels().UNORDERED
    if wrong & load_kernels().UNORDERED:
        order = argsort_descending(values)
        codes, given = codes[order], given[order]
    return Candidates(codes, given, tuple(unknown))


def _build_score_error(found: str, place: int) -> RecsysError:
    return RecsysError(f"ranker: scores: found {found}, expected a finite number of 32 bits for each item")


def build_user_context(context: Context, request_user: RequestUser, seed: int | None = None) -> Context:
    """Return the context of a request: one user among all that the ranker was fitted to."""
    likes = np.ones(len(request_user.history), dtype=np.float32)
    row = _build_row(request_user.history, likes, len(context.item_ids))
    parts: Mapping[str, Any] = {}
    if request_user.code >= 0:
        rows = slice(request_user.code, request_user.code + 1)
        parts = {name: _slice_rows(getattr(context, name), rows) for name in ("dislikes", "times")}
    if len(request_user.dislikes):
        declined = list_disliked_items(context, request_user)
        disliked = _build_row(declined, np.ones(len(declined), np.float32), len(context.item_ids))
        parts = {**parts, "dislikes": disliked}
    return Context(
        user_ids=np.array([""])
        if request_user.code < 0
        else context.user_ids[request_user.code : request_user.code + 1],
        item_ids=context.item_ids,
        train=row,
        items=context.items,
        factors=context.factors,
        seed=context.seed if seed is None else seed,
        parent_context=context,
        population_codes=np.array([request_user.code], dtype=np.int64),
        draw_keys=np.array([get_draw_key(request_user)], dtype=np.uint64),
        exposures=None if context.exposures is None else _build_exposure_history(request_user.shown, request_user.now),
        repeats=take_request_repeats(context, request_user),
        time_weights=build_row_weights(context, row, request_user.weights),
        **parts,
    )


def take_request_repeats(context: Context, request_user: RequestUser) -> RepeatHistories | None:
    """Return what the user of a request may be shown again, None of a ranker that knows of none.

    Nothing that the request dislikes. What the user only began, and did not like before, ends with a like.
    """
    if context.repeats is None:
        return None
    ended = request_user.dislikes
    if request_user.code >= 0:
        liked = get_row_columns(context.need_train("a ranker"), request_user.code)
        ended = np.concatenate([ended, np.setdiff1d(request_user.history, liked)])
    return context.repeats.take_users([request_user.code]).leave_items(ended)


def list_disliked_items(context: Context, request_user: RequestUser) -> Ints:
    """Return the items that the user of a request dislikes, codes: those that are held, and those that it brings."""
    if request_user.code < 0 or context.dislikes is None:
        return request_user.dislikes
    held = get_row_columns(context.dislikes, request_user.code)
    return np.union1d(held, request_user.dislikes).astype(np.int32) if len(request_user.dislikes) else held


def build_context_of_users(context: Context, codes: Longs) -> Context:
    """Return the context of several known users, by their codes, as requests of theirs have it."""
    return Context(
        user_ids=context.user_ids[codes],
        item_ids=context.item_ids,
        train=Csr(context.need_train("a ranker")[codes]),
        dislikes=None if context.dislikes is None else Csr(context.dislikes[codes]),
        times=None if context.times is None else Csr(context.times[codes]),
        items=context.items,
        factors=context.factors,
        seed=context.seed,
        parent_context=context,
        population_codes=codes.astype(np.int64),
        draw_keys=codes,
        exposures=None if context.exposures is None else context.exposures.take_users(codes),
        repeats=None if context.repeats is None else context.repeats.take_users(codes),
        time_weights=None if context.time_weights is None else context.time_weights.take_users(codes),
    )


def _build_exposure_history(rows: ShownRows, now: int) -> ExposureHistories:
    pointers = np.array([0, len(rows.items)], np.int64)
    return ExposureHistories(pointers, rows.items, rows.times, rows.dismissed, now)


def get_draw_key(request_user: RequestUser) -> int:
    """Return the key of a request's draws: the user's code, or the history of a new user."""
    return (
        request_user.code if request_user.code >= 0 else rng.derive_seed(0, "history", *request_user.history.tolist())
    )


def _slice_rows(matrix: Csr | None, rows: slice) -> Csr | None:
    return None if matrix is None else Csr(matrix[rows])


def _build_row(columns: Ints, values: Any, width: int) -> Csr:
    pointers: Ints = np.array([0, len(columns)], np.int32)  # as those of maps: products of both copy no indices
    return Csr((values, columns, pointers), shape=(1, width))
