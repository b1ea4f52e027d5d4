"""Compiled draws and choices for all users that make no table of users by items: numbers are those of `support.rng`.

A draw of a user and an item is `mix_bits(user_states[u] ^ item_states[i])`: `rng.derive_states` for the user's side,
`rng.mix_bits` of codes for the items'. `hidden` (U, I) marks what nobody takes.
"""

import math

import numpy as np

from recsys.kernels.compiled import compile_kernel
from recsys.types.arrays import Anys

_SHIFT = np.uint64(11)  # 53 of 64 bits make a number
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOWEST = -3.0e38  # scores below are none
BINS = 2048  # of numbers between 0 and 1, of which the largest delay is known
_BIN_SHIFT = np.uint64(53)


@compile_kernel(fastmath=False, inline=True)
def _mix_bits(x):
    x = x + _STEP
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


@compile_kernel(fastmath=False, inline=True)
def _draw_log_delay(state):
    """Return the log of an exponential draw."""
    return math.log(-math.log((np.float64(state >> _SHIFT) + 0.5) * 2.0**-53))


@compile_kernel(fastmath=False)
def fill_arrival_times(user_states: Anys, item_states: Anys, log_rates: Anys, times: Anys) -> None:
    """Fill `times` (B, I) with the log of when each item arrives: exponential at the rate exp(log_rates[b, i])."""
    for b in range(len(user_states)):
        for i in range(len(item_states)):
            times[b, i] = _draw_log_delay(_mix_bits(user_states[b] ^ item_states[i])) - log_rates[b, i]


@compile_kernel(fastmath=False)
def find_first_arrivals(
    user_states: Anys, item_states: Anys, users: Anys, log_rates: Anys, hidden: Anys, least_delays: Anys, found: Anys
) -> None:
    """Fill `found` (B,) with the item that arrives first at each of `users`, -1 where all are hidden.

    `log_rates` is (U, I), `least_delays` (BINS,) the least log-delay of a number in each bin: an item that cannot come
    first by it is passed over without a logarithm.
    """
    for b in range(len(users)):
        u, best = users[b], -math.inf
        found[b] = -1
        for i in range(len(item_states)):
            if hidden[u, i]:
                continue
            state = _mix_bits(user_states[b] ^ item_states[i])
            if log_rates[u, i] - least_delays[state >> _BIN_SHIFT] <= best:
                continue
            value = log_rates[u, i] - _draw_log_delay(state)
            if value > best:
                best, found[b] = value, i


@compile_kernel(fastmath=False, inline=True)
def _insert(items, values, count, item, value):
    """Put an item where its value belongs among `count` larger or equal ones before it; return how many there are."""
    place = min(count, len(items) - 1)
    while place > 0 and values[place - 1] < value:
        items[place], values[place] = items[place - 1], values[place - 1]
        place -= 1
    items[place], values[place] = item, value
    return min(count + 1, len(items))


@compile_kernel(fastmath=False)
def draw_slates(user_states: Anys, item_states: Anys, hidden: Anys, values: Anys, slates: Anys) -> None:
    """Fill `slates` (U, k) with the items of the largest draws, then -1. `values` (k,) is room."""
    k = slates.shape[1]
    for u in range(len(user_states)):
        count = 0
        slates[u] = -1
        for i in range(len(item_states)):
            value = _mix_bits(user_states[u] ^ item_states[i]) >> _SHIFT
            if not hidden[u, i] and (count < k or value > values[k - 1]):
                count = _insert(slates[u], values, count, i, value)


@compile_kernel(fastmath=False)
def select_slates(scores: Anys, hidden: Anys, values: Anys, slates: Anys) -> None:
    """Fill `slates` (U, k) with the items of the largest scores, (U, I), best first, of equal ones the first in front.

    -1 stands where fewer have a finite score and are not hidden. `values` (k,) is room.
    """
    k = slates.shape[1]
    for u in range(len(scores)):
        count = 0
        slates[u] = -1
        for i in range(scores.shape[1]):
            value = scores[u, i]
            if value > _LOWEST and not hidden[u, i] and (count < k or value > values[k - 1]):
                count = _insert(slates[u], values, count, i, value)


@compile_kernel(fastmath=False)
def take_first_items(order: Anys, hidden: Anys, slates: Anys) -> None:
    """Fill `slates` (U, k) with the first items in `order` that are not hidden from each user, then -1."""
    for u in range(len(slates)):
        count = 0
        slates[u] = -1
        for i in order:
            if count == slates.shape[1]:
                break
            if not hidden[u, i]:
                slates[u, count] = i
                count += 1


@compile_kernel(fastmath=False)
def narrow_pools(items: Anys, scores: Anys, hidden: Anys, kept: Anys, kept_scores: Anys) -> bool:
    """Fill `kept` and `kept_scores` (U, n) with the first candidates, (U, N), that are not hidden, then -1 and 0.

    Return whether some row is short though it had N candidates: more of them could be found.
    """
    short = False
    for u in range(len(items)):
        count = 0
        for place in range(items.shape[1]):
            item = items[u, place]
            if item >= 0 and not hidden[u, item]:
                kept[u, count], kept_scores[u, count] = item, scores[u, place]
                count += 1
                if count == kept.shape[1]:
                    break
        short |= count < kept.shape[1] and items[u, -1] >= 0
        kept[u, count:] = -1
        kept_scores[u, count:] = 0.0
    return short
