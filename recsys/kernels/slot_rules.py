"""Rules of several guards, laid out flat for the kernel; and how far finished slates are from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys.types import Guard, Pool, RecsysError, Rule
from recsys.types.arrays import Bools, Csr, Ints, Longs
from recsys.types.checks import check_array, check_codes, check_matrix

NO_LIMIT = 2**40


@dataclass(frozen=True, eq=False)
class SlotRules:
    """U users, N candidates, G groups of all guards end to end; without guards U, N and G are 0."""

    codes: Ints  # (U, N) row of each candidate in the groups: R of items, or of candidates where these are fewer
    closed: Bools  # (U, N) who may not be shown
    pins: Longs  # (U, k) candidate that a slot is kept for, -1 = none
    pointers: Longs  # (R + 1,) rows of the groups
    groups: Ints
    least: Longs  # (G,)
    most: Longs  # (G,)

    def slice_users(self, start: int, stop: int) -> "SlotRules":
        """Return the rules of the users from `start` to `stop`."""
        per_user = {name: getattr(self, name)[start:stop] for name in ("codes", "closed", "pins")}
        return replace(self, **per_user)

    def to_tuple(self) -> tuple[object, ...]:
        """Return the fields in their order, which is that of `recsys.kernels.greedy.RuleInputs`."""
        return self.codes, self.closed, self.pins, self.pointers, self.groups, self.least, self.most


NO_RULES = SlotRules(
    np.zeros((0, 0), np.int32), np.zeros((0, 0), bool), np.zeros((0, 0), np.int64), np.zeros(1, np.int64),
    np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64),
)  # fmt: skip


def make_rules(guards: Sequence[Guard], pool: Pool, k: int) -> list[Rule]:
    """Return the rule of each guard.

    Raises:
        RecsysError: if one is no guard, or as it says.
    """
    check_guards("slate", guards)
    return [make_rule(guard, pool, k) for guard in guards]


def make_rule(guard: Guard, pool: Pool, k: int) -> Rule:
    """Return the rule of a guard, checked so that compiled code and NumPy may index by it.

    Raises:
        RecsysError: as the guard says, or if its rule is not for this catalogue, these users and slates of k.
    """
    rule = guard.make_rule(pool, k)
    place, items = f"guard '{guard.name}'", len(pool.context.item_ids)
    if not isinstance(rule, Rule):
        raise RecsysError(f"{place} returns a {type(rule).__name__}, expected a recsys.types.Rule")
    if rule.excluded_items is not None:
        check_array(f"{place}: excluded_items", rule.excluded_items, (items,), "b")
    if rule.excluded_pairs is not None:
        check_matrix(f"{place}: excluded_pairs", rule.excluded_pairs, (len(pool.users), items))
    if rule.groups is not None:
        check_matrix(f"{place}: groups", rule.groups, (items, None))
    for name in ("min_picks", "max_picks"):
        limits = getattr(rule, name)
        if limits is not None:
            if rule.groups is None:
                raise RecsysError(f"{place}: {name} without groups, expected both")
            check_array(f"{place}: {name}", limits, (rule.groups.shape[1],), "iu")
    if rule.pins is not None:
        check_array(f"{place}: pins", rule.pins, (len(pool.users), k), "i")
        check_codes(f"{place}: pins", rule.pins, -2, items)
    return rule


def check_guards(who: str, guards: Sequence[Guard]) -> None:
    """Refuse anything but a list of guards.

    Raises:
        RecsysError: if it is none.
    """
    if isinstance(guards, Guard) or not isinstance(guards, Sequence) or not all(isinstance(g, Guard) for g in guards):
        found = " ".join(repr(guards).split())[:60]
        raise RecsysError(
            f"{who}: guards is {found}, expected a list such as [recsys.reranking.guards.exclude(items=[...])]"
        )


def flatten_rules(rules: Sequence[Rule], pool: Pool, k: int) -> SlotRules:
    """Lay out the rules for the users of a pool.

    Raises:
        RecsysError: if a slot is kept for two items, or an item has two slots.
    """
    if not rules:
        return NO_RULES
    codes = np.maximum(pool.items, 0).astype(np.int32)
    closed = pool.items < 0
    for rule in rules:
        if rule.excluded_items is not None:
            closed = closed | rule.excluded_items[codes]
        if rule.excluded_pairs is not None:
            closed = closed | find_excluded_pairs(rule.excluded_pairs, pool.items)
    tables = [rule.groups for rule in rules if rule.groups is not None]
    if codes.size < len(pool.context.item_ids):
        tables = [Csr(table[codes.ravel()]) for table in tables]
        codes = np.arange(codes.size, dtype=np.int32).reshape(codes.shape)
    pointers, groups = _join_groups(tables, int(codes.max(initial=0)) + 1)
    return SlotRules(
        codes=codes,
        closed=closed,
        pins=_find_pin_positions([rule.pins for rule in rules if rule.pins is not None], pool, closed, k),
        pointers=pointers,
        groups=groups,
        least=_concat_limits(rules, "min_picks", 0),
        most=_concat_limits(rules, "max_picks", NO_LIMIT),
    )


def find_excluded_pairs(pairs: Csr, items: Ints) -> Bools:
    """Return which of `items` (U, N) a matrix (U, I) excludes for the user of their row; -1 is no item."""
    users, columns = pairs.nonzero()
    keys = users.astype(np.int64) * pairs.shape[1] + columns
    asked = np.arange(len(items))[:, None] * pairs.shape[1] + np.maximum(items, 0)
    return np.isin(asked, keys) & (items >= 0)


def count_violations(rules: Sequence[Rule], slates: Ints) -> Longs:
    """Return how far each user's slate (U, k) is from each rule, (U, rules), 0 where it is met.

    Counted are picks that may not be shown, picks that groups have too many and picks that they lack, and slots that
    are kept for an item and do not show it.
    """
    here = slates >= 0
    far = np.zeros((len(slates), len(rules)), dtype=np.int64)
    for g, rule in enumerate(rules):
        if rule.excluded_items is not None:
            far[:, g] += (rule.excluded_items[np.maximum(slates, 0)] & here).sum(axis=1)
        if rule.excluded_pairs is not None:
            far[:, g] += find_excluded_pairs(rule.excluded_pairs, slates).sum(axis=1)
        if rule.groups is not None:
            counts = _count_group_picks(rule.groups, slates, here)
            if rule.min_picks is not None:
                far[:, g] += np.maximum(rule.min_picks - counts, 0).sum(axis=1)
            if rule.max_picks is not None:
                far[:, g] += np.maximum(counts - rule.max_picks, 0).sum(axis=1)
        if rule.pins is not None:
            far[:, g] += ((rule.pins != -1) & (rule.pins != slates)).sum(axis=1)
    return far


def _count_group_picks(groups: Csr, slates: Ints, here: Bools) -> Longs:
    """Return how many picks of each slate are in each group, (U, G)."""
    users, columns = np.nonzero(here)
    shown = Csr(groups[slates[users, columns]])
    size = (len(slates), groups.shape[1])
    cells = np.repeat(users, np.diff(shown.indptr)) * size[1] + shown.indices
    return np.bincount(cells[shown.data != 0], minlength=size[0] * size[1]).reshape(size)


def _join_groups(tables: Sequence[Csr], rows: int) -> tuple[Longs, Ints]:
    """Return the groups of each row of several tables, numbered end to end, and where those of each row begin."""
    if not tables:
        return np.zeros(rows + 1, np.int64), np.zeros(0, np.int32)
    joined = tables[0] if len(tables) == 1 else sparse.hstack(tables, format="csr")
    if not joined.data.all():
        joined = joined.copy()
        joined.eliminate_zeros()
    return joined.indptr.astype(np.int64), joined.indices.astype(np.int32)


def _concat_limits(rules: Sequence[Rule], name: str, default: int) -> Longs:
    every = [np.zeros(0, np.int64)]
    for rule in rules:
        if rule.groups is not None:
            given = getattr(rule, name)
            every.append(np.full(rule.groups.shape[1], default, dtype=np.int64) if given is None else given)
    return np.concatenate(every)


def _find_pin_positions(pins: Sequence[Longs], pool: Pool, closed: Bools, k: int) -> Longs:
    """Return the candidate that each slot is kept for, (U, k), -1 where it is none, or one that may not be shown."""
    codes = np.full((len(pool.users), k), -1, dtype=np.int64)
    for given in pins:
        if ((codes >= 0) & (given >= 0) & (codes != given)).any():
            twice = int(np.argwhere((codes >= 0) & (given >= 0) & (codes != given))[0, 1])
            raise RecsysError(f"pin: slot {twice + 1} is kept for two items, expected one")
        codes = np.where(given >= 0, given, codes)
    places = np.full(codes.shape, -1, dtype=np.int64)
    for slot in np.flatnonzero((codes >= 0).any(axis=0)).tolist():
        same = (pool.items == codes[:, slot, None]) & (codes[:, slot, None] >= 0) & ~closed
        places[:, slot] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    ranked = np.sort(places, axis=1)
    if ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)).any():
        raise RecsysError("pin: an item has two slots, expected one")
    return places
