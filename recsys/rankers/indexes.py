"""Approximate retrieval for catalogues of millions: of all items, those of the lists that are nearest to who asks.

An inverted file (Jégou, Douze and Schmid 2011): k-means divides the items into lists, and a request looks only at the
lists whose centres score best. What it looks at is scored as exact retrieval scores it; only what is found is
approximate, and how much of it is measured.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Real

import numpy as np

from recsys import seeds
from recsys.maths import NEVER, top
from recsys.models.by_factors import ByFactors
from recsys.rankers.policies import Policy
from recsys.rankers.requests import Asker, Candidates, row_of
from recsys.rankers.retrievals import best_of, factor_of, met_by, retrieve, score_items, ties
from recsys.types import Context, RecsysError, Scorer
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints, Longs
from recsys.types.extras import needs_extra

SAMPLE = 256  # users on whom recall is measured
PER_LIST = 64  # items for each list that k-means sees
ROUNDS = 10  # of k-means: more of them move few items


@dataclass(frozen=True, eq=False)
class Index:
    """Lists of items that lie together, how many of them a request looks at, and how much it then finds."""

    centres: Floats = field(repr=False)  # (L, d) the mean factor of each list
    lists: Csr = field(repr=False)  # (L, I) the items of each
    probes: int  # lists that a request looks at
    scored: float  # the share of all items that these hold, the mean over `users`
    asked: float  # recall that was asked for
    recall: float  # the share of what exact retrieval finds that the index finds too: the mean over `users`,
    least: float  # and that of the user for whom it is least
    n: int  # candidates of which it is the share
    users: int  # evenly spaced among those of the ranker

    def __post_init__(self) -> None:
        """Refuse lists without centres: compiled code does not look where it reads."""
        if len(self.centres) != self.lists.shape[0] or not 1 <= self.probes <= len(self.centres):
            found = f"{len(self.centres)} centres, {self.lists.shape[0]} lists, {self.probes} of them to look at"
            raise ValueError(f"the index has {found}")

    def __str__(self) -> str:
        """Return what it finds, as a line."""
        return (
            f"looks at {self.probes:,} of {len(self.centres):,} lists ({self.scored:.2%} of the items), finds "
            f"{self.recall:.1%} of the {self.n:,} best of exact retrieval (mean of {self.users:,} users; "
            f"{self.least:.1%} for whom it is least)"
        )


def index_for(
    model: Scorer | None, context: Context, available: Bools, policy: Policy, recall: float
) -> Index | None:  # fmt: skip
    """Return the index that finds the share `recall` of what exact retrieval finds for users of the context.

    None where it is 1: retrieval is exact. The share is measured on at most 256 evenly spaced users, with as few lists
    looked at as reach it.

    Raises:
        RecsysError: for another recall than a number above 0 up to 1, a model without factors, or a policy whose
            retrieval keeps a share for other regions (`reach`).
    """
    if not isinstance(recall, Real) or isinstance(recall, bool) or not 0 < float(recall) <= 1:
        raise RecsysError(f"ranker: recall is {recall!r}, expected a number above 0, up to 1: exact retrieval")
    if recall == 1:
        return None
    if not isinstance(model, ByFactors):
        found = "no model" if model is None else f"a model without factors ({type(model).__name__})"
        raise RecsysError(f"ranker: recall is {recall} with {found}, expected a factor model: als, ials or pure_svd")
    if policy.reach:
        raise RecsysError(
            f"ranker: recall is {recall} with reach {policy.reach}, expected one of them: "
            "an index keeps no share for other regions"
        )
    if not min(available.shape[0], len(context.user_ids)):
        raise RecsysError(f"ranker: recall is {recall} where there are no users or no items to measure it on")
    centres, lists = _divide(np.asarray(model.factors.item_factors), policy.seed)
    found, scored = _found(model, context, available, policy, centres, lists)
    probes = min(len(centres), 1 + int(np.searchsorted(found.mean(axis=0), float(recall))))
    shares = found[:, probes - 1]
    return Index(
        centres=centres,
        lists=lists,
        probes=probes,
        scored=float(scored[probes - 1]),
        asked=float(recall),
        recall=float(shares.mean()),
        least=float(shares.min()),
        n=policy.n,
        users=len(shares),
    )


def retrieve_by(
    index: Index, model: Scorer, context: Context, available: Bools, policy: Policy, asker: Asker, histories: Csr,
    closed: Sequence[Bools] = (), pinned: Sequence[int] = (), needed: Sequence[tuple[Ints, int]] = (),
) -> Candidates:  # fmt: skip
    """Return what `retrieve` returns of the items that the index finds.

    What is pinned is found for sure, and so is all of a group of which less is found than is needed.
    """
    assert isinstance(model, ByFactors)
    factor, items = factor_of(model.factors, context, asker), np.asarray(model.factors.item_factors)
    may = partial(_may, available, closed, met_by(context, policy, asker))
    codes = _nearest(index.lists, _order(index.centres, factor), index.probes, policy.n, may)
    if pinned or needed:
        few = [members for members, least in needed if np.isin(codes, members).sum() < least]
        more = np.concatenate([np.array(pinned, np.int32), *few])
        codes = np.union1d(codes, more[may(more)])
        scores = np.full(len(items), NEVER)
        scores[codes] = score_items(items[codes], factor)
        return best_of(scores, context, policy, histories, pinned, needed)
    n = min(policy.n, len(codes))
    if not n:
        return Candidates(codes, np.zeros(0, np.float32))
    found, best = top(score_items(items[codes], factor)[None], n, ties(context, policy)[codes])
    return Candidates(codes[found[0]], best[0])


def _order(centres: Floats, factor: Floats) -> Longs:
    """Return the lists, (L,), those first whose centres (L, d) score best."""
    return np.argsort(-score_items(centres, factor))


def _may(available: Bools, closed: Sequence[Bools], met: Ints, codes: Ints) -> Bools:
    """Return which of the codes are available, not closed, (I,) each, and not met."""
    may = available[codes] & ~np.isin(codes, met)
    for some in closed:
        may &= ~some[codes]
    return may


def _nearest(lists: Csr, order: Longs, probes: int, n: int, may: Callable[[Ints], Bools]) -> Ints:
    """Return what may be retrieved of the first `probes` lists in that order, and of further ones until it is n items.

    Of all of them where less is left: that is exact retrieval.
    """
    codes = np.concatenate([row_of(lists, row) for row in order[:probes].tolist()])
    codes = codes[may(codes)]
    for row in order[probes:].tolist():
        if len(codes) >= n:
            break
        more = row_of(lists, row)
        codes = np.concatenate([codes, more[may(more)]])
    return codes


@needs_extra("recall below 1", "index")
def _divide(items: Floats, seed: int) -> tuple[Floats, Csr]:
    """Return the centres (L, d) of 2 sqrt(I) lists, and the lists, (L, I), by k-means of a sample of factors (I, d).

    On one thread: the sums of several are added in whatever order they end.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    count = min(len(items), round(2 * len(items) ** 0.5))
    sample = items[:: max(1, len(items) // (PER_LIST * count))]
    state = seeds.derive(seed, "index") % 2**32
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct items than lists: some lists are empty
        found = KMeans(count, init="random", n_init=1, max_iter=ROUNDS, random_state=state).fit(sample)
        label = found.predict(items)
    pointers: Longs = np.concatenate([[0], np.bincount(label, minlength=count).cumsum()])
    order = np.argsort(label, kind="stable").astype(np.int32)
    lists = Csr((np.ones(len(items), np.float32), order, pointers.astype(np.int32)), shape=(count, len(items)))
    return np.ascontiguousarray(found.cluster_centers_, dtype=np.float32), lists


def _found(
    model: ByFactors, context: Context, available: Bools, policy: Policy, centres: Floats, lists: Csr
) -> tuple[Doubles, Doubles]:
    """Return the share of what exact retrieval finds that is found too by looking at 1, 2, ... lists, (V, L).

    Of evenly spaced users; 1 where there is nothing to find. And the share of all items in that many lists, (L,).
    """
    train, count = context.need_train("a ranker"), len(context.user_ids)
    codes = range(0, count, -(-count // SAMPLE))
    label, sizes = np.empty(lists.shape[1], np.int32), np.diff(lists.indptr)
    label[lists.indices] = np.repeat(np.arange(len(centres)), sizes)
    scored = np.zeros(len(centres))
    place: Longs = np.empty(len(centres), np.int64)
    shares = np.ones((len(codes), len(centres)))
    for row, code in enumerate(codes):
        asks = Asker(code, row_of(train, code))
        best = retrieve(model, context, available, policy, asks, Csr(train[[code]])).items
        order = _order(centres, factor_of(model.factors, context, asks))
        place[order] = np.arange(len(order))
        places = place[label[best]]
        may = partial(_may, available, (), met_by(context, policy, asks))
        places[np.isin(best, _nearest(lists, order, 1, policy.n, may))] = 0
        if len(best):
            shares[row] = np.bincount(places, minlength=len(order)).cumsum() / len(best)
        scored += sizes[order].cumsum()
    return shares, scored / (len(codes) * len(label))
