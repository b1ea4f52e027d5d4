"""Constraints of a request: the guards of the ranker, then those of the request, as rules of one slate."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np

from recsys.kernels import slot_rules
from recsys.rankers.exposures import NO_LIMITS, collect_limits
from recsys.rankers.requests import Candidates, load_exposure_kernels
from recsys.reranking import guards as named
from recsys.reranking.orders import check_order
from recsys.types import Context, Guard, Pool, RecsysError, Rule
from recsys.types.arrays import Bools, Csr, Ints, Longs

ONE_USER = np.zeros(1, np.int32)
NO_GROUPS = np.zeros(2, np.int64)  # pointers of one row without groups


@dataclass(frozen=True, eq=False)
class RequestGuards:
    """Guards, and the rules of those that do not depend on the candidates; None for others."""

    guards: tuple[Guard, ...] = ()
    rules: tuple[Rule | None, ...] = ()
    limits: Longs = field(default_factory=NO_LIMITS.copy)  # (G, 3) of the guards that are limits on exposures

    @property
    def are_limits(self) -> bool:
        """Whether every guard is a limit on exposures, and there is one."""
        return 0 < len(self.guards) == len(self.limits)

    @property
    def excluded_items(self) -> list[Bools]:
        """Items that may not be shown, (I,) of each guard that says so."""
        return [rule.excluded_items for rule in self.rules if rule is not None and rule.excluded_items is not None]

    def filter_available(self, available: Bools) -> Bools:
        """Return the items that are available, (I,), and that no guard excludes."""
        closed = self.excluded_items
        return available & ~np.any(closed, axis=0) if closed else available

    @property
    def pinned_items(self) -> list[int]:
        """Items that slots are kept for."""
        return list_pinned_items([rule for rule in self.rules if rule is not None])

    def list_needed_groups(self, start: int = 0) -> tuple[tuple[Ints, int], ...]:
        """Return the items of each group that needs picks, and the number it needs, for the rules from `start` on."""
        found = []
        for rule in self.rules[start:]:
            if rule is not None and rule.groups is not None and rule.min_picks is not None and rule.min_picks.any():
                by_group = Csr(rule.groups.T)
                for group in np.flatnonzero(rule.min_picks > 0).tolist():
                    own = slice(by_group.indptr[group], by_group.indptr[group + 1])
                    found.append((by_group.indices[own][by_group.data[own] != 0], int(rule.min_picks[group])))
        return tuple(found)

    def __add__(self, other: "RequestGuards") -> "RequestGuards":
        """Return both, one after the other."""
        limits = np.concatenate([self.limits, other.limits])
        return RequestGuards(self.guards + other.guards, self.rules + other.rules, limits)

    def resolve_rules(self, pool: Pool, k: int, order: str) -> tuple[Rule, ...]:
        """Return the rule of every guard for a pool of one user and slates of k whose picks stand by `order`.

        Raises:
            RecsysError: as a guard says, or if one pins an item where picks stand by relevance.
        """
        pairs = zip(self.guards, self.rules, strict=True)
        asked = tuple(
            slot_rules.make_rule(guard, pool, k) if rule is None else _resize_rule(rule, k) for guard, rule in pairs
        )
        check_order(order, "ranker: ", pinned=any(rule.pins is not None for rule in asked))
        return asked


def resolve_fixed_guards(guards: Sequence[Guard], context: Context, k: int) -> RequestGuards:
    """Return the rules of guards for slates of k, as far as they follow from the catalogue alone.

    Raises:
        RecsysError: if one is no guard, or as it says.
    """
    slot_rules.check_guards("ranker", guards)
    pool = pad_candidates(Candidates(ONE_USER[:0], ONE_USER[:0].astype(np.float32)), k, context)
    rules = tuple(slot_rules.make_rule(guard, pool, k) if guard.is_static else None for guard in guards)
    return RequestGuards(tuple(guards), rules, collect_limits(guards))


def flatten_hidden_items(candidates: Candidates, hidden: Ints, k: int) -> slot_rules.SlotRules | None:
    """Return the slot rules that exclude the `hidden` items, codes in ascending order; None if none is a candidate."""
    if not len(hidden):
        return None
    kernel: Any = load_exposure_kernels().mark_items
    closed = np.empty((1, len(candidates.items)), bool)
    if not kernel(candidates.items, hidden, closed[0]):
        return None
    none, codes = slot_rules.NO_RULES, np.zeros(closed.shape, np.int32)
    return slot_rules.SlotRules(codes, closed, _make_no_pins(k), NO_GROUPS, none.groups, none.least, none.most)


@lru_cache(16)
def _make_no_pins(k: int) -> Longs:
    return np.full((1, k), -1, np.int64)


def make_hidden_guard(hidden: Ints, n_items: int) -> Guard:
    """Return the guard that excludes the `hidden` items, codes, whoever asks."""
    closed = np.zeros(n_items, bool)
    closed[hidden] = True
    return Guard("exposures", partial(_return_rule, Rule(excluded_items=closed)))


def pad_candidates(candidates: Candidates, k: int, context: Context) -> Pool:
    """Return the candidates of one user as a pool that is not shorter than k."""
    size = max(len(candidates.items), k)
    items, scores = np.full((1, size), -1, np.int32), np.zeros((1, size), np.float32)
    items[0, : len(candidates.items)], scores[0, : len(candidates.items)] = candidates.items, candidates.scores
    return Pool(ONE_USER, items, scores, context, candidates.likelihood_kind)


def freeze_guards(guards: Sequence[Guard], resolved: Sequence[Rule]) -> list[Guard]:
    """Return guards whose rules are already resolved."""
    return [Guard(guard.name, partial(_return_rule, rule)) for guard, rule in zip(guards, resolved, strict=True)]


def _return_rule(rule: Rule, pool: Pool, k: int) -> Rule:
    return rule


def serialize_guards(guards: Sequence[Guard]) -> list[dict[str, Any]]:
    """Return guards as JSON can say them, each as a config does.

    Raises:
        RecsysError: if one is no guard, or none that a config could name.
    """
    slot_rules.check_guards("ranker", guards)
    for guard in guards:
        if guard.config_settings is None:
            raise RecsysError(
                f"ranker: guard '{guard.name}' cannot be saved, expected one of recsys.reranking.guards, or one by its "
                'name: recsys.reranking.guards.parse_guards({"package.module:function": {}})'
            )
    try:
        plain: list[dict[str, Any]] = json.loads(json.dumps([guard.config_settings for guard in guards]))
    except (TypeError, ValueError):
        raise RecsysError("ranker: a setting of a guard is no plain value, expected numbers and texts") from None
    return plain


def deserialize_guards(settings: Sequence[Mapping[str, Any]]) -> tuple[Guard, ...]:
    """Return the guards that `serialize_guards` says.

    Raises:
        RecsysError: for an unknown guard or setting.
    """
    return tuple(guard for one in settings for guard in named.parse_guards(one))


def filter_allowed_items(items: Ints, resolved: Sequence[Rule]) -> Ints:
    """Return those of `items` that no guard excludes."""
    for rule in resolved:
        if rule.excluded_items is not None:
            items = items[~rule.excluded_items[items]]
        if rule.excluded_pairs is not None:
            items = items[~slot_rules.find_excluded_pairs(rule.excluded_pairs, items[None])[0]]
    return items


def list_pinned_items(resolved: Sequence[Rule]) -> list[int]:
    """Return the items that slots are kept for."""
    pins = [rule.pins for rule in resolved if rule.pins is not None]
    return [item for kept in pins for item in kept[kept >= 0].tolist()]


def count_violations(resolved: Sequence[Rule], picks: Ints, k: int) -> list[int]:
    """Return how far a slate is from each rule, 0 where it is met; `picks` are items, k at most."""
    if not resolved:
        return []
    slates = np.full((1, k), -1, np.int32)
    slates[0, : len(picks)] = picks
    return cast(list[int], slot_rules.count_violations(resolved, slates)[0].tolist())


def name_violations(guards: Sequence[Guard], violations: Sequence[int]) -> dict[str, int]:
    """Return how far a slate is from its guards, by the name of each that is not met."""
    found: dict[str, int] = {}
    for guard, count in zip(guards, violations, strict=True):
        if count:
            found[guard.name] = found.get(guard.name, 0) + count
    return found


def describe_violations(
    names: Sequence[str], guards: Sequence[Guard], resolved: Sequence[Rule], violations: Sequence[int], picks: Ints
) -> tuple[str, ...]:
    """Return a plain sentence about each guard that is not met."""
    said: list[str] = []
    for guard, rule, count in zip(guards, resolved, violations, strict=True):
        if count and rule.pins is not None:
            for slot, item in enumerate(rule.pins[0].tolist()):
                name = names[item] if item >= 0 else "an item that is not in the catalogue"
                if item != -1 and item not in picks[slot : slot + 1]:
                    said.append(f"Slot {slot + 1} does not show {name}, which is pinned there.")
        elif count:
            lack = (
                "lacking" if rule.max_picks is None else "too many" if rule.min_picks is None else "too many or lacking"
            )
            said.append(f"{guard.name} is not met: {count} {'pick is' if count == 1 else 'picks are'} {lack}.")
    return tuple(said)


def describe_short_slate(
    n_picks: int, k: int, n_found: int, n_excluded: int, max_retrieved: int | None, n_excluded_items: int, n_items: int
) -> str:
    """Return a plain sentence about a slate with fewer than k picks of the candidates that were found, and why.

    `excluded` of them are by guards, which close so many of all `items`; `most` are retrieved, None where candidates
    are the caller's.

    >>> print(describe_short_slate(2, 10, 5, 0, 200, 7, 40))
    The slate has 2 of 10 picks: 5 candidates were retrieved (n = 200), guards exclude 7 of the 40 items and more slots.
    """
    source = f"{n_found:,} {'candidate was' if n_found == 1 else 'candidates were'}"
    said = [f"{source} given" if max_retrieved is None else f"{source} retrieved (n = {max_retrieved:,})"]
    if n_excluded or n_excluded_items:
        said.append(
            f"guards exclude {n_excluded_items:,} of the {n_items:,} items"
            if n_excluded_items
            else f"guards exclude {n_excluded:,}"
        )
    if n_picks < n_found - n_excluded:
        said = [said[0], f"{said[1]} and more slots" if len(said) > 1 else "guards leave the other slots to nobody"]
    return f"The slate has {n_picks:,} of {k:,} picks: {', '.join(said)}."


def _resize_rule(rule: Rule, k: int) -> Rule:
    """Return a rule for slates of k: slots that these do not have are kept for nobody."""
    if rule.pins is None or rule.pins.shape[1] == k:
        return rule
    pins: Longs = np.full((1, k), -1, dtype=np.int64)
    kept = rule.pins[:, :k]
    pins[:, : kept.shape[1]] = kept
    return replace(rule, pins=pins)
