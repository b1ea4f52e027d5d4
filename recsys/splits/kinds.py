"""The kinds of split that this library has: each one function that says which part a pair falls into, and its name in
`__all__`.
"""

from dataclasses import replace

import numpy as np

from recsys.splits.define import define_split
from recsys.splits.pairs import Pairs
from recsys.splits.parts import TEST, VALIDATION, PartAssignment, count_shares, hold_out_last, round_share
from recsys.types.arrays import Longs
from recsys.types.numbers import check_int

__all__ = ["by_source", "global_time", "leave_last", "per_user_time", "random"]

BETWEEN_USERS = "one user's training data may lie after another user's test data (global_time has no such leakage)"
WITHIN_USERS = "training data may lie after test data, also of the same user (global_time has no such leakage)"


@define_split
def by_source(pairs: Pairs, *, test_source: str = "random", validation: float = 0.0, seed: int = 0) -> PartAssignment:
    """Return the split whose test is one source of the log, such as ratings of items that were drawn at random.

    A model learns from what the log holds of all other sources, and is judged on items that neither a user nor a policy
    chose. `validation` is a share of each user's positives of the other sources, at random. A pair that rows of several
    sources have is not held out: it is known without the test's source.

    Raises:
        RecsysError: if a setting is invalid, the data has no column source or no such source, or a part is empty.
    """
    held_out = pairs.find_source(test_source, "by_source")
    rest = np.flatnonzero(~held_out)
    taken = {name: getattr(pairs, name)[rest] for name in ("user", "item", "positive", "weight")}
    others = replace(pairs, **taken, datetime=None, source=None)
    part = np.full(len(held_out), TEST, dtype=np.int32)
    n = others.count_positives()
    part[rest] = hold_out_last(others, _fill(n, 0), round_share(validation, n), (others.draw_tie_breakers(seed),))
    return PartAssignment(part)


@define_split
def global_time(pairs: Pairs, *, test: float = 0.2, validation: float = 0.0) -> PartAssignment:
    """Return the split at two points in time, the same for all users: no training data is later than test data.

    `test` and `validation` are shares of all positives; pairs tied with a cut fall to its later side, so a
    part may be larger than its share. Users who come after the cut stay, as rows without training positives.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    when = pairs.need_datetime("global_time")
    times = np.sort(when[pairs.positive])
    (n_test,), (n_validation,) = count_shares(np.array([len(times)]), test, validation)
    first = len(times) - max(n_test, 1)
    test_from = times[first]
    part = (when >= min(times[first - n_validation], test_from)) * VALIDATION + (when >= test_from)
    return PartAssignment(part.astype(np.int32), test_from=int(test_from))


@define_split
def per_user_time(pairs: Pairs, *, test: float = 0.2, validation: float = 0.0, seed: int = 0) -> PartAssignment:
    """Return the split by each user's time: the last share of the positives is test, the one before validation.

    Shares are rounded to the nearest number (halves up), at least one for test; one always stays in train.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    order = pairs.need_datetime("per_user_time"), pairs.draw_tie_breakers(seed)
    counts = count_shares(pairs.count_positives(), test, validation)
    return PartAssignment(hold_out_last(pairs, *counts, order), BETWEEN_USERS)


@define_split
def leave_last(pairs: Pairs, *, test: int = 1, validation: int = 0, seed: int = 0) -> PartAssignment:
    """Return the split that tests on each user's last `test` positives; `validation` (0 or 1) comes before them.

    One positive always stays in train: who has too few gives up validation first.

    Raises:
        RecsysError: if a setting is invalid, the data has no datetime, or a part is empty.
    """
    check_int("leave_last: validation", validation, 0, 1)
    order = pairs.need_datetime("leave_last"), pairs.draw_tie_breakers(seed)
    n = pairs.count_positives()
    return PartAssignment(hold_out_last(pairs, _fill(n, test), _fill(n, validation), order), BETWEEN_USERS)


@define_split
def random(pairs: Pairs, *, test: float = 0.2, validation: float = 0.0, seed: int = 0) -> PartAssignment:
    """Return the split of each user's positives at random: `per_user_time` with random numbers as times.

    So the shares hold for every user, not only on average, and others are dealt out as positives are.

    Raises:
        RecsysError: if a setting is invalid, or a part is empty.
    """
    counts = count_shares(pairs.count_positives(), test, validation)
    return PartAssignment(hold_out_last(pairs, *counts, (pairs.draw_tie_breakers(seed),)), WITHIN_USERS)


def _fill(n: Longs, count: int) -> Longs:
    return np.full_like(n, count)
