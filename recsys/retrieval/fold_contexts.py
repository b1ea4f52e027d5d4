"""Contexts of cross-fitting: what objectives read of everybody is made from one half of the users."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from recsys.types import Context, Pool, TableCache, TasteMap
from recsys.types.arrays import Csr, Longs
from recsys.types.folds import Fold
from recsys.types.pools import ConstantFunction


def make_fold_context(context: Context, fold: Fold, *, maps: Sequence[TasteMap] | None = None) -> Context:
    """Return a context of the same users in which tables of everybody are made from `fold.table_users` alone.

    Own maps (all of that half makes them where `maps` is None), item vectors, popularity, communities, neighbours and
    accounts are those of that half. Users of the other half are new to it, as a user is whom a ranker was not fitted
    to: what an objective says of them comes from their own history and from these tables. Factors are those of the base
    model, which all users fitted; of user factors the other half's are left out.

    Raises:
        RecsysError: if the context has no histories.
    """
    train = context.need_train("cross-fitting")
    there = fold.table_users
    factors = context.factors
    if factors is not None:
        factors = replace(factors, user_factors=factors.user_factors[there])
    half = Csr(train[there])
    weights = None if context.time_weights is None else context.time_weights.take_users(there)
    weighted = half if weights is None else weights.weights
    parent = replace(
        context,
        user_ids=context.user_ids[there],
        train=half,
        dislikes=_take_rows(context.dislikes, there),
        times=_take_rows(context.times, there),
        factors=factors,
        exposures=None if context.exposures is None else context.exposures.take_users(there),
        repeats=None if context.repeats is None else context.repeats.take_users(there),
        time_weights=weights,
        one_offs=None if context.one_offs is None else context.one_offs.take_users(there),
        guest_runs=None if context.guest_runs is None else context.guest_runs.take_users(there),
        make_maps=partial(make_half_maps, weighted) if maps is None else ConstantFunction(maps),
        tables=TableCache(),
    )
    codes = np.full(train.shape[0], -1, dtype=np.int64)
    codes[there] = np.arange(len(there))
    keys = np.arange(train.shape[0]) if context.draw_keys is None else context.draw_keys
    return replace(
        context,
        factors=factors,
        make_maps=None,
        tables=TableCache(),
        parent_context=parent,
        population_codes=codes,
        draw_keys=keys,
    )


def make_half_maps(half: Csr) -> tuple[TasteMap, ...]:
    """Return the objectives' own maps of all of these histories, (T, I)."""
    from recsys.maps import objective_maps

    return objective_maps(half, half=None)


def select_table_users(pool: Pool, fold: Fold) -> Pool:
    """Return the rows of a pool whose users are among `fold.table_users`: what constants are fitted on."""
    rows = np.flatnonzero(np.isin(pool.users, fold.table_users))
    return replace(pool, users=pool.users[rows], items=pool.items[rows], scores=pool.scores[rows])


def _take_rows(matrix: Csr | None, rows: Longs) -> Csr | None:
    return None if matrix is None else Csr(matrix[rows])
