"""The greedy kernel: k times, the candidate with the largest blended marginal gain.

One compiled loop serves every blend of the shapes. It is serial, without the interpreter lock and without
allocation inside the loop over users; `recsys.reranking.blocks` runs it over blocks of users on threads. The slow
statement of the same rules is `recsys.kernels.reference`.

`Spread` needs one dot product per candidate and pick; `Coverage` needs one pass over the regions an item belongs to.
The largest similarity and the covered amounts only grow with the slate, and a residual only shrinks. So the gain that
was last computed for a candidate is an upper bound of its gain now, and a gain is computed again only where that bound
could win the slot. All gains are computed for each slot where picks are drawn, weights are below 0, similarities are
averaged or summed, only a window of picks counts, or later slots weigh more.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel

MODULAR, SPREAD, COVERAGE, VOLUME, SEATS, COUNTS, BY_SLOT = 0, 1, 2, 3, 4, 5, 6
MAX, MEAN = 0, 1
LINEAR, LOG, EXP, SQRT, LARGEST = 0, 1, 2, 3, 4
TIE_FACTOR = 1.0 - 1e-6  # quotients of whole numbers are often equal: rounding is not to choose
LOWEST_TOTAL = -1e300  # the largest of nothing, and the total of who may not be picked: finite, and below every other
FULL_SCAN_RATIO = 12  # up to so many candidates per pick, all gains are computed again after the first pick
CHUNK = 32  # candidates of whom only the largest total is looked at where none can win
RESIDUAL_FLOOR = 1e-6  # the least squared residual whose logarithm is a gain
ZERO_RESIDUAL = 1e-12  # a squared residual below it is that of the rounding of vectors: nothing to project out
RECOMPUTE_BELOW = 1e-3  # a squared residual below it is made anew from dot products in double precision
BOUND_SLACK = 1e-12  # of a gain, by which a bound may fall short: logarithms need not be monotone to the last bit

# No rounding but that which is written: where arrays lie may decide which instructions are used.
EXACT_FASTMATH = {"nnan", "ninf", "nsz"}
_compiled = compile_kernel(fastmath=EXACT_FASTMATH, count_references=False)
_inlined = compile_kernel(fastmath=EXACT_FASTMATH, count_references=False, inline=True)


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False, inline=True)
def _dot(table, a, b, d):
    """Return the dot product of the d numbers from `a` and from `b` on, summed in any order.

    The order is the same wherever the arrays lie, because the loop writes to none. Indices are unsigned, because a
    compiler makes no vector instructions for an index that could be negative.
    """
    total, a, b = np.float32(0.0), np.uintp(a), np.uintp(b)
    for j in range(d):
        i = np.uintp(j)
        total += table[a + i] * table[b + i]
    return total


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False, inline=True)
def _dot_in_basis(basis, a, b, s):
    """Return the dot product of two rows of the basis, which is kept in double precision."""
    total, a, b = 0.0, np.uintp(a), np.uintp(b)
    for j in range(s):
        r = np.uintp(j)
        total += basis[a + r] * basis[b + r]
    return total


@compile_kernel(fastmath={*EXACT_FASTMATH, "reassoc", "contract"}, count_references=False)
def _dot_in_double(table, a, b, d):
    total = 0.0
    for j in range(d):
        total += np.float64(table[a + j]) * np.float64(table[b + j])
    return total


@_inlined
def _compute_spread_gain(near, p, picks, step, i):
    """Look at the picks that candidate i has not met yet, and return its gain by the most similar one."""
    tables, settings, _, rows, states, met = near
    offset, d = settings[p, 0], settings[p, 1]
    row, state = offset + rows[p, i] * d, states[p, i]
    for s in range(met[p, i], step):
        state = max(state, np.float64(_dot(tables, offset + rows[p, picks[s]] * d, row, d)))
    states[p, i], met[p, i] = state, step
    return 1.0 - state


@_compiled
def _fill_spread_gains(near, p, picks, step, n, gain):
    """Set the gains of all candidates, whose similarity to all picks but the last is known."""
    tables, settings, empty, rows, states, met = near
    offset, d, agg, members = settings[p, 0], settings[p, 1], settings[p, 2], step + settings[p, 3]
    if step > 0:
        pick = offset + rows[p, picks[step - 1]] * d
        for i in range(n):
            similar = np.float64(_dot(tables, pick, offset + rows[p, i] * d, d))
            states[p, i] = max(states[p, i], similar) if agg == MAX else states[p, i] + similar
            met[p, i] = step
    if members == 0:
        gain[:n] = empty[p]
    elif agg == MAX:
        for i in range(n):
            gain[i] = 1.0 - states[p, i]
    else:
        for i in range(n):
            gain[i] = 1.0 - states[p, i] / members if agg == MEAN else members - states[p, i]


@_compiled
def _apply_phi(phi, c):
    return np.log(c) if phi == LOG else -np.exp(-c) if phi == EXP else np.sqrt(c)


@_inlined
def _compute_cover_gain(covers, p, step, i):
    """Return the gain of candidate i by the regions that it covers."""
    cover, rows, pointers, regions, values, slots, need, cap, covered, worth = covers
    phi, row, slot, gain = cover[p, 1], cover[p, 0] + rows[p, i], slots[p, step], 0.0
    for e in range(np.uintp(pointers[row]), np.uintp(pointers[row + 1])):
        z, share = np.uintp(regions[e]), slot * values[e]
        if phi == LINEAR:
            gain += need[z] * (min(covered[z] + share, cap[z]) - min(covered[z], cap[z]))
        elif phi == LARGEST:
            gain += need[z] * max(0.0, share - covered[z])
        elif need[z] != 0.0 and share != 0.0:
            gain += need[z] * (_apply_phi(phi, covered[z] + share) - worth[z])
    return gain


@_compiled
def _init_coverage(cover, p, start, need, covered, worth):
    """Set the amounts by which regions are covered already, and their values for `_compute_cover_gain`."""
    for z in range(cover[p - 1, 2] if p > 0 else 0, cover[p, 2]):
        covered[z] = start[z]
        if cover[p, 1] != LINEAR and cover[p, 1] != LARGEST and need[z] != 0.0:
            worth[z] = _apply_phi(cover[p, 1], covered[z])


@_compiled
def _add_to_coverage(settings, row, pointers, regions, values, slot, need, covered, worth):
    """Cover the regions of a pick."""
    phi, row = settings[1], row + settings[0]
    for e in range(pointers[row], pointers[row + 1]):
        z, share = regions[e], slot * values[e]
        covered[z] = max(covered[z], share) if phi == LARGEST else covered[z] + share
        if phi != LINEAR and phi != LARGEST and need[z] != 0.0:
            worth[z] = _apply_phi(phi, covered[z])


@_compiled
def _fill_aspect_shares(cover, aspects, rows, pointers, regions, values, need, n, lines, region, line, share):
    """Lay out how much each candidate has of each aspect that is needed: share[line, candidate].

    The lines of term p are lines[p]:lines[p + 1], none but for `aspects`, and line r is about region[r]; line[z] is
    where aspect z lies. Line 0 takes what nobody needs: a branch costs more.
    """
    last, z = 1, 0
    for p in range(len(cover)):
        lines[p] = last
        if not aspects[p]:
            z = cover[p, 2]
            continue
        while z < cover[p, 2]:
            line[z] = 0
            if need[z] != 0.0:
                line[z] = last
                region[last] = z
                share[last, :n] = 0.0
                last += 1
            z += 1
        for i in range(n):
            row = cover[p, 0] + rows[p, i]
            for e in range(pointers[row], pointers[row + 1]):
                share[line[regions[e]], i] = values[e]
    lines[len(cover)] = last


@_compiled
def _fill_seat_gains(lines, region, share, focus, divisor, votes, seats, n, gain):
    """Fill the gains by aspects: the share for each times its quotient, `focus` of it for the largest quotient."""
    largest = 0.0
    for r in range(lines[0], lines[1]):
        largest = max(largest, votes[region[r]] / (divisor * seats[region[r]] + 1.0))
    gain[:n] = 0.0
    due = False
    for r in range(lines[0], lines[1]):
        quotient = votes[region[r]] / (divisor * seats[region[r]] + 1.0)
        first = not due and quotient >= largest * TIE_FACTOR
        due = due or first
        weight = quotient * (focus if first else 1.0 - focus)
        for i in range(n):
            gain[i] += weight * share[r, i]


@_compiled
def _update_seats(settings, rows, pointers, regions, values, seats, pick):
    row = settings[0] + rows[pick]
    total = 0.0
    for e in range(pointers[row], pointers[row + 1]):
        total += values[e]
    for e in range(pointers[row], pointers[row + 1]):
        if total > 0.0:
            seats[regions[e]] += values[e] / total


@_compiled
def _fill_count_gains(settings, rows, pointers, regions, values, lines, region, need, patience, counts, n, gain):
    """Fill the value with each candidate, less the value without it."""
    lacking, worn, some = 0.0, 0.0, 0
    for r in range(lines[0], lines[1]):
        z = region[r]
        if counts[z] == 0.0:
            lacking += need[z]
        else:
            worn += patience[z - settings[3], int(counts[z])]
            some += 1
    value = np.exp(worn / max(some, 1) - lacking)
    for i in range(n):
        row = settings[0] + rows[i]
        lacks, wears, has = lacking, worn, some
        for e in range(pointers[row], pointers[row + 1]):
            z = regions[e]
            if need[z] != 0.0 and values[e] > 0.0:
                count = int(counts[z])
                wears += patience[z - settings[3], count + 1]
                if count == 0:
                    lacks -= need[z]
                    has += 1
                else:
                    wears -= patience[z - settings[3], count]
        gain[i] = np.exp(wears / max(has, 1) - lacks) - value


@_compiled
def _update_counts(settings, rows, pointers, regions, values, counts, pick):
    row = settings[0] + rows[pick]
    for e in range(pointers[row], pointers[row + 1]):
        if values[e] > 0.0:
            counts[regions[e]] += 1.0


@_compiled
def _count_aspect_lines(cover, aspects, need):
    """Return how many lines `_fill_aspect_shares` takes at most."""
    most = 0
    for b in range(len(need)):
        lines, z = 1, 0
        for p in range(len(cover)):
            while z < cover[p, 2]:
                lines += aspects[p] and need[b, z] != 0.0
                z += 1
        most = max(most, lines)
    return most


@_compiled
def _never_increases(slots, k):
    """Return whether no slot weighs more than the one before."""
    falls = True
    for r in range(1, k):
        falls = falls and slots[r] <= slots[r - 1]
    return falls


@_compiled
def _init_volume(spanned, p, n):
    _, settings, lengths, ridge, rows, _, own, residual, met, _, _, _, sure, _ = spanned
    for i in range(n):
        own[p, i] = (1.0 - ridge[p]) * lengths[settings[p, 4] + rows[p, i]] + ridge[p]
        residual[p, i], met[p, i], sure[p, i] = own[p, i], 0, -1


@_compiled
def _project_candidate_in_double(spanned, p, last, i):
    """Make the row of candidate i anew, up to what is held last, with dot products in double precision."""
    tables, settings, _, ridge, rows, _, own, residual, met, basis, held, roots, sure, rest = spanned
    offset, d = settings[p, 0], settings[p, 1]
    row, most = offset + rows[p, i] * d, held.shape[1]
    mine = (p * residual.shape[1] + i) * most
    if sure[p, i] < 0:
        sure[p, i], rest[p, i] = 0, own[p, i]
    left = rest[p, i]
    for s in range(sure[p, i], last):
        part = 0.0
        if roots[p, s] > 0.0:
            pick = held[p, s]
            part = (1.0 - ridge[p]) * _dot_in_double(tables, offset + rows[p, pick] * d, row, d)
            part -= _dot_in_basis(basis, (p * residual.shape[1] + pick) * most, mine, s)
            part /= roots[p, s]
        basis[mine + s] = part
        left -= part * part
    sure[p, i], rest[p, i], residual[p, i], met[p, i] = last, left, left, last


@_compiled
def _compute_exact_residual(spanned, p, last, i):
    """Return the residual of candidate i in double precision, from the exact rows of the window.

    A dot product in single precision is off by some 1e-7, and over the root of a small residual by a thousand times
    that: what is left of a candidate that the slate spans would be that error.
    """
    _, _, _, _, _, _, _, residual, _, _, held, roots, sure, _ = spanned
    for s in range(last):
        pick = held[p, s]
        if sure[p, pick] < s:
            _project_candidate_in_double(spanned, p, s, pick)
            roots[p, s] = np.sqrt(residual[p, pick]) if residual[p, pick] > ZERO_RESIDUAL else 0.0
    _project_candidate_in_double(spanned, p, last, i)
    return residual[p, i]


@_inlined
def _project_candidate(spanned, p, last, i):
    """Project what is held out of candidate i: more of its row of the Cholesky factor (Chen et al. 2018)."""
    tables, settings, _, ridge, rows, _, _, residual, met, basis, held, roots, _, _ = spanned
    offset, d = settings[p, 0], settings[p, 1]
    row, left, most = offset + rows[p, i] * d, residual[p, i], held.shape[1]
    mine = (p * residual.shape[1] + i) * most
    for s in range(met[p, i], last):
        part = 0.0
        if roots[p, s] > 0.0:
            pick = held[p, s]
            part = (1.0 - ridge[p]) * _dot(tables, offset + rows[p, pick] * d, row, d)
            part -= _dot_in_basis(basis, (p * residual.shape[1] + pick) * most, mine, s)
            part /= roots[p, s]
        basis[mine + s] = part
        left -= part * part
    residual[p, i], met[p, i] = left, last
    return left


@_inlined
def _update_window(spanned, p, picks, step, n):
    """Hold the last `window` picks; where one of them has just left, everybody's projection begins anew."""
    _, settings, _, _, _, _, own, residual, met, _, held, roots, sure, _ = spanned
    first = max(0, step - settings[p, 3])
    if first > 0:
        for i in range(n):
            residual[p, i], met[p, i], sure[p, i] = own[p, i], 0, -1
    for s in range(0 if first > 0 else max(0, step - 1), step - first):
        held[p, s] = picks[first + s]
        _project_candidate(spanned, p, s, held[p, s])
        if s > 0 and (residual[p, held[p, s]] < RECOMPUTE_BELOW or sure[p, held[p, s - 1]] >= 0):
            _compute_exact_residual(spanned, p, s, held[p, s])
        square = residual[p, held[p, s]]
        roots[p, s] = np.sqrt(square) if square > ZERO_RESIDUAL else 0.0


