"""Guards: hard rules of a slate, which no gain outweighs.

Each function returns a guard for `recsys.rerank(..., guards=[...])`; a config names it under `[guards]`. Where not all
of them can hold, the order is: what is excluded is never shown; then a pinned item stands in its slot; then a group has
at most as many picks as it may, pinned ones counted, and a slot that nobody may take stays empty; then a group has at
least as many as it needs. `Slates.unmet` says, for each user, how far each guard is from being met.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import numpy as np
from scipy import sparse

from recsys.types import Context, Guard, Pool, RecsysError, Rule, unknown
from recsys.types.arrays import Bools, Csr, Ints, Strings
from recsys.types.numbers import whole

__all__ = ["at_least", "at_most", "exclude", "pin", "require"]

Names = Sequence[str | int]
Groups = Mapping[str | int, str | Sequence[str]]


def exclude(items: Names = (), features: Sequence[str] = ()) -> Guard:
    """Return the guard that never shows these items, nor any item with one of these features.

    Ids that the catalogue does not have exclude nothing: what was taken off a shop's shelves may stay in its list.

    Raises:
        RecsysError: where it is used, for an unknown feature.
    """
    ids, names = _names("exclude", "items", items), _names("exclude", "features", features)

    def rule(pool: Pool, k: int) -> Rule:
        having = _having(pool.context, names, "exclude")
        return Rule(closed=np.isin(pool.context.item_ids, ids) | having.any(axis=1))

    return Guard("exclude", rule)


def require(features: Sequence[str]) -> Guard:
    """Return the guard that shows only items with all of these features.

    Raises:
        RecsysError: where it is used, for an unknown feature.
    """
    names = _names("require", "features", features)

    def rule(pool: Pool, k: int) -> Rule:
        having = _having(pool.context, names, "require")
        return Rule(closed=np.asarray(~having.all(axis=1)))

    return Guard("require", rule)


def at_most(m: int, *, features: Sequence[str] | None = None, groups: Groups | None = None) -> Guard:
    """Return the guard that shows at most m items of each group.

    Groups are these features, all features where neither is named, or those of a table of one's own: `groups` maps an
    item's id to its group, or to several. An item in several groups counts in each.

    Raises:
        RecsysError: for an m below 0, or features beside groups; where it is used, for an unknown feature.
    """
    m = whole("at_most: m", m, 0)
    belongs = _grouping("at_most", features, groups)

    def rule(pool: Pool, k: int) -> Rule:
        table = belongs(pool.context)
        return Rule(groups=table, most=np.full(table.shape[1], m, dtype=np.int64))

    return Guard("at_most", rule)


def at_least(m: int, *, features: Sequence[str] | None = None, groups: Groups | None = None) -> Guard:
    """Return the guard that shows at least m items of each group: of these features, or of the groups of a table.

    It looks ahead: once as many free slots are left as groups still need picks, only candidates that serve one of them
    are picked (and where fewer are left, those that serve so many at once that it can still come out). So it is met
    wherever the groups' needs add up to no more than the free slots, each group has enough candidates, and no group
    of an `at_most` that overlaps with it runs full before. An item in several groups counts in each.

    Raises:
        RecsysError: for an m below 0, for features beside groups or neither; where it is used, for an unknown feature.
    """
    m = whole("at_least: m", m, 0)
    if features is None and groups is None:
        raise RecsysError("at_least: found neither features nor groups, expected one of them")
    belongs = _grouping("at_least", features, groups)

    def rule(pool: Pool, k: int) -> Rule:
        table = belongs(pool.context)
        return Rule(groups=table, least=np.full(table.shape[1], m, dtype=np.int64))

    return Guard("at_least", rule)


def pin(slot: int, item: str | int | Names) -> Guard:
    """Return the guard that keeps a slot, counted from 1, for an item: the same for everybody, or one for each user.

    Each user of the pool has one in the order of the pool, "" is none. It stands there for whom it is a candidate that
    is not excluded; nobody else has the slot kept. Where too few others are left, it moves up.

    Raises:
        RecsysError: for a slot below 1; where it is used, for a slot behind k, or another number of items than users.
    """
    slot = whole("pin: slot", slot, 1)
    each = not isinstance(item, str | int)
    items = _names("pin", "item", item) if not isinstance(item, str | int) else np.array([str(item)])

    def rule(pool: Pool, k: int) -> Rule:
        if slot > k:
            raise RecsysError(f"pin: slot is {slot}, expected one from 1 to {k}, the length of the slate")
        if each and len(items) != len(pool.users):
            raise RecsysError(f"pin: found {len(items)} items, expected one, or {len(pool.users)}: one per user")
        pins = np.full((len(pool.users), k), -1, dtype=np.int64)
        pins[:, slot - 1] = _codes(pool.context.item_ids, items)
        return Rule(pins=pins)

    return Guard("pin", rule)


def read(content: Mapping[str, object]) -> list[Guard]:
    """Return the guards that a config's table says: settings by a guard's name, or a list of such settings.

    Names are those of this module; "package.module:function" is one of somebody's own.

    Raises:
        RecsysError: for an unknown guard or setting, or as the guard says.
    """
    made = []
    for name, value in content.items():
        make = _named(name)
        for settings in value if isinstance(value, list) else [value]:
            if not isinstance(settings, Mapping):
                raise RecsysError(f"{name} is {settings!r}, expected a table of settings")
            known = inspect.signature(make).parameters
            for setting in settings:
                if setting not in known:
                    raise unknown("setting", setting, known, where=name)
            lacking = [s for s, p in known.items() if p.default is p.empty and s not in settings]
            if lacking:
                raise RecsysError(f"{name} has no {lacking[0]}, expected one")
            made.append(make(**settings))
    return made


def _named(name: str) -> Callable[..., Guard]:
    if ":" not in name:
        if name not in __all__:
            raise unknown("guard", name, __all__)
        found: Callable[..., Guard] = globals()[name]
        return found
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecsysError(f"'{name}' cannot be imported ({error}), expected package.module:function") from None
    return found


def _names(who: str, what: str, given: object) -> Strings:
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        raise RecsysError(f"{who}: {what} is {given!r}, expected a list")
    return np.array([str(name) for name in given], dtype=np.str_)


def _codes(ids: Strings, wanted: Strings) -> Ints:
    """Return the code of each wanted id, -1 where the catalogue does not have it."""
    order = np.argsort(ids)
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    found = order[place]
    return np.where(ids[found] == wanted, found, -1).astype(np.int32)


def _having(context: Context, features: Strings, who: str) -> Bools:
    """Return which items have which of these features, (I, F)."""
    if not len(features):
        return np.zeros((len(context.item_ids), 0), dtype=bool)
    return np.asarray(_features(context, features, who).toarray() > 0)


def _features(context: Context, features: Strings | None, who: str) -> Csr:
    items = context.need_items(who)
    if features is None:
        return items.features
    known = {name: column for column, name in enumerate(items.feature_names)}
    for name in features:
        if name not in known:
            raise unknown("feature", str(name), known, where=who)
    return sparse.csr_array(items.features[:, [known[name] for name in features]])


def _grouping(who: str, features: Sequence[str] | None, groups: Groups | None) -> Callable[[Context], Csr]:
    """Return what makes the groups of a catalogue, (I, G)."""
    if features is not None and groups is not None:
        raise RecsysError(f"{who}: found both features and groups, expected one of them")
    if groups is None:
        named = None if features is None else _names(who, "features", features)
        return lambda context: _features(context, named, who)
    if not isinstance(groups, Mapping):
        raise RecsysError(f"{who}: groups is {groups!r}, expected a table of an item's id and its group")
    pairs = [(str(i), str(g)) for i, of in groups.items() for g in ([of] if isinstance(of, str | int) else of)]
    names = sorted({group for _, group in pairs})
    columns = np.array([names.index(group) for _, group in pairs], dtype=np.int64)
    ids = np.array([item for item, _ in pairs], dtype=np.str_)

    def table(context: Context) -> Csr:
        rows = _codes(context.item_ids, ids)
        kept = rows >= 0
        shape = (len(context.item_ids), len(names))
        return sparse.csr_array((np.ones(kept.sum(), np.float32), (rows[kept], columns[kept])), shape=shape)

    return table
