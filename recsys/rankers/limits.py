"""Limits of requests: what the guards of a ranker and those of a request come to, the ranker's first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from recsys import guards as named
from recsys.kernels import rules
from recsys.rankers.requests import Candidates
from recsys.types import Context, Guard, Pool, RecsysError, Rule
from recsys.types.arrays import Bools, Csr, Ints, Longs

NOBODY = np.zeros(1, np.int32)


@dataclass(frozen=True, eq=False)
class Limits:
    """Guards, and the rules of those that are the same whatever the candidates; None for others."""

    guards: tuple[Guard, ...] = ()
    rules: tuple[Rule | None, ...] = ()

    @property
    def closed(self) -> list[Bools]:
        """Items that may not be shown, (I,) of each guard that says so."""
        return [rule.closed for rule in self.rules if rule is not None and rule.closed is not None]

    def opened(self, available: Bools) -> Bools:
        """Return what is available, (I,), and not closed."""
        closed = self.closed
        return available & ~np.any(closed, axis=0) if closed else available

    @property
    def pinned(self) -> list[int]:
        """Items that slots are kept for."""
        return pinned([rule for rule in self.rules if rule is not None])

    def needed(self, start: int = 0) -> tuple[tuple[Ints, int], ...]:
        """Return the items of each group that needs picks, and how many it needs, of the rules from `start` on."""
        found = []
        for rule in self.rules[start:]:
            if rule is not None and rule.groups is not None and rule.least is not None and rule.least.any():
                by_group = Csr(rule.groups.T)
                for group in np.flatnonzero(rule.least > 0).tolist():
                    own = slice(by_group.indptr[group], by_group.indptr[group + 1])
                    found.append((by_group.indices[own][by_group.data[own] != 0], int(rule.least[group])))
        return tuple(found)

    def __add__(self, other: "Limits") -> "Limits":
        """Return both, one after the other."""
        return Limits(self.guards + other.guards, self.rules + other.rules)

    def of(self, pool: Pool, k: int, order: str) -> tuple[Rule, ...]:
        """Return what every guard comes to for a pool of one user and slates of k whose picks stand by `order`.

        Raises:
            RecsysError: as a guard says, or if one pins an item where picks stand by relevance.
        """
        pairs = zip(self.guards, self.rules, strict=True)
        asked = tuple(rules.rule_of(guard, pool, k) if rule is None else _of_length(rule, k) for guard, rule in pairs)
        if order == "relevance" and any(rule.pins is not None for rule in asked):
            raise RecsysError(
                "ranker: order is 'relevance' beside a pinned item, expected 'gain': a pin says where it stands"
            )
        return asked


def limit(guards: Sequence[Guard], context: Context, k: int) -> Limits:
    """Return what guards come to for slates of k, as far as the catalogue says it.

    Raises:
        RecsysError: if one is no guard, or as it says.
    """
    rules.check("ranker", guards)
    pool = padded(Candidates(NOBODY[:0], NOBODY[:0].astype(np.float32)), k, context)
    return Limits(tuple(guards), tuple(rules.rule_of(guard, pool, k) if guard.fixed else None for guard in guards))


def padded(found: Candidates, k: int, context: Context) -> Pool:
    """Return the candidates of one user as a pool that is not shorter than k."""
    size = max(len(found.items), k)
    items, scores = np.full((1, size), -1, np.int32), np.zeros((1, size), np.float32)
    items[0, : len(found.items)], scores[0, : len(found.items)] = found.items, found.scores
    return Pool(NOBODY, items, scores, context)


def ready(guards: Sequence[Guard], asked: Sequence[Rule]) -> list[Guard]:
    """Return the guards that come to what is known already."""
    return [Guard(guard.name, partial(_known, rule)) for guard, rule in zip(guards, asked, strict=True)]


def _known(rule: Rule, pool: Pool, k: int) -> Rule:
    return rule


def told(guards: Sequence[Guard]) -> list[dict[str, Any]]:
    """Return guards as JSON can say them, each as a config does.

    Raises:
        RecsysError: if one is no guard, or none that a config could name.
    """
    rules.check("ranker", guards)
    for guard in guards:
        if guard.told is None:
            raise RecsysError(
                f"ranker: guard '{guard.name}' cannot be saved, expected one of recsys.guards, or one by its name: "
                'recsys.guards.read({"package.module:function": {}})'
            )
    try:
        plain: list[dict[str, Any]] = json.loads(json.dumps([guard.told for guard in guards]))
    except (TypeError, ValueError):
        raise RecsysError("ranker: a setting of a guard is no plain value, expected numbers and texts") from None
    return plain


def read(told: Sequence[Mapping[str, Any]]) -> tuple[Guard, ...]:
    """Return the guards that `told` says.

    Raises:
        RecsysError: for an unknown guard or setting.
    """
    return tuple(guard for one in told for guard in named.read(one))


def allowed(items: Ints, asked: Sequence[Rule]) -> Ints:
    """Return those of `items` that no guard excludes."""
    for rule in asked:
        if rule.closed is not None:
            items = items[~rule.closed[items]]
    return items


def pinned(asked: Sequence[Rule]) -> list[int]:
    """Return the items that slots are kept for."""
    pins = [rule.pins for rule in asked if rule.pins is not None]
    return [item for kept in pins for item in kept[kept >= 0].tolist()]


def distances(asked: Sequence[Rule], picks: Ints, k: int) -> list[int]:
    """Return how far a slate is from each rule, 0 where it is met; `picks` are items, k at most."""
    if not asked:
        return []
    slates = np.full((1, k), -1, np.int32)
    slates[0, : len(picks)] = picks
    return cast(list[int], rules.unmet(asked, slates)[0].tolist())


def unmet(guards: Sequence[Guard], far: Sequence[int]) -> dict[str, int]:
    """Return how far a slate is from its guards, by the name of each that is not met."""
    found: dict[str, int] = {}
    for guard, count in zip(guards, far, strict=True):
        if count:
            found[guard.name] = found.get(guard.name, 0) + count
    return found


def notes(
    names: Sequence[str], guards: Sequence[Guard], asked: Sequence[Rule], far: Sequence[int], picks: Ints
) -> tuple[str, ...]:
    """Return a plain sentence about each guard that is not met."""
    said: list[str] = []
    for guard, rule, count in zip(guards, asked, far, strict=True):
        if count and rule.pins is not None:
            for slot, item in enumerate(rule.pins[0].tolist()):
                name = names[item] if item >= 0 else "an item that is not in the catalogue"
                if item != -1 and item not in picks[slot : slot + 1]:
                    said.append(f"Slot {slot + 1} does not show {name}, which is pinned there.")
        elif count:
            lack = "lacking" if rule.most is None else "too many" if rule.least is None else "too many or lacking"
            said.append(f"{guard.name} is not met: {count} {'pick is' if count == 1 else 'picks are'} {lack}.")
    return tuple(said)


def short(picks: int, k: int, found: int, excluded: int, most: int | None, closed: int, items: int) -> str:
    """Return a plain sentence about a slate with fewer than k picks of the candidates that were found, and why.

    `excluded` of them are by guards, which close so many of all `items`; `most` are retrieved, None where candidates
    are the caller's.

    >>> print(short(2, 10, 5, 0, 200, 7, 40))
    The slate has 2 of 10 picks: 5 candidates were retrieved (n = 200), guards exclude 7 of the 40 items and more slots.
    """
    source = f"{found:,} {'candidate was' if found == 1 else 'candidates were'}"
    said = [f"{source} given" if most is None else f"{source} retrieved (n = {most:,})"]
    if excluded or closed:
        said.append(f"guards exclude {closed:,} of the {items:,} items" if closed else f"guards exclude {excluded:,}")
    if picks < found - excluded:
        said = [said[0], f"{said[1]} and more slots" if len(said) > 1 else "guards leave the other slots to nobody"]
    return f"The slate has {picks:,} of {k:,} picks: {', '.join(said)}."


def _of_length(rule: Rule, k: int) -> Rule:
    """Return a rule for slates of k: slots that these do not have are kept for nobody."""
    if rule.pins is None or rule.pins.shape[1] == k:
        return rule
    pins: Longs = np.full((1, k), -1, dtype=np.int64)
    kept = rule.pins[:, :k]
    pins[:, : kept.shape[1]] = kept
    return replace(rule, pins=pins)
