"""One-offs in a ranker: told in notes and profiles, and counted whole where the user confirms them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.control.forgetting import replace_user_rows
from recsys.data.identifiers import normalize_id
from recsys.rankers.profiles import ProfileEntry, UserProfile
from recsys.rankers.requests import NO_ITEMS, RequestUser
from recsys.types import Context, RecsysError, make_unknown_name_error
from recsys.types.arrays import Csr
from recsys.types.held_back import HeldBack

KINDS = ("one_offs", "guest_runs")  # of what is held back, by their names in a context
Ranker = Any  # `recsys.rankers.Ranker`, which imports this module


def describe_one_offs(context: Context, request_user: RequestUser, names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each item of the history of a request that counts less."""
    one_offs = context.one_offs
    if one_offs is None or not len(request_user.one_offs):
        return ()
    return tuple(
        f"item '{names[code]}' of the history counts {one_offs.weight:g}: it fits nothing else of it, and came once"
        for code in request_user.one_offs.tolist()
    )


def confirm(ranker: Ranker, user: Any, item: Any = None) -> Ranker:
    """Return a ranker in which what is held back of a user counts whole; the same one where nothing is.

    `item` is one of the history, None for all that is held back.
    """
    if all(getattr(ranker.context, kind) is None for kind in KINDS):
        raise RecsysError("ranker: it holds nothing back, expected one fitted to a split of recsys.detect_one_offs or "
                          "recsys.detect_guest_runs")  # fmt: skip
    code = _look_up("user", user, ranker.known_users)
    weighted = ranker.context
    for kind in KINDS:
        held = getattr(weighted, kind)
        if held is not None:
            places = _list_flagged(held, code) if item is None else _find_flagged(held, ranker, code, user, item)
            weighted = _count_whole(weighted, kind, places) if places else weighted
    if weighted is ranker.context:
        return ranker
    users = np.array([code], np.int64)
    context, model = replace_user_rows(ranker.context, ranker.model, weighted, users)
    state, name = ranker.forget_state, ""
    if state is not None:
        state = replace(state, base=confirm(state.base, user, item))
        name = state.name_policy()
    return ranker.replace_parts(context, model, state, ranker.user_dials, NO_ITEMS, name)


def list_confirmed(ranker: Ranker) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ids of user and item that users confirmed, as `recsys.detect_one_offs` takes them."""
    context, found = ranker.context, dict[tuple[str, str], None]()
    for kind in KINDS:
        held = getattr(context, kind)
        if held is not None:
            rows, columns = (held.scores < 0).nonzero()
            found |= dict.fromkeys(
                zip(context.user_ids[rows].tolist(), context.item_ids[columns].tolist(), strict=True)
            )
    return tuple(found)


def tell_held_back(profile: UserProfile, context: Context, code: int) -> UserProfile:
    """Return a profile with what is held back of the user, an entry for each kind that the ranker looks for."""
    told = tuple(_tell_kind(context, code, kind) for kind in KINDS if getattr(context, kind) is not None)
    return replace(profile, entries=(*profile.entries, *told))


def _tell_kind(context: Context, code: int, kind: str) -> ProfileEntry:
    held: HeldBack = getattr(context, kind)
    scores, titles = held.scores[[code]], None if context.items is None else context.items.titles
    rows = [
        {
            "item": str(context.item_ids[item]),
            "title": "" if titles is None else str(titles[item]),
            "score": float(score),
            "counts": 1.0 if score < 0 else held.weight,
            "confirmed": bool(score < 0),
        }
        for item, score in zip(scores.indices.tolist(), scores.data.tolist(), strict=True)
        if score > held.threshold or score < 0
    ]
    return ProfileEntry(kind, f"{_SAID[kind]}: they count less until they are confirmed", (), rows)


_SAID = {
    "one_offs": "the liked items that fit nothing else of the history",
    "guest_runs": "liked items in a row that fit none of the rest of the history",
}


def _look_up(what: str, given: Any, known: Mapping[str, int]) -> int:
    name = normalize_id(given)
    if name not in known:
        raise make_unknown_name_error(what, name, list(known), where="ranker")
    return known[name]


def _list_flagged(held: HeldBack, code: int) -> list[int]:
    first, end = held.scores.indptr[code : code + 2]
    return (int(first) + np.flatnonzero(held.flags[first:end])).tolist()


def _find_flagged(held: HeldBack, ranker: Ranker, code: int, user: Any, item: Any) -> list[int]:
    """Return the place of an item that is held back, [] where it is not."""
    place = held.find_place(code, _look_up("item", item, ranker.known_items))
    if place < 0:
        raise RecsysError(f"ranker: item '{item}' is not among those that user '{user}' liked, expected one of them")
    return [place] if held.flags[place] else []


def _count_whole(context: Context, kind: str, places: Sequence[int]) -> Context:
    """Return a context in which entries that are held back as `kind` no longer are."""
    weights, held = context.time_weights, getattr(context, kind)
    if weights is None:
        raise RecsysError("ranker: it holds positives back and has no weights of positives, expected both")
    data = weights.weights.data.copy()
    for place in places:
        data[place] = min(1.0, float(data[place]) / held.weight)
        held = held.confirm(place)
    counted = Csr((data, weights.weights.indices, weights.weights.indptr), shape=weights.weights.shape)
    changed: dict[str, Any] = {kind: held, "time_weights": replace(weights, weights=counted)}
    return replace(context, **changed)