@_inlined
def _compute_volume_gain(spanned, p, step, i):
    _, settings, _, _, _, quality, _, _, _, _, _, _, _, _ = spanned
    last = min(step, settings[p, 3])
    left = _project_candidate(spanned, p, last, i)
    if left < RECOMPUTE_BELOW:
        left = _compute_exact_residual(spanned, p, last, i)
    if settings[p, 2] == 0:
        return quality[p, i] + np.log(max(left, RESIDUAL_FLOOR))
    return quality[p, i] * np.sqrt(max(left, 0.0))


@_compiled
def _fill_volume_bounds(spanned, p, n, gain):
    """Set the most that each can gain: log x is at most x - 1, and near it for what is nearly a unit vector."""
    _, settings, _, _, _, quality, own, _, _, _, _, _, _, _ = spanned
    if settings[p, 2] == 0:
        for i in range(n):
            gain[i] = quality[p, i] + (own[p, i] - 1.0)
    else:
        for i in range(n):
            gain[i] = quality[p, i] * np.sqrt(max(own[p, i], 0.0))


@_inlined
def _update_chunk_top(total, tops, stretch):
    """Set the largest total of a stretch of candidates."""
    most, first = LOWEST_TOTAL, np.uintp(stretch * CHUNK)
    for j in range(CHUNK):
        most = max(most, total[first + np.uintp(j)])
    tops[stretch] = most


