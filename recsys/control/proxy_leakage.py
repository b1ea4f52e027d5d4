"""Proxy leakage: whether slates show what goes along with a topic to the users who had it.

A topic can be closed and still be told by its proxies: items that its users like more often than others. Proxies are
the items with the largest lift of their share of likes, p(item | had the topic) / p(item | never had it), each share
shrunk towards that of everybody.
"""

from dataclasses import dataclass

import numpy as np

from recsys.support.rng import make_generator
from recsys.types import RecsysError
from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs
from recsys.types.numbers import check_int, check_number

BOUNDS = (1, 2, 3, 5, 10, 20)  # least numbers of liked proxies of the strata, beside that of users with none


@dataclass(frozen=True)
class ProxyLeakage:
    """The share of proxies in slates of users who had a topic, over that of users who never had it: 1 is no lift."""

    lift: float
    lift_low: float  # 95 % percentile limits over draws of users, of both groups apart
    lift_high: float
    matched_lift: float  # against users who never had it and like as many of the proxies
    matched_low: float
    matched_high: float
    matched_share: float  # of the users who had it: those for whom there are such others
    proxies: Ints  # codes of items, the largest lift first
    n_had: int  # users
    n_never: int


def find_proxies(
    train: Csr, topic: Bools, n_proxies: int = 20, prior_strength: float = 10.0, closed: Bools | None = None
) -> Ints:
    """Return the items, codes, that go along most with a topic, of those that it does not cover; ties by code.

    Items that are `closed` (I,), such as those of other sensitive topics, are none either.

    A share is (x + prior_strength p) / (n + prior_strength), with x of n users who like the item and p the share of
    all. Items with a lift of at most 1 are no proxies.

    >>> rows = Csr(np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 0]], np.float32))
    >>> find_proxies(rows, np.array([True, False, False, False])).tolist()
    [1]
    """
    check_int("proxies: n_proxies", n_proxies, 1)
    check_number("proxies: prior_strength", prior_strength, 0, above=0)
    liked = Csr((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
    had = find_users_with_topic(train, topic)
    n = np.array([had.sum(), (~had).sum()])
    x = np.stack([np.asarray(group.astype(np.float64) @ liked) for group in (had, ~had)])
    overall = x.sum(axis=0) / max(n.sum(), 1)
    with np.errstate(invalid="ignore"):
        share = (x + prior_strength * overall) / (n[:, None] + prior_strength)
        lift = np.where(topic | (overall == 0) | (False if closed is None else closed), 0.0, share[0] / share[1])
    order = np.argsort(-lift, kind="stable")[:n_proxies]
    return order[lift[order] > 1].astype(np.int32)


def find_users_with_topic(train: Csr, topic: Bools) -> Bools:
    """Return the users who like an item that a topic covers, (U,)."""
    return np.asarray((train @ topic.astype(np.float32)) > 0)


def measure_proxy_leakage(
    slates: Ints,
    train: Csr,
    topic: Bools,
    *,
    closed: Bools | None = None,
    n_proxies: int = 20,
    prior_strength: float = 10.0,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> ProxyLeakage:
    """Return the lift of a topic's proxies in slates (U, k), codes with -1 for none, of users who had the topic.

    `train` (U, I) are all likes, those of the topic too, and `topic` (I,) the items that it covers. Items that are
    `closed` (I,), such as those of other sensitive topics, are no proxies. The lift is the mean share of proxies
    among the picks of users who had the topic, over that of users who never had it. It holds
    what these users like beside the topic, too: who likes more of the proxies is shown more of them, with or without
    the topic. `matched_lift` compares like with like: users are put into strata by how many of the proxies they
    like (0, 1, 2, 3 to 4, 5 to 9, 10 to 19, 20 or more), and the users who never had the topic are weighed so that
    their strata are as large as those of the users who had it. A lift is infinite where only users who had the topic
    are shown proxies, and NaN where nobody is.

    Raises:
        RecsysError: for slates of other users than `train`, or where nobody had the topic, or everybody had it.
    """
    if slates.ndim != 2 or len(slates) != train.shape[0]:
        raise RecsysError(f"proxy leakage: slates have shape {slates.shape}, expected ({train.shape[0]}, k)")
    had = find_users_with_topic(train, topic)
    if had.all() or not had.any():
        found = f"{int(had.sum()):,} of {len(had):,} users had the topic"
        raise RecsysError(f"proxy leakage: {found}, expected some who had it and some who never had it")
    proxies = find_proxies(train, topic, n_proxies, prior_strength, closed)
    share, stratum = _compute_proxy_shares(slates, proxies, train.shape[1]), _find_strata(train, proxies)
    drawn = _draw_users(had, n_bootstrap, seed)
    lift, matched, matched_share = _compare_groups(share, stratum, had, drawn)
    limits = [_find_limits(values[1:]) for values in (lift, matched)]
    return ProxyLeakage(
        float(lift[0]), *limits[0], float(matched[0]), *limits[1], matched_share, proxies, int(had.sum()),
        int((~had).sum()),
    )  # fmt: skip


def _find_limits(values: Doubles) -> tuple[float, float]:
    """Return the 95 % limits of draws, some of which may be infinite; NaN where no draw has a value."""
    there = values[~np.isnan(values)]
    if not len(there):
        return np.nan, np.nan
    low, high = np.percentile(there, [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def _compute_proxy_shares(slates: Ints, proxies: Ints, n_items: int) -> Doubles:
    """Return the share of proxies among each user's picks, (U,), 0 for an empty slate."""
    marked = np.zeros(n_items + 1, dtype=bool)  # the last place is that of -1
    marked[proxies] = True
    return np.asarray(marked[slates].sum(axis=1) / np.maximum((slates >= 0).sum(axis=1), 1))


def _find_strata(train: Csr, proxies: Ints) -> Longs:
    """Return the stratum of each user, (U,), by how many of the proxies the user likes."""
    counts = np.diff(Csr(train[:, proxies]).indptr)
    return np.searchsorted(BOUNDS, counts, side="right")


def _draw_users(had: Bools, n_bootstrap: int, seed: int) -> Doubles:
    """Return how often each user counts, (1 + B, U): once each, then in each draw; both groups keep their sizes."""
    generator = make_generator(seed, "proxy leakage")
    counts = np.ones((1 + n_bootstrap, len(had)))
    for group in (had, ~had):
        n = int(group.sum())
        counts[1:, group] = generator.multinomial(n, np.full(n, 1 / n), n_bootstrap)
    return counts


def _compare_groups(share: Doubles, stratum: Longs, had: Bools, counts: Doubles) -> tuple[Doubles, Doubles, float]:
    """Return the lift of each draw, (1 + B,), the matched one, and the share of users who had the topic in it."""
    strata = np.eye(len(BOUNDS) + 1)[stratum]
    sizes = [counts[:, group] @ strata[group] for group in (had, ~had)]
    sums = [counts[:, group] @ (strata[group] * share[group, None]) for group in (had, ~had)]
    used = (sizes[0] > 0) & (sizes[1] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (sums[0].sum(axis=1) / sizes[0].sum(axis=1)) / (sums[1].sum(axis=1) / sizes[1].sum(axis=1))
        expected = np.where(used, sizes[0] * sums[1] / sizes[1], 0.0).sum(axis=1)
        matched = np.where(used, sums[0], 0.0).sum(axis=1) / expected
    return lift, matched, float(sizes[0][0][used[0]].sum() / sizes[0][0].sum())
