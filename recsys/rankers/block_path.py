"""The fast path of a block of requests: gains as for each alone, and one call of the kernel."""

import math
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.block_users import BlockUsers
from recsys.rankers.fast_path import NO_GUARDS, FastPath
from recsys.rankers.generic_path import Picks
from recsys.rankers.requests import get_draw_key
from recsys.support import rng
from recsys.types.arrays import Anys, Doubles, Floats, Ints, Longs

MAX_KEPT = 2**22  # bytes of an array that is kept for the next block: those of 200 candidates are smaller


class Room:
    """Arrays of one block after another: large ones that are made anew are slow to touch."""

    def __init__(self) -> None:
        """Hold nothing at first."""
        self._held: dict[str, Anys] = {}

    def lend(self, name: str, shape: tuple[int, ...], kind: type) -> Anys:
        """Return an array of any numbers, which is the same one for the next block."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = np.empty(size, kind)
            if held.nbytes <= MAX_KEPT:
                self._held[name] = held
        room: Anys = held[:size].reshape(shape)
        return room


_ROOMS: deque[Room] = deque(maxlen=64)  # those that no block is in


class BlockInputs(NamedTuple):
    """The arguments of the kernel for B requests, but for its output."""

    lengths: Longs  # (B,) candidates of each
    weight: Doubles  # (B, T)
    inputs: tuple[Any, ...]  # the plain tuples of a `KernelInputs`
    uniforms: Doubles  # (B, k)
    k: int


class BlockPicks(NamedTuple):
    """The picks of B requests, as `Picks` has those of one."""

    positions: Longs  # (B, k)
    contributions: Floats  # (B, k, O)
    objectives: tuple[str, ...]
    log_propensity: Floats | None  # (B, k)

    def get_picks(self, b: int) -> Picks:
        """Return the picks of one request."""
        drawn = self.log_propensity
        return Picks(self.positions[b], self.contributions[b], self.objectives, None if drawn is None else drawn[b])


def pick_block(
    path: FastPath, users: BlockUsers, k: int, seed: int, weights: Sequence[Doubles | None]
) -> BlockPicks | None:
    """Return slates of k for requests with at least k candidates each, as `FastPath.pick_slate` picks each alone.

    `weights` are those of requests with dials. None where gains of any of the requests are too large.
    """
    room = _take_room()
    try:
        return _pick_in_room(room, path, users, k, seed, weights)
    finally:
        _ROOMS.append(room)


def _take_room() -> Room:
    try:
        return _ROOMS.pop()
    except IndexError:
        return Room()


def _pick_in_room(
    room: Room, path: FastPath, users: BlockUsers, k: int, seed: int, weights: Sequence[Doubles | None]
) -> BlockPicks | None:
    filled = _fill_inputs(room, path, users, k, seed, weights)
    policy, count = path.policy, len(users)
    places, parts = np.empty((count, k), np.int64), np.empty((count, k, len(path.parts)), np.float32)
    chances: Floats = np.empty((count, k), np.float32)
    finite = path.kernel(
        filled.lengths,
        filled.weight,
        filled.inputs,
        NO_GUARDS,
        (k, float(policy.temperature), float(policy.epsilon), filled.uniforms, False),
        (places, parts, chances, np.zeros(filled.weight.shape)),
    )
    if not finite:
        return None
    if policy.order == "relevance":
        order = np.argsort(places, axis=1, kind="stable")
        places, parts = np.take_along_axis(places, order, 1), np.take_along_axis(parts, order[..., None], 1)
    return BlockPicks(places, parts, path.objectives, chances if policy.is_stochastic else None)


def _fill_inputs(
    room: Room, path: FastPath, users: BlockUsers, k: int, seed: int, weights: Sequence[Doubles | None]
) -> BlockInputs:
    """Return the input of the kernel; gains, need and cap are those of each request alone."""
    count, n = len(users), int(users.lengths.max())
    terms, spread, coverage, volume = (path.laid.get((n, k)) or path._build_layout(n, k)).inputs
    shape, place, _, by_slot = terms
    rows, gains = (
        np.maximum(users.item_rows, 0).astype(np.int32)[None],
        np.zeros((len(path.gains), count, n), np.float32),
    )
    for gain, filled in zip(path.gains, gains, strict=True):
        gain.fill_block(users, filled)
    vectors, settings, empty, spread_rows, start = spread
    spread = (vectors, settings, empty, rows[: len(spread_rows)], start)
    weight = np.stack([path.weight[0] if own is None else own[0] for own in weights])
    uniforms = np.zeros((count, k))
    if path.policy.is_stochastic:
        keys = np.array([[get_draw_key(asker)] for asker in users.askers], np.uint64)
        uniforms = rng.draw_uniforms(seed, "slots", keys, np.arange(k))
    laid = ((shape, place, gains, by_slot), spread, _fill_coverage(room, path, coverage, users, rows), volume)
    return BlockInputs(users.lengths, weight, laid, uniforms, k)


def _fill_coverage(room: Room, path: FastPath, laid: tuple[Any, ...], users: BlockUsers, rows: Ints) -> tuple[Any, ...]:
    """Return the coverage inputs of a layout for one user, for B users with their need and cap."""
    settings, seats, patience, at, pointers, regions, values, slots, need, cap, start = laid
    count, n, by_candidate = len(users), rows.shape[2], path.regions_per_candidate
    start = np.repeat(start, count, axis=0)
    if path.need is None:
        at = np.zeros((len(at), count, n), np.int32)
        need, cap = (np.repeat(one, count, axis=0) for one in (need, cap))
    else:
        at, width = rows, need.shape[1]
        filled = width - (by_candidate > 0)
        wanted: Doubles = room.lend("wanted", (count, 3, width), np.float64)
        packed: Ints = room.lend("packed", (count, n * by_candidate), np.int32)
        wanted[:, :, filled:] = 0.0  # what nobody needs
        path.need.fill_block(users, wanted[:, :, :filled], by_candidate, packed)
        need, cap = room.lend("need", (count, width), np.float64), room.lend("cap", (count, width), np.float64)
        need[:], cap[:] = wanted[:, 0], wanted[:, 2]
        if by_candidate:
            regions = packed.reshape(-1)
            at, pointers, values = _lay_out_regions(count, n, by_candidate)
    return settings, seats, patience, at, pointers, regions, values, slots, need, cap, start


@lru_cache(4)
def _lay_out_regions(users: int, n: int, maps: int) -> tuple[Ints, Longs, Floats]:
    """Return rows, pointers and shares of candidates whose regions lie side by side, one of each map."""
    rows = np.arange(users * n, dtype=np.int32).reshape(1, users, n)
    return rows, maps * np.arange(users * n + 1), np.ones(users * n * maps, np.float32)
