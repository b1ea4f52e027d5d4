"""Items that a person says to own until a moment: they are not shown before it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from recsys.rankers.requests import Id, IdIndex, RequestUser, get_row_columns, take_request_repeats
from recsys.retrieval.repeat_candidates import find_best_repeats
from recsys.types import Context, RecsysError
from recsys.types.arrays import Csr, Ints
from recsys.types.errors import make_unknown_name_error
from recsys.types.moments import parse_moment

MAX_REPEATS = 50  # of a user's items that call for being bought again, how many are candidates of a request


def set_owned_until(context: Context, user: int, items: IdIndex, owned: Mapping[Id, Any]) -> Context:
    """Return the context in which a user, a code, owns items until moments; None in the place of one ends it.

    Raises:
        RecsysError: for a ranker without repeats, an unknown item, or a moment that cannot be read.
    """
    repeats = context.need_repeats("ranker: owned items")
    if not isinstance(owned, Mapping):
        raise RecsysError(
            f"ranker: owned items are {owned!r}, expected items and moments such as {{'50': '2027-01-01'}}"
        )
    row = dict(
        zip(get_row_columns(repeats.due_from, user).tolist(), repeats.due_from[[user]].data.tolist(), strict=True)
    )
    for item, until in owned.items():
        codes, unknown = items.look_up([item])
        if unknown:
            raise make_unknown_name_error("item", unknown[0], items.codes, where="ranker: owned items")
        row.pop(int(codes[0]), None)
        if until is not None:
            row[int(codes[0])] = float(parse_moment(f"ranker: '{item}' is owned until", until))
    columns = sorted(row)
    made = Csr((np.array([row[c] for c in columns]), columns, [0, len(columns)]), shape=(1, repeats.due_from.shape[1]))
    parts = [repeats.due_from[:user], made, repeats.due_from[user + 1 :]]
    due = sparse.csr_array(sparse.vstack([part for part in parts if part.shape[0]], format="csr"))
    due.indices, due.indptr = due.indices.astype(np.int32), due.indptr.astype(np.int32)
    return replace(context, repeats=replace(repeats, due_from=due))


def list_repeat_candidates(context: Context, request_user: RequestUser) -> Ints:
    """Return the items that a user met before and that call most for being shown again at the moment of a request.

    None of somebody new, of what is not due or ended, and of what limits on exposures hide.
    """
    repeats = take_request_repeats(context, request_user)
    if repeats is None or request_user.code < 0:
        return np.zeros(0, np.int32)
    due = repeats.find_due(request_user.now)
    best = find_best_repeats(due, MAX_REPEATS)[0]
    return np.setdiff1d(best[best >= 0], request_user.hidden).astype(np.int32)
