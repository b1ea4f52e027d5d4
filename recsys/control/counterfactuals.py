"""Counterfactuals: the smallest change with which something holds, found by trying it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

TOLERANCE = 0.01  # by how much, as a ratio, a factor may be larger, or smaller, than one that was tried in vain
MAX_CHANGE = 64.0  # how many times as much, or as little, of a weight is tried
_STEP = 4.0  # from one factor to the next, until one is found
_DIGITS = 4  # that a factor has in the end


class FoundFactor(NamedTuple):
    """A factor with which something holds, and the nearest one to it, toward the present factor, that does not."""

    factor: float
    nearest_tried: float


def find_factors(holds: Callable[[float], bool], now: float, least: float, most: float) -> list[FoundFactor]:
    """Return at most two factors with which `holds`, one on either side of the present one, `now`, which does not.

    On each side the first of now times 4, 16 and 64 (or 1/4, 1/16, 1/64 and 0) within the range that holds, and then by
    bisection one that exceeds a factor that does not hold by at most `TOLERANCE`.

    >>> find_factors(lambda factor: factor >= 3.0, 1.0, 0.0, 100.0)
    [FoundFactor(factor=3.001, nearest_tried=2.985)]
    >>> find_factors(lambda factor: factor >= 3.0, 1.0, 0.0, 2.5)
    []
    """
    found = []
    for ladder in (_climb(now, most), _descend(now, least)):
        fails = now
        for factor in ladder:
            if holds(factor):
                found.append(_bisect(holds, fails, factor))
                break
            fails = factor
    return found


def _climb(now: float, most: float) -> Iterator[float]:
    """Yield larger factors."""
    factor, last = now or 1.0 / (_STEP * MAX_CHANGE), min(most, (now or 1.0) * MAX_CHANGE)
    while factor < last:
        factor = min(_STEP * factor, last)
        yield factor


def _descend(now: float, least: float) -> Iterator[float]:
    """Yield smaller factors, 0 last where it is in the range."""
    factor, last = now, max(least, now / MAX_CHANGE)
    while factor > last:
        factor = max(factor / _STEP, last)
        yield factor
    if least == 0.0 < now:
        yield 0.0


def _bisect(holds: Callable[[float], bool], fails: float, works: float) -> FoundFactor:
    """Return a factor between one that fails and one that works, no further from it than the tolerance."""
    if not works:
        return FoundFactor(0.0, fails)
    if not fails:
        return FoundFactor(works, 0.0)
    while max(fails / works, works / fails) > 1.0 + TOLERANCE:
        middle = _round(float((fails * works) ** 0.5))
        if holds(middle):
            works = middle
        else:
            fails = middle
    return FoundFactor(works, fails)


def _round(factor: float) -> float:
    return float(f"{factor:.{_DIGITS}g}")


def find_removal(
    holds: Callable[[tuple[int, ...]], bool],
    rank_next: Callable[[tuple[int, ...]], Sequence[int]],
    max_removed: int,
) -> tuple[int, ...] | None:
    """Return the parts of something, at most so many, without which `holds`; None where none is found.

    Greedy: `rank_next` gives the parts to try next beside those that are out already, the most promising first. All of
    these are tried, and if none suffices, the first one goes and the next is looked for. No part of what is returned
    can stay in, the others out.

    >>> find_removal(lambda out: {1, 2} <= set(out), lambda out: [part for part in (0, 2, 1) if part not in out], 3)
    (2, 1)
    """
    out: tuple[int, ...] = ()
    for _ in range(max_removed):
        ahead = rank_next(out)
        for part in ahead:
            if holds((*out, part)):
                return _shrink(holds, (*out, part))
        if not ahead:
            return None
        out = (*out, ahead[0])
    return None


def _shrink(holds: Callable[[tuple[int, ...]], bool], out: tuple[int, ...]) -> tuple[int, ...]:
    """Return what has to be out of what is."""
    for part in out[:-1]:
        fewer = tuple(one for one in out if one != part)
        if holds(fewer):
            out = fewer
    return out
