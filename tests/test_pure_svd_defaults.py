"""The number of factors of `PureSVD` follows from the data."""

import numpy as np
import pytest

from recsys.models import PureSVD
from recsys.models.pure_svd import compute_leave_one_out_errors
from recsys.types.arrays import Csr


def communities(groups: int) -> Csr:
    """Return 300 users who each have half of the 10 items of one group."""
    rng = np.random.default_rng(0)
    dense = np.zeros((300, 10 * groups))
    for user, group in enumerate(rng.integers(0, groups, 300)):
        dense[user, 10 * group + rng.permutation(10)[:5]] = 1.0
    return Csr(dense)


@pytest.mark.parametrize("groups", [2, 5, 12])
def test_factors_are_as_many_as_there_are_groups(groups):
    train = communities(groups)
    filled = PureSVD().fill_defaults(train)
    assert filled.factors == groups
    assert filled.fill_defaults(train) == filled
    assert PureSVD().fit(train).factors.item_factors.shape == (10 * groups, groups)
    assert PureSVD(3).fill_defaults(train) == PureSVD(3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 2), (5, 1), (6, 3)])
def test_small_matrices_have_a_factor(shape):
    assert 1 <= (PureSVD().fill_defaults(Csr(np.ones(shape))).factors or 0) <= min(shape)


def test_errors_are_those_of_each_positive_predicted_from_the_others():
    rng = np.random.default_rng(1)
    histories = (rng.random((6, 8)) < 0.4) * rng.integers(1, 4, (6, 8)).astype(float)
    right = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    expected = []
    for d in (1, 2, 3):
        projection = right[:, :d] @ right[:, :d].T
        error = 0.0
        for history in histories:
            for item in range(8):
                others = history.copy()
                others[item] = 0.0
                error += (history[item] - projection[item] @ others) ** 2
        expected.append(error)
    assert compute_leave_one_out_errors(Csr(histories), right) == pytest.approx(expected)
