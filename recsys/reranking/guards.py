"""Guards: hard rules of a slate, which no gain outweighs.

`frequency_cap` and `cool_down` read what was shown before: an item has to be permitted by both. `repeat` reads what was
bought before.

Each function returns a guard for `recsys.rerank(..., guards=[...])` and for `recsys.Ranker`; a config names it under
`[guards]`. Where not all of them can hold, the order is: what is excluded is never shown; then a pinned item stands in
its slot; then a group has at most as many picks as it may, pinned ones counted, and a slot that nobody may take stays
empty; then a group has at least as many as it needs. `Slates.violations` says, for each user, how far each guard is
from being met.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from numbers import Real
from typing import Any, Literal

import numpy as np
from scipy import sparse

from recsys.data.identifiers import normalize_id
from recsys.maths.exposures import find_limited_pairs
from recsys.objectives.derived_tables import get_id_codes, get_items_by_feature
from recsys.reranking.repeat_guard import repeat
from recsys.support.resolver import is_importable, list_settings, name_extension, resolve_extension
from recsys.types import Context, ExposureLimit, Guard, Pool, RecsysError, Rule, make_unknown_name_error
from recsys.types.arrays import Csr, Ints, Longs
from recsys.types.exposures import convert_days
from recsys.types.numbers import check_int

__all__ = ["at_least", "at_most", "cool_down", "exclude", "frequency_cap", "pin", "repeat", "require"]

MAX_COUNT = 2**31 - 1  # picks or exposures: nobody has more
Names = Sequence[str | int]
Groups = Mapping[str | int, str | Sequence[str]]


def exclude(items: Names = (), features: Sequence[str] = ()) -> Guard:
    """Return the guard that never shows these items, nor any item with one of these features.

    Ids that the catalogue does not have exclude nothing: what was taken off a shop's shelves may stay in its list.

    Raises:
        RecsysError: where it is used, for an unknown feature.
    """
    ids, names = _check_names("exclude", "items", items), _check_names("exclude", "features", features)
    return _make_guard("exclude", partial(_make_exclude_rule, ids, names), items=ids, features=names)


def require(features: Sequence[str]) -> Guard:
    """Return the guard that shows only items with all of these features.

    Raises:
        RecsysError: where it is used, for an unknown feature.
    """
    names = _check_names("require", "features", features)
    return _make_guard("require", partial(_make_require_rule, names), features=names)


def at_most(m: int, *, features: Sequence[str] | None = None, groups: Groups | None = None) -> Guard:
    """Return the guard that shows at most m items of each group.

    Groups are these features, all features where neither is named, or those of a table of one's own: `groups` maps an
    item's id to its group, or to several. An item in several groups counts in each.

    Raises:
        RecsysError: for an m below 0, or features beside groups; where it is used, for an unknown feature.
    """
    m = min(check_int("at_most: m", m, 0), MAX_COUNT)
    belongs, told = _parse_groups("at_most", features, groups)
    return _make_guard("at_most", partial(_make_count_rule, belongs, m, "max_picks"), m=m, **told)


def at_least(m: int, *, features: Sequence[str] | None = None, groups: Groups | None = None) -> Guard:
    """Return the guard that shows at least m items of each group: of these features, or of the groups of a table.

    It looks ahead: once as many free slots are left as groups still need picks, only candidates that serve one of them
    are picked (and where fewer are left, those that serve so many at once that it can still come out). So it is met
    wherever the groups' needs add up to no more than the free slots, each group has enough candidates, and no group
    of an `at_most` that overlaps with it runs full before. An item in several groups counts in each.

    Raises:
        RecsysError: for an m below 0, for features beside groups or neither; where it is used, for an unknown feature.
    """
    m = min(check_int("at_least: m", m, 0), MAX_COUNT)
    if features is None and groups is None:
        raise RecsysError("at_least: found neither features nor groups, expected one of them")
    belongs, told = _parse_groups("at_least", features, groups)
    return _make_guard("at_least", partial(_make_count_rule, belongs, m, "min_picks"), m=m, **told)


def frequency_cap(m: int, *, window_days: float) -> Guard:
    """Return the guard that shows an item to a user at most m times within a window of days.

    Exposures count that are younger than the window, clicked or not; with m of them the item rests until the oldest is
    out of the window. It is asked of what was shown before (`shown=`), which a slate adds to once it is logged.

    Raises:
        RecsysError: for an m below 1 or a window that is not above 0; where it is used, for a pool that does not know
            what was shown.
    """
    m = min(check_int("frequency_cap: m", m, 1), MAX_COUNT)
    window = convert_days("frequency_cap: window_days", window_days)
    limit = ExposureLimit(max_exposures=m, window=window)
    return _make_exposure_guard("frequency_cap", limit, m=m, window_days=window_days)


def cool_down(days: float) -> Guard:
    """Return the guard that does not show an item for some days after its user dismissed it, from the last time on.

    Raises:
        RecsysError: for days that are not above 0; where it is used, for a pool that does not know what was shown.
    """
    limit = ExposureLimit(cool_down=convert_days("cool_down: days", days))
    return _make_exposure_guard("cool_down", limit, days=days)


def pin(slot: int, item: str | int | Names) -> Guard:
    """Return the guard that keeps a slot, counted from 1, for an item: the same for everybody, or one for each user.

    Each user of the pool has one in the order of the pool, "" is none. It stands there for whom it is a candidate that
    is not excluded; nobody else has the slot kept. Where too few others are left, it moves up. An item that the
    catalogue does not have is a pin that is not met.

    Raises:
        RecsysError: for a slot below 1; where it is used, for a slot behind k, or another number of items than users.
    """
    slot = check_int("pin: slot", slot, 1)
    each = not isinstance(item, str | Real)
    items = _check_names("pin", "item", item if each else [item])
    rule = partial(_make_pin_rule, slot, items, each)
    return _make_guard("pin", rule, fixed=not each, slot=slot, item=items if each else items[0])


def parse_guards(content: Mapping[Any, object]) -> list[Guard]:
    """Return the guards that a config's table says: settings by a guard's name, or a list of such settings.

    Names are those of this module; "package.module:function", or the function itself, is one of somebody's own. Each
    guard knows how a config says it (`Guard.config_settings`).

    Raises:
        RecsysError: for an unknown guard or setting, or as the guard says.
    """
    made = []
    for given, value in content.items():
        make = resolve_extension("guard", given, _list_guards())
        name = given if isinstance(given, str) else name_extension(given, _list_guards())
        known = list_settings(make, f"guard '{name}'")
        is_own = ":" in name and (isinstance(given, str) or is_importable(name, make))
        for settings in value if isinstance(value, list) else [value]:
            if not isinstance(settings, Mapping):
                raise RecsysError(f"{name} is {settings!r}, expected a table of settings")
            for setting in settings:
                if setting not in known:
                    raise make_unknown_name_error("setting", setting, known, where=name)
            lacking = [s for s, p in known.items() if p.default is p.empty and s not in settings]
            if lacking:
                raise RecsysError(f"{name} has no {lacking[0]}, expected one")
            guard = make(**settings)
            if not isinstance(guard, Guard):
                raise RecsysError(f"{name} returns {type(guard).__name__}, expected a recsys.Guard")
            made.append(replace(guard, config_settings={name: dict(settings)}) if is_own else guard)
    return made


def _make_exclude_rule(ids: Sequence[str], names: Sequence[str], pool: Pool, k: int) -> Rule:
    codes = _look_up_item_codes(pool.context, ids)
    closed = np.zeros(len(pool.context.item_ids), dtype=bool)
    closed[codes[codes >= 0]] = True
    for having in _find_items_with_features(pool.context, names, "exclude"):
        closed[having] = True
    return Rule(excluded_items=closed)


def _make_require_rule(names: Sequence[str], pool: Pool, k: int) -> Rule:
    closed = np.zeros(len(pool.context.item_ids), dtype=bool)
    for having in _find_items_with_features(pool.context, names, "require"):
        lacking = np.ones(len(closed), dtype=bool)
        lacking[having] = False
        closed |= lacking
    return Rule(excluded_items=closed)


def _make_count_rule(
    belongs: Callable[[Context], Csr], m: int, bound: Literal["min_picks", "max_picks"], pool: Pool, k: int
) -> Rule:
    table = belongs(pool.context)
    counts: dict[str, Any] = {bound: np.full(table.shape[1], m, dtype=np.int64)}
    return Rule(groups=table, **counts)


def _make_pin_rule(slot: int, items: Sequence[str], each: bool, pool: Pool, k: int) -> Rule:
    if slot > k:
        raise RecsysError(f"pin: slot is {slot}, expected one from 1 to {k}, the length of the slate")
    if each and len(items) != len(pool.users):
        raise RecsysError(f"pin: found {len(items)} items, expected one, or {len(pool.users)}: one per user")
    pins = np.full((len(pool.users), k), -1, dtype=np.int64)
    codes = _look_up_item_codes(pool.context, items)
    pins[:, slot - 1] = np.where((codes < 0) & (np.array(items) != ""), -2, codes)
    return Rule(pins=pins)


def _make_exposure_guard(name: str, limit: ExposureLimit, **settings: Any) -> Guard:
    return Guard(name, partial(_make_exposure_rule, name, limit), {name: settings}, exposure_limit=limit)


def _make_exposure_rule(name: str, limit: ExposureLimit, pool: Pool, k: int) -> Rule:
    histories = pool.context.need_exposures(name).take_users(pool.users)
    return Rule(excluded_pairs=find_limited_pairs(histories, limit, len(pool.context.item_ids)))


def _make_guard(name: str, rule: Callable[[Pool, int], Rule], *, fixed: bool = True, **settings: Any) -> Guard:
    return Guard(name, rule, {name: settings}, fixed)


def _list_guards() -> dict[str, Callable[..., Guard]]:
    return {name: globals()[name] for name in __all__}


def _check_names(who: str, what: str, given: object) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
        raise RecsysError(f"{who}: {what} is {given!r}, expected a list")
    return [str(name) for name in given]


def _look_up_item_codes(context: Context, wanted: Sequence[str]) -> Ints:
    """Return the code of each wanted id, -1 where the catalogue does not have it: 50, 50.0 and "50" are one."""
    codes = get_id_codes(context)[1]
    found = [codes[name] if name in codes else codes.get(normalize_id(name), -1) for name in wanted]
    return np.array(found, dtype=np.int32)


def _find_items_with_features(context: Context, features: Sequence[str], who: str) -> list[Ints]:
    """Return the items that have each of these features."""
    if not features:
        return []
    table = _select_feature_rows(context, features, who)
    parts = [slice(start, stop) for start, stop in pairwise(table.indptr.tolist())]
    return [table.indices[part][table.data[part] > 0] for part in parts]


def _select_feature_rows(context: Context, features: Sequence[str], who: str) -> Csr:
    """Return which items have these features, (F, I)."""
    items = context.need_items(who)
    known = {name: column for column, name in enumerate(items.feature_names)}
    for name in features:
        if name not in known:
            raise make_unknown_name_error("feature", name, known, where=who)
    return Csr(get_items_by_feature(context, who)[[known[name] for name in features]])


def _parse_groups(
    who: str, features: Sequence[str] | None, groups: Groups | None
) -> tuple[Callable[[Context], Csr], dict[str, Any]]:
    """Return a function that makes the groups of a catalogue, (I, G), and the settings that name them."""
    if features is not None and groups is not None:
        raise RecsysError(f"{who}: found both features and groups, expected one of them")
    if features is not None:
        named = _check_names(who, "features", features)
        return partial(_group_by_feature, named, who), {"features": named}
    if groups is None:
        return partial(_group_by_every_feature, who), {}
    if not isinstance(groups, Mapping):
        raise RecsysError(f"{who}: groups is {groups!r}, expected a table of an item's id and its group")
    several = {i: of if isinstance(of, Sequence) and not isinstance(of, str) else [of] for i, of in groups.items()}
    told = {str(i): [str(g) for g in of] for i, of in several.items()}
    column = {name: at for at, name in enumerate(sorted({name for of in told.values() for name in of}))}
    columns = np.array([column[name] for of in told.values() for name in of], dtype=np.int64)
    ids = [i for i, of in told.items() for _ in of]

    return partial(_group_by_table, ids, columns, len(column)), {"groups": told}


def _group_by_feature(names: Sequence[str], who: str, context: Context) -> Csr:
    return sparse.csr_array(_select_feature_rows(context, names, who).T)


def _group_by_every_feature(who: str, context: Context) -> Csr:
    return context.need_items(who).features


def _group_by_table(ids: Sequence[str], columns: Longs, count: int, context: Context) -> Csr:
    """Return the groups of the items with these ids, (I, count)."""
    rows = _look_up_item_codes(context, ids)
    kept = rows >= 0
    entries = (np.ones(kept.sum(), np.float32), (rows[kept], columns[kept]))
    return sparse.csr_array(entries, shape=(len(context.item_ids), count))
