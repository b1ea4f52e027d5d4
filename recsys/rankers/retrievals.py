"""The first step of `Ranker.rank`: the best of the whole catalogue for one user."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from recsys import seeds
from recsys.maths import NEVER, comparable, gram, mostly_untouched, reached, top
from recsys.models.by_factors import ByFactors
from recsys.rankers.policies import Policy
from recsys.rankers.requests import NOTHING, Asker, Candidates, row_of
from recsys.types import Context, Factors, RecsysError, Scorer
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs

FIRST = np.finfo(np.float32).max  # above all scores


def retrieve(
    model: Scorer, context: Context, available: Bools, policy: Policy, asker: Asker, histories: Csr,
    closed: Sequence[Bools] = (), pinned: Sequence[int] = (), needed: Sequence[tuple[Ints, int]] = (),
) -> Candidates:  # fmt: skip
    """Return the n best items for one user, as `recsys.candidates` does; `histories` (1, I) is the user's own.

    Met items are left out: of a known user everything met, of somebody new the history. So is what is `closed`, (I,)
    each. Of what is not left out, what is `pinned` is among the n, and of each group that is `needed` so many best.
    """
    given = scores_of(model, context, asker, histories)
    scores = given if isinstance(model, ByFactors) else comparable(given, partial(_no_score, model))
    if scores.shape != available.shape:
        raise RecsysError(f"ranker: {type(model).__name__} gives {scores.shape} scores, expected {len(available)}")
    scores[~available] = NEVER
    for some in (*closed, met_by(context, policy, asker)):
        scores[some] = NEVER
    found = best_of(scores, context, policy, histories, pinned, needed)
    if given.dtype == np.float32:
        return found
    return found._replace(scores=given[found.items].astype(np.float64).astype(np.float32))


def best_of(
    scores: Floats, context: Context, policy: Policy, histories: Csr, pinned: Sequence[int],
    needed: Sequence[tuple[Ints, int]],
) -> Candidates:  # fmt: skip
    """Return the n best of the scores of all items, (I,), but those that are NEVER; the rest is as for `retrieve`."""
    n, block = min(policy.n, len(scores)), scores[None]
    if pinned or needed:
        block = block.copy()
        block[0, _kept(scores, pinned, needed, ties(context, policy))[:n]] = FIRST
    reserved = int(np.ceil(policy.reach * n - 1e-9))
    if reserved:
        regions = [hard_region(context, m) for m in range(len(context.maps))]
        items, best = reached(block, mostly_untouched(histories, regions), n, reserved, ties(context, policy))
    else:
        items, best = top(block, n, ties(context, policy))
    found = items[0] >= 0
    codes, worth = items[0][found], best[0][found]
    if pinned or needed:
        worth = scores[codes]
        order = np.lexsort((ties(context, policy)[codes], -worth))
        codes, worth = codes[order], worth[order]
    return Candidates(codes, worth.astype(np.float32, copy=False))


def _no_score(model: Scorer, found: str, item: int) -> RecsysError:
    where = "" if item < 0 else f" for item code {item}"
    return RecsysError(
        f"ranker: a score of {type(model).__name__}{where} is {found}, expected a finite number of 32 bits"
    )


def _kept(scores: Floats, pinned: Sequence[int], needed: Sequence[tuple[Ints, int]], ties: Longs) -> Longs:
    """Return the items that have a place for sure, best first: what is pinned, and so many best of each group."""
    some = [np.array(pinned, dtype=np.int64)]
    for members, least in needed:
        if not len(members):
            continue
        best = top(scores[members][None], min(least, len(members)), ties[members])[0][0]
        some.append(members[best[best >= 0]].astype(np.int64))
    kept = np.unique(np.concatenate(some))
    kept = kept[scores[kept] > NEVER]
    return kept[np.argsort(-scores[kept], kind="stable")]


def met_by(context: Context, policy: Policy, asker: Asker) -> Ints:
    """Return the items that are not to be retrieved for one user, since they met them."""
    if policy.history != "exclude":
        return NOTHING
    if asker.code < 0 or context.dislikes is None:
        return asker.history
    return np.concatenate([asker.history, row_of(context.dislikes, asker.code)])


def scores_of(model: Scorer, context: Context, asker: Asker, histories: Csr) -> Floats:
    """Return the model's scores of all items for one user, (I,): a new history is folded in exactly.

    Least squares go by compiled code of one thread: for a single user, threads of BLAS wait more than they compute.
    """
    if isinstance(model, ByFactors):
        return score_items(model.factors.item_factors, factor_of(model.factors, context, asker))
    if asker.code >= 0 and not asker.grown:
        return np.array(model.score(np.array([asker.code], dtype=np.int32))[0])
    return np.array(model.fold(histories)[0])


def score_items(items: Floats, factor: Floats) -> Floats:
    """Return the dot products of items (N, d) and a factor (d,), (N,): those of an item do not depend on the others."""
    from recsys.kernels.requests import score_all

    kernel: Any = score_all
    scores = np.empty(len(items), np.float32)
    kernel(np.asarray(items), factor, scores)
    return scores


def factor_of(factors: Factors, context: Context, asker: Asker) -> Floats:
    """Return the factor of one user, (d,): as it was fitted, or as `recsys.maths.fold` finds it for the history."""
    from recsys.kernels.requests import fold_in

    if asker.code >= 0 and not asker.grown:
        return np.array(factors.user_factors[asker.code])
    if not len(asker.history):
        return np.array(factors.typical)
    kernel: Any = fold_in
    items, common = np.asarray(factors.item_factors), context.tables.get("gram of all", lambda: gram(factors))
    ridge = factors.regularization * (len(asker.history) + factors.everywhere * len(items)) ** factors.nu
    found = np.empty(items.shape[1], np.float32)
    kernel(np.asarray(common), items, asker.history, factors.observed, factors.pull, ridge, found)
    return found


def hard_region(context: Context, m: int) -> Ints:
    """Return the region of each item by map m, (I,)."""
    regions: Ints = context.tables.get(f"hard {m}", lambda: context.maps[m].hard)
    return regions


def ties(context: Context, policy: Policy) -> Longs:
    """Return the order of items whose scores are equal, (I,): that of `recsys.candidates`."""
    size = len(context.item_ids)
    return context.tables.get(f"ties {policy.seed}", lambda: seeds.generator(policy.seed, "ties").permutation(size))
