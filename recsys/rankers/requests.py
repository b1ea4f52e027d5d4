"""Requests: the caller's ids as codes, and who asks as a context of one user."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from recsys import seeds
from recsys.data.identifiers import name_of
from recsys.maths import best_first, comparable
from recsys.maths.orders import KINDS
from recsys.types import Context, RecsysError
from recsys.types.arrays import Csr, Floats, Ints, Longs

Id = str | int | float
NOTHING = np.zeros(0, np.int32)
SPARSE = 64  # numbers for each id: with more, a table of them is not worth its memory


class Asker(NamedTuple):
    """Who asks: a user of the ranker, or a history."""

    code: int  # among the ranker's users, -1 for who is none of them
    history: Ints  # (h,) codes of the items liked, ascending
    unknown: tuple[str, ...] = ()  # ids of the history that the ranker does not know
    grown: bool = False  # a user whose history is longer than what the ranker was fitted to


class Candidates(NamedTuple):
    """What is to be ranked, best first; equal scores in the order in which they were given."""

    items: Ints  # (N,)
    scores: Floats  # (N,)
    unknown: tuple[str, ...] = ()  # ids that the ranker does not know: they are left out


class Ids:
    """Ids and their codes. Ids are names, as in data that is read: 50, 50.0 and "50" are one."""

    def __init__(self, ids: Any, by_number: Ints = NOTHING) -> None:
        """Read ids (I,) once: requests look them up in a dictionary, or arrays of numbers in `codes_by_number`."""
        self.names: list[str] = np.asarray(ids).tolist()
        self.codes: dict[str, int] = dict(zip(self.names, range(len(self.names)), strict=True))
        self.by_number = np.asarray(by_number)

    def look_up(self, given: Iterable[Id]) -> tuple[Ints, list[str]]:
        """Return the codes of the ids that are known, in their order, and the names of those that are not.

        Raises:
            RecsysError: if there is no list of ids.
        """
        if isinstance(given, np.ndarray) and given.dtype.kind in "iu" and given.ndim == 1 and len(self.by_number):
            codes = np.empty(len(given), np.int32)
            if kernels().find(self.by_number, given.astype(np.int64), codes):
                return codes, []
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise RecsysError(f"ranker: found {given!r} for items, expected a list of ids")
        names = given.tolist() if isinstance(given, np.ndarray) else list(given)
        try:
            return np.fromiter(map(self.codes.get, names), np.int32, len(names)), []
        except TypeError:  # None among them, or something that has no hash
            found = [self.codes.get(name_of(name)) for name in names]
        unknown = [name_of(name) for name, code in zip(names, found, strict=True) if code is None]
        return np.array([code for code in found if code is not None], dtype=np.int32), unknown


@cache
def kernels() -> Any:
    """Return the compiled functions of requests, imported when first asked for: importing Numba takes a while."""
    from recsys.kernels import requests

    return requests


def codes_by_number(ids: Any) -> Ints:
    """Return the code of each number where all ids are whole numbers and not too far apart, () where they are not.

    A number that is no id has -1.

    >>> codes_by_number(np.array(["3", "0"])).tolist(), codes_by_number(np.array(["3", "03"])).tolist()
    ([1, -1, -1, 0], [])
    """
    names = np.asarray(ids)
    try:
        numbers = names.astype(np.int64)
    except (ValueError, OverflowError):
        return NOTHING
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= SPARSE * len(numbers):
        return NOTHING
    digits = np.searchsorted(10 ** np.arange(1, 19), numbers, side="right") + 1
    letters = np.ascontiguousarray(names).view(np.uint32)
    if (np.strings.str_len(names) != digits).any() or letters.max() > ord("9"):  # 007, +7, or digits of other scripts
        return NOTHING
    codes = np.full(int(numbers.max()) + 1, -1, np.int32)
    codes[numbers] = np.arange(len(numbers))
    return codes


def asker(
    context: Context, users: Ids, items: Ids, user: Id | None, history: Iterable[Id] | None,
    more: Iterable[Id] | None = None,
) -> Asker:  # fmt: skip
    """Return who asks: `user`, who may like `more` by now, or whoever has this history, or somebody who is not known.

    Raises:
        RecsysError: for a user and a history, more without a user, or a user whom the ranker does not know: nobody is
            guessed.
    """
    if more is not None and user is None:
        raise RecsysError("ranker: found more without a user, expected both, or history= with all that they like")
    if user is not None and history is not None:
        raise RecsysError("ranker: found user and history, expected one of them: a known user has a history")
    if user is None:
        codes, unknown = (NOTHING, []) if history is None else items.look_up(history)
        return Asker(-1, np.unique(codes), tuple(unknown))
    code = users.codes.get(user) if isinstance(user, str) else None
    code = users.codes.get(name_of(user)) if code is None else code
    if code is None:
        raise RecsysError(
            f"ranker: user '{name_of(user)}' is none of the {len(users.names):,} that it was fitted to, "
            "expected one of them, or history= with what they like"
        )
    own = row_of(context.need_train("a ranker"), code)
    if more is None:
        return Asker(code, own)
    codes, unknown = items.look_up(more)
    both = np.union1d(own, codes).astype(np.int32)
    return Asker(code, both, tuple(unknown), grown=len(both) > len(own))


def row_of(matrix: Csr, row: int) -> Ints:
    """Return the columns of one row."""
    columns: Ints = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def candidates(ids: Ids, items: Sequence[Id], scores: Any) -> Candidates:
    """Return what the caller wants ranked, best first by the scores as they were given, which are then of 32 bits.

    Raises:
        RecsysError: for lists of unequal length, scores that are no finite numbers, or an item that is there twice.
    """
    try:
        array = np.asarray(scores)
    except ValueError:
        raise _no_score("lists of unequal length", -1) from None
    if array.dtype.kind not in KINDS:
        raise _no_score(f"type {array.dtype}", -1)
    codes, unknown = ids.look_up(items)
    if array.ndim != 1 or len(array) != len(codes) + len(unknown):
        found = f"{len(codes) + len(unknown)} items and scores of shape {array.shape}"
        raise RecsysError(f"ranker: found {found}, expected a score for each item")
    known: Any = slice(None)
    if unknown:
        missing = set(unknown)
        known = np.array([name_of(item) not in missing for item in items], dtype=bool)
        array = array[known]
    try:
        values = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise _no_score("something that is no number", -1) from None
    given = np.empty(len(values), np.float32)
    wrong = kernels().check(codes, values, given)
    if wrong & kernels().TWICE:
        place = next(n for n, code in enumerate(codes) if code in codes[:n])
        raise RecsysError(f"ranker: item '{ids.names[codes[place]]}' is there twice, expected each once")
    if wrong & kernels().ENDLESS:
        raise _no_score("NaN, infinity or a larger one", -1)
    listed = not isinstance(scores, np.ndarray)
    if array.dtype.kind not in "fiub" or (wrong & kernels().LARGE and (listed or array.dtype.kind != "f")):
        exact = np.asarray(scores, dtype=object)[known] if listed else array
        values, wrong = comparable(exact, _no_score), kernels().UNORDERED
    if wrong & kernels().UNORDERED:
        order = best_first(values)
        codes, given = codes[order], given[order]
    return Candidates(codes, given, tuple(unknown))


def _no_score(found: str, place: int) -> RecsysError:
    return RecsysError(f"ranker: scores: found {found}, expected a finite number of 32 bits for each item")


def context_for(context: Context, asker: Asker, seed: int | None = None) -> Context:
    """Return the context of a request: one user among all that the ranker was fitted to."""
    likes = np.ones(len(asker.history), dtype=np.float32)
    parts: Mapping[str, Any] = {}
    if asker.code >= 0:
        rows = slice(asker.code, asker.code + 1)
        parts = {name: _rows(getattr(context, name), rows) for name in ("dislikes", "times")}
    return Context(
        user_ids=np.array([""]) if asker.code < 0 else context.user_ids[asker.code : asker.code + 1],
        item_ids=context.item_ids,
        train=_row(asker.history, likes, len(context.item_ids)),
        items=context.items,
        factors=context.factors,
        seed=context.seed if seed is None else seed,
        among=context,
        known=np.array([asker.code], dtype=np.int64),
        keys=np.array([key_of(asker)], dtype=np.uint64),
        **parts,
    )


def context_among(context: Context, codes: Longs) -> Context:
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
        among=context,
        known=codes.astype(np.int64),
        keys=codes,
    )


def key_of(asker: Asker) -> int:
    """Return what tells the draws of a request from others: the user's code, or what somebody new has met."""
    return asker.code if asker.code >= 0 else seeds.derive(0, "history", *asker.history.tolist())


def _rows(matrix: Csr | None, rows: slice) -> Csr | None:
    return None if matrix is None else Csr(matrix[rows])


def _row(columns: Ints, values: Any, width: int) -> Csr:
    pointers: Longs = np.array([0, len(columns)])
    return Csr((values, columns, pointers), shape=(1, width))
