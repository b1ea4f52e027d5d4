"""Explanations: one true sentence in plain words for each pick."""

from collections.abc import Collection

import numpy as np

from recsys.maths.distributions import mostly_unexplored
from recsys.objectives.derived_tables import get_feature_sizes, get_hard_regions, get_item_vectors
from recsys.types import Context
from recsys.types.arrays import Bools, Csr, Floats, Ints

MIN_COSINE = 1e-6  # a cosine below it is none
REASONS = {  # a closed list: nothing else is told, and what stands in braces is of the ranker's own catalogue or blend
    "liked": "Because you liked {title}.",
    "new_feature": "From {feature}, new to you.",
    "new_region": "From a part of the catalogue that is new to you.",
    "pinned": "Its place is kept for it.",
    "objective": "Chosen mostly for {objective}.",
}


def explain_picks(
    context: Context, picks: Ints, history: Ints, contributions: Floats, objectives: tuple[str, ...],
    pinned: Collection[int] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Return a text for each of `picks` (k,), codes as those of `history` (h,).

    "Because you liked X.": X is the item of the history that is nearest to the pick by co-occurrence (the first of
    equals), if any is near at all. "From F, new to you.": F is the feature of the pick that the fewest items have of
    those that no item of the history has; where items have no features, or the pick no new one, "From a part of the
    catalogue that is new to you." if most own maps have the pick in a region that the history never touched. Where
    neither can be said, the objective that added most. Of what is `pinned` (items) no liking is the reason, but "Its
    place is kept for it.".
    """
    near = _explain_by_history(context, picks, history)
    new = _explain_novelty(context, picks, history)
    said = []
    for r in range(len(picks)):
        first = REASONS["pinned"] if picks[r] in pinned else near[r]
        parts = [part for part in (first, new[r]) if part]
        if not parts:
            name = objectives[int(contributions[r].argmax())].replace("_", " ")
            parts = [REASONS["objective"].format(objective=name)]
        said.append(" ".join(parts))
    return tuple(said)


def _explain_by_history(context: Context, picks: Ints, history: Ints) -> list[str]:
    if not len(history):
        return [""] * len(picks)
    table = get_item_vectors(context, "cooccurrence", "sentences")
    near = table[picks] @ table[history].T
    best = near.argmax(axis=1)
    there = near[np.arange(len(picks)), best] > MIN_COSINE
    return [
        REASONS["liked"].format(title=_get_title(context, history[b])) if t else ""
        for b, t in zip(best, there, strict=True)
    ]


def _explain_novelty(context: Context, picks: Ints, history: Ints) -> list[str]:
    """Return for each pick what is new about it to a user with a history, "" where nothing is."""
    if not len(history):
        return [""] * len(picks)
    outside = _mark_unexplored(context, picks, history)
    said = []
    for r, pick in enumerate(picks.tolist()):
        feature = _find_new_feature(context, pick, history)
        if feature:
            said.append(REASONS["new_feature"].format(feature=feature))
        else:
            said.append(REASONS["new_region"] if outside[r] else "")
    return said


def _find_new_feature(context: Context, pick: int, history: Ints) -> str:
    items = context.items
    if items is None:
        return ""
    features: Csr = items.features
    own = features.indices[features.indptr[pick] : features.indptr[pick + 1]]
    met = np.concatenate([features.indices[features.indptr[i] : features.indptr[i + 1]] for i in history.tolist()])
    new = np.setdiff1d(own, met)
    if not len(new):
        return ""
    sizes = get_feature_sizes(context, "sentences")
    return items.feature_names[int(new[sizes[new].argmin()])]


def _mark_unexplored(context: Context, picks: Ints, history: Ints) -> Bools:
    maps = range(len(context.maps))
    if not maps:
        return np.zeros(len(picks), dtype=bool)
    both = np.concatenate([picks, history])  # of the catalogue, only what is asked about
    regions = [get_hard_regions(context, m)[both] for m in maps]
    own = np.arange(len(picks), len(both), dtype=np.int32)
    row = Csr((np.ones(len(own), np.float32), own, np.array([0, len(own)])), shape=(1, len(both)))
    return mostly_unexplored(row, regions)[0, : len(picks)]


def _get_title(context: Context, item: int) -> str:
    title = "" if context.items is None else str(context.items.titles[item])
    return title or str(context.item_ids[item])
