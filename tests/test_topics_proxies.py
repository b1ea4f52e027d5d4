"""Proxy leakage against a slow definition, and its meaning in a world where it is known."""

import numpy as np
import pytest
from scipy import sparse

from recsys.control.proxy_leakage import (
    BOUNDS,
    ProxyShares,
    compute_proxy_shares,
    find_proxies,
    mark_slates,
    pool_proxy_shares,
)
from recsys.support.rng import make_generator
from recsys.types import RecsysError


def make_world(seed: int = 0, users: int = 120, items: int = 40):
    rng = np.random.default_rng(seed)
    had = rng.random(users) < 0.4
    chance = np.full((users, items), 0.1)
    chance[:, :4] = np.where(had, 0.6, 0.0)[:, None]  # the topic
    chance[:, 4:12] += np.where(had, 0.3, 0.05)[:, None]  # its proxies
    train = sparse.csr_array((rng.random((users, items)) < chance).astype(np.float32))
    topic = np.arange(items) < 4
    slates = np.array([rng.permutation(items)[:6] for _ in range(users)], dtype=np.int32)
    slates[rng.random(slates.shape) < 0.1] = -1
    return train, topic, slates


def find_proxies_slowly(rows, had, covered, n_items, m=20, strength=10.0):
    lifts = {}
    for item in set(range(n_items)) - covered:
        p = sum(item in row for row in rows) / len(rows)
        if not p:
            continue
        rates = []
        for group in (True, False):
            own = [row for row, told in zip(rows, had, strict=True) if told == group]
            rates.append((sum(item in row for row in own) + strength * p) / (len(own) + strength))
        lifts[item] = rates[0] / rates[1]
    return [item for item in sorted(lifts, key=lambda item: (-lifts[item], item)) if lifts[item] > 1][:m]


def measure_slowly(slates, train, topic):
    """Return the excess and the ratio, and how many users of both groups are compared, user by user."""
    rows = [set(train.indices[train.indptr[u] : train.indptr[u + 1]].tolist()) for u in range(train.shape[0])]
    covered = set(np.flatnonzero(topic).tolist())
    had = [bool(row & covered) for row in rows]
    halves = make_generator(0, "proxy leakage: halves").permutation(len(rows)) % 2 == 0
    proxies = {}
    for half in (True, False):
        users = [u for u in range(len(rows)) if halves[u] != half]
        chosen = find_proxies_slowly([rows[u] for u in users], [had[u] for u in users], covered, train.shape[1])
        proxies[half] = set(chosen)
    likes = [len(row - covered) for row in rows]
    bounds = np.quantile(likes, [0.25, 0.5, 0.75])
    strata, shares = [], []
    for u, row in enumerate(rows):
        own, picks = proxies[bool(halves[u])], [i for i in slates[u].tolist() if i >= 0 and i not in covered]
        shares.append(np.mean([i in own for i in picks]) if picks else None)
        strata.append((sum(likes[u] > bound for bound in bounds), sum(len(row & own) >= bound for bound in BOUNDS)))
    sums, weight, n = np.zeros(2), 0.0, np.zeros(2, int)
    for stratum in set(strata):
        groups = [
            [
                s
                for s, at, told in zip(shares, strata, had, strict=True)
                if at == stratum and told == g and s is not None
            ]
            for g in (True, False)
        ]
        if groups[0] and groups[1]:
            w = len(groups[0]) * len(groups[1]) / (len(groups[0]) + len(groups[1]))
            sums, weight = sums + [w * np.mean(group) for group in groups], weight + w
            n += [len(group) for group in groups]
    return (sums[0] - sums[1]) / weight, sums[0] / sums[1], *n


