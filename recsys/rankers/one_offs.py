"""One-offs in a ranker: told in notes and profiles, and counted whole where the user confirms them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recsys.control.forgetting import reweigh_rows
from recsys.data.identifiers import normalize_id
from recsys.rankers.profiles import ProfileEntry, UserProfile
from recsys.rankers.requests import NO_ITEMS, RequestUser
from recsys.types import Context, RecsysError, make_unknown_name_error
from recsys.types.arrays import Csr
from recsys.types.one_offs import OneOffs

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


def confirm(ranker: Ranker, user: Any, item: Any) -> Ranker:
    """Return a ranker in which a one-off of a user counts whole; the same one where the item is none."""
    one_offs = _need_one_offs(ranker)
    codes = []
    for what, given, known in (("user", user, ranker.known_users), ("item", item, ranker.known_items)):
        name = normalize_id(given)
        if name not in known:
            raise make_unknown_name_error(what, name, list(known), where="ranker")
        codes.append(known[name])
    place = one_offs.find_place(codes[0], codes[1])
    if place < 0:
        raise RecsysError(f"ranker: item '{item}' is not among those that user '{user}' liked, expected one of them")
    if not one_offs.flags[place]:
        return ranker
    context, model = reweigh_rows(ranker.context, ranker.model, _count_whole(ranker.context, one_offs, place), codes[0])
    state, name = ranker.forget_state, ""
    if state is not None:
        state = replace(state, base=confirm(state.base, user, item))
        name = state.name_policy()
    return ranker.replace_parts(context, model, state, ranker.user_dials, NO_ITEMS, name)


def list_confirmed(ranker: Ranker) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ids of user and item that users confirmed, as `recsys.detect_one_offs` takes them."""
    one_offs = ranker.context.one_offs
    if one_offs is None:
        return ()
    rows, columns = (one_offs.scores < 0).nonzero()
    users, items = ranker.context.user_ids[rows].tolist(), ranker.context.item_ids[columns].tolist()
    return tuple(zip(users, items, strict=True))


def tell_one_offs(profile: UserProfile, context: Context, code: int) -> UserProfile:
    """Return a profile with the one-offs of the user, where the ranker looks for them."""
    one_offs = context.one_offs
    if one_offs is None:
        return profile
    scores, titles = one_offs.scores[[code]], None if context.items is None else context.items.titles
    rows = [
        {
            "item": str(context.item_ids[item]),
            "title": "" if titles is None else str(titles[item]),
            "score": float(score),
            "counts": 1.0 if score < 0 else one_offs.weight,
            "confirmed": bool(score < 0),
        }
        for item, score in zip(scores.indices.tolist(), scores.data.tolist(), strict=True)
        if score > one_offs.threshold or score < 0
    ]
    said = "the liked items that fit nothing else of the history: they count less until they are confirmed"
    return replace(profile, entries=(*profile.entries, ProfileEntry("one_offs", said, (), rows)))


def _need_one_offs(ranker: Ranker) -> OneOffs:
    one_offs: OneOffs | None = ranker.context.one_offs
    if one_offs is None:
        raise RecsysError("ranker: it looks for no one-offs, expected one fitted to a split of recsys.detect_one_offs")
    return one_offs


def _count_whole(context: Context, one_offs: OneOffs, place: int) -> Context:
    """Return a context in which an entry has its weight by age alone."""
    held = context.time_weights
    if held is None:
        raise RecsysError("ranker: it has one-offs and no weights of positives, expected both")
    data = held.weights.data.copy()
    data[place] = min(1.0, float(data[place]) / one_offs.weight)
    weights = Csr((data, held.weights.indices, held.weights.indptr), shape=held.weights.shape)
    return replace(context, one_offs=one_offs.confirm(place), time_weights=replace(held, weights=weights))
