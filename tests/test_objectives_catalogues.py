"""Novelty and the catalogue's attention: each objective against its definition, stated slowly."""

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_split

from recsys import objectives
from recsys.maths.embeddings import cooccurrence_vectors, mean_cosine_to_history, normalize_rows
from recsys.maths.popularity import find_tail_items
from recsys.objectives import _model_slates
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import Pool, candidates
from recsys.types import RecsysError
from recsys.types.arrays import Csr

K = 4


@pytest.fixture
def pool(split, model):
    return candidates(model, split, n=20)


def log_of(counts):
    """A log in which item i is had by the first `counts[i]` users."""
    return Csr((np.arange(max(counts))[:, None] < np.array(counts)).astype(np.float32))


@pytest.mark.parametrize(
    ("counts", "head", "tail"),
    [
        ([4, 2, 1, 0], 0.8, [0, 0, 1, 1]),  # 4 + 2 = 6 of 7 pass 5.6
        ([8, 1, 1], 0.8, [0, 1, 1]),  # 8 of 10 is 80 %, so the head is complete
        ([7, 1, 1, 1], 0.8, [0, 0, 0, 0]),  # which of three equals is the eighth, nobody can say: all of them
        ([1, 3, 6], 0.5, [1, 1, 0]),
        ([5, 5], 0.1, [0, 0]),
        ([3, 0, 0], 0.99, [0, 1, 1]),
    ],
)
def test_the_tail_begins_where_the_head_has_its_share(counts, head, tail):
    assert find_tail_items(np.array(counts, dtype=float), head).tolist() == [bool(t) for t in tail]


def test_the_tail_is_what_adding_up_one_item_after_the_other_leaves(split, pool):
    counts = split.train.toarray().sum(axis=0)
    for head in (0.3, 0.5, 0.8):
        reached, last = 0.0, 0.0
        for n in sorted(counts, reverse=True):
            if reached < head * counts.sum():
                reached, last = reached + n, n
        expected = (counts < last) | (counts == 0)
        assert 0 < expected.sum() < len(expected)
        gain = objectives.long_tail(pool, K, head=head).gain
        np.testing.assert_array_equal(gain, expected[np.maximum(pool.items, 0)].astype(np.float32))


def test_profile_distance_is_the_mean_over_the_history(split, pool):
    vectors = cooccurrence_vectors(split.train).astype(float)
    gain = objectives.profile_distance(pool, K).gain
    for u in (0, 7, 22):
        met = split.train.indices[split.train.indptr[u] : split.train.indptr[u + 1]]
        expected = [np.mean([1 - vectors[i] @ vectors[j] for j in met]) for i in pool.items[u]]
        np.testing.assert_allclose(gain[u], expected, atol=1e-6)


def test_a_user_without_history_is_at_distance_one_from_everything():
    vectors = normalize_rows(np.random.default_rng(0).normal(size=(4, 3)))
    near = mean_cosine_to_history(vectors, Csr((2, 4), dtype=np.float32), np.array([1]), np.array([[0, 3]]))
    assert near.tolist() == [[0.0, 0.0]]


def test_popularity_discount_divides_what_the_score_is_worth(split, pool):
    n = np.maximum(split.train.toarray().sum(axis=0), 1)[pool.items]
    low, high = pool.scores.min(axis=1, keepdims=True), pool.scores.max(axis=1, keepdims=True)
    gain = objectives.popularity_discount(pool, K, beta=0.7).gain
    np.testing.assert_allclose(gain, (pool.scores - low) / (high - low) / n**0.7, rtol=1e-5, atol=1e-7)
    liked = objectives.popularity_discount(
        pool, K, beta=0.5, score_transform="probability", platt_slope=0.3, platt_offset=-1.0
    ).gain
    np.testing.assert_allclose(liked, 1 / (1 + np.exp(1 - 0.3 * pool.scores)) / np.sqrt(n), rtol=1e-5)
    plain = objectives.relevance(pool, K, score_transform="range").gain
    np.testing.assert_array_equal(objectives.popularity_discount(pool, K, beta=0).gain, plain)


def denied(split, model, k):
    """Crowding-out of every item, user by user: what their likes would earn against the slates of the model."""
    scores = model.score(np.arange(split.shape[0]))
    likes = split.train.toarray().sum(axis=0)
    owed, shown = np.zeros(split.shape[1]), np.zeros(split.shape[1])
    for u in range(split.shape[0]):
        new = np.flatnonzero(split.seen.toarray()[u] == 0)
        owed[new] += min(k, len(new)) * likes[new] / likes[new].sum()
        shown[new[np.argsort(-scores[u, new])][:k]] += 1
    return np.where(owed > 0, np.maximum(owed - shown, 0) / np.maximum(owed, 1e-12), 0)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_under_exposed_is_what_likes_would_earn_and_slates_deny(split, model, pool, k):
    expected = denied(split, model, k)
    assert (expected > 0).any()
    assert (expected < 1).any()
    np.testing.assert_allclose(objectives.under_exposed(pool, k).gain, expected[pool.items], atol=1e-5)


def test_under_exposed_looks_at_no_more_users_than_it_says(split, model, pool, monkeypatch):
    monkeypatch.setattr(_model_slates, "SAMPLE_USERS", 11)  # of 30: every third
    monkeypatch.setattr(_model_slates, "BLOCK", 4)
    found = objectives.under_exposed(pool, K).gain
    assert (found != denied(split, model, K)[pool.items].astype(np.float32)).any()
    assert ((found >= 0) & (found <= 1)).all()


def test_more_of_it_gives_the_denied_their_slots():
    split = make_split(users=150, items=80)
    pool = candidates(RandomFactorModel(split), split, n=40)
    owing = denied(split, RandomFactorModel(split), K)
    shares = [owing[rerank(pool, {"relevance": 1.0, "under_exposed": w}, k=K).items].mean() for w in (0.0, 0.5, 5.0)]
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("long_tail", {"head": 1.0}, "long_tail: head is 1.0, expected a number above 0 and below 1"),
        ("long_tail", {"head": 0.0}, "head is 0.0"),
        ("profile_distance", {"space": "genres"}, "profile_distance: unknown space 'genres'"),
        ("popularity_discount", {"beta": -0.1}, "popularity_discount: beta is -0.1, expected a number from 0 on"),
        ("popularity_discount", {"score_transform": "score"}, "popularity_discount: unknown score_transform 'score'"),
        ("popularity_discount", {"score_transform": "probability"}, "expected a platt_slope above 0"),
    ],
)
def test_bad_settings_are_refused(pool, name, settings, message):
    with pytest.raises(RecsysError, match=message):
        getattr(objectives, name)(pool, K, **settings)


@pytest.mark.parametrize("name", ["long_tail", "profile_distance", "popularity_discount", "under_exposed"])
def test_without_a_history_it_says_what_it_needs(name):
    bare = Pool.from_frame(["a", "a"], ["x", "y"], [2.0, 1.0])
    with pytest.raises(RecsysError, match=name):
        getattr(objectives, name)(bare, 1)
