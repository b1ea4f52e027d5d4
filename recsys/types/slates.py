"""What is shown: k picks per user, and what each objective contributed to each pick."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recsys.types.arrays import Floats, Ints, Longs, Strings


@dataclass(frozen=True, eq=False)
class Slates:
    """Slates of U users; a row shorter than k ends in -1."""

    users: Ints  # (U,) codes into user_ids
    items: Ints  # (U, k) codes into item_ids, -1 = none
    scores: Floats  # (U, k) blended marginal gain at the moment of the pick
    contributions: Floats  # (U, k, O), weighted and scaled: their sum over O is `scores`
    objectives: tuple[str, ...]  # O names
    user_ids: Strings
    item_ids: Strings
    log_propensity: Floats | None = None  # (U, k) log-probability of each pick given those before it
    scales: Mapping[str, float] = field(default_factory=dict)  # what each objective's gain was multiplied by
    guards: tuple[str, ...] = ()  # Q names of the hard rules, in the order in which they were given
    unmet: Longs | None = None  # (U, Q) by how many picks or slots each is not met; None without guards


def blended(contributions: Floats) -> Floats:
    """Return the blended gain of each pick, (...): the sum of what each objective added, (..., T), first to last."""
    total: Floats = contributions[..., 0].copy()
    for t in range(1, contributions.shape[-1]):
        total += contributions[..., t]
    return total
