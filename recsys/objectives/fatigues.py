"""Fatigue: an item is the less likely to be taken, the more often it was shown."""

import numpy as np

from recsys.maths.exposures import count_exposures
from recsys.objectives._score_transforms import compute_like_probabilities
from recsys.types import Modular, Pool
from recsys.types.exposures import convert_days
from recsys.types.numbers import check_number


def fatigue(pool: Pool, k: int, *, exponent: float = 0.5, window_days: float | None = None) -> Modular:
    """Return what an item loses of its chance to be taken for having been shown before: 0 if it never was.

    The chance at the n-th exposure follows a power law, p(n) = p0 n^-exponent, with p0 the chance at the first. A
    candidate that was shown c times would have its exposure n = c + 1 now, and its gain is p(n) - p0, in the unit of
    p0. At weight 1 beside a `relevance` that is p0, and without scales, the blend is p(n). Where nothing was shown, all
    gains are 0. Every row of the log counts, clicked or not.

    p0 is the probability of the learned likelihood that ordered the pool, as in `discovery_value`, or without one the
    score within the range of the user's pool.

    Args:
        exponent: How fast the chance falls; 0 is no fatigue. It depends on the place, and is to be estimated there.
        window_days: How many days an exposure counts; all of the log where it is None.

    :Formula: p0(n) ((c(n) + 1)^-exponent - 1)
    :Range: [-1, 0]
    :More: items that were shown less often
    :Cost: U N log R, R exposures
    :Source: Lee, Lakshmanan, Tiwari and Shah 2014 (impression discounting)

    Raises:
        RecsysError: for a setting that cannot be, or a pool that does not know what was shown.
    """
    exponent = check_number("fatigue: exponent", exponent)
    window = convert_window("fatigue: window_days", window_days)
    histories = pool.context.need_exposures("fatigue").take_users(pool.users)
    counts = count_exposures(histories, pool.items, len(pool.context.item_ids), window)
    fresh = compute_like_probabilities(pool, "fatigue")
    return Modular((fresh * ((counts + 1.0) ** -exponent - 1.0)).astype(np.float32))


def convert_window(place: str, days: float | None) -> int | None:
    """Return a window in seconds, None where all of a log counts."""
    return None if days is None else convert_days(place, days)
