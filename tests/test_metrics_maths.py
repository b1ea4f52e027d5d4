"""The ends and the borders of what metrics are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import jensenshannon

from recsys.maths import inequality
from recsys.maths.binomials import binomial_diversity
from recsys.maths.distributions import hellinger, jensen_shannon, sum_by_region, total_variation
from recsys.maths.pmi import cooccurrence_surprise
from recsys.maths.popularity import find_tail_items, group_by_popularity
from recsys.maths.vendi_score import vendi


@given(seed=st.integers(0, 10**6), z=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_divergences_are_those_of_scipy_and_ordered_as_they_must_be(seed, z):
    p, q = np.random.default_rng(seed).dirichlet(np.full(z, 0.3), (2, 8))
    js, h, tv = jensen_shannon(p, q), hellinger(p, q), total_variation(p, q)
    assert js == pytest.approx(jensenshannon(p, q, base=2, axis=1) ** 2, abs=1e-9)
    assert (h**2 <= tv + 1e-9).all() and (tv <= np.sqrt(2) * h + 1e-9).all()  # Le Cam
    assert js == pytest.approx(jensen_shannon(q, p)) and jensen_shannon(p, p) == pytest.approx(0, abs=1e-12)


def test_mixes_without_anything_in_common_are_one_apart():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert (jensen_shannon(p, q), hellinger(p, q), total_variation(p, q)) == (1, 1, 1)


def test_the_item_at_which_the_head_is_full_is_its_last():
    assert find_tail_items(np.array([8.0, 1.0, 1.0, 0.0])).tolist() == [0, 1, 1, 1]
    assert find_tail_items(np.array([7.0, 2.0, 1.0, 0.0])).tolist() == [0, 0, 1, 1]
    assert find_tail_items(np.zeros(2)).tolist() == [1, 1]


def test_groups_begin_at_a_fifth_and_at_four_fifths():
    groups = group_by_popularity(np.array([20.0, 15.0, 15.0, 15.0, 15.0, 10.0, 10.0, 0.0])).toarray()
    assert groups.argmax(axis=1).tolist() == [0, 1, 1, 1, 1, 2, 2, 2] and (groups.sum(axis=1) == 1).all()


def test_a_feature_that_nobody_has_does_not_count():
    never = np.array([[0.0, 0.5]])
    assert binomial_diversity(np.array([[1, 1]]), never, 2)[0] == pytest.approx(1.0)
    assert binomial_diversity(np.array([[2, 1]]), never, 2)[0] == pytest.approx(1.0)
    assert binomial_diversity(np.array([[2, 0]]), never, 2)[0] == pytest.approx(0.25)
    assert binomial_diversity(np.array([[0, 1]]), never, 2)[0] == pytest.approx(1.0)  # nobody misses it


def test_a_feature_that_everybody_has_must_be_shown():
    always = np.array([[1.0, 0.5]])
    assert binomial_diversity(np.array([[0, 1]]), always, 2)[0] == 0
    assert binomial_diversity(np.array([[2, 1]]), always, 2)[0] == pytest.approx(1.0)


def test_items_that_only_come_together_are_no_surprise_and_strangers_are_the_largest():
    train = sparse.csr_array(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    found = cooccurrence_surprise(train, np.array([0, 1, 1, 2]), np.array([1, 2, 3, 0]))
    assert found.tolist()[:3] == [0, 1, 1] and np.isnan(found[3])
    pair = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32))
    assert cooccurrence_surprise(pair, np.array([0]), np.array([1])) == pytest.approx(0)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), d=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_either_gram_matrix_gives_the_same_number_of_different_items(seed, n, d):
    vectors = np.random.default_rng(seed).normal(size=(1, n, d))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    wide = np.concatenate([vectors, np.zeros((1, n, 9))], axis=2)
    tall = np.concatenate([vectors, np.zeros((1, 9, d))], axis=1)
    found = [vendi(v, np.array([n]))[0] for v in (vectors, wide, tall)]
    assert found == pytest.approx([found[0]] * 3) and 1 <= found[0] <= n


def test_items_alike_are_one_item_and_items_apart_are_all_different():
    assert vendi(np.ones((1, 4, 1)), np.array([4]))[0] == pytest.approx(1)
    assert vendi(np.eye(4)[None], np.array([4]))[0] == pytest.approx(4)


def test_nothing_shown_is_not_concentrated_anyhow():
    counts = np.array([[0.0, 0.0], [3.0, 0.0], [1.0, 1.0]])
    assert inequality.entropy_bits(counts) == pytest.approx([np.nan, 0, 1], nan_ok=True)
    assert inequality.herfindahl(counts) == pytest.approx([np.nan, 1, 0.5], nan_ok=True)


@pytest.mark.parametrize("regions", [1, 64, 65])
def test_masses_are_the_same_bits_however_they_are_made(regions):
    rng = np.random.default_rng(regions)
    shelves = sparse.csr_array((rng.random((30, 20)) < 0.4).astype(np.float32))
    shares = sparse.csr_array(rng.random((20, regions), dtype=np.float32) * (rng.random((20, regions)) < 0.3))
    for some in (shelves, shelves[:1]):  # few shelves are not worth a table
        np.testing.assert_array_equal(sum_by_region(some, shares), (some @ shares).toarray())
