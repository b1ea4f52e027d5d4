"""The shrinkage of `ItemKNN` follows from the data."""

import numpy as np
import pytest

from recsys.models import ItemKNN
from recsys.types.arrays import Csr


def likes(users: int, items: int, share: float) -> np.ndarray:
    """Return positives at random, at least one in each row and column."""
    dense = np.random.default_rng(0).random((users, items)) < share
    dense[np.arange(max(users, items)) % users, np.arange(max(users, items)) % items] = True
    return dense.astype(np.float32)


@pytest.mark.parametrize("size", [(20, 10), (20, 40), (200, 30)], ids=str)
def test_shrink_is_what_a_positive_says_squared_times_items_per_user(size):
    dense = likes(*size, 0.2)
    users, items = size
    squares = np.log(items / (1 + dense.sum(axis=1))) ** 2  # of a user's positives
    expected = (dense * squares[:, None]).sum() / dense.sum() * items / users
    assert ItemKNN().fill_defaults(Csr(dense)).shrink == pytest.approx(expected, rel=1e-5)
    assert ItemKNN(similarity="cosine").fill_defaults(Csr(dense)).shrink == pytest.approx(items / users)


def test_rows_and_columns_without_positives_do_not_count():
    dense = likes(20, 40, 0.2)
    wider = np.pad(dense, ((0, 30), (0, 50)))
    small, large = (ItemKNN(similarity="cosine").fill_defaults(Csr(matrix)).shrink for matrix in (dense, wider))
    assert small == large == 2.0


def test_what_is_given_stays_as_it_is():
    train = Csr(likes(20, 40, 0.2))
    filled = ItemKNN().fill_defaults(train)
    assert filled.fill_defaults(train) == filled
    assert ItemKNN(shrink=0).fill_defaults(train) == ItemKNN(shrink=0)
    by_number, by_default, without = (m.fit(train).score(np.arange(20)) for m in (filled, ItemKNN(), ItemKNN(shrink=0)))
    assert (by_number == by_default).all()
    assert (by_number != without).any()