@_inlined
def _find_best(total, tops, stretches):
    """Return the first of the largest."""
    best = 0
    for stretch in range(1, stretches):
        if tops[stretch] > tops[best]:
            best = stretch
    for i in range(best * CHUNK, (best + 1) * CHUNK):
        if total[i] == tops[best]:
            return i
    return 0


@_inlined
def _refresh_candidate(terms, near, covers, spanned, weight, slate, step, gain, total, i):
    """Look at candidate i again: its gains where they are bounded, and the sum of all its gains."""
    shape, place, bounded = terms
    total[i] = 0.0
    for t in range(len(shape)):
        if shape[t] == SPREAD and bounded[t] and step > 0:
            gain[t, i] = _compute_spread_gain(near, place[t], slate, step, i)
        elif shape[t] == VOLUME:
            gain[t, i] = _compute_volume_gain(spanned, place[t], step, i)
        elif shape[t] == COVERAGE and bounded[t]:
            gain[t, i] = _compute_cover_gain(covers, place[t], step, i)
        total[i] += weight[t] * gain[t, i]


@_compiled
def _call_refresh_candidate(terms, near, covers, spanned, weight, slate, step, gain, total, i):
    """`_refresh_candidate`, by a call: it is rare."""
    _refresh_candidate(terms, near, covers, spanned, weight, slate, step, gain, total, i)


