"""The greedy kernel: k times, the candidate with the largest blended marginal gain.

One compiled loop serves every blend of the shapes. It is serial, without the interpreter lock and without
allocation inside the loop over users; `recsys.selections` runs it over blocks of users on threads. The slow
statement of the same rules is `recsys.kernels.references`.
"""

import numpy as np

from recsys.kernels.compiled import compiled

MODULAR, SPREAD, COVERAGE, VOLUME, SEATS, COUNTS, BY_SLOT = 0, 1, 2, 3, 4, 5, 6
MAX, MEAN = 0, 1
LINEAR, LOG, EXP, SQRT = 0, 1, 2, 3
NEARLY = 1.0 - 1e-6  # quotients of whole numbers are often equal: rounding is not to choose
FLOOR = 1e-6  # a squared residual below it is no volume: vectors are float32

_compiled = compiled(fastmath=True)


@_compiled
def _dot(table, a, b, d):
    total = np.float32(0.0)
    for i in range(d):
        total += table[a + i] * table[b + i]
    return total


@_compiled
def _spread_gain(settings, empty, state, members, n, gain):
    if members == 0:
        gain[:n] = empty
    elif settings[2] == MAX:
        gain[:n] = 1.0 - state[:n]
    elif settings[2] == MEAN:
        gain[:n] = 1.0 - state[:n] / members
    else:
        gain[:n] = members - state[:n]


@_compiled
def _spread_update(settings, table, rows, state, members, pick, n):
    offset, d = settings[0], settings[1]
    chosen = offset + rows[pick] * d
    for i in range(n):
        sim = _dot(table, chosen, offset + rows[i] * d, d)
        if settings[2] != MAX:
            state[i] += sim
        elif members == 0 or sim > state[i]:
            state[i] = sim


@_compiled
def _step(phi, c, a):
    if phi == LOG:
        return np.log(c + a) - np.log(c)
    if phi == EXP:
        return np.exp(-c) - np.exp(-(c + a))
    if phi == SQRT:
        return np.sqrt(c + a) - np.sqrt(c)
    return max(0.0, a - c)


@_compiled
def _cover_lay(cover, rows, pointers, regions, values, need, n, lines, region, line, share):
    """Lay out how much each candidate covers of each region that is needed: share[line, candidate].

    The lines of term p are lines[p]:lines[p + 1], and line r is about region[r]; line[z] is where region z lies. Line 0
    takes what nobody needs: a branch costs more.
    """
    last, z = 1, 0
    for p in range(len(cover)):
        lines[p] = last
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
def _add_steps(phi, weight, c, cap, slot, share, n, gain):
    if phi == LINEAR:
        reached = min(c, cap)
        for i in range(n):
            gain[i] += weight * (min(c + slot * share[i], cap) - reached)
    else:
        for i in range(n):
            if share[i] != 0.0:
                gain[i] += weight * _step(phi, c, slot * share[i])


@_compiled
def _move_steps(phi, weight, before, after, cap, slot, share, n, gain):
    """Take what candidates gained from `before` back, and add what they gain from `after`."""
    if phi == LINEAR:
        less = min(after, cap) - before
        for i in range(n):
            gain[i] += weight * (min(after + slot * share[i], cap) - min(before + slot * share[i], cap) - less)
    else:
        for i in range(n):
            if share[i] != 0.0:
                gain[i] += weight * (_step(phi, after, slot * share[i]) - _step(phi, before, slot * share[i]))


@_compiled
def _cover_gain(phi, lines, region, share, slot, need, cap, covered, n, gain):
    gain[:n] = 0.0
    for r in range(lines[0], lines[1]):
        z = region[r]
        _add_steps(phi, need[z], covered[z], cap[z], slot, share[r], n, gain)


@_compiled
def _cover_update(settings, rows, pointers, regions, values, line, share, slot, need, cap, covered, pick, n, gain):
    """Cover the regions of the pick, and correct the gains of all candidates for the same slot weight."""
    phi = settings[1]
    row = settings[0] + rows[pick]
    for e in range(pointers[row], pointers[row + 1]):
        z = regions[e]
        before = covered[z]
        after = max(before, slot * values[e]) if phi > SQRT else before + slot * values[e]
        covered[z] = after
        if need[z] != 0.0 and before < cap[z]:
            _move_steps(phi, need[z], before, after, cap[z], slot, share[line[z]], n, gain)


@_compiled
def _seat_gain(lines, region, share, focus, divisor, votes, seats, n, gain):
    """What candidates are to each aspect, by the quotient for its next seat: `focus` of it for the largest."""
    largest = 0.0
    for r in range(lines[0], lines[1]):
        largest = max(largest, votes[region[r]] / (divisor * seats[region[r]] + 1.0))
    gain[:n] = 0.0
    due = False
    for r in range(lines[0], lines[1]):
        quotient = votes[region[r]] / (divisor * seats[region[r]] + 1.0)
        first = not due and quotient >= largest * NEARLY
        due = due or first
        weight = quotient * (focus if first else 1.0 - focus)
        for i in range(n):
            gain[i] += weight * share[r, i]


