"""Pools: the candidates of each user, best first, from a model or from scores made elsewhere."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from recsys import seeds
from recsys.types import Context, RecsysError, Scorer, Split, TasteMap
from recsys.types import pools as records
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs, Strings, empty

BLOCK = 256  # users scored at once
NEVER = np.float32(-3.0e38)  # finite, below every score


class Pool(records.Pool):
    """Candidates of U users, best first (`recsys.types.Pool`), and a way in for scores made elsewhere."""

    @classmethod
    def from_frame(
        cls,
        user_id: ArrayLike,
        item_id: ArrayLike,
        score: ArrayLike,
        *,
        split: Split | None = None,
        n: int | None = None,
        maps: Sequence[TasteMap] | None = None,
        seed: int = 0,
    ) -> "Pool":
        """Return the pool of any model's candidates: three columns of equal length, in any order.

        With `split`, objectives know histories, features and maps; candidates that the user has met are left out,
        and ids that the split does not have are refused. Without it, only objectives that need none of them work.
        `n` keeps the best n of each user; by default the longest list decides.

        Raises:
            RecsysError: for columns of unequal length, NaN or infinite scores, repeated pairs, unknown ids.
        """
        user_names, item_names, values = _columns(user_id, item_id, score)
        if split is None:
            user_ids, users = np.unique(user_names, return_inverse=True)
            item_ids, items = np.unique(item_names, return_inverse=True)
            where = Context(user_ids, item_ids, seed=seed, make_maps=None if maps is None else lambda: maps)
        else:
            users = _codes("user_id", user_names, split.user_ids)
            items = _codes("item_id", item_names, split.item_ids)
            fresh = np.asarray(split.met[users, items]).ravel() == 0
            users, items, values = users[fresh], items[fresh], values[fresh]
            if not len(values):
                raise RecsysError("candidates: every pair was met in training, expected items new to somebody")
            where = context(split, maps=maps, seed=seed)
        pairs = users.astype(np.int64) * len(where.item_ids) + items
        if len(np.unique(pairs)) < len(pairs):
            raise RecsysError("candidates: a pair of user_id and item_id is there twice, expected each pair once")
        ties = seeds.generator(seed, "ties").permutation(len(where.item_ids))
        order = np.lexsort((ties[items], -values, users))
        rows, first, sizes = np.unique(users[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(first, sizes)
        n = int(sizes.max()) if n is None else n
        kept = rank < n
        row = np.repeat(np.arange(len(rows)), sizes)[kept]
        pool_items = np.full((len(rows), n), -1, dtype=np.int32)
        pool_scores = np.zeros((len(rows), n), dtype=np.float32)
        pool_items[row, rank[kept]] = items[order][kept]
        pool_scores[row, rank[kept]] = values[order][kept]
        return cls(rows.astype(np.int32), pool_items, pool_scores, where)


def candidates(
    model: Scorer,
    split: Split,
    *,
    n: int = 200,
    users: Ints | None = None,
    maps: Sequence[TasteMap] | None = None,
    seed: int = 0,
    history: Literal["exclude", "keep"] = "exclude",
) -> Pool:
    """Return the exact top n items of each user, (U, n), best first; equal scores in an order drawn by `seed`.

    Items that the user has met (whatever the rating) and, under a split at one point in time, items that did
    not exist yet are left out; `history="keep"` keeps the met ones, for repeat consumption. A user with fewer
    than n items left gets a row that ends in -1. `users` are codes into `split.user_ids`; all by default.
    `maps` are the objectives' own maps; by default `recsys.maps.own` makes them when an objective asks.
    Memory beyond the result does not grow with the number of users.

    Raises:
        RecsysError: if n is not between 1 and the number of items.
    """
    count = split.train.shape[1]
    if history not in ("exclude", "keep"):
        raise RecsysError(f"pool: history is '{history}', expected exclude or keep")
    if not hasattr(model, "score"):
        raise RecsysError(f"pool: the {type(model).__name__} is not fitted, expected what its fit(split.train) returns")
    if not 1 <= n <= count:
        raise RecsysError(f"pool: n is {n}, expected a number from 1 to {count}, the items of the catalogue")
    rows = np.arange(split.train.shape[0], dtype=np.int32) if users is None else np.asarray(users, dtype=np.int32)
    items = np.full((len(rows), n), -1, dtype=np.int32)
    scores = np.zeros((len(rows), n), dtype=np.float32)
    ties = seeds.generator(seed, "ties").permutation(count)
    met = split.met if history == "exclude" else empty(split.shape)
    gone = ~split.available
    for places, block in _scored(model, rows, split.train.shape[0]):
        block[:, gone] = NEVER
        _forget(block, met, rows[places])
        items[places], scores[places] = _top(block, n, ties)
    return Pool(rows, items, scores, context(split, model, maps=maps, seed=seed))


def context(
    split: Split, model: Scorer | None = None, *, maps: Sequence[TasteMap] | None = None, seed: int = 0
) -> Context:
    """Return what objectives look at beside the candidates: history, catalogue, factors, own maps."""

    def make_maps() -> Sequence[TasteMap]:
        if maps is not None:
            return maps
        from recsys.maps import own

        made: Sequence[TasteMap] = own(split.train, seed=seed)
        return made

    return Context(
        user_ids=split.user_ids,
        item_ids=split.item_ids,
        train=split.train,
        dislikes=split.train_other,
        items=split.items,
        factors=None if model is None else model.factors,
        make_maps=make_maps,
        seed=seed,
    )


def _scored(model: Scorer, rows: Ints, total: int) -> Iterator[tuple[Longs, Floats]]:
    """Yield positions in `rows` and their scores, over fixed blocks of all `total` users.

    The last bits of a matrix product depend on where a row stands in it, so a user always stands in the same
    place of the same block, whoever else is asked for.
    """
    for block in np.unique(rows // BLOCK):
        places = np.flatnonzero(rows // BLOCK == block)
        users = np.minimum(np.arange(block * BLOCK, (block + 1) * BLOCK), total - 1).astype(np.int32)
        yield places, np.asarray(model.score(users), dtype=np.float32)[rows[places] - block * BLOCK]


def _forget(scores: Floats, met: Csr, users: Ints) -> None:
    """Put NEVER where a user has met an item."""
    part = met[users].tocoo()
    scores[part.row, part.col] = NEVER


def _top(scores: Floats, n: int, ties: Longs) -> tuple[Ints, Floats]:
    """Return the n best columns of each row, best first, ties by `ties`; -1 and 0 where the score is NEVER."""
    last = scores.shape[1] - n
    best = np.argpartition(scores, last, axis=1)[:, last:] if last else _all_columns(scores)
    edge = np.take_along_axis(scores, best, axis=1).min(axis=1)
    tied = (scores >= edge[:, None]).sum(axis=1) > n
    for row in np.flatnonzero(tied & (edge > NEVER)):
        reach = np.flatnonzero(scores[row] >= edge[row])
        best[row] = reach[np.lexsort((ties[reach], -scores[row, reach]))[:n]]
    found = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((ties[best], -found), axis=1)
    items = np.take_along_axis(best, order, axis=1).astype(np.int32)
    found = np.take_along_axis(found, order, axis=1)
    nobody: Bools = found <= NEVER
    return np.where(nobody, np.int32(-1), items), np.where(nobody, np.float32(0), found)


def _all_columns(scores: Floats) -> Longs:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))


def _columns(user_id: ArrayLike, item_id: ArrayLike, score: ArrayLike) -> tuple[Strings, Strings, Floats]:
    users, items = np.asarray(user_id).astype(np.str_), np.asarray(item_id).astype(np.str_)
    try:
        values = np.asarray(score, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RecsysError(f"candidates: score is not numeric ({error}), expected finite numbers") from None
    if not len(users) == len(items) == len(values):
        raise RecsysError(
            f"candidates: user_id, item_id and score have {len(users)}, {len(items)} and {len(values)} rows, "
            "expected equal lengths"
        )
    if not len(values):
        raise RecsysError("candidates: there are no rows, expected at least one")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise RecsysError(f"candidates: score of row {row} is {values[row]}, expected a finite number")
    return users, items, values


def _codes(column: str, names: Strings, known: Strings) -> Longs:
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, names, sorter=order), len(known) - 1)
    codes = order[at]
    wrong = known[codes] != names
    if wrong.any():
        raise RecsysError(
            f"candidates: {len(np.unique(names[wrong]))} values of {column} are not in the split "
            f"(first: '{names[wrong][0]}'), expected ids of the training data"
        )
    return np.asarray(codes)
