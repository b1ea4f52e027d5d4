"""Compiled steps of what was shown to one user: rows stand by item, then time.

The slow statements of the same rules are `recsys.maths.exposures` and `recsys.objectives.fatigue`.
"""

from recsys.kernels.compiled import compile_kernel
from recsys.kernels.like_probabilities import get_like_probability, sum_score_mass


@compile_kernel(fastmath=False)
def list_limited_items(items, times, dismissed, now, limits, found):
    """Fill `found` with the items that a limit excludes, ascending, and return how many there are.

    `items`, `times` and `dismissed` (R,) are what was shown; `limits` (G, 3) are most exposures, window and cool-down.
    """
    count = row = 0
    while row < len(items):
        end = row
        while end < len(items) and items[end] == items[row]:
            end += 1
        for g in range(len(limits)):
            shown, rests = 0, False
            for r in range(row, end):
                age = max(now - times[r], 0)
                shown += age < limits[g, 1]
                rests |= dismissed[r] and age < limits[g, 2]
            if shown >= limits[g, 0] or rests:
                found[count] = items[row]
                count += 1
                break
        row = end
    return count


@compile_kernel(fastmath=False)
def mark_items(codes, some, closed):
    """Fill `closed` (N,) with whether `codes` are among `some`, ascending, and return whether any is."""
    hit = False
    for n in range(len(codes)):
        at = find_first(some, codes[n])
        closed[n] = at < len(some) and some[at] == codes[n]
        hit |= closed[n]
    return hit


@compile_kernel(fastmath=False)
def find_first(ascending, value):
    """Return the first place whose number is not below `value`."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compile_kernel(fastmath=False)
def fill_fatigue_gains(codes, scores, items, times, now, window, exponent, kind, gain):
    """Fill `gain` (N,) of `recsys.objectives.fatigue` for one user, by a `kind` of scores.

    `items` and `times` (R,) are what was shown; a `window` below 0 counts all of it.
    """
    mass = sum_score_mass(scores, kind)
    for n in range(len(codes)):
        row, shown = find_first(items, codes[n]), 0
        while row < len(items) and items[row] == codes[n]:
            shown += window < 0 or max(now - times[row], 0) < window
            row += 1
        gain[n] = 0.0
        if shown == 0:
            continue
        fresh = get_like_probability(scores, n, kind, mass)
        gain[n] = fresh * ((shown + 1.0) ** -exponent - 1.0)
