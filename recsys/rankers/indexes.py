"""Approximate retrieval for large catalogues: only the lists of items nearest to the user are scored.

An inverted file (Jégou, Douze and Schmid 2011): k-means divides the items into lists, and a request looks only at the
lists whose centres score best. What it looks at is scored as exact retrieval scores it; only what is found is
approximate, and how much of it is measured.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from recsys.maths.ordering import LOWEST_SCORE, argsort_descending, find_top_n
from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import get_tie_order
from recsys.rankers.owned_items import list_repeat_candidates
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Candidates, RequestUser, get_row_columns
from recsys.rankers.retrievals import (
    get_seen_items,
    get_user_factor,
    retrieve_candidates,
    score_items,
    select_best_candidates,
)
from recsys.support import rng
from recsys.types import Context, RecsysError, Scorer
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints, Longs
from recsys.types.extras import needs_extra
from recsys.types.numbers import check_number

RECALL_USERS = 256  # users on whom recall is measured
ITEMS_PER_LIST = 64  # items for each list that k-means sees
KMEANS_ROUNDS = 10  # of k-means: more of them move few items


@dataclass(frozen=True, eq=False)
class Index:
    """Lists of items that lie together, how many of them a request looks at, and how much it then finds."""

    centres: Floats = field(repr=False)  # (L, d) the mean factor of each list
    lists: Csr = field(repr=False)  # (L, I) the items of each
    probes: int  # lists that a request looks at
    scored_share: float  # the share of all items that these hold, the mean over `users`
    target_recall: float  # recall that was asked for
    recall: float  # the share of what exact retrieval finds that the index finds too: the mean over `users`,
    min_recall: float  # and that of the user for whom it is least
    n: int  # candidates of which it is the share
    users: int  # evenly spaced among those of the ranker

    def __post_init__(self) -> None:
        """Refuse lists without centres: compiled code does not look where it reads."""
        if len(self.centres) != self.lists.shape[0] or not 1 <= self.probes <= len(self.centres):
            found = f"{len(self.centres)} centres, {self.lists.shape[0]} lists, {self.probes} of them to look at"
            raise ValueError(f"the index has {found}")

    def __str__(self) -> str:
        """Return the measured recall and the share of items that are scored, as a line."""
        return (
            f"looks at {self.probes:,} of {len(self.centres):,} lists ({self.scored_share:.2%} of the items), finds "
            f"{self.recall:.1%} of the {self.n:,} best of exact retrieval (mean of {self.users:,} users; "
            f"{self.min_recall:.1%} for whom it is least)"
        )


def build_index(
    model: Scorer | None, context: Context, available: Bools, policy: Policy, index_recall: float
) -> Index | None:  # fmt: skip
    """Return the index that finds the share `recall` of what exact retrieval finds for users of the context.

    None where it is 1: retrieval is exact. The share is measured on at most 256 evenly spaced users, with as few lists
    looked at as reach it.

    Raises:
        RecsysError: for another recall than a number above 0 up to 1, a model without factors, or a policy whose
            retrieval keeps a share for other regions (`exploration_share`).
    """
    index_recall = check_number("ranker: index_recall", index_recall, above=0, most=1)
    if index_recall == 1:
        return None
    if not isinstance(model, FittedFactors):
        instead = "no model" if model is None else f"a model without factors ({type(model).__name__})"
        raise RecsysError(
            f"ranker: index_recall is {index_recall} with {instead}, expected a factor model: als, ials or pure_svd"
        )
    if policy.exploration_share:
        raise RecsysError(
            f"ranker: index_recall is {index_recall} with exploration_share {policy.exploration_share}, expected one "
            "of them: an index keeps no share for other regions"
        )
    if not min(available.shape[0], len(context.user_ids)):
        raise RecsysError(
            f"ranker: index_recall is {index_recall} where there are no users or no items to measure it on"
        )
    centres, lists = _cluster_items(np.asarray(model.factors.item_factors), policy.seed)
    found, scored = _measure_recall(model, context, available, policy, centres, lists)
    probes = min(len(centres), 1 + int(np.searchsorted(found.mean(axis=0), index_recall)))
    shares = found[:, probes - 1]
    return Index(
        centres=centres,
        lists=lists,
        probes=probes,
        scored_share=float(scored[probes - 1]),
        target_recall=index_recall,
        recall=float(shares.mean()),
        min_recall=float(shares.min()),
        n=policy.n,
        users=len(shares),
    )


def retrieve_from_index(
    index: Index, model: Scorer, context: Context, available: Bools, policy: Policy, request_user: RequestUser,
    histories: Csr,
    excluded: Sequence[Bools] = (), pinned: Sequence[int] = (), needed: Sequence[tuple[Ints, int]] = (),
) -> Candidates:  # fmt: skip
    """Return what `retrieve` returns, from the items that the index finds.

    What is pinned is found for sure, and so is all of a group of which less is found than is needed.
    """
    assert isinstance(model, FittedFactors)
    factor, items = get_user_factor(model.factors, context, request_user), np.asarray(model.factors.item_factors)
    pinned = (*pinned, *list_repeat_candidates(context, request_user).tolist())
    may = partial(_mark_retrievable, available, excluded, get_seen_items(context, policy, request_user))
    codes = _collect_from_lists(index.lists, _order_lists(index.centres, factor), index.probes, policy.n, may)
    if pinned or needed:
        few = [members for members, least in needed if np.isin(codes, members).sum() < least]
        more = np.concatenate([np.array(pinned, np.int32), *few])
        codes = np.union1d(codes, more[may(more)])
        scores = np.full(len(items), LOWEST_SCORE)
        scores[codes] = score_items(items[codes], factor)
        return select_best_candidates(scores, context, policy, histories, pinned, needed)
    n = min(policy.n, len(codes))
    if not n:
        return Candidates(codes, np.zeros(0, np.float32))
    found, best = find_top_n(score_items(items[codes], factor)[None], n, get_tie_order(context, policy.seed)[codes])
    return Candidates(codes[found[0]], best[0])


def _order_lists(centres: Floats, factor: Floats) -> Longs:
    """Return the lists, (L,), in descending order of the scores of their centres (L, d)."""
    return argsort_descending(score_items(centres, factor))


def _mark_retrievable(available: Bools, excluded: Sequence[Bools], seen: Ints, codes: Ints) -> Bools:
    """Return which of the codes are available, not closed, (I,) each, and not met."""
    may = available[codes] & ~np.isin(codes, seen)
    for some in excluded:
        may &= ~some[codes]
    return may


def _collect_from_lists(lists: Csr, order: Longs, probes: int, n: int, may: Callable[[Ints], Bools]) -> Ints:
    """Return the retrievable items of the first `probes` lists, and of further lists until there are n items.

    Of all of them where less is left: that is exact retrieval.
    """
    codes = np.concatenate([get_row_columns(lists, row) for row in order[:probes].tolist()])
    codes = codes[may(codes)]
    for row in order[probes:].tolist():
        if len(codes) >= n:
            break
        more = get_row_columns(lists, row)
        codes = np.concatenate([codes, more[may(more)]])
    return codes


@needs_extra("recall below 1", "index")
def _cluster_items(items: Floats, seed: int) -> tuple[Floats, Csr]:
    """Return the centres (L, d) of 2 sqrt(I) lists, and the lists, (L, I), by k-means of a sample of factors (I, d).

    On one thread: the sums of several are added in whatever order they end.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    count = min(len(items), round(2 * len(items) ** 0.5))
    sample = items[:: max(1, len(items) // (ITEMS_PER_LIST * count))]
    state = rng.derive_seed(seed, "index") % 2**32
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct items than lists: some lists are empty
        found = KMeans(count, init="random", n_init=1, max_iter=KMEANS_ROUNDS, random_state=state).fit(sample)
        label = found.predict(items)
    return np.ascontiguousarray(found.cluster_centers_, dtype=np.float32), _make_lists(label, count)


def _make_lists(label: Ints, count: int) -> Csr:
    """Return the items of each list, (L, I), from the list of each item, (I,)."""
    pointers: Longs = np.concatenate([[0], np.bincount(label, minlength=count).cumsum()])
    order = np.argsort(label, kind="stable").astype(np.int32)
    return Csr((np.ones(len(label), np.float32), order, pointers.astype(np.int32)), shape=(count, len(label)))


def append_to_lists(index: Index, factors: Floats) -> Index:
    """Return an index with further items (n, d) in the lists whose centres are nearest; recall stays as measured."""
    centres = index.centres.astype(np.float64)
    far = (centres**2).sum(axis=1) - 2.0 * factors.astype(np.float64) @ centres.T
    label = np.append(_label_items(index.lists), far.argmin(axis=1).astype(np.int32))
    return replace(index, lists=_make_lists(label, len(centres)))


def _label_items(lists: Csr) -> Ints:
    """Return the list of each item, (I,)."""
    label = np.empty(lists.shape[1], np.int32)
    label[lists.indices] = np.repeat(np.arange(lists.shape[0]), np.diff(lists.indptr))
    return label


def _measure_recall(
    model: FittedFactors, context: Context, available: Bools, policy: Policy, centres: Floats, lists: Csr
) -> tuple[Doubles, Doubles]:
    """Return the share of what exact retrieval finds that is found too by looking at 1, 2, ... lists, (V, L).

    Of evenly spaced users; 1 where there is nothing to find. And the share of all items in that many lists, (L,).
    """
    train, count = context.need_train("a ranker"), len(context.user_ids)
    codes = range(0, count, -(-count // RECALL_USERS))
    label, sizes = _label_items(lists), np.diff(lists.indptr)
    scored = np.zeros(len(centres))
    place: Longs = np.empty(len(centres), np.int64)
    shares = np.ones((len(codes), len(centres)))
    for row, code in enumerate(codes):
        asks = RequestUser(code, get_row_columns(train, code))
        best = retrieve_candidates(model, context, available, policy, asks, Csr(train[[code]])).items
        order = _order_lists(centres, get_user_factor(model.factors, context, asks))
        place[order] = np.arange(len(order))
        places = place[label[best]]
        may = partial(_mark_retrievable, available, (), get_seen_items(context, policy, asks))
        places[np.isin(best, _collect_from_lists(lists, order, 1, policy.n, may))] = 0
        if len(best):
            shares[row] = np.bincount(places, minlength=len(order)).cumsum() / len(best)
        scored += sizes[order].cumsum()
    return shares, scored / (len(codes) * len(label))
