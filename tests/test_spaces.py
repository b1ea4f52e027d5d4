import numpy as np
import pytest
from scipy import sparse

from recsys.maths import embeddings
from recsys.maths.embeddings import (
    feature_idf,
    idf_feature_vectors,
    leading_eigenvectors,
    right_singular_vectors,
    singular_vectors,
)

DEGENERATE = {
    "identity": np.eye(20),
    "ones": np.ones((12, 30)),
    "repeated columns": np.repeat(np.random.default_rng(0).random((40, 3)) < 0.5, 5, axis=1),
    "one row": np.ones((1, 7)),
}


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_singular_vectors_are_those_of_the_dense_decomposition(shape):
    dense = np.random.default_rng(1).random(shape)
    left, values, right = singular_vectors(sparse.csr_array(dense), 5)
    U, s, V = np.linalg.svd(dense)
    np.testing.assert_allclose(values, s[:5])
    np.testing.assert_allclose(left * values @ right.T, U[:, :5] * s[:5] @ V[:5], atol=1e-9)
    for one, same in zip(right_singular_vectors(sparse.csr_array(dense), 5), (values, right), strict=True):
        np.testing.assert_array_equal(one, same)


def test_large_and_small_matrices_are_treated_alike(monkeypatch):
    matrix = sparse.csr_array((np.random.default_rng(2).random((60, 90)) < 0.2).astype(np.float32))
    dense = singular_vectors(matrix, 6)
    monkeypatch.setattr(embeddings, "_DENSE", 10)
    iterated = singular_vectors(matrix, 6)
    np.testing.assert_allclose(iterated[1], dense[1])
    for one, two in ((iterated[0], dense[0]), (iterated[2], dense[2])):
        np.testing.assert_allclose(np.abs((one * two).sum(axis=0)), 1, atol=1e-6)
    again = singular_vectors(matrix, 6)
    assert all((a == b).all() for a, b in zip(again, iterated, strict=True))


@pytest.mark.parametrize("name", DEGENERATE)
def test_repeated_and_zero_singular_values_give_the_same_numbers_each_time(name):
    matrix = sparse.csr_array(DEGENERATE[name].astype(np.float32))
    one, two = singular_vectors(matrix, 10), singular_vectors(matrix, 10)
    assert all((a == b).all() and np.isfinite(a).all() for a, b in zip(one, two, strict=True))
    np.testing.assert_allclose(one[1], np.linalg.svd(DEGENERATE[name])[1][:10], atol=1e-6)


def test_leading_vectors_are_the_largest_not_the_largest_in_size():
    values, vectors = leading_eigenvectors(sparse.csr_array(np.diag([1.0, -9.0, 3.0])), 2)
    assert values.tolist() == [3, 1]
    assert np.abs(vectors).tolist() == [[0, 1], [0, 0], [1, 0]]


def test_rare_features_say_more():
    dense = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    weights = np.log([1 + 4 / 3, 1 + 4 / 1, 1 + 4 / 1])
    np.testing.assert_allclose(feature_idf(sparse.csr_array(dense)), weights)
    wanted = dense * weights
    wanted[:3] /= np.linalg.norm(wanted[:3], axis=1, keepdims=True)
    np.testing.assert_allclose(idf_feature_vectors(sparse.csr_array(dense)), wanted, rtol=1e-6)
    assert feature_idf(sparse.csr_array(np.zeros((3, 2)))).tolist() == [0, 0]


def test_many_features_are_reduced_and_what_is_lost_is_zero():
    dense = np.zeros((9, 6))
    dense[:4, 0] = dense[4:8, 1] = dense[2, 2] = dense[8, 3] = 1  # the last item shares nothing with any other
    vectors = idf_feature_vectors(sparse.csr_array(dense), 2)
    assert vectors.shape == (9, 2)
    cosine = vectors @ vectors.T
    np.testing.assert_allclose(cosine[np.ix_([0, 1, 3], [0, 1, 3])], 1, atol=1e-6)
    np.testing.assert_allclose(cosine[:4, 4:], 0, atol=1e-6)
    assert not vectors[8].any()