@pytest.mark.parametrize("seed", range(4))
def test_excess_is_that_of_the_slow_definition(seed):
    train, topic, slates = make_world(seed)
    shares = compute_proxy_shares(mark_slates(slates, 40), train, topic)
    found = pool_proxy_shares([shares], n_bootstrap=50)
    excess, ratio, n_had, n_never = measure_slowly(slates, train, topic)
    np.testing.assert_allclose([found.excess, found.ratio], [excess, ratio])
    assert (found.n_had, found.n_never) == (n_had, n_never)
    assert found.low < found.excess < found.high and found.ratio_low < found.ratio < found.ratio_high
    twice = pool_proxy_shares([shares, shares], n_bootstrap=50)
    np.testing.assert_allclose([twice.excess, twice.low, twice.detectable], [found.excess, found.low, found.detectable])
    rows = [set(row.tolist()) for row in np.split(train.indices, train.indptr[1:-1])]
    slowly = find_proxies_slowly(rows, [bool(row & {0, 1, 2, 3}) for row in rows], {0, 1, 2, 3}, 40)
    assert find_proxies(train, topic).tolist() == slowly


def test_a_rule_that_shows_proxies_for_the_topic_leaks_and_one_that_does_not_has_no_excess():
    """Users who had the topic are shown proxies, whatever else they like; then users by their proxies alone."""
    train, topic, _ = make_world(3, users=900)
    dense = train.toarray() > 0
    had, liked = dense[:, :4].any(axis=1), dense[:, 4:12].sum(axis=1)
    others, proxies = np.arange(20, 26, dtype=np.int32), np.arange(4, 10, dtype=np.int32)
    leaks = np.where(had[:, None], np.r_[proxies[:4], others[:2]], np.r_[proxies[:1], others[:5]]).astype(np.int32)

    def measure(slates):
        return pool_proxy_shares([compute_proxy_shares(mark_slates(slates, 40), train, topic, n_proxies=8)])

    found = measure(leaks)
    assert found.low > 0.4 and found.ratio_low > 2 and found.detectable < 0.1
    blind = np.array([np.r_[proxies[: min(int(n), 5) + 1], others][:6] for n in liked], dtype=np.int32)
    found, flat = measure(blind), compute_proxy_shares(mark_slates(blind, 40), train, topic, n_proxies=8)
    assert abs(found.excess) < 0.08
    unmatched = pool_proxy_shares([ProxyShares(flat.share, flat.had, flat.stratum * 0)])
    assert unmatched.low > 0.1 > found.excess


def test_a_stratum_without_proxies_makes_nothing_infinite():
    """Nobody who never had the topic is shown proxies in one stratum, some are in the other."""
    had = np.array([True, False] * 20)
    share = np.where(had, 0.2, 0.0)
    share[20:] = 0.1
    found = pool_proxy_shares([ProxyShares(share, had, np.repeat([0, 1], 20))], n_bootstrap=200)
    assert found.excess == pytest.approx(0.1) and np.isfinite([found.ratio, found.ratio_high]).all()
    nothing = pool_proxy_shares([ProxyShares(np.zeros(40), had, np.zeros(40, int))], n_bootstrap=20)
    assert nothing.excess == nothing.low == nothing.high == nothing.detectable == 0 and np.isnan(nothing.ratio_low)


def test_what_cannot_be_compared_is_one_line():
    train, topic, slates = make_world()
    with pytest.raises(RecsysError, match=r"^proxy leakage: picks have shape \(5, 40\), expected \(120, 40\)$"):
        compute_proxy_shares(mark_slates(slates[:5], 40), train, topic)
    everybody = ProxyShares(np.ones(3), np.ones(3, bool), np.zeros(3, int))
    with pytest.raises(RecsysError, match=r"^proxy leakage: no user who had a topic is like one who"):
        pool_proxy_shares([everybody])
    with pytest.raises(RecsysError, match=r"^proxy leakage: found topics of \[2, 3\] users, expected one number"):
        pool_proxy_shares([everybody, ProxyShares(np.ones(2), np.ones(2, bool), np.zeros(2, int))])
