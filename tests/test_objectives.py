"""Each objective against its definition; `test_testing.py` has the contract that all of them keep."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from synthetic import RandomFactorModel, make_maps, make_split

from recsys import objectives
from recsys.kernels.reference import compute_gains
from recsys.maths.distributions import (
    acceptance,
    cluster_users,
    deficit,
    find_explored_regions,
    kl,
    nearby_community_mixes,
    user_mixes,
)
from recsys.maths.embeddings import cooccurrence_vectors
from recsys.maths.popularity import item_self_information
from recsys.objectives._pool_arrays import compute_plausibility
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.types import Pool, RecsysError, TableCache

K = 5


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=20, maps=maps)


def test_novelty_is_the_self_information_of_training(split, pool):
    expected = item_self_information(split.train)[pool.items]
    np.testing.assert_allclose(objectives.novelty(pool, K).gain[pool.items >= 0], expected[pool.items >= 0], rtol=1e-6)


def test_calibration_is_the_fall_of_the_divergence(split, pool):
    """Summed over a slate of k picks, gains are KL at the empty slate minus KL at the slate."""
    term = objectives.calibration(pool, K, alpha=0.01)
    features = split.items.features.toarray()
    shares = features / np.maximum(features.sum(axis=1, keepdims=True), 1)
    for u in range(5):
        p = user_mixes(split.train, term.coverage)[u]
        slate = [7, 0, 3, 9, 1]
        total = sum(compute_gains(term, u, slate[:s], 12)[i] for s, i in enumerate(slate))
        q = shares[pool.items[u, slate]].mean(axis=0)
        assert total == pytest.approx(kl(p, 0.01 * p) - kl(p, 0.99 * q + 0.01 * p), rel=1e-5)


def test_serendipity_is_plausible_and_far_from_everything_met(split, pool):
    gain = objectives.serendipity(pool, K).gain
    vectors = cooccurrence_vectors(split.train).astype(float)
    for u in (0, 5, 17):
        met = split.train.indices[split.train.indptr[u] : split.train.indptr[u + 1]]
        for n in range(pool.lengths[u]):
            near = max(0.0, *(vectors[pool.items[u, n]] @ vectors[j] for j in met))
            scores = pool.scores[u, : pool.lengths[u]]
            share = (pool.scores[u, n] - scores.min()) / (scores.max() - scores.min())
            assert gain[u, n] == pytest.approx(share * (1 - min(near, 1)), abs=1e-5)


def posterior(split, factors, user):
    items = factors.item_factors.astype(float)
    met = items[split.train.indices[split.train.indptr[user] : split.train.indptr[user + 1]]]
    a = items.T @ items + factors.observed_weight * met.T @ met + factors.regularization * np.eye(items.shape[1])
    return np.linalg.inv(a)


def test_ucb_is_the_posterior_deviation(split, model, pool):
    gain = objectives.ucb(pool, K).gain
    for u in (0, 9, 29):
        vectors = model.factors.item_factors[pool.items[u]].astype(float)
        expected = np.sqrt(np.einsum("nd,de,ne->n", vectors, posterior(split, model.factors, u), vectors))
        np.testing.assert_allclose(gain[u], expected, rtol=1e-5)


def test_thompson_draws_have_the_posterior_covariance(split, model, pool):
    one = pool.slice_users(3, 4)
    draws = np.stack([objectives.thompson(one, K, seed=s).gain[0] for s in range(2000)])
    vectors = model.factors.item_factors[one.items[0]].astype(float)
    expected = vectors @ posterior(split, model.factors, 3) @ vectors.T
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=5 * np.sqrt(expected.max() / 4000))
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.12 * expected.max())


def test_thompson_by_slot_draws_from_the_posterior_anew_for_each(split, model, pool):
    one = pool.slice_users(3, 4)
    draws = np.stack([objectives.thompson(one, 2, seed=s, per="slot").gain[0] for s in range(2000)])
    vectors = model.factors.item_factors[one.items[0]].astype(float)
    expected = vectors @ posterior(split, model.factors, 3) @ vectors.T
    both = np.cov(draws.reshape(2000, -1).T)
    n = len(vectors)
    for part in (both[:n, :n], both[n:, n:]):
        np.testing.assert_allclose(part, expected, atol=0.12 * expected.max())
    np.testing.assert_allclose(both[:n, n:], 0, atol=0.12 * expected.max())
    longer = objectives.thompson(one, 5, per="slot").gain
    assert (longer[:, :2] == objectives.thompson(one, 2, per="slot").gain).all()  # whatever comes after
    with pytest.raises(RecsysError, match=r"^thompson: unknown per 'whim'"):
        objectives.thompson(one, 2, per="whim")


def test_negative_space_is_one_minus_the_deficit_averaged_over_maps(split, pool, maps):
    term = objectives.negative_space(pool, K, tau=0.7, top_m=2)
    label = cluster_users(split.train, pool.context.seed)
    for u in (0, 4, 21):
        slate = [5, 2, 11, 0, 8]
        total = sum(compute_gains(term, u, slate[:s], 15)[i] for s, i in enumerate(slate))
        kept = []
        for taste_map in maps:
            own = user_mixes(split.train, taste_map.assignment)
            q = 0.3 * own[u] + 0.7 * nearby_community_mixes(own, label)[u]
            region, w = taste_map.hard_regions[pool.items[u]], np.zeros(taste_map.assignment.shape[1])
            share = compute_plausibility(pool)[u]
            for z in range(len(w)):
                w[z] = np.sort(np.append(share[region == z], [0, 0]))[::-1][:2].mean()
            w *= acceptance(split.train, split.train_negatives, taste_map.assignment, 5.0)[u]
            e = taste_map.assignment[pool.items[u, slate]].toarray().mean(axis=0)
            kept.append(1 - deficit(q, e, w))
        assert total == pytest.approx(np.mean(kept), abs=1e-6)


def test_unexplored_counts_maps_whose_region_is_new(split, pool, maps):
    gain = objectives.unexplored(pool, K, distance_share=0.0).gain
    for u in (0, 13):
        for n in (0, 4, 10):
            item = pool.items[u, n]
            fresh = [
                (m.hard_regions[item] >= 0 and not find_explored_regions(split.train, m)[u, m.hard_regions[item]])
                * acceptance(split.train, split.train_negatives, m.assignment, 5.0)[u, m.hard_regions[item]]
                for m in maps
            ]
            assert gain[u, n] == pytest.approx(compute_plausibility(pool)[u, n] * np.mean(fresh), abs=1e-6)


def likely(split, factors, pool, user, threshold, noise):
    """P(like) of each candidate, from the inverse of the user's matrix."""
    vectors = factors.item_factors[pool.items[user]].astype(float)
    variance = noise**2 * np.einsum("nd,de,ne->n", vectors, posterior(split, factors, user), vectors)
    return norm.cdf((pool.scores[user] - threshold) / np.sqrt(variance + noise**2))


