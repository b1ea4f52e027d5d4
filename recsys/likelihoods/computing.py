"""Features of a pool's candidates, and the scores of a likelihood, by the compiled kernel over blocks of users."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.likelihoods import features as functions
from recsys.likelihoods.features import COMPILED_FEATURES, FeatureTables, UserCandidates
from recsys.likelihoods.records import Likelihood
from recsys.likelihoods.tables import NEEDED_BY
from recsys.objectives.derived_tables import get_sorted_histories
from recsys.support import rng
from recsys.types import Pool
from recsys.types.arrays import Anys, Doubles, Floats, Ints, Longs

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


@dataclass(frozen=True, eq=False)
class RequestScorer:
    """A likelihood, its weights and tables laid out, that scores the candidates of one user at a time."""

    likelihood: Likelihood
    feature_tables: FeatureTables
    weights: Doubles  # (1, F) of the compiled features
    offset: Doubles  # (1,)
    others: tuple[tuple[str, float], ...]  # names and weights of features that are not compiled
    columns: dict[str, Doubles]  # context features, by name, each (I,)
    score: Any  # the compiled function
    met_apart: bool = False  # whether candidates of the history, which are bought again, are scored beside the others

    def score_candidates(self, items: Ints, scores: Floats, history: Ints) -> Doubles:
        """Return `score_user`; with `met_apart` the candidates that are new are scored as if they were alone."""
        found = self.score_user(items, scores, history)
        if self.met_apart and (new := ~np.isin(items, history)).any() and not new.all():
            found[new] = self.score_user(items[new], scores[new], history)
        return found

    def explain_candidates(self, items: Ints, scores: Floats, history: Ints) -> Doubles:
        """Return `explain_user`, of the candidates that `score_candidates` scores together."""
        found = self.explain_user(items, scores, history)
        if self.met_apart and (new := ~np.isin(items, history)).any() and not new.all():
            found[new] = self.explain_user(items[new], scores[new], history)
        return found

    def score_user(self, items: Ints, scores: Floats, history: Ints) -> Doubles:
        """Return the likelihood's score of each candidate, (N,): the same bits as in a pool.

        `items` and `scores` (N,) are best first, `history` (h,) is in ascending order.
        """
        n, found, tables, head = len(items), np.zeros((1, len(items))), self.feature_tables, self.likelihood.head
        self.score(
            items.reshape(1, n), scores.reshape(1, n), np.array([n]), np.array([0, len(history)]), history, head,
            tables.vectors, tables.log_popularity, tables.usual_popularity, tables.regions, tables.region_shares,
            self.weights, self.offset, found,
        )  # fmt: skip
        for name, weight in self.others:
            column = self.columns.get(name)
            user = UserCandidates(items, scores, history, head, tables)
            found[0] += weight * (getattr(functions, name)(user) if column is None else column[items])
        scored: Doubles = found[0]
        return scored

    def explain_user(self, items: Ints, scores: Floats, history: Ints) -> Doubles:
        """Return what each feature adds to the score of each candidate beyond what it adds to their mean, (N, F)."""
        user = UserCandidates(items, scores, history, self.likelihood.head, self.feature_tables)
        whole = np.stack(
            [
                self.columns[name][items] if name in self.columns else getattr(functions, name)(user)
                for name in self.likelihood.features.tolist()
            ],
            axis=1,
        )
        return np.asarray((whole - whole.mean(axis=0)) * self.likelihood.coefficients / self.likelihood.scales)


def build_request_scorer(likelihood: Likelihood, tables: FeatureTables) -> RequestScorer:
    """Return the scorer of single requests."""
    from recsys.kernels.likelihood_features import score_likelihoods

    weights, offset = likelihood.get_weights(likelihood.coefficients, likelihood.intercept)
    named = list(zip(likelihood.features.tolist(), weights.tolist(), strict=True))
    place, compiled = {name: f for f, name in enumerate(COMPILED_FEATURES)}, np.zeros((1, len(COMPILED_FEATURES)))
    for name, weight in named:
        if name in place:
            compiled[0, place[name]] = weight
    others = tuple((name, weight) for name, weight in named if name not in place)
    columns = dict(zip(likelihood.columns.tolist(), likelihood.column_values, strict=True))
    return RequestScorer(likelihood, tables, compiled, np.array([float(offset)]), others, columns, score_likelihoods)


def compute_by_functions(pool: Pool, tables: FeatureTables, names: Sequence[str], head: int) -> Doubles:
    """Return the same as `compute_features` by the functions of `recsys.likelihoods.features`, one user at a time."""
    whole = [_compute_other(pool, tables, name, head, {}) for name in names]
    return np.stack(whole, axis=2)


def deal_folds(users: Anys, n_folds: int, seed: int) -> Longs:
    """Return the fold of each user, by the key of its draws, from 0 to n_folds - 1: the same in every context."""
    return np.asarray(rng.draw_uniforms(seed, "likelihood folds", users) * n_folds, dtype=np.int64)


def score_out_of_fold(pool: Pool, tables: FeatureTables, made: Likelihood) -> Doubles:
    """Return the score of each candidate by the coefficients that were fitted without its user, (U, N)."""
    fold = deal_folds(pool.draw_keys, len(made.fold_intercepts), made.fold_seed)
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
    starts, codes = get_sorted_histories(pool.context, NEEDED_BY)
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
    starts, codes = get_sorted_histories(pool.context, NEEDED_BY)
    found, function = np.zeros(pool.items.shape), getattr(functions, name)
    for u, n in enumerate(pool.lengths):
        if n:
            history = codes[starts[pool.users[u]] : starts[pool.users[u] + 1]]
            found[u, :n] = function(UserCandidates(pool.items[u, :n], pool.scores[u, :n], history, head, tables))
    return found
