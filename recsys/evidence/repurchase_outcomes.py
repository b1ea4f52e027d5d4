"""What came of predicted repurchases: which pairs were bought again in a window, when, and how far off that was."""

from typing import Any, NamedTuple

import numpy as np

from recsys.types.arrays import Csr, Doubles
from recsys.types.errors import RecsysError
from recsys.types.exposures import MAX_DAYS
from recsys.types.moments import parse_moment
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.time_weights import SECONDS_PER_DAY


class RepurchaseTimeError(NamedTuple):
    """How far predicted times of repurchase are from what came, in days."""

    mean: float  # over users with a repurchase in the window; NaN where there is none
    per_user: Doubles  # (U,) mean absolute error over the user's pairs; NaN where there is none
    n_pairs: int  # pairs that were bought again in the window


def list_repurchase_days(pairs: Csr, purchases: Purchases, now: Any, window: float) -> Csr:
    """Return the days from `now` to the first purchase in [now, now + window) of each pair with an entry, (U, I).

    Entries of `pairs` (U, I), such as those of `predict_repurchases`, that were not bought in the window have none.

    Raises:
        RecsysError: if purchases are not known until the window's end, or the shape is another.
    """
    moment, days = parse_moment("now", now), check_number("repurchases: window", window, above=0, most=MAX_DAYS)
    end = moment + round(days * SECONDS_PER_DAY)
    shape = (purchases.n_users, purchases.n_items)
    if pairs.shape != shape:
        raise RecsysError(f"repurchases: pairs have shape {pairs.shape}, expected {shape}, as the purchases")
    if purchases.end < end:
        shown = [str(np.datetime64(at, "s")) for at in (purchases.end, end)]
        raise RecsysError(
            f"repurchases: purchases are known until {shown[0]}, and the window ends at {shown[1]}, "
            "expected a shorter one"
        )
    rows = purchases.sort_by_pair()
    rows = rows[(purchases.datetime[rows] >= moment) & (purchases.datetime[rows] < end)]
    keys, first = np.unique(purchases.pairs[rows], return_index=True)
    user = np.repeat(np.arange(shape[0], dtype=np.int64), np.diff(pairs.indptr))
    wanted = np.isin(keys, user * shape[1] + pairs.indices)
    keys, rows = keys[wanted], rows[first[wanted]]
    pointers = np.searchsorted(keys // shape[1], np.arange(shape[0] + 1)).astype(np.int32)
    since = (purchases.datetime[rows] - moment) / SECONDS_PER_DAY
    return Csr((since, (keys % shape[1]).astype(np.int32), pointers), shape=shape)


def measure_repurchase_time_error(predicted: Csr, purchases: Purchases, now: Any, window: float) -> RepurchaseTimeError:
    """Return the absolute error of predicted days to repurchase, over pairs that were bought again in the window.

    `predicted` (U, I) are those of `predict_repurchase_days`. A user counts once: the mean over the user's pairs, then
    over users. Exact: no pair is left out, and one that was not bought in the window has no time to be compared with.

    Raises:
        RecsysError: as `list_repurchase_days` does.
    """
    came = list_repurchase_days(predicted, purchases, now, window)
    user = np.repeat(np.arange(came.shape[0]), np.diff(came.indptr))
    found = np.asarray(predicted[user, came.indices], dtype=np.float64).ravel()
    off = np.bincount(user, np.abs(found - came.data), came.shape[0])
    n = np.bincount(user, minlength=came.shape[0])
    per_user = np.where(n > 0, off / np.maximum(n, 1), np.nan)
    mean = float(per_user[n > 0].mean()) if n.any() else float("nan")
    return RepurchaseTimeError(mean, per_user, int(came.nnz))
