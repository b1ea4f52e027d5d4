"""Surprise by co-occurrence, within what a user is used to, and against what is popular."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, make_split

from recsys.maths import pmi
from recsys.maths.embeddings import cooccurrence_vectors
from recsys.maths.pmi import scaled_npmi_matrix, user_distance_moments
from recsys.models import MostPopular
from recsys.objectives import npmi_surprise, unexpected, unimodal_serendipity
from recsys.objectives._pool_arrays import compute_plausibility
from recsys.retrieval.candidates import candidates
from recsys.types import Context, Pool, RecsysError

K = 5


@pytest.fixture
def pool(split, model, maps):
    return candidates(model, split, n=20, maps=maps)


def history(train, user):
    return train.indices[train.indptr[user] : train.indptr[user + 1]]


def npmi(train, i, j):
    dense = train.toarray() > 0
    total = dense.any(axis=1).sum()
    both, one, other = ((dense[:, i] & dense[:, j]).sum(), dense[:, i].sum(), dense[:, j].sum())
    if not both:
        return -1.0
    if both == total:
        return 1.0
    return math.log(both * total / (one * other)) / -math.log(both / total)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (((1, 1, 0, 0), (1, 1, 0, 0)), 1.0),  # always together: log 2 / log 2
        (((1, 1, 0, 0), (0, 0, 1, 1)), 0.0),  # never: -1
        (((1, 1, 0, 0), (1, 0, 1, 0)), 0.5),  # independent: 0
        (((1, 1, 1, 1), (1, 1, 1, 1)), 1.0),  # p(i, j) = 1
        (((1, 1, 1, 0), (1, 0, 0, 0)), (1 + math.log(4 / 3) / math.log(4)) / 2),
    ],
)
def test_npmi_of_four_users_by_hand(columns, expected):
    others = np.ones((4, 1), np.float32)  # everybody has a history
    train = sparse.csr_array(np.hstack([np.array(columns, np.float32).T, others]))
    assert scaled_npmi_matrix(train)[0, 1] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("cells", [1, 100, 1 << 22])
def test_npmi_of_every_pair_whatever_the_blocks(monkeypatch, cells):
    monkeypatch.setattr(pmi, "CELLS", cells)
    train = make_split(3, users=12, items=15).train
    train = sparse.csr_array(sparse.vstack([train, sparse.csr_array((2, 15), dtype=np.float32)]))  # without a history
    table = scaled_npmi_matrix(train)
    for i in range(15):
        for j in range(15):
            assert table[i, j] == pytest.approx((1 + npmi(train, i, j)) / 2, abs=1e-6)


@pytest.mark.parametrize("cells", [1, 100, 1 << 22])
def test_npmi_surprise_is_plausible_and_met_by_other_people(split, pool, monkeypatch, cells):
    monkeypatch.setattr(pmi, "CELLS", cells)
    gain, share = npmi_surprise(pool, K).gain, compute_plausibility(pool)
    for u in (0, 11, 27):
        for n in (0, 3, 9):
            surprise = min((1 - npmi(split.train, pool.items[u, n], j)) / 2 for j in history(split.train, u))
            assert gain[u, n] == pytest.approx(share[u, n] * surprise, abs=1e-6)


def lonely(split, user=4, keep=0):
    """Return the split with only the first `keep` positives of a user."""
    train = split.train.tolil()
    train[user, history(split.train, user)[keep:]] = 0
    return replace(split, train=sparse.csr_array(train.tocsr()))


@pytest.mark.parametrize("objective", [npmi_surprise, unimodal_serendipity, unexpected])
def test_users_without_a_history_have_gains_too(split, objective):
    bare = lonely(split)
    pool = candidates(RandomFactorModel(bare), bare, n=20)
    gain = objective(pool, K).gain
    assert np.isfinite(gain).all()
    if objective is npmi_surprise:
        np.testing.assert_allclose(gain[4], compute_plausibility(pool)[4])


def test_what_was_met_is_no_surprise(split, model):
    pool = candidates(model, split, n=40, exclude_seen=False)
    met = split.train.toarray()[np.arange(30)[:, None], pool.items] > 0
    assert (npmi_surprise(pool, K).gain[met] < 1e-6).all()
    assert (unexpected(pool, K, top=1).gain[met] == 0).all()


def distances(train, vectors, user):
    """How far each positive of a user is from the others."""
    met = list(history(train, user))
    return [1 - max(0.0, *(float(vectors[i] @ vectors[j]) for j in met if j != i)) for i in met if len(met) > 1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 300, 1 << 22]), st.sampled_from([0.5, 5.0]))
def test_usual_distances_are_shrunk_moments_of_each_history(seed, cells, strength):
    split = lonely(lonely(make_split(seed, users=14, items=25), 3), 6, keep=1)
    vectors = cooccurrence_vectors(split.train, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pmi, "CELLS", cells)
        mean, deviation = user_distance_moments(vectors, split.train, strength)
    own = [distances(split.train, vectors, u) for u in range(14)]
    everyone = np.concatenate(own)
    for u in range(14):
        n = len(own[u])
        m = (sum(own[u]) + strength * everyone.mean()) / (n + strength)
        v = (sum((d - m) ** 2 for d in own[u]) + strength * everyone.var()) / (n + strength)
        assert (mean[u], deviation[u]) == (pytest.approx(m, abs=1e-5), pytest.approx(v**0.5, abs=1e-5))


def test_where_nobody_has_two_positives_every_distance_is_usual(split, model):
    alone = split
    for u in range(30):
        alone = lonely(alone, u, keep=1)
    pool = candidates(RandomFactorModel(alone), alone, n=20)
    np.testing.assert_allclose(unimodal_serendipity(pool, K).gain, compute_plausibility(pool), rtol=1e-6)


def test_unimodal_serendipity_peaks_at_the_users_own_distance(split, pool):
    gain, share = unimodal_serendipity(pool, K, prior_strength=2.0).gain, compute_plausibility(pool)
    vectors = cooccurrence_vectors(split.train)
    mean, deviation = user_distance_moments(vectors, split.train, 2.0)
    for u in (2, 13, 29):
        for n in range(12):
            away = 1 - max(0.0, *(vectors[pool.items[u, n]] @ vectors[j] for j in history(split.train, u)))
            tolerance = math.exp(-(((away - mean[u]) / deviation[u]) ** 2) / 2)
            assert gain[u, n] == pytest.approx(share[u, n] * tolerance, abs=1e-4)


@pytest.mark.parametrize("top", [1, 6, 39])
def test_unexpected_is_what_the_most_popular_list_would_not_show(split, pool, top):
    """The primitive list is the pool of the most-popular model: top items, known ones left out, the same ties."""
    primitive = candidates(MostPopular().fit(split.train), split, n=top).items
    gain = unexpected(pool, K, top=top).gain
    for u in range(30):
        expected = np.where(np.isin(pool.items[u], primitive[u]), 0, compute_plausibility(pool)[u])
        np.testing.assert_allclose(gain[u], expected, rtol=1e-6)


def test_unexpected_with_known_dislikes_unknown_counts_the_history_alone(split, pool):
    bare = replace(pool, context=replace(pool.context, dislikes=None))
    top = candidates(MostPopular().fit(split.train), replace(split, train_negatives=split.validation), n=8).items
    gain = unexpected(bare, K, top=8).gain
    for u in range(30):
        assert (gain[u][np.isin(pool.items[u], top[u])] == 0).all()
        assert (gain[u] > 0).sum() == (~np.isin(pool.items[u], top[u]) & (compute_plausibility(pool)[u] > 0)).sum()


@pytest.mark.parametrize(
    ("objective", "wrong", "line"),
    [
        (unexpected, {"top": 0}, "unexpected: top is 0, expected a whole number from 1 on"),
        (
            unimodal_serendipity,
            {"prior_strength": 0.0},
            "unimodal_serendipity: prior_strength is 0.0, expected a number above 0",
        ),
        (unimodal_serendipity, {"space": "genres"}, "unimodal_serendipity: unknown space 'genres'"),
    ],
)
def test_what_cannot_be_is_one_line(pool, objective, wrong, line):
    with pytest.raises(RecsysError, match=f"^{line}"):
        objective(pool, K, **wrong)


def test_plausibility_is_the_place_between_the_least_and_the_largest_score_in_whatever_order():
    items = np.array([[0, 1, 2, 3], [2, 0, 1, -1], [1, 3, -1, -1], [-1, -1, -1, -1]], np.int32)
    scores = np.array([[1, 4, 2, 3], [-2, -6, -4, 0], [5, 5, 0, 0], [0, 0, 0, 0]], np.float32)
    ids = np.arange(4).astype(str)
    found = compute_plausibility(Pool(np.arange(4, dtype=np.int32), items, scores, Context(ids, ids)))
    expected = [[0, 1, 1 / 3, 2 / 3], [1, 0, 0.5, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