@_inlined
def _find_best_by_bounds(terms, near, covers, spanned, weight, slate, step, gain, total, tops, stretches, n):
    """Return the best candidate where totals are the most that each can have: only those above it are looked at."""
    slack = 0.0
    for t in range(len(weight)):
        slack += BOUND_SLACK * abs(weight[t])
    first = min(_find_best(total, tops, stretches), n - 1)
    _refresh_candidate(terms, near, covers, spanned, weight, slate, step, gain, total, first)
    pick, least = first, total[first] - BOUND_SLACK * abs(total[first]) - slack
    for stretch in range(stretches):
        if tops[stretch] < least:
            continue
        for i in range(stretch * CHUNK, min(stretch * CHUNK + CHUNK, n)):
            if total[i] >= least and i != first:
                _refresh_candidate(terms, near, covers, spanned, weight, slate, step, gain, total, i)
                if total[i] > total[pick] or (total[i] == total[pick] and i < pick):
                    pick, least = i, total[i] - BOUND_SLACK * abs(total[i]) - slack
        _update_chunk_top(total, tops, stretch)
    return pick


@_compiled
def _find_first_alive(alive, n):
    """Return the first candidate left: gains that are not numbers may compare so that none is chosen."""
    for i in range(n):
        if alive[i]:
            return i
    return 0


