"""Bursts: users and items with more events in a short window than chance leaves room for."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from recsys.types.arrays import Doubles, Ints, Longs

MAX_KEY = 2**63


@dataclass(frozen=True)
class Bursts:
    """Who has a burst, most improbable first, each with its busiest window."""

    codes: Longs  # (B,) of users, or of items
    events: Longs  # (B,) events in that window
    until: Longs  # (B,) the last second of that window
    expected: Doubles  # (B,) events in it by the reference
    threshold: float | None = None  # events from which on a window is a burst, where it is one for all


def sort_events(code: Ints, time: Longs) -> tuple[Ints, Longs]:
    """Return codes and times (R,) in the order of the code, then the time."""
    if not len(code):
        return code, time
    first, span = int(time.min()), int(np.ptp(time)) + 1
    code, place = np.divmod(np.sort(code.astype(np.int64) * span + (time - first)), span)
    return code.astype(np.int32), place + first


def count_events_in_window(code: Ints, time: Longs, window: int) -> Longs:
    """Return how many events of the same code lie in the `window` seconds that end with each event, (R,).

    An event at second t counts those of t - window + 1 to t; of events of one second the last counts all.
    `code` and `time` (R,) are sorted by code, then time.

    >>> count_events_in_window(np.array([0, 0, 0, 1]), np.array([5, 6, 9, 9]), 4).tolist()
    [1, 2, 2, 1]
    """
    if not len(code):
        return np.zeros(0, dtype=np.int64)
    first = int(time.min())
    span = int(time.max()) - first + window + 1
    place = code.astype(np.int64) * span + (time - first)
    return np.arange(1, len(place) + 1) - np.searchsorted(place, place - window, side="right")


def find_user_bursts(user: Ints, time: Longs, window: int, min_events: int = 10, alpha: float = 0.01) -> Bursts:
    """Return the users whose busiest window has too many events for the log's people.

    Reference: busiest windows of users have a geometric tail (sessions that end with the same chance after each event)
    with the median m over users of this log, P(x or more) = 2^-((x - 1) / m). A burst is a window of at least
    `min_events` with U P(x or more) <= `alpha` (Bonferroni over U users), from 1 + m log2(U / alpha) events on. The
    median makes it robust: bursts of less than half of the users do not hide themselves.
    """
    events, until = _find_busiest_windows(*sort_events(user, time), window)
    there = np.flatnonzero(events)
    median = float(np.median(events[there])) if len(there) else 1.0
    threshold = max(float(min_events), 1 + median * np.log2(max(len(there), 1) / alpha))
    found = there[events[there] >= threshold]
    found = found[np.lexsort((found, -events[found]))]
    return Bursts(found, events[found], until[found], np.full(len(found), median), threshold)


def find_item_bursts(
    user: Ints, item: Ints, time: Longs, window: int, min_events: int = 10, alpha: float = 0.01
) -> Bursts:
    """Return the items that too many people met within one window.

    Of the rows of a pair within one of the clock's windows the first alone counts, so that repeats of one person are no
    burst: R' events. Reference: items are a random permutation over these events, so that each has a constant share of
    the log's activity. Given that one of an item's n events ends a window of N events of the log, the other n - 1 lie
    in it by a hypergeometric law, whose tail that of Poisson's law of mean (n - 1)(N - 1) / (R' - 1) bounds. A
    burst is a window of at least `min_events` whose chance is at most `alpha` / R' (Bonferroni over windows). A release
    or a sale is one too.
    """
    item, time = sort_events(*_take_first_events(user, item, time, window))
    inside, size = count_events_in_window(item, time, window), np.bincount(item)
    tried = np.flatnonzero(inside >= max(min_events, 2))
    ends, every = time[tried], np.sort(time)
    total = np.searchsorted(every, ends, side="right") - np.searchsorted(every, ends - window, side="right")
    mean = (size[item[tried]] - 1.0) * (total - 1.0) / max(len(item) - 1.0, 1.0)
    chance = special.gammainc(inside[tried] - 1.0, mean)  # P(Poisson(mean) >= inside - 1)
    is_burst = chance * len(item) <= alpha
    at, mean, chance = tried[is_burst], mean[is_burst], chance[is_burst]
    at_best = np.lexsort((at, -inside[at], chance, item[at]))
    best = at_best[np.diff(item[at][at_best], prepend=-1) != 0]
    best = best[np.lexsort((item[at][best], -inside[at][best], chance[best]))]
    return Bursts(item[at][best].astype(np.int64), inside[at][best], time[at][best], 1.0 + mean[best])


def _find_busiest_windows(code: Ints, time: Longs, window: int) -> tuple[Longs, Longs]:
    """Return the events in the busiest window of each code, and its last second, (C,) each; the earliest of equals."""
    inside = count_events_in_window(code, time, window)
    starts = np.flatnonzero(np.diff(code, prepend=-1) != 0)
    size = int(code.max(initial=-1)) + 1
    events, until = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    if len(code):
        events[code[starts]] = np.maximum.reduceat(inside, starts)
        busiest = np.flatnonzero(inside == events[code])[::-1]
        until[code[busiest]] = time[busiest]  # the earliest is written last
    return events, until


def _take_first_events(user: Ints, item: Ints, time: Longs, window: int) -> tuple[Ints, Longs]:
    """Return item and time of the first event of each user, item and window of the clock, in any order.

    Numbers that hold a pair and a time are sorted ten times as fast as rows are, where 63 bits are enough for them.
    """
    if not len(item):
        return item, time
    n_users, start, span = int(user.max()) + 1, int(time.min()), int(np.ptp(time)) + 1
    if (int(item.max()) + 1) * n_users * span < MAX_KEY:
        pair, time = np.divmod(np.sort((item * np.int64(n_users) + user) * span + (time - start)), span)
        time += start
        item = (pair // n_users).astype(np.int32)
    else:
        order = np.lexsort((time, user, item))
        pair, item, time = user[order].astype(np.int64) << 32 | item[order], item[order], time[order]
    first = (np.diff(pair, prepend=-1) != 0) | (np.diff(time // window, prepend=0) != 0)
    return item[first], time[first]
