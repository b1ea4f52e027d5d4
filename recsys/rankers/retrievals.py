"""The first step of `Ranker.rank`: the best of the whole catalogue for one user."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from recsys.maths.distributions import mostly_unexplored
from recsys.maths.fold_in import solve_user_factors
from recsys.maths.ordering import LOWEST_SCORE, find_top_n, find_top_n_with_reserve, make_comparable
from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import get_factor_gram, get_hard_regions, get_tie_order
from recsys.rankers.owned_items import list_repeat_candidates
from recsys.rankers.policies import Policy
from recsys.rankers.quantized_retrieval import QuantizedItems, find_quantized_items
from recsys.rankers.region_answers import collect_region_answers, solve_region_user
from recsys.rankers.requests import Candidates, RequestUser, build_user_context, list_disliked_items
from recsys.types import Context, Factors, RecsysError, Scorer
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs

ABOVE_ALL_SCORES = np.finfo(np.float32).max  # above all scores


def retrieve_candidates(
    model: Scorer, context: Context, available: Bools, policy: Policy, request_user: RequestUser, histories: Csr,
    excluded: Sequence[Bools] = (), pinned: Sequence[int] = (), needed: Sequence[tuple[Ints, int]] = (),
) -> Candidates:  # fmt: skip
    """Return the n best items for one user, as `recsys.candidates` does; `histories` (1, I) is the user's own.

    Met items are left out: of a known user everything met, of somebody new the history. So is what is `closed`, (I,)
    each. Of what is not left out, what is `pinned` is among the n, and of each group that is `needed` so many best.
    """
    pinned = (*pinned, *list_repeat_candidates(context, request_user).tolist())
    quantized = None if pinned or needed else find_quantized_items(model, context, policy)
    if quantized is not None:
        quickly = _retrieve_by_quantized_scan(quantized, model, context, available, policy, request_user, excluded)
        if quickly is not None:
            return quickly
    given = score_catalogue(model, context, request_user, histories)
    scores = given if isinstance(model, FittedFactors) else make_comparable(given, partial(_build_score_error, model))
    if scores.shape != available.shape:
        raise RecsysError(f"ranker: {type(model).__name__} gives {scores.shape} scores, expected {len(available)}")
    scores[~available] = LOWEST_SCORE
    for some in (*excluded, get_seen_items(context, policy, request_user)):
        scores[some] = LOWEST_SCORE
    found = select_best_candidates(scores, context, policy, histories, pinned, needed)
    if given.dtype == np.float32:
        return found
    return found._replace(scores=given[found.items].astype(np.float64).astype(np.float32))


def _retrieve_by_quantized_scan(
    quantized: QuantizedItems, model: Scorer, context: Context, available: Bools, policy: Policy,
    request_user: RequestUser, excluded: Sequence[Bools],
) -> Candidates | None:  # fmt: skip
    """Return what a plain scan finds, None where the quantized one cannot tell."""
    assert isinstance(model, FittedFactors)
    closed = ~available
    for some in (*excluded, get_seen_items(context, policy, request_user)):
        closed[some] = True
    factor = get_user_factor(model.factors, context, request_user)
    codes = quantized.find_possible_best(factor, policy.n, closed)
    if codes is None:
        return None
    ties = get_tie_order(context, policy.seed)[codes]
    found, best = find_top_n(score_items(quantized.items[codes], factor)[None], policy.n, ties)
    return Candidates(codes[found[0]], best[0])


def select_best_candidates(
    scores: Floats, context: Context, policy: Policy, histories: Csr, pinned: Sequence[int],
    needed: Sequence[tuple[Ints, int]],
) -> Candidates:  # fmt: skip
    """Return the n best of the scores of all items, (I,), but those that are NEVER.

    The rest is as for `retrieve_candidates`.
    """
    n, block = min(policy.n, len(scores)), scores[None]
    if pinned or needed:
        block = block.copy()
        block[0, _select_reserved_items(scores, pinned, needed, get_tie_order(context, policy.seed))[:n]] = (
            ABOVE_ALL_SCORES
        )
    reserved = int(np.ceil(policy.exploration_share * n - 1e-9))
    if reserved:
        regions = [get_hard_regions(context, m) for m in range(len(context.maps))]
        items, best = find_top_n_with_reserve(
            block, mostly_unexplored(histories, regions), n, reserved, get_tie_order(context, policy.seed)
        )
    else:
        items, best = find_top_n(block, n, get_tie_order(context, policy.seed))
    found = items[0] >= 0
    codes, worth = items[0][found], best[0][found]
    if pinned or needed:
        worth = scores[codes]
        order = np.lexsort((get_tie_order(context, policy.seed)[codes], -worth))
        codes, worth = codes[order], worth[order]
    return Candidates(codes, worth.astype(np.float32, copy=False))


def _build_score_error(model: Scorer, found: str, item: int) -> RecsysError:
    where = "" if item < 0 else f" for item code {item}"
    return RecsysError(
        f"ranker: a score of {type(model).__name__}{where} is {found}, expected a finite number of 32 bits"
    )


def _select_reserved_items(
    scores: Floats, pinned: Sequence[int], needed: Sequence[tuple[Ints, int]], ties: Longs
) -> Longs:
    """Return the items that have a reserved place, best first: pinned ones, and the best of each group in need."""
    some = [np.array(pinned, dtype=np.int64)]
    for members, least in needed:
        if not len(members):
            continue
        best = find_top_n(scores[members][None], min(least, len(members)), ties[members])[0][0]
        some.append(members[best[best >= 0]].astype(np.int64))
    kept = np.unique(np.concatenate(some))
    kept = kept[scores[kept] > LOWEST_SCORE]
    return kept[np.argsort(-scores[kept], kind="stable")]


def get_seen_items(context: Context, policy: Policy, request_user: RequestUser) -> Ints:
    """Return the items that are not to be retrieved for one user: met ones, and those that limits on exposures hide.

    What calls for being bought again stays.
    """
    if not policy.exclude_seen:
        return request_user.hidden
    seen, disliked = request_user.history, list_disliked_items(context, request_user)
    if context.repeats is not None:
        again = list_repeat_candidates(context, request_user)
        seen, disliked = np.setdiff1d(seen, again), np.setdiff1d(disliked, again)
    if len(disliked):
        seen = np.concatenate([seen, disliked])
    return np.concatenate([seen, request_user.hidden]) if len(request_user.hidden) else seen


def score_catalogue(model: Scorer, context: Context, request_user: RequestUser, histories: Csr) -> Floats:
    """Return the model's scores of all items for one user, (I,): a new history is folded in exactly.

    Least squares go by compiled code of one thread: for a single user, threads of BLAS wait more than they compute.
    """
    if isinstance(model, FittedFactors):
        return score_items(model.factors.item_factors, get_user_factor(model.factors, context, request_user))
    if request_user.code >= 0 and not request_user.is_extended:
        return np.array(model.score(np.array([request_user.code], dtype=np.int32))[0])
    return np.array(model.fold(histories)[0])


def score_items(items: Floats, factor: Floats) -> Floats:
    """Return the dot products of items (N, d) and a factor (d,), (N,): those of an item do not depend on the others."""
    from recsys.kernels.requests import score_all_items

    kernel: Any = score_all_items
    scores = np.empty(len(items), np.float32)
    kernel(np.asarray(items), factor, scores)
    return scores


def get_user_factor(factors: Factors, context: Context, request_user: RequestUser) -> Floats:
    """Return the factor of one user, (d,): as fitted, or solved for the history.

    The solution is that of `recsys.maths.fold_in.solve_user_factors`, with answers about regions that of
    `recsys.maths.region_answers.solve_with_regions`.
    """
    from recsys.kernels.requests import fold_in_user

    if (answers := collect_region_answers(context, request_user)) is not None:
        return solve_region_user(factors, context, request_user, answers)
    disliked = len(request_user.dislikes) > 0 and factors.disliked_weight != 0
    if request_user.code >= 0 and not request_user.is_extended and not disliked:
        return np.array(factors.user_factors[request_user.code])
    if not len(request_user.history):
        return np.array(factors.mean_user_factor)
    if factors.oldest_target_weight is not None or disliked:
        asks = build_user_context(context, request_user)
        row, dislikes = asks.need_weighted_train("a ranker"), asks.dislikes if disliked else None
        found = solve_user_factors(factors, row, dislikes, get_factor_gram(context, "a ranker"))[0]
        return np.array(found)
    kernel: Any = fold_in_user
    items, common = np.asarray(factors.item_factors), get_factor_gram(context, "a ranker")
    ridge = factors.compute_ridge(len(request_user.history))
    found = np.empty(items.shape[1], np.float32)
    kernel(
        np.asarray(common), items, request_user.history, factors.observed_weight, factors.target_weight, ridge, found
    )
    return found
