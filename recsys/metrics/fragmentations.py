"""Fragmentation: how different the slates of different users are."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from recsys.maths import distributions
from recsys.maths.blocks import iter_blocks
from recsys.metrics._shared import divide_or_nan, get_even_features, make_shown_matrix
from recsys.metrics.calibration import RADIO_SMOOTHING, radio_distance
from recsys.metrics.derived_tables import SplitTable
from recsys.support import rng
from recsys.types import Evaluation, PerUser
from recsys.types.arrays import Longs, Strings

ORDER_OF_OTHERS = SplitTable("order_of_others")
USERS_AT_ONCE = 1024  # users
MAX_OTHERS = 100  # at most, whose slates everybody's are compared with


def fragmentation(evaluation: Evaluation, k: int) -> PerUser:
    """Rank-aware Jensen-Shannon distance of RADio between the features of a user's slate and those of other slates.

    As `calibration_radio`, with the slate of another user in the place of the history, ranks on both sides. Its stories
    are features here. The mean over at most 100 others, the same for everybody and oneself left out: of the users with
    featured slates, the first by an order drawn from their ids and the seed of the split. Up to 101 such users it is
    the mean over all pairs; with more, an interval is for other users against these others.

    :Formula: mean over others v of sqrt(JS(0.999 q_u + 0.001 q_v, 0.999 q_v + 0.001 q_u)), base 2, q as there
    :Range: [0, 1]
    :Better: neither
    :Cost: U (k f + V F), V others, f features of an item, F of all, on all cores
    :Source: Vrijenhoek et al. 2022
    """
    truth, shown = evaluation.truth, make_shown_matrix(evaluation, np.asarray(1.0 / (np.arange(k) + 1.0)))
    even = get_even_features(truth)
    featured = shown @ (np.diff(even.indptr) > 0).astype(np.float64) > 0
    order = ORDER_OF_OTHERS.get(truth, lambda: _order_users(truth.split.seed, truth.split.user_ids))
    others = order[featured[order]][:MAX_OTHERS]
    theirs = distributions.user_mixes(shown[others], even)
    values = np.empty(shown.shape[0])

    def work(b: slice) -> None:
        mixes, users = distributions.user_mixes(shown[b], even), np.arange(b.start, b.stop)
        total = np.zeros(len(users))
        for other, mix in zip(others, theirs, strict=True):
            total += np.where(users == other, 0.0, radio_distance(mixes, mix))
        values[b] = divide_or_nan(total, len(others) - np.isin(users, others))

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(work, iter_blocks(shown.shape[0], USERS_AT_ONCE)))
    convention = (
        f"square root of Jensen-Shannon in bits, both mixes smoothed by {RADIO_SMOOTHING}, features "
        "split evenly, items by "
        f"1/rank; mean over at most {MAX_OTHERS} other users, then over users with featured slates"
    )
    return PerUser(np.where(featured, values, np.nan), convention, 0)


def _order_users(seed: int, user_ids: Strings) -> Longs:
    """Return the users in an order that depends on the seed and on their ids alone, (U,)."""
    keys = np.array([rng.derive_seed(seed, "others", str(user)) for user in user_ids], dtype=np.uint64)
    return np.argsort(keys, kind="stable")
