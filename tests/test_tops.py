"""The best columns of each row, against sorting all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.maths.ordering import GROUPS, LOWEST_SCORE, find_top_n


def sorted_all(scores, n, ties):
    order = np.stack([np.lexsort((ties, -row)) for row in scores])[:, :n]
    found = np.take_along_axis(scores, order, axis=1)
    return np.where(found <= LOWEST_SCORE, -1, order), np.where(found <= LOWEST_SCORE, 0, found)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 6), n=st.integers(1, 8), extra=st.integers(0, 90), levels=st.sampled_from([1, 2, 5, 1000]),
    gone=st.sampled_from([0.0, 0.3, 0.97, 1.0]), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_best_are_those_of_a_full_sort_whatever_ties_and_gaps(rows, n, extra, levels, gone, seed):
    rng = np.random.default_rng(seed)
    count = n + extra  # from catalogues that are partitioned to those of which only what is above a bound is sorted
    scores = (rng.integers(-levels, levels + 1, (rows, count)) / levels).astype(np.float32)
    scores[rng.random((rows, count)) < gone] = LOWEST_SCORE
    items, found = find_top_n(scores.copy(), n, ties := rng.permutation(count))
    wanted = sorted_all(scores, n, ties)
    assert items.tolist() == wanted[0].tolist()
    assert found.tolist() == wanted[1].tolist()


@pytest.mark.parametrize("n", [1, 20, 200])
def test_a_large_catalogue_gives_what_a_full_sort_gives(n):
    scores = np.random.default_rng(n).standard_normal((5, 9 * GROUPS * n + 3)).astype(np.float32)
    scores[0] = 0.5  # all alike
    scores[1, : scores.shape[1] - n // 2] = LOWEST_SCORE  # fewer than n left, for an n above 1
    ties = np.random.default_rng(0).permutation(scores.shape[1])
    items, found = find_top_n(scores.copy(), n, ties)
    wanted = sorted_all(scores, n, ties)
    assert (items == wanted[0]).all() and (found == wanted[1]).all()
