"""Proxy leakage against a slow definition, and its meaning in a world where it is known."""

import numpy as np
import pytest
from scipy import sparse

from recsys.control.proxy_leakage import BOUNDS, find_proxies, measure_proxy_leakage
from recsys.types import RecsysError


def make_world(seed: int = 0, users: int = 120, items: int = 40):
    rng = np.random.default_rng(seed)
    had = rng.random(users) < 0.4
    chance = np.full((users, items), 0.1)
    chance[:, :4] = np.where(had, 0.6, 0.0)[:, None]  # the topic
    chance[:, 4:12] += np.where(had, 0.3, 0.05)[:, None]  # its proxies
    train = sparse.csr_array((rng.random((users, items)) < chance).astype(np.float32))
    topic = np.arange(items) < 4
    slates = np.array([rng.permutation(np.arange(4, items))[:6] for _ in range(users)], dtype=np.int32)
    slates[rng.random(slates.shape) < 0.1] = -1
    return train, topic, slates


def measure_slowly(slates, train, topic, m=20, strength=10.0):
    """Return proxies, lift, matched lift and the share of matched users, user by user."""
    rows = [set(train.indices[train.indptr[u] : train.indptr[u + 1]].tolist()) for u in range(train.shape[0])]
    covered = set(np.flatnonzero(topic).tolist())
    had = [bool(row & covered) for row in rows]
    lifts = {}
    for item in set(range(train.shape[1])) - covered:
        p = sum(item in row for row in rows) / len(rows)
        if not p:
            continue
        rates = []
        for group in (True, False):
            own = [row for row, told in zip(rows, had, strict=True) if told == group]
            rates.append((sum(item in row for row in own) + strength * p) / (len(own) + strength))
        lifts[item] = rates[0] / rates[1]
    proxies = [item for item in sorted(lifts, key=lambda item: (-lifts[item], item)) if lifts[item] > 1][:m]
    shares, strata = [], []
    for row, slate in zip(rows, slates.tolist(), strict=True):
        picks = [item for item in slate if item >= 0]
        shares.append(sum(item in proxies for item in picks) / len(picks) if picks else 0.0)
        strata.append(sum(len(row & set(proxies)) >= bound for bound in BOUNDS))
    groups = {told: [u for u in range(len(rows)) if had[u] == told] for told in (True, False)}
    means = [np.mean([shares[u] for u in groups[told]]) for told in (True, False)]
    seen = expected = n = 0.0
    for s in set(strata):
        own, other = ([shares[u] for u in groups[told] if strata[u] == s] for told in (True, False))
        if own and other:
            seen, expected, n = seen + sum(own), expected + len(own) * np.mean(other), n + len(own)
    return proxies, means[0] / means[1], seen / expected, n / len(groups[True])


@pytest.mark.parametrize("seed", range(4))
def test_leakage_is_that_of_the_slow_definition(seed):
    train, topic, slates = make_world(seed)
    found = measure_proxy_leakage(slates, train, topic, n_bootstrap=50)
    proxies, lift, matched, share = measure_slowly(slates, train, topic)
    assert found.proxies.tolist() == proxies == find_proxies(train, topic).tolist()
    np.testing.assert_allclose([found.lift, found.matched_lift, found.matched_share], [lift, matched, share])
    assert found.lift_low < found.lift < found.lift_high and found.matched_low < found.matched_high


def test_a_rule_that_shows_proxies_for_the_topic_leaks_and_one_that_does_not_is_1():
    """Users who had the topic are shown proxies, whatever else they like; then users by their proxies alone."""
    train, topic, _ = make_world(3, users=600)
    dense = train.toarray() > 0
    had, liked = dense[:, :4].any(axis=1), dense[:, 4:12].sum(axis=1)
    others, proxies = np.arange(20, 26, dtype=np.int32), np.arange(4, 10, dtype=np.int32)
    leaks = np.where(had[:, None], np.r_[proxies[:4], others[:2]], np.r_[proxies[:1], others[:5]])
    found = measure_proxy_leakage(leaks.astype(np.int32), train, topic, n_proxies=8)
    assert found.lift_low > 2 and found.matched_low > 2
    blind = np.array([np.r_[proxies[: min(int(n), 5) + 1], others][:6] for n in liked], dtype=np.int32)
    found = measure_proxy_leakage(blind, train, topic, n_proxies=8)
    assert found.lift_low > 1.2 and found.matched_low <= 1 <= found.matched_high and found.matched_share > 0.9


def test_a_lift_without_proxies_in_slates_is_none_and_one_for_users_with_the_topic_alone_is_infinite():
    train, topic, _ = make_world(1)
    had = (train.toarray()[:, :4] > 0).any(axis=1)
    others, proxies = np.full((120, 3), 30, np.int32), np.full((120, 3), 4, np.int32)
    found = measure_proxy_leakage(others, train, topic, n_proxies=5)
    assert np.isnan([found.lift, found.lift_low, found.lift_high, found.matched_lift]).all()
    found = measure_proxy_leakage(np.where(had[:, None], proxies, others), train, topic, n_proxies=8)
    assert found.lift == found.lift_low == found.lift_high == found.matched_lift == np.inf


def test_slates_of_others_and_a_topic_of_nobody_are_one_line():
    train, topic, slates = make_world()
    with pytest.raises(RecsysError, match=r"^proxy leakage: slates have shape \(5, 6\), expected \(120, k\)$"):
        measure_proxy_leakage(slates[:5], train, topic)
    with pytest.raises(RecsysError, match=r"^proxy leakage: 0 of 120 users had the topic, expected some who had it"):
        measure_proxy_leakage(slates, train, np.zeros(40, bool))