def test_plausible_may_be_the_probability_of_a_like(split, model, pool, maps):
    settings = {"score_transform": "posterior", "platt_slope": 1 / 0.8, "platt_offset": -1.2 / 0.8}
    gain, plain = objectives.unexplored(pool, K, **settings).gain, objectives.unexplored(pool, K).gain
    share = compute_plausibility(pool)
    for u in (3, 13):
        told = share[u] > 0
        rest = plain[u, told] / share[u, told]
        chance = likely(split, model.factors, pool, u, 1.2, 0.8)
        assert chance.std() > 0.05  # the probabilities are not all 0 or 1
        np.testing.assert_allclose(gain[u, told], chance[told] * rest, rtol=1e-4)


def test_a_region_is_as_plausible_as_the_likeliest_of_it(split, model, pool, maps):
    """The best by probability need not be the best by score: uncertainty reorders."""
    term = objectives.negative_space(
        pool, K, top_m=2, score_transform="posterior", platt_slope=1 / 0.8, platt_offset=-1.2 / 0.8
    )
    label, reordered = cluster_users(split.train, pool.context.seed), 0
    for u in range(8):
        chance, expected = likely(split, model.factors, pool, u, 1.2, 0.8), []
        reordered += (np.diff(chance) > 0).any()
        for taste_map in maps:
            region = taste_map.hard_regions[pool.items[u]]
            w = np.array([np.sort([0, 0, *chance[region == z]])[-2:].mean() for z in range(5)])
            w *= acceptance(split.train, split.train_negatives, taste_map.assignment, 5.0)[u]
            q = nearby_community_mixes(user_mixes(split.train, taste_map.assignment), label)[u]
            expected.append(w / (w @ q) / len(maps))
        np.testing.assert_allclose(term.need[u], np.concatenate(expected), rtol=1e-5, atol=1e-9)
    assert reordered


