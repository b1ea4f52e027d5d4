"""Questions of a ranker: which items it may ask about, and the answer."""

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np

from recsys.evidence.questions import RULES, Questions, find_questions, find_region_questions
from recsys.objectives.derived_tables import get_familiarity, get_region_answer_chances, get_region_names
from recsys.rankers.region_answers import collect_region_answers, describe_regions, find_open_regions
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
    answers = collect_region_answers(context, asker)
    found = find_questions(around, allowed, n, deficit_weight=deficit_weight, answers=answers)
    catalogue = cast(Items, context.items)
    return Questions(
        items=tuple(items.names[code] for code in found.items.tolist()),
        titles=tuple(catalogue.titles[found.items].tolist()),
        gains=found.gains,
        familiarity=get_familiarity(context, "questions")[found.items],
        rule=found.rule,
        unknown_items=(*asker.unknown, *strange),
        unknown_regions=asker.unknown_regions,
        notes=_describe_questions(found.rule, len(found.items), n),
    )


def ask_about_regions(
    context: Context,
    available: Bools,
    asker: RequestUser,
    held: RequestGuards,
    answered: Mapping[str, str],
    n: int,
    deficit_weight: float,
) -> Questions:
    """Return at most n questions about regions, of those with items enough that are `available` (I,) to the user.

    None of them is among the names of regions that are `answered`, "unknown" or otherwise.
    """
    names, codes = get_region_names(context)
    around = build_user_context(context, asker)
    shown = available.copy()
    shown[asker.hidden] = False
    shown = _close_excluded(shown, held, around, n)
    allowed = find_open_regions(context, shown)
    allowed[[codes[name] for name in answered if name in codes]] = False
    answers = collect_region_answers(context, asker)
    found = find_region_questions(around, allowed, n, deficit_weight=deficit_weight, answers=answers)
    return Questions(
        items=(),
        titles=describe_regions(context, found.items, shown),
        gains=found.gains,
        familiarity=get_region_answer_chances(context, "questions")[found.items],
        rule=found.rule,
        unknown_items=asker.unknown,
        unknown_regions=asker.unknown_regions,
        notes=_describe_questions(found.rule, len(found.items), n, "region"),
        regions=tuple(names[code] for code in found.items.tolist()),
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


def _describe_questions(rule: str, found: int, n: int, kind: str = "item") -> tuple[str, ...]:
    notes = []
    if rule != RULES[0]:
        notes.append("The model has no factors: questions are the items whose answers differ most among users.")
    if found < n:
        notes.append(f"There are {found:,} questions, not {n:,}: no other {kind} may be asked about.")
    return tuple(notes)
