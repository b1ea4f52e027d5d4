"""Exponential races: which of many items each user comes upon first."""

import numpy as np

from recsys.kernels.draws import BINS, fill_arrival_times, find_first_arrivals
from recsys.support import rng
from recsys.types.arrays import Anys, Bools, Doubles, Floats, Ints, Longs

BLOCK = 1024  # users at once
# The least log-delay of a uniform number in each bin: that of its upper end, less what a logarithm may be off.
_LEAST_DELAYS = np.append(np.log(-np.log(np.arange(1, BINS) / BINS)) - 1e-9, -np.inf)
_NEWTON_STEPS = 3
_MAX_STEP = 2.0  # of log-time


def draw_races(log_rates: Floats, counts: Anys, seed: int) -> Bools:
    """Return the first counts[u] items of each user's race, (U, I): arrival times are exponential with these rates.

    The draw of a pair depends on the seed, the user and the item alone.
    """
    first = np.zeros(log_rates.shape, dtype=bool)
    items = _mix_codes(log_rates.shape[1])
    for start in range(0, len(log_rates), BLOCK):
        users = np.arange(start, min(start + BLOCK, len(log_rates)))
        times = np.empty((len(users), len(items)))
        fill_arrival_times(rng.derive_states(seed, "races", users), items, log_rates[start : users[-1] + 1], times)
        last = np.asarray(counts)[users, None] - 1
        ends = np.take_along_axis(np.sort(times, axis=1), np.maximum(last, 0), axis=1)
        first[start : users[-1] + 1] = (times <= ends) & (last >= 0)
    return first


def draw_first_items(log_rates: Floats, hidden: Bools, users: Longs, seed: int, number: int) -> Ints:
    """Return the item that comes first at each of `users` in a round, (B,), of those not `hidden` (U, I); -1 for none.

    Arrival times are exponential with the rates exp(`log_rates`), (U, I). The draw of a pair depends on the seed, the
    round, the user and the item alone.
    """
    found = np.empty(len(users), dtype=np.int32)
    states = rng.derive_states(seed, "finds", number, users)
    find_first_arrivals(states, _mix_codes(log_rates.shape[1]), users, log_rates, hidden, _LEAST_DELAYS, found)
    return found


def _mix_codes(n: int) -> Anys:
    return rng.mix_bits(np.arange(n, dtype=np.uint64))


def fit_log_rates(tastes: Floats, user_counts: Anys, item_counts: Anys, n_rounds: int = 30) -> tuple[Doubles, Doubles]:
    """Return log-rates of items, (I,), and log-times of users, (U,), by which expected counts are those given.

    By the time T of a user, item i was met with probability 1 - exp(-T rate), rate = exp(tastes[u, i] + log-rate[i]).
    Times are solved by Newton's method for the count of each user, log-rates of items by iterative proportional
    fitting. `tastes` is (U, I); an item that nobody met keeps the rate of half a meeting.
    """
    wanted = np.maximum(np.asarray(item_counts, dtype=np.float64), 0.5)
    rate = np.log(wanted)
    time = np.zeros(len(tastes))
    started = False
    for _ in range(n_rounds):
        met = np.zeros(len(wanted))
        for start in range(0, len(tastes), BLOCK):
            users = slice(start, start + BLOCK)
            rates = np.exp(tastes[users] + rate)
            own = time[users] if started else np.log(np.asarray(user_counts)[users] / rates.sum(axis=1))
            time[users] = own = _solve_times(rates, np.asarray(user_counts)[users], own)
            met += -np.expm1(-np.exp(own)[:, None] * rates).sum(axis=0)
        started = True
        rate = rate + np.log(wanted / met)
        level = rate.mean()
        rate, time = rate - level, time + level
    return rate, time


def _solve_times(rates: Doubles, counts: Anys, start: Doubles) -> Doubles:
    """Return the log-time of each user by which as many items as counted are expected, (B,)."""
    time = start
    for _ in range(_NEWTON_STEPS):
        reach = np.exp(time)[:, None] * rates
        left = np.exp(-reach)
        missing = (1.0 - left).sum(axis=1) - counts
        slope = (reach * left).sum(axis=1)
        time = time - np.clip(missing / np.maximum(slope, 1e-12), -_MAX_STEP, _MAX_STEP)
    return time