@_compiled
def _compute_draw_weight(total, i, best, temperature):
    if temperature > 0.0:
        return np.exp((total[i] - total[best]) / temperature)
    return 1.0 if i == best else 0.0


@_compiled
def _draw_pick(total, tops, alive, n, temperature, epsilon, uniform):
    """Return a draw from the candidates left, and its log-probability.

    With probability `epsilon` any of it, else one from the softmax of total / temperature: the best at temperature 0.
    """
    best, mass, count = min(_find_best(total, tops, (n + CHUNK - 1) // CHUNK), n - 1), 0.0, 0
    for i in range(n):
        if alive[i]:
            count += 1
            mass += _compute_draw_weight(total, i, best, temperature)
    pick, chance, left = -1, 1.0, uniform * mass
    for i in range(n):
        if alive[i] and left >= 0.0:
            share = (1.0 - epsilon) * _compute_draw_weight(total, i, best, temperature) + epsilon * mass / count
            if share > 0.0:
                pick, chance = i, share
                left -= share
    return pick, np.log(chance / mass)


@_compiled
def _compute_deviation(gain, alive, n):
    count, mean, square = 0, 0.0, 0.0
    for i in range(n):
        if alive[i]:
            count += 1
            apart = gain[i] - mean
            mean += apart / count
            square += apart * (gain[i] - mean)
    return np.sqrt(square / max(count, 1))


@_compiled
def _count_in_groups(rules, b, i, counts):
    """Count candidate i in its groups."""
    codes, _, _, pointers, groups, _, _ = rules
    for e in range(pointers[codes[b, i]], pointers[codes[b, i] + 1]):
        counts[groups[e]] += 1


@_compiled
def _apply_exclusions_and_pins(rules, b, n, alive, kept, counts):
    """Remove excluded candidates, keep slots for pinned ones, and count these for their groups."""
    _, closed, pins, _, _, _, _ = rules
    for g in range(len(counts)):
        counts[g] = 0
    for i in range(n):
        alive[i], kept[i] = not closed[b, i], False
    for r in range(pins.shape[1]):
        if pins[b, r] >= 0:
            kept[pins[b, r]] = True
            _count_in_groups(rules, b, pins[b, r], counts)


@_compiled
def _find_pinned(rules, b, slot, alive):
    """Return the candidate that the slot is kept for, -1 if none is left."""
    pin = rules[2][b, slot]
    return pin if pin >= 0 and alive[pin] else -1


@_compiled
def _find_next_pinned(rules, b, slot, alive):
    for r in range(slot, rules[2].shape[1]):
        if _find_pinned(rules, b, r, alive) >= 0:
            return _find_pinned(rules, b, r, alive)
    return -1


@_compiled
def _count_served_groups(rules, b, i, lacks):
    """Return how many groups that lack picks candidate i belongs to."""
    codes, _, _, pointers, groups, _, _ = rules
    served = 0
    for e in range(pointers[codes[b, i]], pointers[codes[b, i] + 1]):
        served += lacks[groups[e]] > 0
    return served


@_compiled
def _mark_allowed(rules, b, slot, n, alive, kept, counts, lacks, free):
    """Mark in free[i] which candidates may take a slot, and return whether any may.

    A candidate of a full group may not. Where groups lack as many picks as there are slots left, only candidates that
    serve such groups may: each has to serve enough of them for all to be met, or as many as any candidate can.
    """
    codes, _, _, pointers, groups, least, most = rules
    for g in range(len(counts)):
        lacks[g] = 0
    some = False
    for i in range(n):
        free[i] = alive[i] and not kept[i]
        for e in range(pointers[codes[b, i]], pointers[codes[b, i] + 1]):
            free[i] = free[i] and counts[groups[e]] < most[groups[e]]
        some = some or free[i]
        if free[i]:
            for e in range(pointers[codes[b, i]], pointers[codes[b, i] + 1]):
                lacks[groups[e]] += 1  # how many there are to be had
    lacking, left, best = 0, 0, 0
    for g in range(len(counts)):
        lacks[g] = max(0, min(lacks[g], least[g] - counts[g]))
        lacking += lacks[g]
    for r in range(slot, rules[2].shape[1]):
        left += _find_pinned(rules, b, r, alive) < 0
    if lacking < left:
        return some
    for i in range(n):
        if free[i]:
            best = max(best, _count_served_groups(rules, b, i, lacks))
    wanted = min(best, (lacking + left - 1) // left)
    for i in range(n):
        free[i] = free[i] and _count_served_groups(rules, b, i, lacks) >= wanted
    return some


@_compiled
def _fill_picks(
    lengths, weights, shape, place, modular, by_slot, tables, spread, spread_empty, spread_rows, spread_start,
    cover, seats, patience, cover_rows, cover_pointers, cover_regions, cover_values, cover_slots, need, cap, start,
    volume, volume_squares, volume_ridge, volume_rows, volume_quality, rules, k, temperature, epsilon, uniforms, follow,
    picks, contributions, log_propensity, deviations, kept, counts, lacks, free, gain, total, tops, alive, covered,
    worth, states, met, own, residual, projected, basis, held, roots, sure, rest, bounded, aspects, lines, line, region,
    share,
):  # fmt: skip
    """`pick_greedily`, in arrays that it has made."""
    terms, guarded = len(shape), len(rules[0]) > 0
    for b in range(len(lengths)):
        n = lengths[b]
        stretches = (n + CHUNK - 1) // CHUNK
        alive[:n], total[n : stretches * CHUNK] = True, LOWEST_TOTAL
        if guarded:
            _apply_exclusions_and_pins(rules, b, n, alive, kept, counts)
        for p in range(len(cover)):
            _init_coverage(cover, p, start[b], need[b], covered, worth)
        _fill_aspect_shares(
            cover, aspects, cover_rows[:, b], cover_pointers, cover_regions, cover_values, need[b], n, lines, region,
            line, share,
        )  # fmt: skip
        slate, weight = picks[b], weights[b]
        near = (tables, spread, spread_empty, spread_rows[:, b], states, met)
        spanned = (
            tables, volume, volume_squares, volume_ridge, volume_rows[:, b], volume_quality[:, b], own, residual,
            projected, basis, held, roots, sure, rest,
        )  # fmt: skip
        covers = (
            cover, cover_rows[:, b], cover_pointers, cover_regions, cover_values, cover_slots, need[b], cap[b], covered,
            worth,
        )  # fmt: skip
        every = follow or temperature > 0.0 or epsilon > 0.0
        for t in range(terms):
            p = place[t]
            bounded[t] = False
            if shape[t] == MODULAR:
                for i in range(n):
                    gain[t, i] = modular[p, b, i]
            elif shape[t] == SPREAD:
                bounded[t] = not every and weight[t] >= 0.0 and spread[p, 2] == MAX
                met[p, :n] = 0
                for i in range(n):
                    states[p, i] = LOWEST_TOTAL if spread[p, 2] == MAX else 0.0  # the largest of nothing, or its sum
                if spread[p, 3]:
                    for i in range(n):
                        states[p, i] = spread_start[p, b, i]
            elif shape[t] == COVERAGE:
                bounded[t] = not every and weight[t] >= 0.0 and _never_increases(cover_slots[p], k)
            elif shape[t] == VOLUME:
                bounded[t] = not every and weight[t] >= 0.0 and volume[p, 3] >= min(k, n)
                _init_volume(spanned, p, n)
        some, same = bounded.any(), not every and not guarded
        for t in range(terms):
            same = same and (bounded[t] or shape[t] == MODULAR)
        for step in range(min(k, n)):
            pin = -1
            if guarded:
                pin = _find_pinned(rules, b, step, alive)
                if pin < 0 and not _mark_allowed(rules, b, step, n, alive, kept, counts, lacks, free):
                    pin = _find_next_pinned(rules, b, step, alive)
                    if pin < 0:
                        break
            anew = step <= 1 or not same  # else totals are what they were, but for those looked at again
            if anew:
                for i in range(n):
                    total[i] = 0.0
            for t in range(terms):
                p = place[t]
                if shape[t] == SPREAD:
                    if not bounded[t] or step == 0 or (step == 1 and (n <= FULL_SCAN_RATIO * k or not spread[p, 3])):
                        _fill_spread_gains(near, p, slate, step, n, gain[t])
                elif shape[t] == VOLUME:
                    _update_window(spanned, p, slate, step, n)
                    if not bounded[t]:
                        for i in range(n):
                            if alive[i]:
                                gain[t, i] = _compute_volume_gain(spanned, p, step, i)
                    elif step == 0:
                        _fill_volume_bounds(spanned, p, n, gain[t])
                elif shape[t] == COVERAGE:
                    if not bounded[t] or step == 0:
                        for i in range(n):
                            if alive[i]:
                                gain[t, i] = _compute_cover_gain(covers, p, step, i)
                elif shape[t] == SEATS:
                    _fill_seat_gains(
                        lines[p : p + 2], region, share, seats[p, 0], seats[p, 1], need[b], covered, n, gain[t]
                    )
                elif shape[t] == COUNTS:
                    _fill_count_gains(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, lines[p : p + 2],
                        region, need[b], patience[b], covered, n, gain[t],
                    )  # fmt: skip
                elif shape[t] == BY_SLOT:
                    for i in range(n):
                        gain[t, i] = by_slot[p, b, step, i]
                if anew:
                    for i in range(n):
                        total[i] += weight[t] * gain[t, i]
            for s in range(0 if anew else step - 1, step):
                total[slate[s]] = LOWEST_TOTAL
                _update_chunk_top(total, tops, slate[s] // CHUNK)
            if guarded:
                for i in range(n):
                    if not free[i]:
                        total[i] = LOWEST_TOTAL
            if anew:
                for stretch in range(stretches):
                    _update_chunk_top(total, tops, stretch)
            if pin >= 0:
                pick = pin
                _call_refresh_candidate(
                    (shape, place, bounded), near, covers, spanned, weight, slate, step, gain, total, pick
                )
            elif follow:
                pick = step
                for t in range(terms):
                    deviations[b, t] += _compute_deviation(gain[t], alive, n) / min(k, n)
            elif temperature > 0.0 or epsilon > 0.0:
                pick, log_propensity[b, step] = _draw_pick(
                    total, tops, free if guarded else alive, n, temperature, epsilon, uniforms[b, step]
                )
            elif some:
                pick = _find_best_by_bounds(
                    (shape, place, bounded), near, covers, spanned, weight, slate, step, gain, total, tops, stretches,
                    n,
                )  # fmt: skip
            else:
                pick = _find_best(total, tops, stretches)
            if not 0 <= pick < n or not alive[pick]:
                pick = _find_first_alive(alive, n)
            if guarded and pin < 0 and not free[pick]:
                pick = _find_first_alive(free, n)
            slate[step] = pick
            alive[pick] = False
            if guarded and not kept[pick]:
                _count_in_groups(rules, b, pick, counts)
            for t in range(terms):
                p = place[t]
                contributions[b, step, t] = weight[t] * gain[t, pick]
                if shape[t] == COVERAGE:
                    _add_to_coverage(
                        cover[p], cover_rows[p, b, pick], cover_pointers, cover_regions, cover_values,
                        cover_slots[p, step], need[b], covered, worth,
                    )  # fmt: skip
                elif shape[t] == SEATS:
                    _update_seats(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, covered, pick
                    )
                elif shape[t] == COUNTS:
                    _update_counts(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, covered, pick
                    )


@compile_kernel(fastmath=False, count_references=False)
def _is_finite(contributions):
    """Return whether the contributions to each pick, (B, k, T), and their sum are finite in single precision."""
    sound = True
    for b in range(len(contributions)):
        for r in range(contributions.shape[1]):
            total = np.float32(0.0)
            for t in range(contributions.shape[2]):
                total += contributions[b, r, t]
            sound = sound and np.isfinite(total)
    return sound


@compile_kernel(fastmath=EXACT_FASTMATH)
def pick_greedily(
    lengths, weights, shape, place, modular, by_slot, tables, spread, spread_empty, spread_rows, spread_start,
    cover, seats, patience, cover_rows, cover_pointers, cover_regions, cover_values, cover_slots, need, cap, start,
    volume, volume_squares, volume_ridge, volume_rows, volume_quality, rules, k, temperature, epsilon, uniforms, follow,
    picks, contributions, log_propensity, deviations,
):  # fmt: skip
    """Fill `picks` (B, k), `contributions` (B, k, T), `log_propensity` (B, k) and `deviations` (B, T).

    Return whether all gains are finite. Picks are candidates, each once, even where they are not.
    `weights` is (B, T), `rules` are the arrays of a `Rules`, the rest is a `Plan`'s. With `temperature` or `epsilon`
    > 0 every pick that is not pinned is drawn with `uniforms` (B, k).
    With `follow` the picks are the candidates in their own order, and `deviations` is the standard deviation of
    each term's gain over the candidates left, averaged over the steps.
    """
    terms, most = len(shape), picks.shape[1]
    width = 0
    for b in range(len(lengths)):
        width = max(width, lengths[b])
    gain = np.zeros((terms, width))
    stretches = (width + CHUNK - 1) // CHUNK
    total, tops = np.zeros(stretches * CHUNK), np.zeros(stretches)  # the last stretch is filled up with NONE
    alive, kept, free = np.zeros(width, np.bool_), np.zeros(width, np.bool_), np.zeros(width, np.bool_)
    counts, lacks = np.zeros(len(rules[5]), dtype=np.int64), np.zeros(len(rules[5]), dtype=np.int64)
    covered, worth = np.zeros(need.shape[1]), np.zeros(need.shape[1])
    states = np.zeros((len(spread), width))
    met = np.zeros((len(spread), width), dtype=np.int64)
    own, residual = np.zeros((len(volume), width)), np.zeros((len(volume), width))
    projected = np.zeros((len(volume), width), dtype=np.int64)
    basis = np.zeros(len(volume) * width * max(most, 1))
    held = np.zeros((len(volume), max(most, 1)), dtype=np.int64)
    roots = np.zeros((len(volume), max(most, 1)))
    sure, rest = np.zeros((len(volume), width), dtype=np.int64), np.zeros((len(volume), width))
    bounded, aspects = np.zeros(terms, dtype=np.bool_), np.zeros(len(cover), dtype=np.bool_)
    for t in range(terms):
        if shape[t] == SEATS or shape[t] == COUNTS:
            aspects[place[t]] = True
    lines = np.zeros(len(cover) + 1, dtype=np.int64)
    line = np.zeros(need.shape[1], dtype=np.int64)
    region = np.zeros(_count_aspect_lines(cover, aspects, need), dtype=np.int64)
    share = np.zeros((len(region), width), dtype=np.float32)
    _fill_picks(
        lengths, weights, shape, place, modular, by_slot, tables, spread, spread_empty, spread_rows,
        spread_start, cover, seats, patience, cover_rows, cover_pointers, cover_regions, cover_values,
        cover_slots, need, cap, start, volume, volume_squares, volume_ridge, volume_rows, volume_quality, rules, k,
        temperature, epsilon, uniforms, follow, picks, contributions, log_propensity, deviations, kept, counts, lacks,
        free, gain, total, tops, alive, covered, worth, states, met, own, residual, projected, basis, held, roots,
        sure, rest, bounded, aspects, lines, line, region, share,
    )  # fmt: skip
    return _is_finite(contributions)
