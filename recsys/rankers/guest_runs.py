"""Guest runs in a ranker: told in notes, until the user confirms them."""

import numpy as np

from recsys.rankers.requests import RequestUser
from recsys.types import Context
from recsys.types.arrays import Ints


def describe_guest_runs(context: Context, request_user: RequestUser) -> tuple[str, ...]:
    """Return a sentence on the items of a known user that count less, () where there are none."""
    runs, code = context.guest_runs, request_user.code
    if runs is None or code < 0 or not len(items := runs.find_items(code)):
        return ()
    when = _describe_first_time(context, code, items)
    why = "in a row, they fit none of the rest, as if somebody else had used the account"
    return (f"{len(items)} items of the history{when} count {runs.weight:g}: {why}",)


def _describe_first_time(context: Context, code: int, items: Ints) -> str:
    if context.times is None:
        return ""
    row = context.times[[code]]
    return f" from {np.datetime64(int(row.data[np.isin(row.indices, items)].min()), 's').astype('datetime64[D]')}"
