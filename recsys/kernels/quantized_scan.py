"""A scan of item factors of eight bits, a quarter of the memory, with a bound on what its scores may be off by.

An item's factor y (d,) is held as s q: a scale s for each item, and whole numbers q from -127 to 127. A user's factor x
is held alike, as whole numbers p of 16 bits or fewer times a scale, so that p q is exact in 32 bits. There is the
residual r = y - s q; the relative error of x, h <= sqrt(d) / (2 Q), Q the largest number of p; and what a dot product
of 32 bits, added up in any order, may be off by: g = d u / (1 - d u), u = 2^-24 (Higham 2002, section 3.1). Then scores
by the two differ by at most

    |x| (|r| + (g + h + 32 u) (|y| + |r|)) + 4 d t

by Cauchy-Schwarz: 32 u is more than all roundings of the bounds themselves, and t, the smallest normal number, more
than what a product that underflows loses. What is in the brackets is an item's `error`, which depends on no user.
"""

import numpy as np

from recsys.kernels.code_products import ROWS, multiply_rows
from recsys.kernels.compiled import compile_kernel

LEVELS = 127  # the largest number of an item
UNIT_ROUNDOFF = 2.0**-24  # of 32 bits
TINY = 2.0**-126  # the smallest normal number of 32 bits
GROUPS = 4  # groups of items for each of the n best
WIDTH = 64  # items of which most often none may be among the best
NOT_SURE = -1  # in the place of a count
NEVER = np.float32(-3.0e38)  # `recsys.maths.ordering.LOWEST_SCORE`

_compiled = compile_kernel(fastmath=False)


@_compiled
def _get_user_levels(d):
    """Return the largest number of a user: sums of d products by numbers of items stay within 32 bits."""
    return min(32767, (2**31 - 1) // (LEVELS * d))


@compile_kernel(fastmath={"reassoc", "nsz", "nnan", "contract"})
def quantize_items(items, codes, scales, errors):
    """Fill codes, scales (I,) and errors (I,) of finite `items` (I, d), and return the largest |y| + |r|.

    `codes` are zeros, with as many rows and columns beyond those of the items as `multiply_rows` asks for.
    """
    d, longest = items.shape[1], 0.0
    rounding = d * UNIT_ROUNDOFF / (1.0 - d * UNIT_ROUNDOFF) + 32.0 * UNIT_ROUNDOFF
    rounding += 1.001 * np.sqrt(d) / (2.0 * _get_user_levels(d))
    for i in range(len(items)):
        item, numbers, largest = items[i], codes[i], np.float32(0.0)
        for a in range(d):
            largest = max(largest, abs(item[a]))
        scales[i] = np.float32(np.float64(largest) / LEVELS)
        scale = np.float64(scales[i])
        inverse = 1.0 / scale if scale > 0.0 else 0.0
        for a in range(d):
            code = min(max(np.rint(np.float64(item[a]) * inverse), -127.0), 127.0)
            numbers[a] = np.int8(np.int32(code))
        residual, length = 0.0, 0.0
        for a in range(d):
            value = np.float64(item[a])
            off = value - scale * np.float64(np.int32(numbers[a]))
            residual += off * off
            length += value * value
        residual, length = np.sqrt(residual), np.sqrt(length)
        error = np.float32((residual + rounding * (length + residual)) * (1.0 + 1e-6))
        errors[i] = max(error, np.float32(TINY))
        longest = max(longest, length + residual)
    return longest


@_compiled
def _quantize_user(user, codes):
    """Fill codes (d,) of the factor of a user, (d,), and return their scale."""
    largest, levels = 0.0, _get_user_levels(len(user))
    for a in range(len(user)):
        largest = max(largest, abs(np.float64(user[a])))
    for a in range(len(user)):
        codes[a] = np.int16(np.rint(np.float64(user[a]) / largest * levels))
    return largest / levels


@_compiled
def find_possible_best(codes, scales, errors, user, n, closed, lower, chosen):
    """Fill `chosen` with all items that may be among the n best by `score_all_items`, ascending, and return how many.

    `user` (d,) is a factor other than zero, `closed` (I,) the items that nobody may have, `lower` (I,) room for what
    scores are at least. NOT_SURE where there is no room for all of them, or n items are not known to be open.
    """
    count, groups = len(lower), GROUPS * n
    numbers, products = np.zeros(codes.shape[1], np.int16), np.empty(groups, np.int32)
    best = np.full(groups, NEVER)
    scale, length = _quantize_user(user, numbers), 0.0
    for a in range(len(user)):
        length += np.float64(user[a]) ** 2
    length, smallest = np.sqrt(length), 4.0 * len(user) * TINY
    for first in range(0, count, groups):
        width = min(groups, count - first)
        for g in range(0, width, ROWS):
            multiply_rows(codes, first + g, numbers, products, g)
        stretch = slice(first, first + width)
        some, few, shut, least = scales[stretch], errors[stretch], closed[stretch], lower[stretch]
        for g in range(width):
            score = np.float64(products[g]) * np.float64(some[g]) * scale
            bound = np.float32(score - length * np.float64(few[g]) - smallest)
            least[g] = NEVER if shut[g] else bound
        for g in range(width):
            best[g] = least[g] if least[g] > best[g] else best[g]
    edge = np.float64(np.sort(best)[groups - n])
    if edge <= NEVER:
        return NOT_SURE
    found = 0
    for first in range(0, count, WIDTH):
        least, few, hits = lower[first : first + WIDTH], errors[first : first + WIDTH], np.int32(0)
        for g in range(len(least)):
            hits += np.int32(np.float64(least[g]) + 2.0 * (length * np.float64(few[g]) + smallest) >= edge)
        if hits == 0:
            continue
        if found + hits > len(chosen):
            return NOT_SURE
        for g in range(len(least)):
            if np.float64(least[g]) + 2.0 * (length * np.float64(few[g]) + smallest) >= edge:
                chosen[found] = first + g
                found += 1
    reached = np.empty(found, np.float32)
    for c in range(found):
        reached[c] = lower[chosen[c]]
    edge, kept = np.float64(np.sort(reached)[found - n]), 0
    for c in range(found):
        i = chosen[c]
        if np.float64(lower[i]) + 2.0 * (length * np.float64(errors[i]) + smallest) >= edge:
            chosen[kept] = i
            kept += 1
    return kept
