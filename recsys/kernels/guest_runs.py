"""Compiled: the run of each history that fits the rest of it least, by regions of maps (Kadane's scan, bounded).

The slow statement of the same rule is in `tests/test_guest_runs.py`.
"""

import numpy as np

from recsys.kernels.compiled import compile_kernel


@compile_kernel(fastmath=False)
def find_guest_runs(pointers, items, times, regions, priors, shortest, longest, seconds, scores, starts, lengths):
    """Fill the score, the first place and the length of the best run of each user, (U,); -inf and 0 where none is.

    `items` and `times` (E,) stand by user, then time; `regions` (I, M) is the region of each item in each map, -1 for
    none, and `priors` (M, Z) are kappa q_z. A run has `shortest` to `longest` items, at most half of the history, and
    spans at most `seconds`. Its score is the mean over maps of sum_z w_z (log q_z - log p_z), where w counts the run
    and p_z = (n_z - w_z + kappa q_z) / (n - w + kappa) is the mix of the rest. Of equal scores the first run is kept.
    """
    M, Z = priors.shape
    widest = 0
    for user in range(len(pointers) - 1):
        widest = max(widest, min(longest, (pointers[user + 1] - pointers[user]) // 2))
    counts, used = np.zeros((M, Z), np.int64), np.zeros((M, Z), np.int64)
    kept, told_of = np.zeros(M, np.int64), np.full((M, Z), -1, np.int64)
    told = np.zeros((M, Z, widest))  # log q_z - log p_z by how many of the run lie in z, but for the mix's denominator
    kappas, sizes = priors.sum(axis=1), np.zeros(M, np.int64)
    whole, shares = np.zeros((M, widest + 1)), np.log(priors)
    for m in range(M):
        shares[m] -= np.log(kappas[m])
    for user in range(len(pointers) - 1):
        first, n = pointers[user], pointers[user + 1] - pointers[user]
        scores[user], starts[user], lengths[user] = -np.inf, 0, 0
        most = min(longest, n // 2)
        if most < shortest:
            continue
        counts[:], sizes[:] = 0, 0
        for place in range(first, first + n):
            for m in range(M):
                z = regions[items[place], m]
                if z >= 0:
                    counts[m, z] += 1
                    sizes[m] += 1
        for place in range(first, first + n):
            for m in range(M):
                z = regions[items[place], m]
                if z >= 0 and told_of[m, z] != user:
                    told_of[m, z] = user
                    for u in range(min(most, counts[m, z])):
                        told[m, z, u] = shares[m, z] - np.log(counts[m, z] - u - 1 + priors[m, z])
        for m in range(M):
            for w in range(most + 1):
                whole[m, w] = np.log(sizes[m] - w + kappas[m]) if w <= sizes[m] else 0.0
        for start in range(n - shortest + 1):
            score = 0.0
            kept[:] = 0
            reached = 0
            for w in range(1, min(most, n - start) + 1):
                place = first + start + w - 1
                if times[place] - times[first + start] > seconds:
                    break
                reached = w
                for m in range(M):
                    z = regions[items[place], m]
                    if z < 0:
                        continue
                    u, k = used[m, z], kept[m]
                    before = 0.0 if u == 0 else told[m, z, u - 1]
                    score += (u + 1) * told[m, z, u] - u * before + (k + 1) * whole[m, k + 1] - k * whole[m, k]
                    used[m, z] = u + 1
                    kept[m] = k + 1
                if w >= shortest and score > scores[user]:
                    scores[user], starts[user], lengths[user] = score, start, w
            for place in range(first + start, first + start + reached):
                for m in range(M):
                    if regions[items[place], m] >= 0:
                        used[m, regions[items[place], m]] = 0
        if lengths[user]:
            scores[user] /= M
