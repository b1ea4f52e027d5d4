"""The catalogue of a log that describes its items: one description for each item, of all its rows."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from recsys.types import Items, RowDescriptions
from recsys.types.arrays import Csr, Ints, Longs, Strings

_YEAR_SUFFIX = re.compile(
    r"\s*\(((?:18|19|20)\d\d)(?:\s*[-\u2013]\s*\d{0,4})?\)(?:\s*\(V\))?\s*$"
)  # (1995), (2006-2009)


def build_described_items(item: Ints, item_ids: Strings, described: RowDescriptions) -> Items:
    """Return the catalogue of `item_ids` as R rows describe it; `item` (R,) are codes, -1 for an item that is none.

    Where rows of one item differ: the title and the year that most rows have (the smallest of equals), and all features
    of any row. A year in brackets at the end of a title is no part of it; it is the item's year where rows have none.
    """
    counts = _count_descriptions(item, described)
    titles = {code: " ".join(text.split()) for code, text in _find_most_frequent(counts, described.titles).items()}
    titles = {code: "" if text in described.no_titles else text for code, text in titles.items()}
    years = {code: int(match.group(1)) for code, text in titles.items() if (match := _YEAR_SUFFIX.search(text))}
    years |= {
        code: year for code, text in _find_most_frequent(counts, described.years).items() if (year := parse_year(text))
    }
    titles = {code: _YEAR_SUFFIX.sub("", text) or text for code, text in titles.items()}
    features: dict[int, set[str]] = {}
    for code, which in counts:
        features.setdefault(code, set()).update(described.features[which])
    if described.words is not None:
        features = _extract_title_words(titles, *described.words)
    return make_items(item_ids, titles, years, features)


def make_items(
    ids: Strings, titles: Mapping[int, str], years: Mapping[int, int], features: Mapping[int, Iterable[str]]
) -> Items:
    """Return the catalogue of `ids` (I,) from titles, years and names of features by item code, where there are any."""
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
        titles=np.asarray([titles.get(code, "") for code in range(len(ids))], dtype=np.str_),
        features=matrix,
        feature_names=tuple(names),
        years=np.asarray([years.get(code, 0) for code in range(len(ids))], dtype=np.int32),
    )


def _count_descriptions(item: Ints, described: RowDescriptions) -> dict[tuple[int, int], int]:
    """Return in how many rows an item has a description, by both of their codes."""
    kept, size = item >= 0, len(described.titles)
    pairs, n = np.unique(item[kept].astype(np.int64) * size + described.row[kept], return_counts=True)
    return dict(
        zip(zip(*(part.tolist() for part in np.divmod(pairs, max(size, 1))), strict=True), n.tolist(), strict=True)
    )


def _find_most_frequent(counts: Mapping[tuple[int, int], int], texts: Sequence[str | None]) -> dict[int, str]:
    """Return the most frequent text of each item, the smallest of equals."""
    votes: dict[int, Counter[str]] = {}
    for (code, which), n in counts.items():
        if (text := texts[which]) is not None:
            votes.setdefault(code, Counter())[text] += n
    return {code: min(found, key=lambda text: (-found[text], text)) for code, found in votes.items()}


def parse_year(text: str) -> int:
    """Return the year from 1000 to 2099 that a text is, 0 where it is none.

    >>> parse_year("1999"), parse_year(" 1999.0"), parse_year("nineteen")
    (1999, 1999, 0)
    """
    match = re.fullmatch(r"((?:1[0-9]|20)\d\d)(?:\.0+)?", text.strip())
    return int(match.group(1)) if match else 0


def _extract_title_words(titles: Mapping[int, str], min_items: int, leave_out: Iterable[str]) -> dict[int, set[str]]:
    words = list_title_words(titles)
    shared = Counter(word for some in words.values() for word in some)
    kept = {word for word, n in shared.items() if n >= min_items}.difference(leave_out)
    return {code: some & kept for code, some in words.items()}


def list_title_words(titles: Mapping[int, str]) -> dict[int, set[str]]:
    """Return the words of titles by item code: three letters or more, in lower case.

    >>> sorted(list_title_words({7: "The Third Man (1949)"})[7])
    ['man', 'the', 'third']
    """
    return {code: set(re.findall("[a-z]{3,}", text.lower())) for code, text in titles.items()}