@_compiled
def _seat_update(settings, rows, pointers, regions, values, seats, pick):
    row = settings[0] + rows[pick]
    total = 0.0
    for e in range(pointers[row], pointers[row + 1]):
        total += values[e]
    for e in range(pointers[row], pointers[row + 1]):
        if total > 0.0:
            seats[regions[e]] += values[e] / total


@_compiled
def _count_gain(settings, rows, pointers, regions, values, lines, region, need, patience, counts, n, gain):
    """The value with each candidate, less what it is without."""
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
def _count_update(settings, rows, pointers, regions, values, counts, pick):
    row = settings[0] + rows[pick]
    for e in range(pointers[row], pointers[row + 1]):
        if values[e] > 0.0:
            counts[regions[e]] += 1.0


@_compiled
def _most_needed(need):
    most = 0
    for b in range(len(need)):
        needed = 0
        for z in range(need.shape[1]):
            needed += need[b, z] != 0.0
        most = max(most, needed)
    return most


@_compiled
def _volume_gain(settings, quality, residual, n, gain):
    for i in range(n):
        if settings[2] == 0:
            gain[i] = 2.0 * np.log(quality[i]) + np.log(max(residual[i], FLOOR))
        else:
            gain[i] = quality[i] * np.sqrt(max(residual[i], 0.0))


@_compiled
def _volume_update(settings, ridge, table, rows, basis, residual, pick, step, n):
    """Project the pick out of every candidate: one more row of the Cholesky factor (Chen et al. 2018)."""
    offset, d = settings[0], settings[1]
    length = residual[pick]
    if length <= FLOOR:
        basis[step, :n] = 0.0
        return
    chosen = offset + rows[pick] * d
    for i in range(n):
        inner = (1.0 - ridge) * _dot(table, chosen, offset + rows[i] * d, d)
        for s in range(step):
            inner -= basis[s, pick] * basis[s, i]
        basis[step, i] = inner / np.sqrt(length)
    for i in range(n):
        residual[i] -= basis[step, i] ** 2


@_compiled
def _windowed_update(settings, ridge, table, rows, basis, residual, picks, step, n):
    """Project the last `window` picks out of every candidate, from nothing: one of them has just left."""
    window = settings[3]
    _volume_start(settings, ridge, table, rows, residual, n)
    for s in range(window):
        basis[s, :n] = 0.0
    for s in range(window):
        _volume_update(settings, ridge, table, rows, basis, residual, picks[step - window + 1 + s], s, n)


@_compiled
def _volume_start(settings, ridge, table, rows, residual, n):
    offset, d = settings[0], settings[1]
    for i in range(n):
        row = offset + rows[i] * d
        residual[i] = (1.0 - ridge) * _dot(table, row, row, d) + ridge


@_compiled
def _best(total, alive, n):
    pick = -1
    for i in range(n):
        if alive[i] and (pick < 0 or total[i] > total[pick]):
            pick = i
    return pick


@_compiled
def _pull(total, i, best, temperature):
    if temperature > 0.0:
        return np.exp((total[i] - total[best]) / temperature)
    return 1.0 if i == best else 0.0


@_compiled
def _drawn(total, alive, n, temperature, epsilon, uniform):
    """Return a draw from what is left, and its log-probability.

    With probability `epsilon` any of it, else one from the softmax of total / temperature: the best at temperature 0.
    """
    best, mass, count = _best(total, alive, n), 0.0, 0
    for i in range(n):
        if alive[i]:
            count += 1
            mass += _pull(total, i, best, temperature)
    pick, chance, left = -1, 1.0, uniform * mass
    for i in range(n):
        if alive[i] and left >= 0.0:
            share = (1.0 - epsilon) * _pull(total, i, best, temperature) + epsilon * mass / count
            if share > 0.0:
                pick, chance = i, share
                left -= share
    return pick, np.log(chance / mass)


@_compiled
def _deviation(gain, alive, n):
    count, mean, square = 0, 0.0, 0.0
    for i in range(n):
        if alive[i]:
            count += 1
            apart = gain[i] - mean
            mean += apart / count
            square += apart * (gain[i] - mean)
    return np.sqrt(square / max(count, 1))


