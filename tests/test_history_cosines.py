"""The largest cosine to a history, compiled: the slow statement's number, and the same bits in a batch and a request."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.kernels.likelihood_features import fill_all_history_cosines, fill_history_cosines
from recsys.maths.embeddings import max_cosine_to_history, normalize_rows
from recsys.objectives._history_cosines import compute_largest_cosines
from recsys.objectives.derived_tables import get_item_vectors
from recsys.retrieval.candidates import candidates
from recsys.types.arrays import Csr

SPLIT = make_split(users=30, seed=5)
POOL = candidates(RandomFactorModel(SPLIT), SPLIT, n=20, maps=make_maps(SPLIT))


def draw_world(seed, n, d, longest):
    rng = np.random.default_rng(seed)
    count, users = n + 50, 6
    vectors = normalize_rows(rng.normal(size=(count, d)))
    vectors[rng.integers(count)] = 0.0
    items = np.array([rng.permutation(count)[:n] for _ in range(users)], np.int32)
    histories = [np.sort(rng.permutation(count)[: rng.integers(0, longest + 1)]) for _ in range(users - 1)]
    histories.append(np.zeros(0, int))
    pointers = np.cumsum([0, *map(len, histories)])
    indices = np.concatenate(histories).astype(np.int32)
    train = Csr((np.ones(len(indices), np.float32), indices, pointers.astype(np.int32)), shape=(users, count))
    return vectors, train, rng.permutation(users).astype(np.int32), items


def fill_all(vectors, train, users, items):
    near = np.full(items.shape, np.nan, np.float32)
    fill_all_history_cosines(vectors, np.ascontiguousarray(items), users, train.indptr, train.indices, near)
    return near


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 5, 31, 32, 33, 128, 200]), st.integers(1, 9), st.integers(0, 30))
def test_a_batch_holds_the_slow_statement_and_a_requests_bits(seed, n, d, longest):
    vectors, train, users, items = draw_world(seed, n, d, longest)
    near = fill_all(vectors, train, users, items)
    np.testing.assert_allclose(near, max_cosine_to_history(vectors, train, users, items), atol=1e-6)
    rng = np.random.default_rng(seed)
    for row, user in enumerate(users):
        history = train.indices[train.indptr[user] : train.indptr[user + 1]]
        alone = np.full(n, np.nan, np.float32)
        fill_history_cosines(vectors, items[row], rng.permutation(history), alone)
        np.testing.assert_array_equal(alone, near[row])
    some = rng.permutation(n)[: 1 + n // 2]
    np.testing.assert_array_equal(fill_all(vectors, train, users, items[:, some]), near[:, some])


@pytest.mark.parametrize("space", ["cooccurrence", "factors"])
def test_where_there_is_no_candidate_it_is_0(space):
    items = POOL.items.copy()
    items[3, 12:] = -1
    near = compute_largest_cosines(replace(POOL, items=items), space, "test")
    vectors = get_item_vectors(POOL.context, space, "test")
    slow = max_cosine_to_history(vectors, POOL.context.train, POOL.users, POOL.items)
    assert (slow[3, 12:] > 0).any()
    slow[3, 12:] = 0.0
    np.testing.assert_allclose(near, slow, atol=1e-6)
    first = compute_largest_cosines(POOL, space, "test", 7)
    np.testing.assert_array_equal(first, compute_largest_cosines(POOL, space, "test")[:, :7])
