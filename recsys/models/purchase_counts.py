"""How often and how lately each user bought each item: the vectors of personal frequency and of temporal baskets."""

import numpy as np
from scipy import sparse

from recsys.types.arrays import Csr, Doubles, Longs
from recsys.types.purchases import Purchases


def count_purchases(purchases: Purchases, weights: Doubles | None = None) -> Csr:
    """Return how often each user bought each item, (U, I) float64, or the sum of the `weights` (R,) of its rows."""
    values = np.ones(len(purchases)) if weights is None else np.asarray(weights, dtype=np.float64)
    cells = sparse.coo_array((values, (purchases.user, purchases.item)), shape=(purchases.n_users, purchases.n_items))
    made = Csr(cells.tocsr())
    made.sort_indices()
    return made


def number_baskets(purchases: Purchases) -> tuple[Longs, Longs]:
    """Return the place of each row's basket among its user's, from 0, (R,), and how many baskets each user has, (U,).

    A basket is what a user bought at one moment.
    """
    user, when = purchases.user, purchases.datetime
    starts = np.ones(len(user), dtype=bool)
    starts[1:] = (user[1:] != user[:-1]) | (when[1:] != when[:-1])
    baskets: Longs = np.bincount(user[starts], minlength=purchases.n_users)
    before = np.cumsum(baskets) - baskets
    return np.cumsum(starts) - 1 - before[user], baskets


def weigh_baskets(place: Longs, n_baskets: Longs, n_groups: int, within_decay: float, group_decay: float) -> Doubles:
    """Return the weight of baskets by their place among `n_baskets` of a user, both (R,): temporal, in groups.

    Baskets are cut, oldest first, into m = min(n_groups, n_baskets) groups as even as can be, the longer ones last. One
    at place i of a group of n, which is the j-th of the m, weighs within_decay^(n - 1 - i) / n group_decay^(m - 1 - j)
    / m (TIFU-kNN, Hu et al. 2020). With decays of 1 the weights of a user's baskets add up to 1.
    """
    m = np.minimum(n_groups, np.maximum(n_baskets, 1))
    shorter, longer = np.divmod(n_baskets, m)
    in_shorter = (m - longer) * shorter  # baskets of the shorter groups, which come first
    late = place >= in_shorter
    size = shorter + late
    group = np.where(late, m - longer + (place - in_shorter) // np.maximum(size, 1), place // np.maximum(shorter, 1))
    within = np.where(late, (place - in_shorter) % np.maximum(size, 1), place % np.maximum(shorter, 1))
    return np.asarray(within_decay ** (size - 1 - within) / size * group_decay ** (m - 1 - group) / m, dtype=np.float64)
