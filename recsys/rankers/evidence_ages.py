"""The age of the evidence behind each pick: how long ago the liked items that speak for it were liked."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.objectives.derived_tables import get_item_vectors, get_reference_time
from recsys.types import Context
from recsys.types.arrays import Doubles, Ints
from recsys.types.time_weights import SECONDS_PER_DAY

MIN_COSINE = 1e-6  # a cosine below it is none


@dataclass(frozen=True)
class EvidenceAge:
    """How old, in days, the items of a history are that speak for a pick."""

    mean_days: float  # mean, weighted by their cosines to the pick
    newest_days: float  # the smallest of them
    nearest_days: float  # that of the item with the largest cosine, the first of equals


def measure_evidence_ages(
    context: Context, picks: Ints, code: int, history: Ints, dated: Mapping[int, int]
) -> tuple[EvidenceAge | None, ...]:
    """Return the ages behind each of `picks` (k,), codes as those of `history` (h,), the likes of the user `code`.

    An item speaks for a pick if their cosine by co-occurrence is above 0 and its time is known: that which the context
    has of the user, or for other items that of `dated`, seconds since 1970 by item. Ages are counted from the moment of
    the half-life, or else the latest training positive; a later time is of age 0. None where no item speaks.
    """
    found = find_history_times(context, code, dated)
    times = np.array([found.get(item, np.nan) for item in history.tolist()], dtype=np.float64)
    known = ~np.isnan(times)
    if not known.any() or not len(picks):
        return (None,) * len(picks)
    ages = np.maximum(get_reference_time(context) - times[known], 0.0) / SECONDS_PER_DAY
    vectors = get_item_vectors(context, "cooccurrence", "evidence_ages")
    near = (vectors[picks] @ vectors[history[known]].T).astype(np.float64)
    return tuple(_summarize_ages(row, ages) for row in near)


def _summarize_ages(near: Doubles, ages: Doubles) -> EvidenceAge | None:
    speaks = near > MIN_COSINE
    if not speaks.any():
        return None
    mean = float(near[speaks] @ ages[speaks] / near[speaks].sum())
    return EvidenceAge(mean, float(ages[speaks].min()), float(ages[near.argmax()]))


def find_history_times(context: Context, code: int, dated: Mapping[int, int]) -> dict[int, float]:
    """Return when items of a history were liked, in seconds since 1970 by item; those whose time is not known lack.

    A stored time of the user `code` (-1 for nobody known) stands before one of `dated`, which a request brings.
    """
    found = {item: float(time) for item, time in dated.items()}
    stored = context.get_history_times(code) if code >= 0 else None
    if stored is not None:
        own = context.need_train("evidence_ages")
        items = own.indices[own.indptr[code] : own.indptr[code + 1]]
        found |= dict(zip(items.tolist(), stored.tolist(), strict=True))
    return found
