"""The log of exposures as the histories of the users of a split, for guards and objectives."""

from typing import Any

import numpy as np

from recsys.data.identifiers import look_up_ids
from recsys.splits.permissions import select_permitted_exposures
from recsys.types import ExposureHistories, Exposures, RecsysError
from recsys.types.arrays import Bools, Longs, Strings
from recsys.types.moments import parse_moment


def build_exposure_histories(
    exposures: Exposures,
    user_ids: Strings,
    item_ids: Strings,
    *,
    now: Any = None,
    max_per_user: int | None = None,
    place: str = "shown",
) -> tuple[ExposureHistories, tuple[str, ...]]:
    """Return what was shown to each of these users, (U,), and notes: one line each, none where nothing is left out.

    Rows that permit no purpose, and rows of unknown users or items, are left out and counted. With `max_per_user`, each
    user keeps the most recent rows. `now` is the moment that slates are made for; the latest exposure where it is None.

    Raises:
        RecsysError: if it is no log of exposures, or `now` is no time, or lies before an exposure.
    """
    if not isinstance(exposures, Exposures):
        found = f"found a {type(exposures).__name__}"
        raise RecsysError(f"{place}: {found}, expected an Exposures: recsys.read_exposures makes one")
    exposures, n_unusable = select_permitted_exposures(exposures, place=place)
    users, known_user = look_up_ids(exposures.user_ids, user_ids)
    items, known_item = look_up_ids(exposures.item_ids, item_ids)
    kept = known_user[exposures.user] & known_item[exposures.item]
    user, item = users[exposures.user[kept]], items[exposures.item[kept]]
    when = np.asarray(exposures.datetime, dtype=np.int64)[kept]
    dismissed = np.zeros(len(user), bool) if exposures.dismissed is None else exposures.dismissed[kept]
    latest = int(exposures.datetime.max()) if len(exposures) else 0
    moment = latest if now is None else parse_moment(f"{place}: now", now)
    if len(exposures) and moment < latest:
        raise RecsysError(
            f"{place}: now is {_format_moment(moment)}, and an exposure is of {_format_moment(latest)}, "
            "expected none after now"
        )
    notes = [f"{place}: {n_unusable:,} exposures that permit no purpose: left out"] if n_unusable else []
    if len(user) < len(exposures):
        notes.append(f"{place}: {len(exposures) - len(user):,} exposures of unknown users or items: left out")
    if max_per_user is not None:
        recent = _find_most_recent(user, item, when, dismissed, max_per_user)
        if len(recent) < len(user):
            left = f"{len(user) - len(recent):,} older exposures left out"
            notes.append(f"{place}: the most recent {max_per_user:,} of each user are kept, {left}")
        user, item, when, dismissed = user[recent], item[recent], when[recent], dismissed[recent]
    order = np.lexsort((dismissed, when, item, user))
    pointers = np.searchsorted(user[order], np.arange(len(user_ids) + 1)).astype(np.int64)
    columns = item[order].astype(np.int32), when[order], dismissed[order]
    return ExposureHistories(pointers, *columns, now=moment), tuple(notes)


def _find_most_recent(user: Longs, item: Longs, when: Longs, dismissed: Bools, most: int) -> Longs:
    """Return the rows of each user that are among the user's `most` latest; of equal times the same in any order."""
    order = np.lexsort((dismissed, item, when, user))[::-1]
    of_user = user[order]
    starts = np.flatnonzero(np.concatenate([[True], of_user[1:] != of_user[:-1]])) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[rank < most]


def _format_moment(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")).replace("T", " ")
