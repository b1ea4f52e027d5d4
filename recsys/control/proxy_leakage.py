"""Proxy leakage: whether slates show what goes along with a topic to the users who had it.

A topic can be closed and still be told by its proxies: items that its users like more often than others. Proxies are
the items with the largest lift of their share of likes, p(item | had the topic) / p(item | never had it), each share
shrunk towards that of everybody. Those by which a user is judged are chosen by the other half of the users: by
themselves, users who never had a topic would like few of its proxies.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.support.rng import make_generator
from recsys.types import RecsysError
from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs
from recsys.types.numbers import check_int, check_number

BOUNDS = (1, 2, 3, 5, 10, 20)  # least numbers of liked proxies of the strata, beside that of users with none
N_ACTIVITIES = 4  # quarters of the users by their likes beside the topic, within which they are compared
DETECTABLE_ERRORS = 2.8  # standard errors: shown with 80 % power at the 5 % level


@dataclass(frozen=True, eq=False)
class ProxyShares:
    """The share of a topic's proxies among what each user is shown, or likes, (U,): NaN for nothing at all."""

    share: Doubles
    had: Bools  # (U,) whether the user had the topic
    stratum: Longs  # (U,) users of one are alike in number of likes, and of liked proxies


@dataclass(frozen=True, eq=False)
class ProxyExcess:
    """How much larger the share of proxies is for users who had a topic than for users alike who never had it."""

    excess: float  # difference of shares; 0: no more is shown
    low: float  # 95 % percentile limits over draws of users
    high: float
    ratio: float  # of the same sums; 1: no more is shown
    ratio_low: float
    ratio_high: float
    detectable: float  # the smallest excess that is shown with 80 % power at the 5 % level
    n_had: int  # pairs of a user and a topic that are compared
    n_never: int
    draws: Doubles  # (B,) of the excess; NaN where a draw has no users alike


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


