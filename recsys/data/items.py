"""The catalogue of a dataset: titles, features and years of the items that its log holds."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import CleaningRules, TagRule
from recsys.data.identifiers import encode_ids, make_string_array
from recsys.data.mapped_tables import MappedTable
from recsys.types import Items
from recsys.types.arrays import Csr, Ints, Longs, Strings

if TYPE_CHECKING:
    from pandas import Series

NOT_A_FEATURE = ("", "unknown", "(no genres listed)")
_YEAR_SUFFIX = re.compile(
    r"\s*\(((?:18|19|20)\d\d)(?:\s*[-\u2013]\s*\d{0,4})?\)(?:\s*\(V\))?\s*$"
)  # (1995), (2006-2009)


def build_items(table: MappedTable | None, item_ids: Strings, rules: CleaningRules) -> tuple[Items, list[str]]:
    """Return the catalogue of `item_ids` as `sheet` describes it, and notes.

    Where rows of one item differ: the title and the year that most rows have (the smallest of equals), and all features
    of any row. A year in brackets at the end of a title is no part of it; it is the item's year where the table has
    none. "unknown" and "(no genres listed)" are no features.
    """
    if table is None:
        return _make_items(item_ids, {}, {}, {}), []
    codes, notes = _match_rows_to_items(table, item_ids)
    titles = {code: " ".join(str(text).split()) for code, text in _find_most_frequent(table, "title", codes).items()}
    titles = {code: "" if text in rules.without_title else text for code, text in titles.items()}
    years = {code: int(match.group(1)) for code, text in titles.items() if (match := _YEAR_SUFFIX.search(text))}
    years |= {
        code: year for code, text in _find_most_frequent(table, "year", codes).items() if (year := _parse_year(text))
    }
    titles = {code: _YEAR_SUFFIX.sub("", text) or text for code, text in titles.items()}
    features = _collect_features(table, codes)
    if rules.words is not None:
        features = _extract_title_words(titles, rules.words.min_items, rules.words.leave_out)
    return _make_items(item_ids, titles, years, features), notes


def add_tags(items: Items, table: MappedTable, rule: TagRule) -> tuple[Items, list[str]]:
    """Return `items` with the tags in `sheet` as further features, and notes.

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
    named = _make_items(items.ids, {}, {}, features)
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


def _find_most_frequent(table: MappedTable, field: str, codes: Ints) -> Mapping[int, Any]:
    """Return the most frequent value of each item, the smallest of equals."""
    if field not in table.columns:
        return {}
    counts = _count_values(table.frame[table.columns[field]], codes).sort_values(
        ["code", "n", "value"], ascending=[True, False, True]
    )
    first = counts.drop_duplicates("code")
    return dict(zip(first["code"].tolist(), first["value"].tolist(), strict=True))


def _count_values(values: "Series[Any]", codes: Ints) -> Any:
    """Return a frame code, value (as text), n of the distinct values of each item."""
    import pandas as pd

    kept = (codes >= 0) & values.notna().to_numpy()
    numbers, distinct = pd.factorize(values[kept])
    pairs, n = np.unique(np.stack([codes[kept], numbers.astype(np.int32)]), axis=1, return_counts=True)
    texts = np.asarray([*map(str, distinct)], dtype=object)
    return pd.DataFrame({"code": pairs[0], "value": texts[pairs[1]], "n": n})


def _parse_year(text: str) -> int:
    match = re.fullmatch(r"((?:1[0-9]|20)\d\d)(?:\.0+)?", text.strip())
    return int(match.group(1)) if match else 0


def _collect_features(table: MappedTable, codes: Ints) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for column in table.features:
        values = table.frame[column]
        listed = values.map(lambda cell: not isinstance(cell, str) and np.ndim(cell) == 1).to_numpy(bool)
        if listed.any():
            values = values.where(~listed, values[listed].map(lambda cell: table.separator.join(map(str, cell))))
        counts = _count_values(values, codes)
        for code, text in zip(counts["code"].tolist(), counts["value"].tolist(), strict=True):
            names = {name.strip() for name in text.split(table.separator)}
            found.setdefault(code, set()).update(name for name in names if name.lower() not in NOT_A_FEATURE)
    return found


def _extract_title_words(titles: Mapping[int, str], min_items: int, leave_out: Iterable[str]) -> dict[int, set[str]]:
    words = {code: set(re.findall("[a-z]{3,}", text.lower())) for code, text in titles.items()}
    shared = Counter(word for some in words.values() for word in some)
    kept = {word for word, n in shared.items() if n >= min_items}.difference(leave_out)
    return {code: some & kept for code, some in words.items()}


def _make_items(
    ids: Strings, titles: Mapping[int, str], years: Mapping[int, int], features: Mapping[int, set[str]]
) -> Items:
    names = sorted(set().union(*features.values()))
    place = {name: column for column, name in enumerate(names)}
    columns: list[Longs] = [
        np.sort(np.asarray([place[name] for name in features.get(code, ())], dtype=np.int64))
        for code in range(len(ids))
    ]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in columns])])
    indices = np.concatenate([*columns, np.empty(0, dtype=np.int64)])
    matrix = Csr((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(ids), len(names)))
    return Items(
        ids=ids,
        titles=make_string_array(titles.get(code, "") for code in range(len(ids))),
        features=matrix,
        feature_names=tuple(names),
        years=np.asarray([years.get(code, 0) for code in range(len(ids))], dtype=np.int32),
    )
