"""Sentences about slates: a closed list of templates, filled with names of items, objectives and guards alone."""

from collections.abc import Mapping, Sequence

REASONS = {
    "pinned": "Its place is kept for it.",
    "history": "Because you liked {items}.",
    "region": "It is of a part that you said you like: {items}.",
    "everybody": "It is what people like on the whole.",
    "objective": "Chosen mostly for {objective}.",
    "displaced": "It stands in the place of {item}.",
    "one_off": "{items} counts less: it fits nothing else that you liked.",
}
STAGES = {
    "history": "It is in the history, and what is known is left out.",
    "declined": "It was declined before, and what is known is left out.",
    "unavailable": "It is not available.",
    "stopped": "It is of a topic that the user stopped.",
    "not_given": "It is none of the candidates that were given.",
    "guard": "It is kept out by {guards}.",
    "retrieval": "It is not retrieved: it is number {rank} by relevance, and the best {n} are candidates.",
    "blend": "It is number {rank} by relevance, and others are picked before it.",
}
CHANGES = {
    "slot": "It is in slot {slot} {changes}.",
    "weights": "with the weight of {objective} times {factor}",
    "without_items": "without {items} in the history",
    "without_guards": "without {guards}",
    "n": "with {n} candidates",
}
NO_CHANGE = "No change that was tried lets it in."
MAX_NAMED = 2  # items of the history that one sentence names


def list_names(names: Sequence[str]) -> str:
    """Return names as one text.

    >>> list_names(["a"]), list_names(["a", "b"]), list_names(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def describe_age(days: float | None) -> str:
    """Return when something was liked, "" where that is not known.

    >>> describe_age(None), describe_age(0.4), describe_age(1.6), describe_age(1200.0)
    ('', ' (today)', ' (1 day ago)', ' (1,200 days ago)')
    """
    if days is None:
        return ""
    whole = int(days)
    return " (today)" if whole < 1 else f" ({whole:,} {'day' if whole == 1 else 'days'} ago)"


def describe_pick(
    history: Sequence[tuple[str, float | None]], contributions: Mapping[str, float], displaced: str, is_pinned: bool,
    is_personal: bool, one_offs: Sequence[str] = (), region: str = "",
) -> tuple[str, ...]:  # fmt: skip
    """Return the sentences about a pick; `history` are names and ages in days, the largest influence first.

    Those of `one_offs`, names too, that are named count less. `region` names a region that the user said to like, and
    that the pick is of, "" for none.

    The objective that added most is named where it is not relevance, or where nothing else is known.
    `is_personal` says whether the scores follow a history.

    >>> describe_pick([("Alien", 3.2)], {"relevance": 0.4, "mmr": 0.5}, "Heat", False, True)
    ('Because you liked Alien (3 days ago).', 'Chosen mostly for mmr.', 'It stands in the place of Heat.')
    """
    said = []
    if is_pinned:
        said.append(REASONS["pinned"])
    elif history:
        liked = [f"{name}{describe_age(days)}" for name, days in history[:MAX_NAMED]]
        said.append(REASONS["history"].format(items=list_names(liked)))
        light = [name for name, _ in history[:MAX_NAMED] if name in one_offs]
        said += [REASONS["one_off"].format(items=name) for name in light]
    elif not is_personal and not region:
        said.append(REASONS["everybody"])
    if region and not is_pinned:
        said.append(REASONS["region"].format(items=region))
    if contributions and not is_pinned:
        most = max(contributions, key=lambda name: contributions[name])
        if most != "relevance" or not said:
            said.append(REASONS["objective"].format(objective=most.replace("_", " ")))
    if displaced:
        said.append(REASONS["displaced"].format(item=displaced))
    return tuple(said)


def describe_stage(stage: str, guards: Sequence[str], rank: int | None, n: int | None) -> str:
    """Return the sentence about where an item is lost.

    >>> describe_stage("guard", ["at_most"], 3, 200)
    'It is kept out by at_most.'
    """
    filled = {"guards": list_names(guards) if guards else "", "rank": f"{rank or 0:,}", "n": f"{n or 0:,}"}
    return STAGES[stage].format(**filled)


def describe_change(
    slot: int, weights: Mapping[str, float], items: Sequence[str], guards: Sequence[str], n: int | None
) -> str:
    """Return the sentence about a change that lets an item in.

    >>> describe_change(9, {"mmr": 2.5}, [], [], 300)
    'It is in slot 9 with 300 candidates and with the weight of mmr times 2.5.'
    """
    parts = []
    if items:
        parts.append(CHANGES["without_items"].format(items=list_names(items)))
    if guards:
        parts.append(CHANGES["without_guards"].format(guards=list_names(guards)))
    if n is not None:
        parts.append(CHANGES["n"].format(n=f"{n:,}"))
    for objective, factor in weights.items():
        parts.append(CHANGES["weights"].format(objective=objective.replace("_", " "), factor=f"{factor:.15g}"))
    return CHANGES["slot"].format(slot=slot, changes=list_names(parts))
