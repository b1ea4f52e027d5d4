"""Guest runs in a ranker: told in notes and profiles, until the user confirms them."""

from dataclasses import replace

import numpy as np

from recsys.rankers.profiles import ProfileEntry, UserProfile
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


def tell_guest_runs(profile: UserProfile, context: Context, code: int) -> UserProfile:
    """Return a profile with the guest run of the user, where the ranker looks for them."""
    runs = context.guest_runs
    if runs is None:
        return profile
    scores, titles = runs.scores[[code]], None if context.items is None else context.items.titles
    rows = [
        {
            "item": str(context.item_ids[item]),
            "title": "" if titles is None else str(titles[item]),
            "score": float(score),
            "counts": 1.0 if score < 0 else runs.weight,
            "confirmed": bool(score < 0),
        }
        for item, score in zip(scores.indices.tolist(), scores.data.tolist(), strict=True)
        if score > runs.threshold or score < 0
    ]
    said = "liked items in a row that fit none of the rest of the history: they count less until they are confirmed"
    return replace(profile, entries=(*profile.entries, ProfileEntry("guest_runs", said, (), rows)))


def _describe_first_time(context: Context, code: int, items: Ints) -> str:
    if context.times is None:
        return ""
    row = context.times[[code]]
    return f" from {np.datetime64(int(row.data[np.isin(row.indices, items)].min()), 's').astype('datetime64[D]')}"
