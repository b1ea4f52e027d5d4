"""The fast path of a block of requests: gains as for each alone, and one call of the kernel."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from recsys.rankers.fast_path import NO_GUARDS, FastPath
from recsys.rankers.generic_path import Picks
from recsys.rankers.requests import Candidates, RequestUser, get_draw_key
from recsys.support import rng
from recsys.types.arrays import Doubles, Floats, Longs


class BlockInputs(NamedTuple):
    """The arguments of the kernel for B requests, but for its output."""

    lengths: Longs  # (B,) candidates of each
    weight: Doubles  # (B, T)
    inputs: tuple[tuple[Any, ...], ...]  # the plain tuples of a `KernelInputs`
    uniforms: Doubles  # (B, k)
    k: int


def fill_block_inputs(
    path: FastPath, askers: Sequence[RequestUser], found: Sequence[Candidates], k: int, seed: int,
    weights: Sequence[Doubles | None],
) -> BlockInputs:  # fmt: skip
    """Return the input of the kernel for B requests of slates of k, each with at least k candidates.

    Gains, need and cap of a request are filled by the functions that fill them for it alone.
    """
    lengths = np.array([len(one.items) for one in found])
    users, n = len(askers), int(lengths.max())
    terms, spread, coverage, volume = (path.laid.get((n, k)) or path._build_layout(n, k)).inputs
    shape, place, _, by_slot = terms
    rows, gains = np.zeros((1, users, n), np.int64), np.zeros((len(path.gains), users, n), np.float32)
    for b, (asker, one) in enumerate(zip(askers, found, strict=True)):
        rows[0, b, : lengths[b]] = one.items
        for t, fill in enumerate(path.gains):
            fill(asker, one, gains[t, b, : lengths[b]])
    vectors, settings, empty, spread_rows, start = spread
    spread = (vectors, settings, empty, rows[: len(spread_rows)], start)
    weight = np.stack([path.weight[0] if own is None else own[0] for own in weights])
    uniforms = np.zeros((users, k))
    if path.policy.is_stochastic:
        keys = np.array([[get_draw_key(asker)] for asker in askers], np.uint64)
        uniforms = rng.draw_uniforms(seed, "slots", keys, np.arange(k))
    laid = ((shape, place, gains, by_slot), spread, _fill_coverage(path, coverage, askers, found, rows), volume)
    return BlockInputs(lengths, weight, laid, uniforms, k)


def _fill_coverage(
    path: FastPath, laid: tuple[Any, ...], askers: Sequence[RequestUser], found: Sequence[Candidates], rows: Longs
) -> tuple[Any, ...]:
    """Return the coverage inputs of a layout for one user, for B users with their need and cap."""
    settings, seats, patience, at, pointers, regions, values, slots, need, cap, start = laid
    users, n, by_candidate = len(askers), rows.shape[2], path.regions_per_candidate
    need, cap, start, patience = (np.repeat(one, users, axis=0) for one in (need, cap, start, patience))
    if path.fill_need is not None:
        at, width = rows, need.shape[1]
        packed = np.zeros((users, n * by_candidate), np.int32)
        for b, (asker, one) in enumerate(zip(askers, found, strict=True)):
            wanted = np.zeros((3, width))
            own = packed[b, : len(one.items) * by_candidate]
            path.fill_need(asker, one, wanted[:, : width - (by_candidate > 0)], own)
            need[b], cap[b] = wanted[0], wanted[2]
        if by_candidate:
            regions = packed.reshape(-1)
            at, pointers, values = _lay_out_regions(users, n, by_candidate)
    else:
        at = np.zeros((len(at), users, n), np.int64)
    return settings, seats, patience, at, pointers, regions, values, slots, need, cap, start


@lru_cache(4)
def _lay_out_regions(users: int, n: int, maps: int) -> tuple[Longs, Longs, Floats]:
    """Return rows, pointers and shares of candidates whose regions lie side by side, one of each map."""
    rows = np.arange(users * n).reshape(1, users, n)
    return rows, maps * np.arange(users * n + 1), np.ones(users * n * maps, np.float32)


def pick_block(path: FastPath, filled: BlockInputs) -> list[Picks] | None:
    """Return the picks of each request, as `FastPath.pick_slate`, None where gains of any of them are too large."""
    policy, users, k = path.policy, len(filled.lengths), filled.k
    places, parts = np.empty((users, k), np.int64), np.empty((users, k, len(path.parts)), np.float32)
    chances: Floats = np.empty((users, k), np.float32)
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
    drawn = policy.is_stochastic
    return [Picks(places[b], parts[b], path.objectives, chances[b] if drawn else None) for b in range(users)]
