"""Opportunity costs: the candidate that each pick displaces, and how much it would add."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.kernels.checks import check_pool
from recsys.reranking.blends import Blend, BlendPart, make_weight_matrix, parse_blend
from recsys.reranking.blocks import select_slates, split_into_blocks
from recsys.reranking.term_cache import TermCache
from recsys.types import Modular, Pool, RecsysError, Slates, Term
from recsys.types.arrays import Doubles, Floats, Ints, Longs

FORCING_GAIN = 1e30  # finite, and above every gain


@dataclass(frozen=True, eq=False)
class OpportunityCosts:
    """For each pick of each of U slates, the candidate that it displaces, and how much more or less that would add."""

    items: Ints  # (U, k) codes into the slates' item_ids, -1 where no other candidate is left
    amounts: Floats  # (U, k) blended gain of that item - gain of the pick; NaN where there is none


def opportunity_costs(pool: Pool, slates: Slates, blend: Blend) -> OpportunityCosts:
    """Return displaced candidates and costs: max over j not in S of gain(j | S - S_r) - gain(S_r | S - S_r).

    S are the slates, S_r the pick of slot r and S - S_r the other picks in their order, to which one more is added
    last; gains are those of `blend`, with the scales of the slates. Units are those of `Slates.scores`. Costs at or
    below 0 say that no single exchange would improve the slate; a cost near 0 that it hardly matters which of the two
    is shown; above 0, what a greedy, sampled or other slate gave away. Guards
    are not asked: what a pick displaces may be an item that they exclude, and the cost is then what the guard takes. It
    takes 2 k re-rankings of the pool.

    Raises:
        RecsysError: if the slates are not of this pool or of another blend, or as `recsys.rerank` does.
    """
    check_pool(pool)
    parts = parse_blend(blend)
    if not np.array_equal(slates.users, pool.users):
        raise RecsysError("opportunity_costs: the slates are of other users, expected slates of this pool")
    for part in parts:
        if part.name not in slates.scales:
            raise RecsysError(f"opportunity_costs: the slates have no '{part.name}', expected the blend they are of")
    weight = make_weight_matrix(parts, pool, slates.scales)
    items, amounts = np.full(slates.items.shape, -1, np.int32), np.full(slates.items.shape, np.nan, np.float32)
    for block in split_into_blocks(pool):
        led = _ForcedTerms(pool.slice_users(block.start, block.stop))
        places = _find_pick_positions(led.pool, slates, block)
        items[block], amounts[block] = _compute_costs(led, parts, weight[block], places)
    return OpportunityCosts(items, amounts)


class _ForcedTerms(TermCache):
    """The terms of a pool beside one that leads the kernel to certain candidates first, and away from others."""

    part = BlendPart("lead", lambda pool, k: Modular(np.zeros(pool.items.shape, np.float32)), np.array(1.0))

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.forcing_gains = np.zeros(pool.items.shape, dtype=np.float32)

    def get_term(self, part: BlendPart, start: int, stop: int, k: int) -> Term:
        return Modular(self.forcing_gains[start:stop]) if part is self.part else super().get_term(part, start, stop, k)


def _compute_costs(
    forced: _ForcedTerms, parts: Sequence[BlendPart], weight: Doubles, places: Longs
) -> tuple[Ints, Floats]:
    """Return the displaced items and the amounts of one block, (B, k); `places` (B, k) are picks, -1 = none."""
    k = places.shape[1]
    items, amounts = np.full(places.shape, -1, np.int32), np.full(places.shape, np.nan, np.float32)
    weight = np.column_stack([weight, np.ones(len(places))])
    user, slot = np.nonzero(places >= 0)
    last = np.maximum((places >= 0).sum(axis=1, keepdims=True) - 1, 0)
    for r in range(k):
        order, gains = np.arange(k + 1, 1, -1.0), []
        for own in (1.0, -1.0):  # first with the pick of slot r in the last place, then without it
            order[r] = own
            forced.forcing_gains[user, places[user, slot]] = FORCING_GAIN * order[slot]
            ((_, found),) = select_slates(forced, [*parts, forced.part], weight, k, n_threads=1)
            added = found.contributions[:, :, :-1].sum(axis=2)
            gains.append(np.take_along_axis(added, last, axis=1)[:, 0])
        instead = np.take_along_axis(found.picks, last, axis=1)[:, 0]
        there = np.flatnonzero((places[:, r] >= 0) & (instead != places[:, r]))
        items[there, r] = forced.pool.items[there, instead[there]]
        amounts[there, r] = (gains[1] - gains[0])[there]
    return items, amounts


def _find_pick_positions(pool: Pool, slates: Slates, block: slice) -> Longs:
    """Return where in its user's pool each pick stands, (B, k), -1 where there is no pick."""
    shown = slates.items[block]
    same = shown[:, :, None] == pool.items[:, None, :]
    lost = (shown >= 0) & ~same.any(axis=2)
    if lost.any():
        user, slot = np.argwhere(lost)[0]
        raise RecsysError(
            f"opportunity_costs: user '{slates.user_ids[pool.users[user]]}' is shown item "
            f"'{slates.item_ids[shown[user, slot]]}', expected one of their candidates"
        )
    return np.where(shown >= 0, same.argmax(axis=2), -1)
