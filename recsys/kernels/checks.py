"""Checks of pools before compiled code reads them, because it checks no bounds."""

from typing import Any

import numpy as np

from recsys.types import Pool, RecsysError
from recsys.types.checks import check_codes


def check_pool(pool: Pool, place: str = "pool") -> None:
    """Refuse a pool, made by hand or changed since, whose rows are not candidates best first, or of another context.

    Codes are looked at each time, in a pass that takes a hundredth of the cheapest re-ranking or less; the rest of a
    pool, and of its context, once.

    Raises:
        RecsysError: naming the user and the candidate.
    """
    context = pool.context
    if not pool.checked:
        context.check_arrays()
        _check_pool_rows(pool, place)
    check_codes(f"{place}: users", pool.users, 0, len(context.user_ids))
    check_codes(f"{place}: items", pool.items, -1, len(context.item_ids))
    object.__setattr__(pool, "checked", True)


def _check_pool_rows(pool: Pool, place: str) -> None:
    from recsys.kernels.hits import find_invalid_row

    kernel: Any = find_invalid_row  # compiled
    count = len(pool.context.item_ids)
    row = kernel(pool.items, pool.scores, count, np.zeros(count, np.int32))
    if row >= 0:
        raise RecsysError(f"{place}: row {row}: {_describe_fault(pool.items[row], pool.scores[row], count)}")


def _describe_fault(items: Any, scores: Any, count: int) -> str:
    """Return the fault of one user's items and scores, (N,) each, "" if there is none."""
    if items.min() < -1 or items.max() >= count:
        return f"found item codes {items.min()} to {items.max()}, expected -1 to {count - 1}"
    length = int((items >= 0).sum())
    if (items[:length] < 0).any():
        return "an item stands behind a -1, expected -1 at the end alone"
    codes, times = np.unique(items[:length], return_counts=True)
    if (times > 1).any():
        return f"item code {codes[times > 1][0]} is there twice, expected each once"
    if not np.isfinite(scores[:length]).all():
        return "scores hold NaN or infinity, expected finite numbers"
    return "scores grow along it, expected the best first: recsys.Pool.from_frame sorts"
