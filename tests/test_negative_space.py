"""What must hold of the deficit and of the objective that is its opposite, whatever the numbers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_maps, make_split

from recsys import metrics, objectives
from recsys.kernels.reference import compute_gains
from recsys.maths.distributions import (
    deficit,
    nearby_community_mixes,
    nearby_community_weights,
    total_variation,
    user_mixes,
)
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.types import Evaluation, GroundTruth, Pool, TasteMap
from recsys.types.arrays import Csr, make_empty_matrix

seeded = given(seed=st.integers(0, 10**6), z=st.integers(2, 7))
often = settings(max_examples=80, deadline=None)


def owed(seed, z):
    """References and exposures that sum to 1, plausibilities, some of each 0: (20, z)."""
    rng = np.random.default_rng(seed)
    q, e = rng.dirichlet(np.full(z, 0.4), (2, 20))
    w = rng.random((20, z)) * (rng.random((20, z)) < 0.8)
    w[:, 0] += 0.1
    return rng, q + 1e-9, e, w


@often
@seeded
def test_it_is_a_share_and_0_where_all_that_is_plausible_is_shown(seed, z):
    _, q, e, w = owed(seed, z)
    found = deficit(q, e, w)
    assert ((found >= 0) & (found <= 1)).all()
    assert ((found == 0) == ((e >= q) | (w == 0)).all(axis=1)).all()
    assert deficit(q, q, w) == pytest.approx(0)
    assert deficit(q, np.zeros_like(q), w) == pytest.approx(1)
    assert (deficit(q, np.where(w > 0, q, 0.0) + 0.1, w) == 0).all()


@often
@seeded
def test_where_all_is_plausible_it_is_the_total_variation(seed, z):
    _, q, e, _ = owed(seed, z)
    q = q / q.sum(axis=1, keepdims=True)
    assert deficit(q, e) == pytest.approx(total_variation(q, e))
    assert deficit(q, e, np.full_like(q, 0.3)) == pytest.approx(total_variation(q, e))


@often
@seeded
def test_regions_may_have_other_names(seed, z):
    rng, q, e, w = owed(seed, z)
    order = rng.permutation(z)
    assert deficit(q[:, order], e[:, order], w[:, order]) == pytest.approx(deficit(q, e, w))


@often
@seeded
def test_merging_regions_as_plausible_as_each_other_never_adds_to_it(seed, z):
    """And so splitting one never takes from it."""
    rng, q, e, w = owed(seed, z)
    one, two = rng.choice(z, 2, replace=False)
    w[:, two] = w[:, one]
    merged = [np.delete(part, two, axis=1) for part in (q, e, w)]
    place = one - (two < one)
    for part, whole in zip(merged[:2], (q, e), strict=True):
        part[:, place] = whole[:, one] + whole[:, two]
    apart, together = deficit(q, e, w), deficit(*merged)
    told = ~np.isnan(apart)
    assert (together[told] <= apart[told] + 1e-12).all()


@often
@seeded
def test_whatever_is_shown_besides_never_adds_to_it(seed, z):
    rng, q, e, w = owed(seed, z)
    more = e * 0.7 + rng.dirichlet(np.full(z, 0.4), 20) / 10
    assert (deficit(q, more, w) <= deficit(q, e * 0.7, w) + 1e-12).all()


def test_however_far_the_other_communities_are_one_of_them_is_the_nearest():
    """Most users are alike, so that the usual distance is tiny: the far one still has a reference."""
    own = np.vstack([np.tile([1.0, 0.0, 0.0], (9, 1)), [[0.0, 0.6, 0.4]]])
    label = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3], dtype=np.int32)
    found = nearby_community_mixes(own, label)
    assert found[9] == pytest.approx([1, 0, 0])
    assert nearby_community_weights(own, label).sum(axis=1) == pytest.approx(1)


def test_items_that_lie_in_the_same_regions_stand_for_each_other():
    split = make_split()
    maps, rng = make_maps(split), np.random.default_rng(0)
    items = np.argsort(rng.random((30, 40)), axis=1)[:, :6].astype(np.int32)
    places = [tuple(m.hard_regions[i] for m in maps) for i in range(40)]
    alike = np.array([rng.choice([j for j in range(40) if places[j] == places[i]]) for i in range(40)], np.int32)
    assert (alike != np.arange(40)).any()
    values = [
        metrics.exposure_deficit(Evaluation(shown, GroundTruth(split, (), maps)), 6).values
        for shown in (items, alike[items])
    ]
    np.testing.assert_allclose(*values)


def make_pool(seed, n=7, regions=3):
    split = make_split(seed, users=6, items=14)
    maps = make_maps(split, n=2, regions=regions, seed=seed)
    return candidates(RandomFactorModel(split, seed=seed), split, n=n, maps=maps)


def values(term, u, n, k):
    """The value of every set of up to k candidates of user u, as the sum of the gains that lead to it."""
    sets = (s for r in range(k + 1) for s in itertools.combinations(range(n), r))
    return {s: sum(compute_gains(term, u, s[:i], n)[p] for i, p in enumerate(s)) for s in sets}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 4), tau=st.sampled_from([0.0, 0.5, 1.0]))
def test_what_is_given_is_never_less_and_returns_diminish(seed, k, tau):
    """And with relevance that is not below 0, greedy slates are within 1 - 1/e of the best."""
    pool = make_pool(seed, n=6)
    terms = [objectives.negative_space(pool, k, tau=tau), objectives.relevance(pool, k, score_transform="range")]
    made = rerank(
        pool,
        {"negative_space": {"weight": 1.0, "tau": tau}, "relevance": {"weight": 0.2 / k, "score_transform": "range"}},
        k=min(k, 6),
        scale=None,
    )
    for u in range(2):
        n = min(int(pool.lengths[u]), 5)
        value = values(terms[0], u, n, k)
        for small, large in itertools.product(value, value):
            if set(small) <= set(large) and len(large) < k:
                for i in set(range(n)) - set(large):
                    first, later = (value[tuple(sorted((*s, i)))] - value[s] for s in (small, large))
                    assert first >= later - 1e-9
                    assert later >= -1e-9
        whole = int(pool.lengths[u])
        liked = terms[1].gain[u].astype(float) * 0.2 / k
        sets = itertools.combinations(range(whole), min(k, whole))
        best = max(sum(compute_gains(terms[0], u, s[:i], whole)[p] + liked[p] for i, p in enumerate(s)) for s in sets)
        assert made.scores[u].sum() >= (1 - 1 / np.e) * best - 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5), tau=st.sampled_from([0.0, 0.5, 1.0]))
def test_each_pick_takes_from_the_deficit_what_it_contributes(seed, k, tau):
    pool = make_pool(seed)
    term = objectives.negative_space(pool, k, tau=tau)
    made = rerank(pool, {"negative_space": {"weight": 1.0, "tau": tau}}, k=k, scale=None)
    joined = np.hstack([m.assignment.toarray() for m in pool.context.maps])
    for u in range(6):
        shown = [i for i in made.items[u] if i >= 0]

        def left(items, u=u):
            """need q is w q / sum w q / maps: what is left of it is the mean of the deficits over maps."""
            missing = np.maximum(0, term.cap[u] - joined[items].sum(axis=0) / k)
            return float(term.need[u] @ missing)

        for r in range(len(shown)):
            assert made.scores[u, r] == pytest.approx(left(shown[:r]) - left(shown[: r + 1]), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), name=st.sampled_from(["negative_space", "account_gap", "facility_location", "rxquad"])
)
def test_lazy_greedy_picks_what_greedy_picks(seed, name):
    """Gains only fall, so an old gain is a bound: whoever keeps the lead when asked again is the best."""
    pool, k = make_pool(seed, n=8), 5
    term = getattr(objectives, name)(pool, k)
    for u in range(3):
        n = int(pool.lengths[u])
        bound, slate = compute_gains(term, u, [], n), []
        while len(slate) < min(k, n):
            first = int(bound.argmax())
            now = compute_gains(term, u, slate, n)
            bound[first] = now[first]
            if bound[first] >= np.delete(bound, first).max(initial=-1.0):
                now[slate] = -np.inf
                assert now[first] == pytest.approx(now.max(), abs=1e-9)
                slate.append(first)
                bound[first] = -np.inf


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
def test_of_oneself_and_with_all_plausible_it_is_calibration_by_total_variation(seed, k):
    """tau = 0, equal scores, nothing declined: F(S) = 1 - TV(p, e), p the user's own mix."""
    split = make_split(seed, users=8, items=20)
    region = np.random.default_rng(seed).integers(0, 3, 20)
    whole = TasteMap("whole", Csr((np.ones(20, np.float32), region, np.arange(21)), shape=(20, 3)), "random")
    split = replace(split, train_negatives=make_empty_matrix(split.shape))
    context = candidates(RandomFactorModel(split), split, n=1, maps=[whole]).context
    everything = np.tile(np.arange(20, dtype=np.int32), (8, 1))
    pool = Pool(np.arange(8, dtype=np.int32), everything, np.zeros((8, 20), np.float32), context)
    made = rerank(pool, {"negative_space": {"weight": 1.0, "tau": 0.0, "top_m": 1}}, k=k, scale=None)
    own = user_mixes(split.train, whole.assignment)
    for u in range(8):
        if own[u].any():
            e = np.bincount(region[made.items[u]], minlength=3) / k
            assert made.scores[u].sum() == pytest.approx(1 - total_variation(own[u], e), abs=1e-6)
            slates = itertools.combinations_with_replacement(range(3), k)
            shares = [np.bincount(s, minlength=3) for s in slates]
            room = np.bincount(region, minlength=3)
            best = min(total_variation(own[u], s / k) for s in shares if (s <= room).all())
            assert total_variation(own[u], e) == pytest.approx(best, abs=1e-6)  # of one region each, greedy is best
