"""The best of scores that come in stretches, against sorting all of them."""

import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from synthetic import RandomFactorModel, make_split
from threadpoolctl import threadpool_limits

from recsys.kernels.topk import GROUPS, PIECE
from recsys.maths.ordering import LOWEST_SCORE
from recsys.models import factor_model as factor_models
from recsys.models.factor_model import FittedFactors
from recsys.retrieval.candidates import candidates
from recsys.retrieval.score_blocks import ItemMask, collect_top_items, make_item_mask
from recsys.support import rng


def sorted_all(scores, n, ties):
    order = np.stack([np.lexsort((ties, -row)) for row in scores])[:, :n]
    found = np.take_along_axis(scores, order, axis=1)
    return np.where(found <= LOWEST_SCORE, -1, order).tolist(), np.where(found <= LOWEST_SCORE, 0, found).tolist()


def in_stretches(scores, width):
    return ((first, scores[:, first : first + width].copy()) for first in range(0, scores.shape[1], width))


def nothing(shape):
    return ItemMask((), np.zeros(shape[1], bool))


def drawn(rng, users, items, density):
    return sparse.csr_array(sparse.random_array((users, items), density=density, dtype=np.float32, rng=rng))


@settings(max_examples=200, deadline=None)
@given(
    users=st.integers(1, 6), n=st.integers(1, 30), extra=st.integers(0, 300), levels=st.sampled_from([0, 1, 2, 5, 1000]),
    width=st.integers(1, 120), met=st.sampled_from([0.0, 0.1, 0.9]), gone=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_best_are_those_of_a_full_sort_whatever_ties_gaps_and_stretches(
    users, n, extra, levels, width, met, gone, seed
):
    rng = np.random.default_rng(seed)
    count = n + extra
    scores = (rng.integers(-levels, levels + 1, (9, count)) / max(levels, 1)).astype(np.float32)
    scores[rng.random((9, count)) < 0.1] = -0.0
    at, ties = rng.permutation(9)[:users], rng.permutation(count)
    codes = rng.permutation(20)[:users].astype(np.int32)
    without = ItemMask((drawn(rng, 20, count, met), drawn(rng, 20, count, met)), rng.random(count) < gone)
    items, found = collect_top_items(in_stretches(scores, width), at, codes, n, ties, without)
    left = scores[at]
    for matrix in without.seen:
        left[matrix[codes].toarray() != 0] = LOWEST_SCORE
    left[:, without.unavailable] = LOWEST_SCORE
    assert (items.tolist(), found.tolist()) == sorted_all(left, n, ties)
    assert (items.dtype, found.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("n", [1, 20, 200])
@pytest.mark.parametrize("width", [700, PIECE, 10**6])
@pytest.mark.parametrize("order", [None, "ascending", "descending"])
def test_a_large_catalogue_gives_what_a_full_sort_gives(n, width, order):
    rng = np.random.default_rng(n)
    scores = rng.standard_normal((7, 9 * GROUPS * n + 2 * PIECE + 3)).astype(np.float32)
    scores *= np.float32(10.0) ** rng.integers(-30, 30, (7, 1)).astype(np.float32)
    if order:
        scores = np.sort(scores, axis=1)[:, :: 1 if order == "ascending" else -1]
    scores[0] = 0.5  # all alike
    scores[1, : scores.shape[1] - n // 2] = LOWEST_SCORE  # fewer than n left, for an n above 1
    scores[2] = np.maximum(scores[2], np.median(scores[2]))  # half alike, some above
    scores[3] = np.minimum(scores[3], np.median(scores[3]))  # half alike, none above
    ties, everybody = rng.permutation(scores.shape[1]), np.arange(7)
    items, found = collect_top_items(in_stretches(scores, width), everybody, everybody, n, ties, nothing(scores.shape))
    assert (items.tolist(), found.tolist()) == sorted_all(scores, n, ties)


def test_what_was_met_is_left_out_whatever_the_order_of_its_columns():
    split = make_split()
    backwards = split.train.copy()
    for u in range(30):
        row = slice(*backwards.indptr[u : u + 2])
        backwards.indices[row] = backwards.indices[row][::-1]
    backwards.has_sorted_indices = False
    before = backwards.indices.copy()
    shuffled = sparse.csr_array((backwards.data, backwards.indices, backwards.indptr), shape=backwards.shape)
    assert not shuffled.has_sorted_indices
    model = factor_model(split, 8)
    assert same(candidates(model, replace(split, train=shuffled), n=20), candidates(model, split, n=20))
    assert (shuffled.indices == before).all(), "an argument was changed"
    assert make_item_mask(split, hide_seen=False).seen == ()


def factor_model(split, d, seed=1):
    return FittedFactors(RandomFactorModel(split, d, seed).factors)


def whole_numbers(split, d):
    """A model whose scores are the same bits however they are summed, with many ties."""
    factors = RandomFactorModel(split, d).factors
    return FittedFactors(
        replace(factors, user_factors=factors.user_factors.round(), item_factors=factors.item_factors.round())
    )


def same(one, other):
    return one.items.tolist() == other.items.tolist() and one.scores.tobytes() == other.scores.tobytes()


@pytest.mark.parametrize("width", [1, 7, 64, 4096])
def test_stretches_are_the_scores(monkeypatch, width):
    split = make_split(users=50, items=300)
    model, users = factor_model(split, 16), np.arange(10, 30, dtype=np.int32)
    monkeypatch.setattr(factor_models, "_WIDTH", width)
    parts = [(first, scores.copy()) for first, scores in model.iter_score_blocks(users)]
    assert [first for first, _ in parts] == list(range(0, 300, width))
    together = np.concatenate([scores for _, scores in parts], axis=1)
    np.testing.assert_allclose(together, model.score(users), rtol=1e-5, atol=1e-6)


def test_factors_of_twice_the_precision_are_scored_in_it():
    split = make_split()
    factors = RandomFactorModel(split).factors
    sides = {name: getattr(factors, name).astype(float) for name in ("user_factors", "item_factors")}
    wide = FittedFactors(replace(factors, **sides))
    scores = np.concatenate([part.copy() for _, part in wide.iter_score_blocks(np.arange(30))], axis=1)
    assert (scores == wide.score(np.arange(30))).all()


@pytest.mark.parametrize("cut", [False, True])
def test_a_factor_models_pool_is_the_sorted_top_of_its_scores(monkeypatch, cut):
    split = replace(make_split(users=300, items=400), has_global_cut=cut)
    there = sparse.diags_array((np.arange(400) % 7 > 0).astype(np.float32))
    met = {name: sparse.csr_array(getattr(split, name) @ there) for name in ("train", "train_negatives")}
    for matrix in met.values():
        matrix.eliminate_zeros()
    split = replace(split, **met)
    monkeypatch.setattr(factor_models, "_WIDTH", 64)
    model, users = whole_numbers(split, 16), np.array([299, 3, 256], np.int32)
    pool = candidates(model, split, n=40, users=users)
    scores = model.score(users)
    scores[(split.seen.toarray()[users] != 0) | ~split.available_items] = LOWEST_SCORE
    ties = rng.make_generator(0, "ties").permutation(400)
    assert (pool.items.tolist(), pool.scores.tolist()) == sorted_all(scores, 40, ties)
    assert split.available_items.all() == (not cut)


@pytest.mark.parametrize("d", [16, 500])
def test_a_factor_models_pool_depends_on_no_number_of_threads_and_on_nobody_else(monkeypatch, d):
    split = make_split(users=700, items=600)
    model, whole = factor_model(split, d), {}
    for blas in (1, 2):
        for cores in (1, 3):
            monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
            with threadpool_limits(blas, user_api="blas"):
                whole[blas, cores] = candidates(model, split, n=20)
    assert all(same(whole[1, 1], other) for other in whole.values())
    with threadpool_limits(1, user_api="blas"):
        ((_, scores),) = model.iter_score_blocks(np.arange(256))
    assert (whole[2, 3].scores[:256] == np.take_along_axis(scores, whole[2, 3].items[:256], axis=1)).all()
    for users in ([5], [699, 3], list(range(250, 270))):
        part = candidates(model, split, n=20, users=np.array(users))
        assert part.items.tolist() == whole[1, 1].items[users].tolist()
        assert part.scores.tobytes() == whole[1, 1].scores[users].tobytes()


def test_memory_of_a_factor_models_pool_grows_neither_with_the_users_nor_with_the_catalogue(monkeypatch):
    monkeypatch.setattr(factor_models, "_WIDTH", 64)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def working(users, items):
        split = make_split(users=users, items=items)
        model = factor_model(split, 4)
        tracemalloc.start()
        pool = candidates(model, split, n=5)
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak - held + 0 * len(pool.users)

    working(512, 300)  # what is made once
    few = working(512, 300)
    assert few > 256 * 64 * 4, "a stretch of scores is not seen"
    assert working(5120, 300) < 1.2 * few
    assert working(512, 3000) < 1.5 * few
