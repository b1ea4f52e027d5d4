"""How unexplored candidates are, and what discovery is worth: `unexplored` and `discovery_value` against loops."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_maps, make_split, make_validation_world

from recsys import objectives
from recsys.configs import read_config
from recsys.likelihoods import apply_likelihood, fit_likelihood
from recsys.maths.distributions import acceptance, find_explored_regions
from recsys.maths.embeddings import cooccurrence_vectors, normalize_rows
from recsys.objectives import _unexplored
from recsys.objectives._pool_arrays import compute_plausibility
from recsys.rankers import Ranker
from recsys.reranking.blends import parse_blend
from recsys.reranking.slates import fit_scales, rerank
from recsys.reranking.term_cache import TermCache
from recsys.retrieval.candidates import candidates
from recsys.retrieval.fold_contexts import make_fold_context, select_table_users
from recsys.types import Fold, Pool, RecsysError
from recsys.types.arrays import Csr

K = 5
SPLIT = make_split(users=40, seed=3)
MODEL, MAPS = RandomFactorModel(SPLIT), make_maps(SPLIT)
POOL = candidates(MODEL, SPLIT, n=20, maps=MAPS)


def silence(matrix, user):
    """The same rows, but that of `user` is empty."""
    dense = matrix.toarray()
    dense[user] = 0
    return Csr(dense)


def compute_u(pool, split, maps, share, vectors):
    """u, candidate by candidate."""
    u = np.zeros(pool.items.shape)
    taken = [acceptance(split.train, split.train_negatives, m.assignment, 5.0) for m in maps]
    explored = [find_explored_regions(split.train, m) for m in maps]
    train = split.train.toarray() > 0
    for row, user in enumerate(pool.users):
        for n, item in enumerate(pool.items[row]):
            if item < 0:
                continue
            new = []
            for m, taste_map in enumerate(maps):
                z = taste_map.hard_regions[item]
                new.append(taken[m][user, z] if z >= 0 and not explored[m][user, z] else 0.0)
            near = max([0.0, *(float(vectors[item] @ vectors[j]) for j in np.flatnonzero(train[user]))])
            u[row, n] = (1 - share) * np.mean(new) + share * (1 - min(near, 1.0))
    return u


@pytest.mark.parametrize(
    ("share", "space"), [(0.0, "factors"), (0.3, "factors"), (0.5, "cooccurrence"), (1.0, "cooccurrence")]
)
def test_unexplored_is_half_maps_and_half_distance(share, space):
    vectors = (
        cooccurrence_vectors(SPLIT.train) if space == "cooccurrence" else normalize_rows(MODEL.factors.item_factors)
    )
    u = compute_u(POOL, SPLIT, MAPS, share, vectors.astype(float))
    gain = objectives.unexplored(POOL, K, distance_share=share, space=space).gain
    np.testing.assert_allclose(gain, compute_plausibility(POOL) * u, atol=1e-6)
    assert u.std() > 0.01


def test_without_distance_it_is_the_share_of_maps_to_the_bit():
    share = np.zeros(POOL.items.shape)
    for taste_map in MAPS:
        region = np.where(POOL.items >= 0, taste_map.hard_regions[POOL.items], -1)
        taken = acceptance(SPLIT.train, SPLIT.train_negatives, taste_map.assignment, 5.0)
        explored = find_explored_regions(SPLIT.train, taste_map)
        user, z = POOL.users[:, None], np.maximum(region, 0)
        share += np.where((region >= 0) & ~explored[user, z], taken[user, z], 0.0)
    expected = (compute_plausibility(POOL) * share / len(MAPS)).astype(np.float32)
    np.testing.assert_array_equal(objectives.unexplored(POOL, K, distance_share=0.0).gain, expected)


def test_a_user_without_history_is_at_distance_1():
    bare = replace(POOL, context=replace(POOL.context, train=silence(POOL.context.train, 4), dislikes=None))
    gain = objectives.unexplored(bare, K, distance_share=1.0).gain
    np.testing.assert_array_equal(gain[4], compute_plausibility(bare)[4].astype(np.float32))


def softmax(scores):
    mass = np.exp(scores - scores.max())
    return mass / mass.sum()


@pytest.mark.parametrize("kind", ["", "softmax", "logistic"])
def test_value_is_the_likelihood_times_what_a_like_counts(kind):
    split = replace(SPLIT, train=silence(SPLIT.train, 4))
    pool = candidates(MODEL, split, n=20, maps=MAPS)
    items = pool.items.copy()
    items[7, 12:] = -1
    pool = replace(pool, items=items, scores=np.where(items >= 0, pool.scores, 0), likelihood_kind=kind)
    u = compute_u(pool, split, MAPS, 0.5, cooccurrence_vectors(split.train).astype(float))
    gain = objectives.discovery_value(pool, K, exploration=2.5).gain
    for row in range(len(pool.users)):
        n = pool.lengths[row]
        scores = pool.scores[row, :n].astype(float)
        p = (scores - scores.min()) / (scores.max() - scores.min())
        if kind and row != 4:  # whose scores a likelihood leaves as they are
            p = softmax(scores) if kind == "softmax" else 1 / (1 + np.exp(-scores))
        np.testing.assert_allclose(gain[row, :n], p * (1 + 2.5 * u[row, :n]), rtol=1e-5, atol=1e-7)
        assert (gain[row, n:] == 0).all()


def test_a_form_that_is_named_holds_for_all_scores():
    learned = replace(POOL, likelihood_kind="logistic")
    by_name = objectives.discovery_value(learned, K, score_transform="softmax").gain
    np.testing.assert_array_equal(by_name, objectives.discovery_value(replace(POOL, likelihood_kind="softmax"), K).gain)
    ranks = objectives.discovery_value(learned, K, score_transform="rank", exploration=0.0).gain
    np.testing.assert_allclose(
        ranks, np.where(POOL.items >= 0, 1 - np.arange(20) / POOL.lengths[:, None], 0), rtol=1e-6
    )


def draw_pool(seed, kind):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(40)[:6].astype(np.int32)
    scores = np.sort(rng.normal(scale=3, size=(6, 20)).round(1), axis=1)[:, ::-1].astype(np.float32)
    items = np.array([rng.permutation(40)[:20] for _ in rows], np.int32)
    return Pool(rows, items, scores, POOL.context, kind)


pools = st.builds(draw_pool, st.integers(0, 10**6), st.sampled_from(["", "softmax", "logistic"]))


@settings(max_examples=40, deadline=None)
@given(pools, st.sampled_from(["auto", "softmax", "range", "rank"]))
def test_without_exploration_the_order_is_the_pools(pool, form):
    found = rerank(pool, {"discovery_value": {"weight": 0.7, "exploration": 0.0, "score_transform": form}}, 10)
    np.testing.assert_array_equal(found.items, pool.items[:, :10])


@settings(max_examples=40, deadline=None)
@given(pools, st.integers(0, 40), st.integers(0, 40))
def test_more_exploration_buys_unexplored_likes_with_likes(pool, one, other):
    """Along the dial the slate's expected unexplored likes never fall, and its expected likes never rise."""
    low, high = sorted((one / 2, other / 2))  # apart: rounding does not decide
    p = objectives.discovery_value(pool, K, exploration=0.0).gain.astype(float)
    p_u = objectives.discovery_value(pool, K, exploration=1.0).gain - p
    sums = []
    for exploration in (low, high):
        gain = objectives.discovery_value(pool, K, exploration=exploration).gain
        assert (gain >= 0).all() and (gain <= (1 + exploration) * (1 + 1e-6)).all()
        found = rerank(pool, {"discovery_value": {"weight": 1.0, "exploration": exploration}}, K).items
        picks = (pool.items[:, :, None] == found[:, None, :]).any(axis=2)
        sums.append(((p * picks).sum(axis=1), (p_u * picks).sum(axis=1)))
    assert (sums[1][0] <= sums[0][0] + 1e-3).all()
    assert (sums[1][1] >= sums[0][1] - 1e-3).all()