def compute_proxy_shares(
    picks: Csr, train: Csr, topic: Bools, *, closed: Bools | None = None, n_proxies: int = 20,
    prior_strength: float = 10.0, seed: int = 0,
) -> ProxyShares:  # fmt: skip
    """Return the share of a topic's proxies among each user's picks, of those that no `closed` topic covers.

    `picks` (U, I) are the items of slates (`mark_slates`), or likes. `train` (U, I) are all likes, those of the topic
    too, and `topic` and `closed` (I,) are the items that it, and that any sensitive topic covers; where `closed` is
    None, that is the topic. Strata are those of likes (quarters of the users) and of liked proxies (0, 1, 2, 3 to 4, 5
    to 9, 10 to 19, 20 or more), both beside the closed items.

    Raises:
        RecsysError: for picks of other users or items than `train`.
    """
    if picks.shape != train.shape:
        raise RecsysError(f"proxy leakage: picks have shape {picks.shape}, expected {train.shape}")
    open_items = ~(topic if closed is None else closed | topic)
    other_half = make_generator(seed, "proxy leakage: halves").permutation(train.shape[0]) % 2 == 0
    proxies = np.zeros((2, train.shape[1]), dtype=np.float64)  # of users of either half
    for half in (0, 1):
        choosing = Csr(train[np.flatnonzero(other_half if half else ~other_half)])
        proxies[half, find_proxies(choosing, topic, n_proxies, prior_strength, ~open_items)] = 1.0
    mine = np.where(other_half, 0, 1)  # whose proxies were chosen by the others

    def count(matrix: Csr) -> tuple[Doubles, Doubles]:
        marked = Csr((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
        found = marked @ np.vstack([proxies, open_items]).T
        return found[np.arange(len(mine)), mine], found[:, 2]

    (shown, among), (liked, likes) = count(picks), count(train)
    share = np.where(among > 0, shown / np.maximum(among, 1), np.nan)
    quarter = np.searchsorted(np.quantile(likes, np.arange(1, N_ACTIVITIES) / N_ACTIVITIES), likes)
    stratum = quarter * (len(BOUNDS) + 1) + np.searchsorted(BOUNDS, liked, side="right")
    return ProxyShares(share, find_users_with_topic(train, topic), stratum)


def mark_slates(slates: Ints, n_items: int) -> Csr:
    """Return slates (U, k), codes with -1 for none, as a matrix with 1 where an item is shown, (U, n_items)."""
    there = slates >= 0
    pointers = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return Csr((np.ones(int(there.sum()), np.float32), slates[there], pointers), shape=(len(slates), n_items))


def pool_proxy_shares(found: Sequence[ProxyShares], *, n_bootstrap: int = 1000, seed: int = 0) -> ProxyExcess:
    """Return the excess of proxies for users who had a topic, pooled over topics and strata, after Mantel and Haenszel.

    Within a stratum of a topic, with n users who had it and m who never had it, the difference of the means of both
    counts n m / (n + m): a stratum without one of the groups says nothing. `ratio` is that of the sums of both means
    with these weights, so that a stratum where nobody is shown proxies makes no ratio infinite. In each draw a user is
    the same one in all topics.

    Source: Mantel and Haenszel 1959; Greenland and Robins 1985 (differences).

    Raises:
        RecsysError: if there is no topic, topics have other users, or no stratum has both groups.
    """
    n_users = {len(one.share) for one in found}
    if len(n_users) != 1:
        raise RecsysError(f"proxy leakage: found topics of {sorted(n_users)} users, expected one number of users")
    (n,) = n_users
    counts = np.ones((1 + n_bootstrap, n))
    counts[1:] = make_generator(seed, "proxy leakage").multinomial(n, np.full(n, 1 / n), n_bootstrap)
    sums, weight, compared = np.zeros((2, 1 + n_bootstrap)), np.zeros(1 + n_bootstrap), np.zeros(2)
    for one in found:
        means, sizes = _average_strata(one, counts)
        of = np.where((sizes > 0).all(axis=0), sizes[0] * sizes[1] / np.maximum(sizes.sum(axis=0), 1), 0.0)
        sums += (means * of).sum(axis=2)
        weight += of.sum(axis=1)
        compared += (sizes[:, 0] * (of[0] > 0)).sum(axis=1)
    if not weight[0] > 0:
        raise RecsysError("proxy leakage: no user who had a topic is like one who never had it, expected some")
    with np.errstate(divide="ignore", invalid="ignore"):
        excess, ratio = (sums[0] - sums[1]) / weight, sums[0] / sums[1]
    error = float(np.nanstd(excess[1:], ddof=1))
    return ProxyExcess(
        float(excess[0]), *_find_limits(excess[1:]), float(ratio[0]), *_find_limits(ratio[1:]),
        DETECTABLE_ERRORS * error, int(compared[0]), int(compared[1]), excess[1:],
    )  # fmt: skip


def _find_limits(values: Doubles) -> tuple[float, float]:
    """Return the 95 % limits of draws, of which some may have no value and some an infinite one."""
    there = values[~np.isnan(values)]
    if not len(there):
        return np.nan, np.nan
    low, high = np.percentile(there, [2.5, 97.5], method="linear" if np.isfinite(there).all() else "inverted_cdf")
    return float(low), float(high)


def _average_strata(one: ProxyShares, counts: Doubles) -> tuple[Doubles, Doubles]:
    """Return the mean share of both groups in each stratum and draw, (2, 1 + B, S), and how many users those are."""
    there = ~np.isnan(one.share)
    names, stratum = np.unique(one.stratum, return_inverse=True)
    groups = []
    for group in (one.had & there, ~one.had & there):
        users = np.flatnonzero(group)
        strata = np.eye(len(names))[stratum[users]]
        groups.append((counts[:, users] @ (strata * one.share[users, None]), counts[:, users] @ strata))
    sums, sizes = (np.stack(part) for part in zip(*groups, strict=True))
    return sums / np.maximum(sizes, 1), sizes
