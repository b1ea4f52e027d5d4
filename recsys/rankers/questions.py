"""Questions of a ranker: which items it may ask about, and the answer."""

from collections.abc import Iterable
from typing import cast

import numpy as np

from recsys.evidence.questions import RULES, Questions, find_questions
from recsys.objectives.derived_tables import get_familiarity
from recsys.rankers.request_constraints import RequestGuards, filter_allowed_items, pad_candidates
from recsys.rankers.requests import Candidates, Id, IdIndex, RequestUser, build_user_context, list_disliked_items
from recsys.types import Context, Items
from recsys.types.arrays import Bools


def ask_questions(
    context: Context,
    items: IdIndex,
    available: Bools,
    asker: RequestUser,
    held: RequestGuards,
    unknown: Iterable[Id],
    n: int,
    deficit_weight: float,
) -> Questions:
    """Return at most n questions for the user of a request, of the items that are `available` (I,)."""
    answered, strange = items.look_up(unknown)
    around = build_user_context(context, asker)
    allowed = available.copy()
    for codes in (asker.history, list_disliked_items(context, asker), asker.hidden, answered):
        allowed[codes] = False
    allowed = _close_excluded(allowed, held, around, n)
    found = find_questions(around, allowed, n, deficit_weight=deficit_weight)
    catalogue = cast(Items, context.items)
    return Questions(
        items=tuple(items.names[code] for code in found.items.tolist()),
        titles=tuple(catalogue.titles[found.items].tolist()),
        gains=found.gains,
        familiarity=get_familiarity(context, "questions")[found.items],
        rule=found.rule,
        unknown_items=(*asker.unknown, *strange),
        notes=_describe_questions(found.rule, len(found.items), n),
    )


def _close_excluded(allowed: Bools, held: RequestGuards, around: Context, n: int) -> Bools:
    """Return the allowed items (I,) without those that guards exclude, whatever else these say of a slate."""
    allowed = held.filter_available(allowed)
    if None not in held.rules:
        return allowed
    codes = np.flatnonzero(allowed).astype(np.int32)
    pool = pad_candidates(Candidates(codes, np.zeros(len(codes), np.float32)), n, around)
    left = np.zeros_like(allowed)
    left[filter_allowed_items(codes, held.resolve_rules(pool, n, "gain"))] = True
    return left


def _describe_questions(rule: str, found: int, n: int) -> tuple[str, ...]:
    notes = []
    if rule != RULES[0]:
        notes.append("The model has no factors: questions are the items whose answers differ most among users.")
    if found < n:
        notes.append(f"There are {found:,} questions, not {n:,}: no other item may be asked about.")
    return tuple(notes)
