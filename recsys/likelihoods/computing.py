"""Features of a pool's candidates, and the scores of a likelihood, by the compiled kernel over blocks of users."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from recsys.likelihoods import features as functions
from recsys.likelihoods.features import COMPILED_FEATURES, FeatureTables, UserCandidates
from recsys.likelihoods.records import Likelihood
from recsys.likelihoods.tables import sort_histories
from recsys.support import rng
from recsys.types import Pool
from recsys.types.arrays import Anys, Doubles, Floats, Longs

BLOCK = 256  # users whose features are made at once


def compute_features(
    pool: Pool, tables: FeatureTables, names: Sequence[str], head: int, columns: dict[str, Doubles] | None = None
) -> Floats:
    """Return features of all candidates, (U, N, F) float32, in the order of `names`; 0 where there is none.

    `columns` are those of context features, by name, each (I,).
    """
    from recsys.kernels.likelihood_features import fill_likelihood_features  # here: importing Numba takes a while

    made = np.zeros((*pool.items.shape, len(COMPILED_FEATURES)), np.float32)
    fill: Any = fill_likelihood_features

    def work(block: slice) -> None:
        fill(*_lay_out(pool, tables, block, head), made[block])

    run_over_users(work, len(pool.users))
    others = [
        _compute_other(pool, tables, name, head, columns or {}) for name in names if name not in COMPILED_FEATURES
    ]
    place = {
        name: f
        for f, name in enumerate([*COMPILED_FEATURES, *(name for name in names if name not in COMPILED_FEATURES)])
    }
    whole = np.concatenate([made, np.stack(others, axis=2)], axis=2) if others else made
    return np.ascontiguousarray(whole[:, :, [place[name] for name in names]])


def compute_scores(
    pool: Pool, tables: FeatureTables, names: Sequence[str], weights: Doubles, offsets: Doubles, head: int,
    columns: dict[str, Doubles] | None = None,
) -> Doubles:  # fmt: skip
    """Return offset + the sum of weighted features of each candidate, (U, N), 0 where there is none.

    `weights` are (U, F), in the order of `names`, `offsets` (U,).
    """
    from recsys.kernels.likelihood_features import score_likelihoods

    place = {name: f for f, name in enumerate(COMPILED_FEATURES)}
    compiled = np.zeros((len(pool.users), len(COMPILED_FEATURES)))
    ours = [f for f, name in enumerate(names) if name in place]
    compiled[:, [place[names[f]] for f in ours]] = weights[:, ours]
    found = np.zeros(pool.items.shape)
    score: Any = score_likelihoods

    def work(block: slice) -> None:
        score(*_lay_out(pool, tables, block, head), compiled[block], offsets[block], found[block])

    run_over_users(work, len(pool.users))
    for f, name in enumerate(names):
        if name not in place:
            found += weights[:, f, None] * _compute_other(pool, tables, name, head, columns or {})
    return np.where(pool.items >= 0, found, 0.0)


def compute_by_functions(pool: Pool, tables: FeatureTables, names: Sequence[str], head: int) -> Doubles:
    """Return the same as `compute_features` by the functions of `recsys.likelihoods.features`, one user at a time."""
    whole = [_compute_other(pool, tables, name, head, {}) for name in names]
    return np.stack(whole, axis=2)


def deal_folds(users: Anys, n_folds: int, seed: int) -> Longs:
    """Return the fold of each user, by code, from 0 to n_folds - 1."""
    return np.asarray(rng.draw_uniforms(seed, "likelihood folds", users) * n_folds, dtype=np.int64)


def score_out_of_fold(pool: Pool, tables: FeatureTables, made: Likelihood) -> Doubles:
    """Return the score of each candidate by the coefficients that were fitted without its user, (U, N)."""
    fold = deal_folds(pool.population_codes, len(made.fold_intercepts), made.fold_seed)
    weights, offsets = made.get_weights(made.fold_coefficients, made.fold_intercepts)
    columns = dict(zip(made.columns.tolist(), made.column_values, strict=True))
    names = made.features.tolist()
    return compute_scores(pool, tables, names, weights[fold], offsets[fold], made.head, columns)


def order_best_first(scores: Doubles, items: Anys) -> Longs:
    """Return the order of each user's candidates by score, (U, N): of equal scores the first, and none last."""
    return np.argsort(np.where(items >= 0, -scores, np.inf), axis=1, kind="stable")


def run_over_users(work: Callable[[slice], None], users: int) -> None:
    """Do the work of blocks of users on threads; of one block here and now."""
    blocks = [slice(start, min(start + BLOCK, users)) for start in range(0, users, BLOCK)]
    if len(blocks) <= 1:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(work, blocks))


def _lay_out(pool: Pool, tables: FeatureTables, block: slice, head: int) -> tuple[Any, ...]:
    """Return the arguments of the kernel for a block of users."""
    starts, codes = pool.context.tables.get("sorted histories", lambda: sort_histories(pool.context))
    users = pool.users[block]
    lengths = starts[users + 1] - starts[users]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows: Longs = np.repeat(starts[users] - ends[:-1], lengths) + np.arange(ends[-1])
    items = pool.items[block]
    return (
        items, pool.scores[block], (items >= 0).sum(axis=1), ends, codes[rows], head, tables.vectors,
        tables.log_popularity, tables.usual_popularity, tables.regions, tables.region_shares,
    )  # fmt: skip


def _compute_other(
    pool: Pool, tables: FeatureTables, name: str, head: int, columns: dict[str, Doubles]
) -> Doubles:  # fmt: skip
    """Return a feature that is not compiled, (U, N): the column of an item table, or by its function."""
    if name in columns:
        return np.where(pool.items >= 0, columns[name][np.maximum(pool.items, 0)], 0.0)
    starts, codes = pool.context.tables.get("sorted histories", lambda: sort_histories(pool.context))
    found, function = np.zeros(pool.items.shape), getattr(functions, name)
    for u, n in enumerate(pool.lengths):
        if n:
            history = codes[starts[pool.users[u]] : starts[pool.users[u] + 1]]
            found[u, :n] = function(UserCandidates(pool.items[u, :n], pool.scores[u, :n], history, head, tables))
    return found
