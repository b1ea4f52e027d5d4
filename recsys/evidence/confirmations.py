"""What users confirmed as their own among positives that are held back."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from recsys.data.identifiers import normalize_id
from recsys.types import RecsysError, Split, make_unknown_name_error
from recsys.types.held_back import HeldBack

Record = TypeVar("Record", bound=HeldBack)


def confirm_pairs(where: str, split: Split, record: Record, pairs: Iterable[tuple[str, str]]) -> Record:
    """Return the record in which these pairs of ids of user and item count whole.

    Raises:
        RecsysError: naming `where`, for an unknown id, or a pair that is no training positive.
    """
    for user, item in pairs:
        record = record.confirm(_find_place(where, split, record, user, item))
    return record


def _find_place(where: str, split: Split, record: HeldBack, user: str, item: str) -> int:
    """Return the place of a confirmed pair among the training positives."""
    codes = []
    for what, name, ids in (("user", user, split.user_ids), ("item", item, split.item_ids)):
        found = np.flatnonzero(ids == normalize_id(name))
        if not len(found):
            raise make_unknown_name_error(what, normalize_id(name), ids.tolist(), where=f"{where}: confirmed")
        codes.append(int(found[0]))
    place = record.find_place(codes[0], codes[1])
    if place < 0:
        raise RecsysError(f"{where}: confirmed: item '{item}' is no training positive of user '{user}', expected one")
    return place