@pytest.mark.parametrize("name", ["negative_space", "unexplored"])
@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"score_transform": "hope"}, "unknown score_transform 'hope'"),
        (
            {"score_transform": "posterior"},
            "platt_slope is 0.0 and platt_offset 0.0, expected a platt_slope above 0",
        ),
        (
            {"score_transform": "posterior", "platt_slope": 1.0, "platt_offset": float("nan")},
            "platt_offset is nan, expected a finite number",
        ),
        (
            {"platt_slope": 1.0},
            "platt_slope 1.0 and platt_offset 0.0 with score_transform 'range', expected score_transform probability or posterior",
        ),
    ],
)
def test_forms_that_cannot_be_are_one_line(pool, name, wrong, line):
    with pytest.raises(RecsysError, match=f"^{name}: {line}"):
        getattr(objectives, name)(pool, K, **wrong)


def test_a_posterior_needs_factors(pool):
    bare = replace(pool, context=replace(pool.context, factors=None))
    with pytest.raises(RecsysError, match=r"^unexplored needs a factor model"):
        objectives.unexplored(bare, K, score_transform="posterior", platt_slope=1.0)


def test_acceptance_is_the_posterior_share_of_likes(split, maps):
    region, usual = maps[0].hard_regions, split.train.nnz / (split.train.nnz + split.train_negatives.nnz)
    found = acceptance(split.train, split.train_negatives, maps[0].assignment, 3.0)
    likes, refusals = split.train.toarray() > 0, split.train_negatives.toarray() != 0
    for u in (0, 8, 20):
        for z in range(found.shape[1]):
            yes, no = likes[u, region == z].sum(), refusals[u, region == z].sum()
            assert found[u, z] == pytest.approx(min(1.0, (3 * usual + yes) / (3 + yes + no) / usual))
            if not no:
                assert found[u, z] == 1
    assert (found < 1).any()


def test_noise_depends_on_seed_user_and_item_alone(pool):
    gain = objectives.noise(pool, K).gain
    assert (gain == objectives.noise(pool, 2).gain).all()
    assert (gain != objectives.noise(pool, K, seed=1).gain).any()
    assert abs(gain.mean()) < 0.2
    assert gain.std() == pytest.approx(1, abs=0.15)


def test_tau_zero_keeps_to_the_users_own_regions():
    """With tau = 0 the reference is the user's own mix: no region that they never touched is owed anything."""
    split = make_split(users=60)
    maps = make_maps(split, n=1, regions=8)
    pool = candidates(RandomFactorModel(split), split, n=20, maps=maps)
    own = objectives.negative_space(pool, K, tau=0.0)
    far = objectives.negative_space(pool, K, tau=1.0)
    fresh = ~find_explored_regions(split.train, maps[0])
    assert own.cap is not None
    assert far.cap is not None
    assert (own.cap[fresh] == 0).all()
    assert far.cap[fresh].sum() > 0


@pytest.mark.parametrize("name", ["unexplored", "negative_space"])
def test_a_pool_without_maps_is_one_line(split, model, name):
    with pytest.raises(RecsysError, match="needs taste maps: make the pool with a split, or give it maps="):
        rerank(candidates(model, split, n=20, maps=()), {name: 1.0}, k=K)


def test_the_line_on_lacking_maps_names_what_asks(split, model):
    context = candidates(model, split, n=20, maps=()).context
    for bare in (context, replace(context, make_maps=None, tables=TableCache())):
        with pytest.raises(RecsysError, match=r"^mine needs taste maps: make the pool with a split, or give it maps=$"):
            bare.need_maps("mine")


def test_candidates_have_the_regions_of_their_items_and_users_their_histories(pool, maps):
    items = pool.items.copy()
    items[3, 15:] = -1
    short = Pool(pool.users, items, np.where(items >= 0, pool.scores, 0), pool.context)
    found = objectives.get_candidate_regions(short)
    assert found.shape == (3, 30, 20) and (found[:, 3, 15:] == -1).all()
    for m, taste_map in enumerate(maps):
        for u, n in ((0, 0), (3, 14), (29, 7)):
            row = taste_map.assignment[[items[u, n]]].toarray()[0]
            assert found[m, u, n] == (row.argmax() if row.any() else -1)
    part = pool.slice_users(4, 6)
    histories = objectives.get_histories(part, "mine")
    assert (histories.toarray() == pool.context.train.toarray()[part.users]).all()
    alone = replace(pool, context=replace(pool.context, train=None))
    with pytest.raises(RecsysError, match="mine needs each user's history"):
        objectives.get_histories(alone, "mine")