@settings(max_examples=30, deadline=None)
@given(pools, st.integers(0, 10**6))
def test_values_belong_to_candidates_not_to_places(pool, seed):
    order = np.random.default_rng(seed).permutation(20)
    moved = replace(pool, items=pool.items[:, order], scores=pool.scores[:, order])
    for make in (objectives.unexplored, objectives.discovery_value):
        np.testing.assert_allclose(make(moved, K).gain, make(pool, K).gain[:, order], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weight", [-1.0, {"weight": -0.5, "exploration": 2.0}, np.array([1.0, -2.0])])
def test_a_weight_below_0_is_one_line(weight):
    with pytest.raises(RecsysError, match=r"^blend: the weight of 'discovery_value' is -[0-9.]+, expected one above 0"):
        parse_blend({"discovery_value": weight})
    parse_blend({"discovery_value": np.array([0.0, 1.0])})


def test_beside_relevance_it_is_one_line(tmp_path):
    with pytest.raises(RecsysError, match=r"^blend: found relevance beside discovery_value, expected one of them"):
        parse_blend({"relevance": 1.0, "discovery_value": 1.0})
    parse_blend({"relevance": 0.0, "discovery_value": 1.0, "mmr": 0.2})
    path = tmp_path / "both.toml"
    path.write_text('[data]\nname = "ml-100k"\n[blends.both]\nrelevance = 1.0\ndiscovery_value = 1.0\n')
    with pytest.raises(RecsysError, match="relevance beside discovery_value"):
        read_config(path)


@pytest.mark.parametrize(
    ("name", "wrong", "line"),
    [
        ("discovery_value", {"exploration": -0.1}, "discovery_value: exploration is -0.1"),
        ("discovery_value", {"exploration": float("nan")}, "discovery_value: exploration is nan"),
        ("discovery_value", {"score_transform": "sofmax"}, "unknown score_transform 'sofmax'.*softmax"),
        ("discovery_value", {"platt_slope": 1.0}, "platt_slope 1.0 and platt_offset 0.0 with score_transform 'auto'"),
        ("discovery_value", {"distance_share": 1.01}, "discovery_value: distance_share is 1.01"),
        ("unexplored", {"distance_share": -0.5}, "unexplored: distance_share is -0.5"),
        ("unexplored", {"distance_share": 0.0, "space": "coocurrence"}, "unknown space 'coocurrence'.*cooccurrence"),
    ],
)
def test_settings_that_cannot_be_are_one_line(name, wrong, line):
    with pytest.raises(RecsysError, match=line) as raised:
        getattr(objectives, name)(POOL, K, **wrong)
    assert "\n" not in str(raised.value)


def test_a_kind_of_likelihood_that_is_none_is_one_line():
    with pytest.raises(RecsysError, match="likelihood_kind"):
        replace(POOL, likelihood_kind="softmacks")


@pytest.mark.parametrize("name", ["unexplored", "discovery_value"])
def test_folds_see_nothing_of_the_judges_users(name):
    """Whatever the judge's users liked, table users' gains stay; and a judge's user is read from the own row alone."""
    fold = Fold(0, np.arange(20), np.arange(20, 40))
    train = POOL.context.train.toarray()
    gains = []
    for seed in range(2):
        other = train.copy()
        other[fold.judge_users[1:]] = np.random.default_rng(seed).random((19, train.shape[1])) < 0.2
        context = replace(POOL.context, train=Csr(other), dislikes=None, times=None)
        moved = replace(
            POOL, context=make_fold_context(replace(context, tables=type(context.tables)()), fold, maps=MAPS)
        )
        gains.append(getattr(objectives, name)(moved, K).gain)
        inside = select_table_users(moved, fold)
        np.testing.assert_array_equal(getattr(objectives, name)(inside, K).gain, gains[-1][fold.table_users])
    known = [*fold.table_users, fold.judge_users[0]]
    np.testing.assert_array_equal(gains[0][known], gains[1][known])
    assert (gains[0] != gains[1]).any()


@pytest.fixture(scope="module")
def learned():
    pool, split, model, maps = make_validation_world()
    split = replace(split, train_negatives=Csr(split.shape, dtype=np.float32))
    return split, model, maps, {kind: fit_likelihood(pool, split, n=30, kind=kind) for kind in ("softmax", "logistic")}


@pytest.mark.parametrize("kind", ["", "softmax", "logistic"])
@pytest.mark.parametrize(
    "blend",
    [
        {"discovery_value": {"weight": 1.0, "exploration": 3.0}, "mmr": 0.2},
        {"discovery_value": {"weight": 1.0, "exploration": 3.0}, "novelty": 0.1},  # no fast path
        {"relevance": 1.0, "unexplored": {"weight": 0.7, "space": "factors"}},
    ],
)
def test_known_and_new_users_have_the_same_bits(learned, kind, blend):
    split, model, maps, fitted = learned
    made = fitted.get(kind)
    ranker = Ranker.fit(model, split, blend, maps=maps, n=30, k=8, likelihood=made)
    base = candidates(model, split, n=30, maps=maps)
    pool = base if made is None else apply_likelihood(base, made)
    slates = rerank(pool, blend, 8, scale=ranker.scales)
    for u in range(0, 200, 17):
        history = split.item_ids[split.train.indices[split.train.indptr[u] : split.train.indptr[u + 1]]]
        ids = split.item_ids[base.items[u]]
        known = ranker.rerank(ids, base.scores[u], user=f"u{u}")
        new = ranker.rerank(ids, base.scores[u], history=history[::-1].tolist())
        assert list(known.items) == list(new.items) == split.item_ids[slates.items[u]].tolist()
        assert known.contributions.tolist() == new.contributions.tolist()
        np.testing.assert_allclose(known.contributions, slates.contributions[u], rtol=1e-4, atol=1e-6)
        ranked = ranker.rank(user=f"u{u}")
        again = ranker.rank(history=history[::-1].tolist())
        np.testing.assert_allclose(
            ranked.contributions, again.contributions, rtol=1e-3, atol=1e-4
        )  # scores are folded in


def test_trials_share_how_unexplored_candidates_are(monkeypatch):
    made = []
    monkeypatch.setattr(_unexplored, "_sum_untouched", lambda pool, prior: made.append(1) or np.ones(pool.items.shape))
    terms = TermCache(POOL)
    for exploration in (0.5, 1.0, 2.0):
        rerank(POOL, {"discovery_value": {"weight": 1.0, "exploration": exploration}}, K, terms=terms)
    assert made == [1]


def test_scales_are_those_of_the_pools_likelihood():
    """A sample of users keeps what the scores are."""
    learned = replace(POOL, likelihood_kind="softmax")
    same = {"discovery_value": {"weight": 1.0, "score_transform": "softmax"}}
    assert (
        fit_scales(learned, {"discovery_value": 1.0})
        == fit_scales(POOL, same)
        != fit_scales(POOL, {"discovery_value": 1.0})
    )
