"""The contract of a guard."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsys.kernels import slot_rules
from recsys.reranking.guards import parse_guards
from recsys.reranking.slates import rerank
from recsys.testing.contract import expect, expect_no_error, expect_unchanged
from recsys.testing.synthetic import make_pool
from recsys.types import Guard, Pool, Rule
from recsys.types.arrays import Longs

RULE_FIELDS = ("excluded_items", "excluded_pairs", "groups", "min_picks", "max_picks", "pins")
STATIC_FIELDS = ("excluded_items", "excluded_pairs", "groups", "min_picks", "max_picks")


def check_guard(guard: str | Guard | Callable[..., Guard], *, k: int = 5, **settings: Any) -> None:
    """Test that a guard keeps its promises: a `Guard`, a function that returns one with `settings`, or its name.

    Its rule fits the catalogue, the users and k, and is the same at every call; nothing that it is given is changed;
    what it excludes is never shown, and no group has more picks than it may; how far a slate is from it is what its
    rule says; where it `is_static`, its rule is the same for any users and candidates; and where a config can name it,
    that guard has the same rule.

    >>> check_guard("at_most", m=2)

    Raises:
        ContractError: for the first promise that is not kept.
    """
    who = "guard"
    with expect_no_error(who, "to be made"):
        made = guard if isinstance(guard, Guard) else parse_guards({guard: settings})[0]
    who = f"guard '{made.name}'"
    pool = make_pool()
    arrays = [pool.users, pool.items, pool.scores, pool.context.item_ids]
    with expect_unchanged(who, arrays), expect_no_error(who, "to make its rule for 30 users and 40 items"):
        rule, again = (slot_rules.make_rule(made, pool, k) for _ in range(2))
    expect(_is_same_rule(rule, again, RULE_FIELDS), who, "makes another rule at a second call, expected the same")
    with expect_no_error(who, "in a slate"):
        slates = rerank(pool, {"relevance": 1.0}, k=k, guards=[made])
    _check_slates(who, rule, slates.items)
    expected = np.array([_count_violations(rule, user, row) for user, row in enumerate(slates.items)])
    found = slot_rules.count_violations([rule], slates.items)[:, 0]
    expect((found == expected).all(), who, "is not counted as its rule says")
    if made.is_static:
        _check_static(who, made, pool, k)
    if made.config_settings is not None:
        with expect_no_error(who, "to be made from what a config says of it"):
            named = slot_rules.make_rule(parse_guards(made.config_settings)[0], pool, k)
        same = _is_same_rule(rule, named, RULE_FIELDS)
        expect(same, who, "has another rule than the guard that its config_settings name, expected the same")


def _check_slates(who: str, rule: Rule, items: Any) -> None:
    for user, row in enumerate(items):
        shown = row[row >= 0]
        if rule.excluded_pairs is not None:
            excluded = rule.excluded_pairs[[user]].toarray()[0]
            expect(not excluded[shown].any(), who, "excludes an item for a user to whom it is shown")
        if rule.excluded_items is not None:
            expect(not rule.excluded_items[shown].any(), who, "excludes an item that is shown")
        if rule.groups is not None and rule.max_picks is not None:
            counts = np.asarray((rule.groups[shown] > 0).sum(axis=0)).ravel()
            expect((counts <= rule.max_picks).all(), who, "has a group with more picks than it may have")


def _count_violations(rule: Rule, user: int, row: Any) -> int:
    """Return how far a slate is from a rule, pick by pick."""
    shown, far = row[row >= 0], 0
    if rule.groups is not None:
        counts: Longs = np.asarray((rule.groups[shown] > 0).sum(axis=0)).ravel()
        far += 0 if rule.min_picks is None else int(np.maximum(rule.min_picks - counts, 0).sum())
        far += 0 if rule.max_picks is None else int(np.maximum(counts - rule.max_picks, 0).sum())
    if rule.pins is not None:
        far += sum(pin not in (-1, item) for pin, item in zip(rule.pins[user].tolist(), row.tolist(), strict=True))
    if rule.excluded_items is not None:
        far += int(rule.excluded_items[shown].sum())
    if rule.excluded_pairs is not None:
        far += int(np.count_nonzero(rule.excluded_pairs[[user]].toarray()[0, shown]))
    return far


def _check_static(who: str, made: Guard, pool: Pool, k: int) -> None:
    """Refuse a guard that says it does not depend on who asks, and does."""
    whole = slot_rules.make_rule(made, pool, k)
    reverse = Pool(pool.users[::-1][:7], pool.items[::-1][:7, :9], pool.scores[::-1][:7, :9], pool.context)
    with expect_no_error(who, "for other users and candidates"):
        other = slot_rules.make_rule(made, reverse, k)
    same = _is_same_rule(whole, other, STATIC_FIELDS)
    if whole.pins is not None:
        same = same and other.pins is not None and bool((whole.pins == whole.pins[0]).all())
        same = same and bool((other.pins == whole.pins[0]).all())
    expect(same, who, "is_static, and has another rule for other users or candidates, expected the same")


def _is_same_rule(one: Rule, two: Rule, names: tuple[str, ...]) -> bool:
    for name in names:
        a, b = getattr(one, name), getattr(two, name)
        if (a is None) != (b is None):
            return False
        if a is None:
            continue
        a, b = (part.toarray() if name in ("excluded_pairs", "groups") else part for part in (a, b))
        if not np.array_equal(a, b):
            return False
    return True