@_compiled
def greedy(
    lengths, weights, shape, place, modular, by_slot, tables, spread, spread_empty, spread_rows, spread_start, cover,
    seats, patience, cover_rows, cover_pointers, cover_regions, cover_values, cover_slots, need, cap, start, volume,
    volume_ridge, volume_rows, volume_quality, k, temperature, epsilon, uniforms, follow, picks, contributions,
    log_propensity, deviations,
):  # fmt: skip
    """Fill `picks` (B, k), `contributions` (B, k, T), `log_propensity` (B, k) and `deviations` (B, T).

    `weights` is (B, T), the rest is a `Plan`'s. With `temperature` or `epsilon` > 0 every pick is drawn with
    `uniforms` (B, k).
    With `follow` the picks are the candidates in their own order, and `deviations` is the standard deviation of
    each term's gain over the candidates left, averaged over the steps.
    """
    terms, most = len(shape), picks.shape[1]
    width = 0
    for b in range(len(lengths)):
        width = max(width, lengths[b])
    gain = np.zeros((terms, width))
    total = np.zeros(width)
    alive = np.zeros(width, dtype=np.bool_)
    states = np.zeros((len(spread), width))
    covered = np.zeros(need.shape[1])
    basis = np.zeros((len(volume), max(most, 1), width))
    residual = np.zeros((len(volume), width))
    lines = np.zeros(len(cover) + 1, dtype=np.int64)
    line = np.zeros(need.shape[1], dtype=np.int64)
    region = np.zeros(1 + _most_needed(need), dtype=np.int64)
    share = np.zeros((len(region), width), dtype=np.float32)
    for b in range(len(lengths)):
        n = lengths[b]
        alive[:n] = True
        covered[:] = start[b]
        _cover_lay(
            cover, cover_rows[:, b], cover_pointers, cover_regions, cover_values, need[b], n, lines, region, line, share
        )
        for t in range(terms):
            p = place[t]
            if shape[t] == MODULAR:
                for i in range(n):
                    gain[t, i] = modular[p, b, i]
            elif shape[t] == SPREAD:
                for i in range(n):
                    states[p, i] = spread_start[p, b, i]
            elif shape[t] == VOLUME:
                _volume_start(volume[p], volume_ridge[p], tables, volume_rows[p, b], residual[p], n)
        for step in range(min(k, n)):
            total[:n] = 0.0
            for t in range(terms):
                p = place[t]
                if shape[t] == SPREAD:
                    members = step + spread[p, 3]
                    _spread_gain(spread[p], spread_empty[p], states[p], members, n, gain[t])
                elif shape[t] == COVERAGE and (step == 0 or cover_slots[p, step] != cover_slots[p, step - 1]):
                    _cover_gain(
                        cover[p, 1], lines[p : p + 2], region, share, cover_slots[p, step], need[b], cap[b], covered, n,
                        gain[t],
                    )  # fmt: skip
                elif shape[t] == SEATS:
                    _seat_gain(lines[p : p + 2], region, share, seats[p, 0], seats[p, 1], need[b], covered, n, gain[t])
                elif shape[t] == COUNTS:
                    _count_gain(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, lines[p : p + 2],
                        region, need[b], patience[b], covered, n, gain[t],
                    )  # fmt: skip
                elif shape[t] == VOLUME:
                    _volume_gain(volume[p], volume_quality[p, b], residual[p], n, gain[t])
                elif shape[t] == BY_SLOT:
                    for i in range(n):
                        gain[t, i] = by_slot[p, b, step, i]
                for i in range(n):
                    total[i] += weights[b, t] * gain[t, i]
            if follow:
                pick = step
                for t in range(terms):
                    deviations[b, t] += _deviation(gain[t], alive, n) / min(k, n)
            elif temperature > 0.0 or epsilon > 0.0:
                pick, log_propensity[b, step] = _drawn(total, alive, n, temperature, epsilon, uniforms[b, step])
            else:
                pick = _best(total, alive, n)
            picks[b, step] = pick
            alive[pick] = False
            for t in range(terms):
                p = place[t]
                contributions[b, step, t] = weights[b, t] * gain[t, pick]
                if shape[t] == SPREAD:
                    members = step + spread[p, 3]
                    _spread_update(spread[p], tables, spread_rows[p, b], states[p], members, pick, n)
                elif shape[t] == COVERAGE:
                    _cover_update(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, line, share,
                        cover_slots[p, step], need[b], cap[b], covered, pick, n, gain[t],
                    )  # fmt: skip
                elif shape[t] == SEATS:
                    _seat_update(cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, covered, pick)
                elif shape[t] == COUNTS:
                    _count_update(
                        cover[p], cover_rows[p, b], cover_pointers, cover_regions, cover_values, covered, pick
                    )
                elif shape[t] == VOLUME and step < volume[p, 3]:
                    _volume_update(
                        volume[p], volume_ridge[p], tables, volume_rows[p, b], basis[p], residual[p], pick, step, n
                    )
                elif shape[t] == VOLUME:
                    _windowed_update(
                        volume[p], volume_ridge[p], tables, volume_rows[p, b], basis[p], residual[p], picks[b], step, n
                    )
