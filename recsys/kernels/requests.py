"""Compiled steps of one request: small, serial, without the interpreter lock.

The slow statements of the same rules are `recsys.maths.fold_in.solve_user_factors`, `recsys.objectives.negative_space`
and plain NumPy.

Functions of blocks call the function of one request for each of several, so that all of them are one call: threads that
ask for the interpreter lock between small steps wait for each other. They stand in this file, beside what they call,
because Numba discards cached machine code only if the file of the outer function changes. Rows of several requests
stand end to end, those of request b from `starts[b]` to `starts[b + 1]`.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.kernels.like_probabilities import get_like_probability, scale_score, sum_score_mass

UNORDERED, TWICE, ENDLESS, LARGE, UNKNOWN = 1, 2, 4, 8, 16
EXACT = 2.0**53  # whole numbers up to it are numbers of 64 bits
HUGE_DISTANCE = 1e300  # finite: fastmath knows no infinities


@compile_kernel(fastmath=False)
def check_candidates(codes, scores, rounded):
    """Fill `given` (N,) with scores (N,) of 32 bits, and return the sum of what is wrong with them.

    0 for distinct codes (N,) whose scores never grow, are finite in 32 bits, and small enough to be exact in 64.
    """
    size = 16
    while size < 2 * len(codes):
        size *= 2
    seen, wrong = np.empty(size, np.int64), 0
    for place in range(size):
        seen[place] = -1
    for n in range(len(codes)):
        rounded[n] = np.float32(scores[n])
        if not np.isfinite(rounded[n]):
            wrong |= ENDLESS
        if abs(scores[n]) >= EXACT:
            wrong |= LARGE
        if n > 0 and scores[n] > scores[n - 1]:
            wrong |= UNORDERED
        place = (codes[n] * 40503) & (size - 1)
        while seen[place] >= 0 and seen[place] != codes[n]:
            place = (place + 1) & (size - 1)
        if seen[place] == codes[n]:
            wrong |= TWICE
        seen[place] = codes[n]
    return wrong


@compile_kernel(fastmath=False)
def look_up_codes(by_number, numbers, codes):
    """Fill `codes` (N,) with by_number[numbers], and return whether all of them are known: from 0 on."""
    known = True
    for n in range(len(numbers)):
        codes[n] = by_number[numbers[n]] if 0 <= numbers[n] < len(by_number) else -1
        known &= codes[n] >= 0
    return known


@compile_kernel(fastmath=True)
def fold_in_user(common, items, history, observed, pull, ridge, factor):
    """Fill `factor` (d,) with the solution of (common + observed sum y y' + ridge I) x = pull sum y.

    y runs over the items of `history`; `common` is (d, d), `items` (I, d). By Cholesky's decomposition, in float64.
    """
    d = len(common)
    lower = common.copy()
    x = np.zeros(d)
    y = np.empty(d)
    for h in range(len(history)):
        item = history[h]
        for a in range(d):
            y[a] = items[item, a]
            x[a] += pull * y[a]
        for a in range(d):
            scaled = observed * y[a]
            for b in range(a + 1):
                lower[a, b] += scaled * y[b]
    for a in range(d):
        lower[a, a] += ridge
        for b in range(a + 1):
            left = lower[a, b]
            for c in range(b):
                left -= lower[a, c] * lower[b, c]
            lower[a, b] = np.sqrt(left) if a == b else left / lower[b, b]
    for a in range(d):
        left = x[a]
        for b in range(a):
            left -= lower[a, b] * x[b]
        x[a] = left / lower[a, a]
    for a in range(d - 1, -1, -1):
        x[a] /= lower[a, a]
        for b in range(a):
            x[b] -= lower[a, b] * x[a]
    for a in range(d):
        factor[a] = x[a]


@compile_kernel(fastmath=True)
def score_all_items(items, factor, scores):
    """Fill `scores` (I,) with the dot products of `items` (I, d) and `factor` (d,)."""
    d = len(factor)
    for i in range(len(items)):
        total = np.float32(0.0)
        for a in range(d):
            total += items[i, a] * factor[a]
        scores[i] = total


@compile_kernel(fastmath=True)
def _add_masses(history, pointers, regions, values, mass):
    for h in range(len(history)):
        for e in range(pointers[history[h]], pointers[history[h] + 1]):
            mass[regions[e]] += values[e]


@compile_kernel(fastmath=True)
def _find_nearest_community(history, axes, places):
    """Return the community whose place (C, 32) is nearest to the history's direction on the `axes` (I, 32)."""
    size = axes.shape[1]
    stand, square = np.zeros(size), 0.0
    for h in range(len(history)):
        for a in range(size):
            stand[a] += axes[history[h], a]
    for a in range(size):
        square += stand[a] * stand[a]
    length = np.sqrt(square) if square > 0.0 else 1.0
    best, least = 0, HUGE_DISTANCE
    for c in range(len(places)):
        apart = np.float32(0.0)
        for a in range(size):
            aside = np.float32(stand[a] / length) - places[c, a]
            apart += aside * aside
        if apart < least:
            best, least = c, apart
    return best


@compile_kernel(fastmath=True)
def _fill_nearby_mix(own, centres, bandwidth, label, weight, near):
    """Fill `near` (Z,) with the shares of one map that nearby other communities consume, for the mix `own` (Z,)."""
    closest, total = HUGE_DISTANCE, 0.0
    for c in range(len(centres)):
        centre, apart = centres[c], 0.0
        for z in range(len(own)):
            apart += (own[z] - centre[z]) ** 2
        weight[c] = apart
        if c != label:
            closest = min(closest, apart)
    for c in range(len(centres)):
        if len(centres) == 1:
            weight[c] = 1.0
        else:
            weight[c] = 0.0 if c == label else np.exp((closest - weight[c]) / bandwidth)
        total += weight[c]
    near[:] = 0.0
    for c in range(len(centres)):
        centre, share = centres[c], weight[c] / total
        for z in range(len(own)):
            near[z] += share * centre[z]


@compile_kernel(fastmath=True)
def _sum_unexplored(
    codes, near, history, dislikes, pointers, regions, values, hard, size, prior_strength, likes_share, distance_share,
    total,
):  # fmt: skip
    """Fill `total` (N,) with the number of maps times u, how unexplored each candidate is.

    `near` (N,) are the largest cosines to the history, not read where `distance_share` is 0; the other arguments are
    those of `fill_expected_exposure` and `fill_region_need`, Z = `size`.
    """
    maps = hard.shape[1]
    left = np.ones(size + 1)  # what each region adds, 0 where it was touched
    accepted = np.ones(size)
    for h in range(len(history)):
        for m in range(maps):
            left[hard[history[h], m]] = 0.0
    left[size] = 0.0
    if len(dislikes) > 0:
        likes = np.zeros(size)
        refusals = np.zeros(size)
        _add_masses(history, pointers, regions, values, likes)
        _add_masses(dislikes, pointers, regions, values, refusals)
        for z in range(size):
            mean = (prior_strength * likes_share + likes[z]) / (prior_strength + likes[z] + refusals[z])
            accepted[z] = min(mean / max(likes_share, 1e-12), 1.0)
    for z in range(size):
        left[z] *= accepted[z] * (1.0 - distance_share)
    for n in range(len(codes)):
        new = 0.0
        for m in range(maps):
            new += left[np.uintp(hard[np.uintp(codes[n]), np.uintp(m)])]
        total[n] = new
    if distance_share > 0.0:
        for n in range(len(codes)):
            total[n] += distance_share * maps * (1.0 - np.float64(near[n]))


@compile_kernel(fastmath=True)
def fill_unexplored_gains(
    codes, scores, near, history, dislikes, pointers, regions, values, hard, size, prior_strength, likes_share,
    distance_share, gain,
):  # fmt: skip
    """Fill `gain` (N,) of `recsys.objectives.unexplored` for one user; the other arguments are `_sum_unexplored`'s."""
    total, maps = np.empty(len(codes)), hard.shape[1]
    _sum_unexplored(
        codes, near, history, dislikes, pointers, regions, values, hard, size, prior_strength, likes_share,
        distance_share, total,
    )  # fmt: skip
    for n in range(len(codes)):
        gain[n] = scale_score(scores, n) * total[n] / maps


@compile_kernel(fastmath=True)
def fill_discovery_values(
    codes, scores, near, history, dislikes, pointers, regions, values, hard, size, prior_strength, likes_share,
    distance_share, exploration, kind, gain,
):  # fmt: skip
    """Fill `gain` (N,) of `recsys.objectives.discovery_value` for one user, by a `kind` of scores.

    `kind` is one of `recsys.kernels.like_probabilities`; the other arguments are `_sum_unexplored`'s.
    """
    total, maps, mass = np.empty(len(codes)), hard.shape[1], sum_score_mass(scores, kind)
    _sum_unexplored(
        codes, near, history, dislikes, pointers, regions, values, hard, size, prior_strength, likes_share,
        distance_share, total,
    )  # fmt: skip
    for n in range(len(codes)):
        likely = get_like_probability(scores, n, kind, mass)
        gain[n] = likely * (1.0 + exploration * total[n] / maps)


@compile_kernel(fastmath=True)
def fill_expected_exposure(
    history, dislikes, pointers, regions, values, starts, axes, places, centres, bandwidths, label, tau, prior_strength,
    likes_share, accepted, cap,
):  # fmt: skip
    """Fill the exposure that `recsys.objectives.negative_space` expects for one user: (Z,) twice.

    `accepted` is how readily they take what they met of each region, `cap` the exposure that each is owed. `history`
    and `dislikes` are items; `pointers`, `regions`, `values` the shares of items over the regions of all M maps end to
    end, `starts` (M,) each map's first. The rest is of `recsys.maths.communities`; a `label` of -1 is the nearest
    community's.
    """
    size, maps = len(cap), len(starts)
    likes = np.zeros(size)
    refusals = np.zeros(size)
    own = np.zeros(size)
    weight = np.zeros(len(centres))
    _add_masses(history, pointers, regions, values, likes)
    _add_masses(dislikes, pointers, regions, values, refusals)
    if label < 0:
        label = _find_nearest_community(history, axes, places)
    least = 1.0 / max(likes_share, 1e-12)
    for z in range(size):
        mean = (prior_strength * likes_share + likes[z]) / (prior_strength + likes[z] + refusals[z])
        accepted[z] = min(mean * least, 1.0)
    for m in range(maps):
        first, last = starts[m], size if m + 1 == maps else starts[m + 1]
        liked, mix, near = likes[first:last], own[first:last], cap[first:last]
        total = 0.0
        for z in range(len(mix)):
            total += liked[z]
        share = 1.0 / total if total > 0.0 else 0.0
        for z in range(len(mix)):
            mix[z] = liked[z] * share
        _fill_nearby_mix(mix, centres[:, first:last], bandwidths[m], label, weight, near)
        for z in range(len(mix)):
            near[z] = (1.0 - tau) * mix[z] + tau * near[z]


@compile_kernel(fastmath=True)
def fill_region_need(codes, scores, hard, starts, top_m, wanted, regions):
    """Fill the need of `recsys.objectives.negative_space` for one user.

    `wanted` (3, Z) are the need, which is filled, and what is accepted and the cap, which `fill_expected_exposure` has
    filled. `codes` and `scores` (N,) are candidates, best first; `hard` (I, M) is the region of each item by each map,
    counted over all maps end to end, Z = none; what `codes` have of it is laid into `regions` (N M,), if there is room.
    """
    size, maps = wanted.shape[1], len(starts)
    need, accepted, cap = wanted[0], wanted[1], wanted[2]
    left = np.full(size + 1, np.float64(top_m))
    offered = np.zeros(size + 1)
    there = regions if len(regions) > 0 else np.empty(len(codes) * maps, np.int32)
    for n in range(len(codes)):  # first, and nothing else: what is not in the cache is then waited for all at once
        row, own = hard[np.uintp(codes[n])], there[n * maps : (n + 1) * maps]
        for m in range(maps):
            own[m] = row[m]
    for n in range(len(codes)):
        worth, own = scale_score(scores, n), there[n * maps : (n + 1) * maps]
        for m in range(maps):
            z = np.uintp(own[m])  # an index that could be negative takes twice as long
            offered[z] += worth * min(left[z], 1.0)  # of `worth if left[z] > 0` a compiler makes a branch: not foreseen
            left[z] = max(left[z] - 1.0, 0.0)
    for z in range(size):  # what a slice would be compiled to says in words which shapes do not go together
        need[z] = offered[z]
    for m in range(maps):
        first, last = starts[m], size if m + 1 == maps else starts[m + 1]
        asked, taken, most = need[first:last], accepted[first:last], cap[first:last]
        owed = 0.0
        for z in range(len(asked)):
            asked[z] *= taken[z] / top_m
            owed += asked[z] * most[z]
        share = 1.0 / (owed * maps) if owed > 0.0 else 1.0
        for z in range(len(asked)):
            asked[z] *= share


@compile_kernel(fastmath=False)
def check_candidate_block(codes, scores, starts, rounded, wrong):
    """Fill `rounded` with scores of 32 bits and `wrong` (B,) with what `check_candidates` says of each request.

    A code below 0 is that of an item that the ranker does not know: UNKNOWN is then all that is said of the request.
    """
    for b in range(len(wrong)):
        first, end, known = starts[b], starts[b + 1], True
        for n in range(first, end):
            known &= codes[n] >= 0
        wrong[b] = check_candidates(codes[first:end], scores[first:end], rounded[first:end]) if known else UNKNOWN


@compile_kernel(fastmath=False)
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


@compile_kernel(fastmath=False)
def lay_out_rows(values, starts, rows):
    """Fill the first places of `rows` (B, N) with the values of each request."""
    for b in range(len(rows)):
        row = rows[b]
        for n in range(starts[b], starts[b + 1]):
            row[n - starts[b]] = values[n]
