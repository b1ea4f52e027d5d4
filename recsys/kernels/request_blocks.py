"""Compiled steps of a block of requests: each calls the function of one request for each of them, row by row.

Rows of several requests stand end to end, those of request b from `starts[b]` to `starts[b + 1]`. Each step is one call
without the interpreter lock: threads that ask for the lock between small steps wait for each other.
"""

from recsys.kernels.compiled import compile_kernel
from recsys.kernels.requests import check_candidates, fill_discovery_values, fill_region_need, fill_unexplored_gains

UNKNOWN = 16  # beside what `check_candidates` says

_compiled = compile_kernel(fastmath=False)


@_compiled
def check_candidate_block(codes, scores, starts, rounded, wrong):
    """Fill `rounded` with scores of 32 bits and `wrong` (B,) with what `check_candidates` says of each request.

    A code below 0 is that of an item that the ranker does not know: UNKNOWN is then all that is said of the request.
    """
    for b in range(len(wrong)):
        first, end, known = starts[b], starts[b + 1], True
        for n in range(first, end):
            known &= codes[n] >= 0
        wrong[b] = check_candidates(codes[first:end], scores[first:end], rounded[first:end]) if known else UNKNOWN


@_compiled
def fill_unexplored_block(
    codes, scores, starts, near, history, history_starts, dislikes, dislike_starts, pointers, regions, values, hard,
    size, prior_strength, likes_share, distance_share, gains,
):  # fmt: skip
    """Fill `gains` (B, N) as `fill_unexplored_gains` does for each request, and leave what is beyond its candidates.

    `near` (B, N) are the largest cosines to the history, (B, 0) where `distance_share` is 0.
    """
    for b in range(len(gains)):
        first, end = starts[b], starts[b + 1]
        fill_unexplored_gains(
            codes[first:end], scores[first:end], near[b], history[history_starts[b] : history_starts[b + 1]],
            dislikes[dislike_starts[b] : dislike_starts[b + 1]], pointers, regions, values, hard, size, prior_strength,
            likes_share, distance_share, gains[b],
        )  # fmt: skip


@_compiled
def fill_discovery_value_block(
    codes, scores, starts, near, history, history_starts, dislikes, dislike_starts, pointers, regions, values, hard,
    size, prior_strength, likes_share, distance_share, exploration, kinds, gains,
):  # fmt: skip
    """Fill `gains` (B, N) as `fill_discovery_values` does for each request, by the `kinds` (B,) of its scores."""
    for b in range(len(gains)):
        first, end = starts[b], starts[b + 1]
        fill_discovery_values(
            codes[first:end], scores[first:end], near[b], history[history_starts[b] : history_starts[b + 1]],
            dislikes[dislike_starts[b] : dislike_starts[b + 1]], pointers, regions, values, hard, size, prior_strength,
            likes_share, distance_share, exploration, kinds[b], gains[b],
        )  # fmt: skip


@_compiled
def fill_region_need_block(codes, scores, starts, hard, first_regions, top_m, wanted, by_candidate, regions):
    """Fill need in `wanted` (B, 3, Z) as `fill_region_need` does for each request.

    `first_regions` (M,) is the first region of each map. The regions of candidates are laid into `regions`
    (B, N `by_candidate`), where `by_candidate` is above 0.
    """
    for b in range(len(wanted)):
        first, end = starts[b], starts[b + 1]
        there = regions[b]
        fill_region_need(
            codes[first:end], scores[first:end], hard, first_regions, top_m, wanted[b],
            there[: (end - first) * by_candidate],
        )  # fmt: skip


@_compiled
def lay_out_rows(values, starts, rows):
    """Fill the first places of `rows` (B, N) with the values of each request."""
    for b in range(len(rows)):
        row = rows[b]
        for n in range(starts[b], starts[b + 1]):
            row[n - starts[b]] = values[n]
