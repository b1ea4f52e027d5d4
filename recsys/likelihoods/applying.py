"""Application of a likelihood to a pool: a pool whose scores, and order, are the likelihood's."""

import warnings
from dataclasses import replace

import numpy as np

from recsys.likelihoods.computing import compute_scores, order_best_first, score_out_of_fold
from recsys.likelihoods.records import Likelihood
from recsys.likelihoods.tables import find_missing_parts, get_feature_tables
from recsys.maths.platt import logistic, softmax
from recsys.types import Context, Pool, RecsysError, RecsysWarning
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_flag


def apply_likelihood(
    pool: Pool, likelihood: Likelihood, *, out_of_fold: bool = False, even_if_worse: bool = False
) -> Pool:
    """Return the pool with the likelihood's scores, best first: log-odds, or of kind "softmax" log p + a user's number.

    Equal scores keep the base's order. A user without history keeps the row as it is, scores included. Where the
    likelihood was below its base out of fold, or the pool lacks a part that it reads (own maps, factors, item
    features), the whole pool is given back as it is, with a `RecsysWarning` of one line; `even_if_worse` applies the
    former all the same.

    With `out_of_fold`, each user's candidates are scored by the coefficients that were fitted without that user:
    for whoever is judged by the validation likes that it was fitted to.

    Raises:
        RecsysError: if it is of other items, the pool has no histories, or scores are too large.
    """
    check_flag("likelihood: out_of_fold", out_of_fold)
    check_flag("likelihood: even_if_worse", even_if_worse)
    likelihood.check_items(pool.context.item_ids)
    reason = find_reason_to_keep_base(likelihood, pool.context)
    if reason and not (even_if_worse and not likelihood.beats_base and not _describe_missing(likelihood, pool.context)):
        warnings.warn(f"{reason}: the base's order is kept", RecsysWarning, stacklevel=2)
        return pool
    pool.context.check_arrays()
    if len(pool.items) and not (pool.items < likelihood.n_items).all():
        raise RecsysError(f"likelihood: the pool holds item codes above {likelihood.n_items - 1}, expected none")
    train = pool.context.need_train("a likelihood")
    silent = np.diff(train.indptr)[pool.users] == 0
    if silent.any():
        warnings.warn(
            f"{silent.sum():,} of {len(silent):,} users have no history: the base's order is kept for them",
            RecsysWarning,
            stacklevel=2,
        )
    return order_pool(pool, likelihood, out_of_fold)


def order_pool(pool: Pool, likelihood: Likelihood, out_of_fold: bool = False) -> Pool:
    """Return the pool with the likelihood's scores and order; users without history keep theirs.

    Raises:
        RecsysError: as `score_pool` does.
    """
    silent = np.diff(pool.context.need_train("a likelihood").indptr)[pool.users] == 0
    found = score_pool(pool, likelihood, out_of_fold)
    order = order_best_first(found, pool.items)
    items, scores = (np.take_along_axis(array, order, axis=1) for array in (pool.items, found))
    return replace(
        pool,
        items=np.where(silent[:, None], pool.items, items),
        scores=np.where(silent[:, None], pool.scores, scores.astype(np.float32)),
        likelihood_kind=likelihood.kind,
    )


def score_pool(pool: Pool, likelihood: Likelihood, out_of_fold: bool = False) -> Doubles:
    """Return the likelihood's score of each candidate, (U, N), 0 where there is none, in the pool's own order.

    Raises:
        RecsysError: if scores are too large for 32 bits.
    """
    tables = get_feature_tables(pool.context, likelihood.space, likelihood.has_maps)
    if out_of_fold:
        found = score_out_of_fold(pool, tables, likelihood)
    else:
        weights, offset = likelihood.get_weights(likelihood.coefficients, likelihood.intercept)
        columns = dict(zip(likelihood.columns.tolist(), likelihood.column_values, strict=True))
        each = np.broadcast_to(weights, (len(pool.users), len(weights)))
        offsets = np.full(len(pool.users), float(offset))
        found = compute_scores(pool, tables, likelihood.features.tolist(), each, offsets, likelihood.head, columns)
    if not (np.abs(found) < 3e38).all():
        raise RecsysError("likelihood: scores are too large for 32 bits, expected scores of the kind it was fitted to")
    return found


def find_reason_to_keep_base(likelihood: Likelihood, context: Context) -> str:
    """Return why the base's order is kept, in words; "" if the likelihood can be used and is not below its base."""
    if missing := _describe_missing(likelihood, context):
        return missing
    return "" if likelihood.beats_base else likelihood.describe()


def _describe_missing(likelihood: Likelihood, context: Context) -> str:
    part = find_missing_parts(context, likelihood.space, likelihood.has_maps)
    return f"likelihood: the pool has no {part}, which it was fitted with" if part else ""


def compute_like_probabilities(pool: Pool, likelihood: Likelihood) -> Doubles:
    """Return the probability of each candidate of a pool that `apply_likelihood` made, (U, N), 0 where there is none.

    Of kind "logistic" that it is a (logged) like; of kind "softmax" that a like of the user's is this candidate: they
    sum to 1 over the candidates.
    """
    scores, there = pool.scores.astype(np.float64), pool.items >= 0
    if likelihood.kind == "logistic":
        return np.where(there, logistic(scores), 0.0)
    return softmax(scores, there)
