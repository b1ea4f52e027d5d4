"""Which part of a split each pair falls into: 0 train, 1 validation, 2 test; later others belong to none."""

import numpy as np

from recsys.splits.pairs import Pairs
from recsys.splits.settings import SplitSettings
from recsys.types.arrays import Anys, Ints, Longs


def assign_parts_by_user(pairs: Pairs, settings: SplitSettings, timed: bool) -> Ints:
    """Return the part of each pair, (P,): each user's last positives, by time or by a random number, are test.

    A non-positive interaction counts as seen before the cut if it precedes the user's first positive after the cut.
    """
    levels: list[Anys] = [pairs.draw_tie_breakers(settings.seed), pairs.user]
    if timed and pairs.datetime is not None:
        levels.insert(1, pairs.datetime)
    order = np.lexsort(levels)
    user, positive = pairs.user[order], pairs.positive[order]
    n = np.bincount(user[positive], minlength=len(pairs.user_ids))
    test, validation = count_held_out(n, settings)
    reached = np.cumsum(positive) - (np.cumsum(n) - n)[user]
    part = np.empty(len(order), dtype=np.int32)
    part[order] = (reached > (n - test - validation)[user]).astype(np.int32) + (reached > (n - test)[user])
    return part


def count_held_out(n: Longs, settings: SplitSettings) -> tuple[Longs, Longs]:
    """Return how many of n positives are test and validation.

    Shares are rounded to the nearest whole number (halves up), with at least one for test; one positive
    always stays in train, so users with a single positive have no test.
    """
    if settings.kind == "leave_last":
        test, validation = np.full_like(n, int(settings.test)), np.full_like(n, int(settings.validation))
    else:
        test, validation = np.maximum(_round_share(settings.test, n), 1), _round_share(settings.validation, n)
    test = np.minimum(test, np.maximum(n - 1, 0))
    return test, np.minimum(validation, np.maximum(n - test - 1, 0))


def assign_parts_by_time(pairs: Pairs, settings: SplitSettings) -> tuple[Ints, int]:
    """Return the part of each pair, (P,), by two points in time for all users, and the first moment of test.

    The points are the latest for which test, and validation, have at least their share of all positives: what
    is tied with the first of a part belongs to it.
    """
    when = np.asarray(pairs.datetime)
    times = np.sort(when[pairs.positive])
    n = np.array([len(times)])
    test, validation = count_held_out(n, settings)
    test_from = times[n[0] - max(test[0], 1)]
    validation_from = min(times[n[0] - max(test[0], 1) - validation[0]], test_from)
    return (when >= validation_from).astype(np.int32) + (when >= test_from), int(test_from)


def _round_share(share: float, n: Longs) -> Longs:
    return np.asarray(np.floor(share * n + 0.5), dtype=np.int64)
