"""Pools: the candidates of each user, best first, from a model or from scores made elsewhere."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from recsys.maths.distributions import mostly_unexplored
from recsys.maths.ordering import LOWEST_SCORE, find_top_n, find_top_n_with_reserve, make_comparable
from recsys.models.factor_model import FittedFactors
from recsys.models.fits import check_fitted
from recsys.retrieval.exposures import build_exposure_histories
from recsys.retrieval.score_blocks import collect_top_items, make_item_mask
from recsys.support import rng
from recsys.types import Context, ExposureHistories, Exposures, RecsysError, RecsysWarning, Scorer, Split, TasteMap
from recsys.types import pools as records
from recsys.types.arrays import Anys, Csr, Ints, Longs, Strings
from recsys.types.numbers import check_flag, check_int, check_number
from recsys.types.pools import ConstantFunction

Job = TypeVar("Job")

BLOCK = 256  # users scored at once
EXPECTED_FINITE = "expected a finite number of 32 bits"
_ROWS = 4096  # factors looked at at once
CELLS = 2**19  # scores looked through at once: they are still in the cache when they are looked at again


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
        shown: Exposures | None = None,
        now: Any = None,
    ) -> "Pool":
        """Return the pool of any model's candidates: three columns of equal length, in any order.

        Ids are text, as in data that is read: 1, 1.0, "1" and "1.0" are one id. With `split`, objectives know
        histories, features and maps; candidates that the user has met are left out (a user who has met all of them
        keeps a row of -1), and ids that the split does not have are refused. Without it, only objectives that need
        none of them work. `n` keeps the best n of each user; by default the longest list decides.
        `shown` and `now` are as for `recsys.candidates`.

        Raises:
            RecsysError: for columns of unequal length, missing ids, NaN or infinite scores, repeated pairs, unknown
                ids, or an n below 1.
        """
        from recsys.data.candidates import encode_split_ids, normalize_candidates

        n = None if n is None else check_int("candidates: n", n, 1)
        seed = check_int("candidates: seed", seed)
        user_names, item_names, keys, values = normalize_candidates(user_id, item_id, score)
        if split is None:
            user_ids, users = np.unique(user_names, return_inverse=True)
            item_ids, items = np.unique(item_names, return_inverse=True)
            where = Context(
                user_ids,
                item_ids,
                seed=seed,
                make_maps=None if maps is None else ConstantFunction(maps),
                exposures=align_exposures(shown, now, user_ids, item_ids),
            )
            fresh = np.ones(len(values), dtype=bool)
        else:
            users = encode_split_ids("user_id", user_names, split.user_ids)
            items = encode_split_ids("item_id", item_names, split.item_ids)
            where = make_context(split, maps=maps, seed=seed, shown=shown, now=now)
            fresh = np.asarray(split.seen[users, items]).ravel() == 0
            if not fresh.any():
                raise RecsysError("candidates: every pair was met in training, expected items new to somebody")
        given = np.unique(users)
        users, items, keys, values = users[fresh], items[fresh], keys[fresh], values[fresh]
        pairs = users.astype(np.int64) * len(where.item_ids) + items
        if len(np.unique(pairs)) < len(pairs):
            raise RecsysError("candidates: a pair of user_id and item_id is there twice, expected each pair once")
        ties = rng.make_generator(seed, "ties").permutation(len(where.item_ids))
        order = np.lexsort((ties[items], -keys, users))  # by the scores given: those of 32 bits may be alike
        row = np.searchsorted(given, users[order])
        rank = np.arange(len(order)) - np.searchsorted(row, row)
        n = int(rank.max()) + 1 if n is None else n
        kept = rank < n
        pool_items = np.full((len(given), n), -1, dtype=np.int32)
        pool_scores = np.zeros((len(given), n), dtype=np.float32)
        pool_items[row[kept], rank[kept]] = items[order][kept]
        pool_scores[row[kept], rank[kept]] = values[order][kept]
        return cls(given.astype(np.int32), pool_items, pool_scores, where)


def candidates(
    model: Scorer,
    split: Split,
    *,
    n: int = 200,
    users: Ints | None = None,
    maps: Sequence[TasteMap] | None = None,
    seed: int = 0,
    exclude_seen: bool = True,
    exploration_share: float = 0.0,
    shown: Exposures | None = None,
    now: Any = None,
) -> Pool:
    """Return the exact top n items of each user, (U, n), best first; equal scores in an order drawn by `seed`.

    Items that the user has met (whatever the rating) and, under a split at one point in time, items that did
    not exist yet are left out; `exclude_seen=False` keeps the met ones, for repeat consumption. A user with fewer
    than n items left gets a row that ends in -1. `users` are codes into `split.user_ids`; all by default.
    `maps` are the objectives' own maps; by default `recsys.maps.objective_maps` makes them when an objective asks.
    Memory beyond the result does not grow with the number of users. Factor models are scored on all cores with one
    BLAS thread each (the whole process has no more meanwhile): no bit depends on how many there are.

    With `exploration_share`, a share from 0 to 1, the best ceil(exploration_share * n) items from regions that the user
    never touched are among the n, whatever their place; the others are the best of the rest, and all stand in the order
    of their scores. An item is from such a region when at least half of the own maps that know it put it where the user
    has no training positive (`recsys.maths.distributions.mostly_unexplored`). A user who has fewer of them left gets
    the best of the rest instead. It takes a look at each map for every user and item.

    `shown` is the log of what was shown before (`recsys.read_exposures`): guards and objectives read it. Rows of
    unknown users and items are left out. `now` is the moment that slates are made for, in seconds since 1970 or as a
    `datetime`; by default that of the latest exposure.

    Scores of a model of one's own may be numbers of any kind: they are ordered as they are, and then stored in 32 bits.

    Raises:
        RecsysError: if n is not between 1 and the number of items, for a reach that is no share, users that the
            split does not have, a model that was fitted on other users and items, one whose scores are not finite,
            or an exposure after `now`.
    """
    total, count = split.shape
    check_flag("pool: exclude_seen", exclude_seen)
    check_fitted("pool", model)
    n = check_int("pool: n", n, 1, count, "the items of the catalogue")
    seed = check_int("pool: seed", seed)
    exploration_share = check_number("pool: exploration_share", exploration_share, most=1.0)
    rows = np.arange(total, dtype=np.int32) if users is None else _check_user_codes(users, total)
    items = np.full((len(rows), n), -1, dtype=np.int32)
    scores = np.zeros((len(rows), n), dtype=np.float32)
    ties = rng.make_generator(seed, "ties").permutation(count)
    without = make_item_mask(split, hide_seen=exclude_seen)
    around = make_context(split, model, maps=maps, seed=seed, shown=shown, now=now)
    if isinstance(model, FittedFactors):
        _check_finite_products(model)
    reserved = int(np.ceil(exploration_share * n - 1e-9))
    regions = [taste_map.hard_regions for taste_map in around.maps] if reserved else []

    def in_stretches(block: tuple[Longs, Ints]) -> None:
        places, users = block
        own = rows[places]
        stretches = cast(FittedFactors, model).iter_score_blocks(users)
        items[places], scores[places] = collect_top_items(stretches, own % BLOCK, own, n, ties, without)

    def at_once(places: Longs, given: Anys, keys: Anys) -> None:
        own, at = rows[places], np.arange(len(places), dtype=np.int32)
        made = keys.take(own % BLOCK, axis=0)
        if made.dtype == np.float32 and not reserved:
            items[places], scores[places] = collect_top_items([(0, made)], at, own, n, ties, without)
            return
        without.mask_scores(made, at, own, 0)
        if reserved:
            outside = mostly_unexplored(split.train[own], regions)
            found, best = find_top_n_with_reserve(made, outside, n, reserved, ties)
        else:
            found, best = find_top_n(made, n, ties)
        if given.dtype != np.float32:  # keys may be places in the order of scores
            best = np.where(found >= 0, given[own[:, None] % BLOCK, found], 0).astype(np.float64)
        items[places], scores[places] = found, best

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        if isinstance(model, FittedFactors) and not reserved:
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1, user_api="blas"):
                _run_jobs(in_stretches, _iter_user_blocks(model, rows, split.shape), workers)
        else:
            step = max(1, CELLS // count)
            for places, given, keys in _iter_scored_blocks(model, rows, split.shape):
                pieces = [places[start : start + step] for start in range(0, len(places), step)]
                list(workers.map(at_once, pieces, repeat(given), repeat(keys)))
    return Pool(rows, items, scores, around)


def make_context(
    split: Split,
    model: Scorer | None = None,
    *,
    maps: Sequence[TasteMap] | None = None,
    seed: int = 0,
    shown: Exposures | ExposureHistories | None = None,
    now: Any = None,
) -> Context:
    """Return the context of objectives: histories, catalogue, factors, own maps, and what was shown before."""
    return Context(
        user_ids=split.user_ids,
        item_ids=split.item_ids,
        train=split.train,
        dislikes=split.train_negatives,
        times=split.train_times,
        items=split.items,
        factors=None if model is None else model.factors,
        make_maps=partial(_make_objective_maps, split.weighted_train) if maps is None else ConstantFunction(maps),
        seed=seed,
        exposures=align_exposures(shown, now, split.user_ids, split.item_ids),
        time_weights=split.time_weights,
        one_offs=split.one_offs,
        guest_runs=split.guest_runs,
    )


def align_exposures(
    shown: Exposures | ExposureHistories | None, now: Any, user_ids: Strings, item_ids: Strings
) -> ExposureHistories | None:
    """Return what was shown to these users, None where no log says it; histories are given back as they are."""
    if shown is None or isinstance(shown, ExposureHistories):
        return shown
    histories, notes = build_exposure_histories(shown, user_ids, item_ids, now=now)
    for note in notes:
        warnings.warn(note, RecsysWarning, stacklevel=4)
    return histories


def _make_objective_maps(train: Csr) -> Sequence[TasteMap]:
    from recsys.maps import objective_maps

    made: Sequence[TasteMap] = objective_maps(train)
    return made


def _check_user_codes(users: Ints, total: int) -> Ints:
    rows = np.asarray(users)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        found = f"an array of shape {rows.shape} and type {rows.dtype}"
        raise RecsysError(f"pool: users: found {found}, expected a list of codes into split.user_ids")
    if rows.size and not 0 <= rows.min() <= rows.max() < total:
        raise RecsysError(f"pool: users: found codes {rows.min()} to {rows.max()}, expected 0 to {total - 1}")
    return rows.astype(np.int32)


def _run_jobs(work: Callable[[Job], None], jobs: Iterable[Job], workers: ThreadPoolExecutor) -> None:
    """Run the jobs on the workers, and make only a few at a time, so that memory does not grow with their number."""
    running: deque[Future[None]] = deque()
    for job in jobs:
        running.append(workers.submit(work, job))
        if len(running) > 2 * (os.cpu_count() or 1):
            running.popleft().result()
    for left in running:
        left.result()


def _iter_user_blocks(model: Scorer, rows: Ints, shape: tuple[int, int]) -> Iterator[tuple[Longs, Ints]]:
    """Yield positions in `rows` and all users of their blocks, fixed ones of the users of the split, (U, I) = `shape`.

    The last bits of a matrix product depend on where a row stands in it, so a user always stands in the same
    place of the same block, whoever else is asked for.
    """
    if model.factors is not None:
        users, items = (len(side) for side in (model.factors.user_factors, model.factors.item_factors))
        if (users, items) != shape:
            raise _make_misfit_error(model, f"{users} users" if users != shape[0] else f"{items} items", shape)
    order = np.argsort(rows // BLOCK, kind="stable")
    blocks, starts = np.unique(rows[order] // BLOCK, return_index=True)
    for block, places in zip(blocks, np.split(order, starts[1:]), strict=False):  # no users: one empty part
        yield places, np.minimum(np.arange(block * BLOCK, (block + 1) * BLOCK), shape[0] - 1).astype(np.int32)


def _iter_scored_blocks(model: Scorer, rows: Ints, shape: tuple[int, int]) -> Iterator[tuple[Longs, Anys, Anys]]:
    """Yield positions in `rows`, the scores of their blocks, (BLOCK, I), and comparable numbers in the same order."""

    def refuse(found: str, place: int) -> RecsysError:
        where = "" if place < 0 else f" for item code {place % shape[1]}"
        return RecsysError(f"pool: a score of {type(model).__name__}{where} is {found}, {EXPECTED_FINITE}")

    for places, users in _iter_user_blocks(model, rows, shape):
        try:
            scores = np.asarray(model.score(users))
        except IndexError as error:
            raise _make_misfit_error(model, f"fewer users ({error})", shape) from error
        if scores.shape != (BLOCK, shape[1]):
            raise _make_misfit_error(model, f"{scores.shape[-1] if scores.ndim else 0} items", shape)
        yield places, scores, make_comparable(scores, refuse)


def _check_finite_products(model: FittedFactors) -> None:
    """Refuse factors whose dot products may not be finite: they are looked at stretch by stretch, and never all."""
    longest = 1.0
    for side in (model.factors.user_factors, model.factors.item_factors):
        parts = (side[start : start + _ROWS].astype(np.float64) for start in range(0, len(side), _ROWS))
        longest *= np.max([0.0, *(np.linalg.norm(part, axis=1).max() for part in parts)])  # NaN stays one
    if not longest < -LOWEST_SCORE:
        raise RecsysError(
            f"pool: a score of {type(model).__name__} may be as large as {longest:.6g}, {EXPECTED_FINITE}"
        )


def _make_misfit_error(model: Scorer, found: str, shape: tuple[int, int]) -> RecsysError:
    expected = f"expected one that was fitted to this split: {shape[0]} users and {shape[1]} items"
    return RecsysError(f"pool: the {type(model).__name__} is of {found}, {expected}")
