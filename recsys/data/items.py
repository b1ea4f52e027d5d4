"""The catalogue of a dataset: titles, features and years of the items that its log holds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import CleaningRules, TagRule
from recsys.data.identifiers import encode_ids
from recsys.data.mapped_tables import MappedTable
from recsys.maths.catalogues import build_described_items, make_items
from recsys.types import Items, RowDescriptions
from recsys.types.arrays import Ints, Longs, Strings

if TYPE_CHECKING:
    from pandas import Series

NOT_A_FEATURE = ("", "unknown", "(no genres listed)")


def build_items(table: MappedTable | None, item_ids: Strings, rules: CleaningRules) -> tuple[Items, list[str]]:
    """Return the catalogue of `item_ids` as `table` describes it (`recsys.maths.catalogues`), and notes.

    "unknown" and "(no genres listed)" are no features.
    """
    if table is None:
        return make_items(item_ids, {}, {}, {}), []
    codes, notes = _match_rows_to_items(table, item_ids)
    return build_described_items(codes, item_ids, describe_rows(table, rules)), notes


def describe_rows(table: MappedTable, rules: CleaningRules) -> RowDescriptions:
    """Return the title, year and features of the item that each row of `table` says, (R,)."""
    titles, years = (
        _list_texts(table.frame[table.columns[field]]) if field in table.columns else (None, [])
        for field in ("title", "year")
    )
    features = [_list_texts(_join_lists(table.frame[name], table.separator)) for name in table.features]
    parts = [titles, years, *features]
    row, first = _combine_codes([codes for codes, _ in parts], len(table.frame))
    said = [[None if codes is None or codes[at] < 0 else texts[codes[at]] for codes, texts in parts] for at in first]
    made = [(title, year, _split_features(cells, table.separator)) for title, year, *cells in said]
    distinct = sorted(
        set(made), key=lambda one: (one[0] is not None, one[0] or "", one[1] is not None, one[1] or "", one[2])
    )
    place = {one: code for code, one in enumerate(distinct)}
    codes = np.asarray([place[one] for one in made], dtype=np.int32)
    return RowDescriptions(
        row=codes[row],
        titles=tuple(title for title, _, _ in distinct),
        years=tuple(year for _, year, _ in distinct),
        features=tuple(names for _, _, names in distinct),
        no_titles=tuple(rules.without_title),
        words=None if rules.words is None else (rules.words.min_items, tuple(rules.words.leave_out)),
    )


def _list_texts(values: "Series[Any]") -> tuple[Longs, list[str]]:
    """Return the code of each value, (R,) with -1 where there is none, and the texts that codes point to."""
    import pandas as pd

    codes, distinct = pd.factorize(values)
    return codes, [*map(str, distinct)]


def _join_lists(values: "Series[Any]", separator: str) -> "Series[Any]":
    """Return a column of features as text: lists with the separator between their names."""
    if values.dtype != object:
        return values
    listed = values.map(lambda cell: not isinstance(cell, str) and np.ndim(cell) == 1).to_numpy(bool)
    if not listed.any():
        return values
    return values.where(~listed, values[listed].map(lambda cell: separator.join(map(str, cell))))


def _combine_codes(parts: Iterable[Longs | None], rows: int) -> tuple[Longs, Longs]:
    """Return one code for each row and its combination of codes, (R,), and the first row of each of these."""
    code = np.zeros(rows, dtype=np.int64)
    for part in (part for part in parts if part is not None):
        code = np.unique(code * (int(part.max(initial=-1)) + 2) + part + 1, return_inverse=True)[1]
    return code, np.unique(code, return_index=True)[1]


def _split_features(cells: Iterable[str | None], separator: str) -> tuple[str, ...]:
    names = {name.strip() for cell in cells if cell is not None for name in cell.split(separator)}
    return tuple(sorted(name for name in names if name.lower() not in NOT_A_FEATURE))


def add_tags(items: Items, table: MappedTable, rule: TagRule) -> tuple[Items, list[str]]:
    """Return `items` with the tags in `table` as further features, and notes.

    Tags are in lower case, with single spaces; one that is called as a feature of the catalogue, whatever the case, is
    that feature. Of the other tags of these items, those of fewer items or users than the `rule` says are left out.
    """
    codes, _ = _match_rows_to_items(table, items.ids)
    known = {name.lower(): name for name in items.feature_names}
    given = {
        code: {known.get(tag, tag) for tag in map(_normalize_tag, tags)}
        for code, tags in _collect_features(table, codes).items()
    }
    shared = Counter(tag for tags in given.values() for tag in tags)
    rare = {tag for tag, n in shared.items() if n < rule.min_items} | _find_rarely_given_tags(
        table, codes, rule.min_users
    )
    left_out = (rare & set(shared)).difference(items.feature_names)
    names = np.asarray(items.feature_names, dtype=object)
    rows = np.split(names[items.features.indices], items.features.indptr[1:-1])
    features = {code: {*row, *given.get(code, ())} - left_out for code, row in enumerate(rows)}
    named = make_items(items.ids, {}, {}, features)
    few = f"that fewer than {rule.min_items} items have or {rule.min_users} users gave"
    notes = [f"{len(left_out):,} tags {few}: left out"] if left_out else []
    return replace(items, features=named.features, feature_names=named.feature_names), notes


def _find_rarely_given_tags(table: MappedTable, codes: Ints, min_users: int) -> set[str]:
    """Return the tags that fewer than `min_users` gave to items of the catalogue."""
    if "user_id" not in table.columns:
        return set()
    users, _ = encode_ids(table.frame[table.columns["user_id"]])
    given = _collect_features(table, np.where(codes >= 0, users, -1).astype(np.int32))
    shared = Counter(tag for tags in given.values() for tag in set(map(_normalize_tag, tags)))
    return {tag for tag, n in shared.items() if n < min_users}


def _normalize_tag(tag: str) -> str:
    return " ".join(tag.lower().split())


def _match_rows_to_items(table: MappedTable, item_ids: Strings) -> tuple[Ints, list[str]]:
    raw, names = encode_ids(table.frame[table.columns["item_id"]])
    place = {one: code for code, one in enumerate(item_ids.tolist())}
    here = np.asarray([*(place.get(name, -1) for name in names.tolist()), -1], dtype=np.int32)
    without = int((here[:-1] < 0).sum())
    undescribed = len(item_ids) - len(np.unique(here[here >= 0]))
    notes = [f"{without:,} items of the catalogue have no interactions: left out"] if without else []
    if undescribed:
        notes.append(f"{undescribed:,} items with interactions are not in the catalogue: kept, without features")
    return here[raw], notes


def _collect_features(table: MappedTable, codes: Ints) -> dict[int, set[str]]:
    """Return all features of each item; `codes` (R,) says which item a row is of, -1 for none."""
    described, kept = describe_rows(table, CleaningRules()), codes >= 0
    found: dict[int, set[str]] = {}
    for code, which in np.unique(np.stack([codes[kept], described.row[kept]]), axis=1).T.tolist():
        found.setdefault(code, set()).update(described.features[which])
    return found
