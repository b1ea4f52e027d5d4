"""Splits that were published as files: read as they are, so that published numbers can be checked."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recsys.data.archives import verify_checksum
from recsys.data.identifiers import make_string_array
from recsys.types import Items, RecsysError, SampledNegatives, Split
from recsys.types.arrays import Csr, Ints, Longs, Strings, make_empty_matrix
from recsys.types.identifiers import sort_ids
from recsys.types.paths import check_path

_WHOLE_NUMBER = re.compile(r"\d{1,18}")


class _PublishedPairs(NamedTuple):
    users: list[str]
    items: list[str]
    rows: list[str]  # users of lines without an item too


def read_published_lists(folder: str | Path) -> Split:
    """Return the split in `train.txt` and `test.txt`: a line per user, the user first, then its items.

    The form in which Gowalla, Yelp2018 and Amazon-Book are handed on (Wang et al. 2019, He et al. 2020). A pair
    that is there twice counts once; a pair in both files stays in both, as in the published evaluations: it
    cannot be found, because training items are left out of every list. Both are counted in `counts`.

    Raises:
        RecsysError: if a file is missing, or a line holds something else than whole numbers.
    """
    paths = [check_path("folder", folder) / name for name in ("train.txt", "test.txt")]
    train, test = (_read_user_lists(path) for path in paths)
    return _build_split(train, test, paths)


def read_published_ratings(folder: str | Path, name: str) -> tuple[Split, SampledNegatives]:
    """Return the split in `name.train.rating` and `name.test.rating`, and the negatives in `name.test.negative`.

    The form of He et al. 2017: rows of user, item, rating and time separated by tabs; a negative file has, per
    held-out pair, `(user,item)` and its negatives. Negatives that repeat one another or the positive are left
    out and counted. Ratings are not used.

    Raises:
        RecsysError: if a file is missing, a line is of another form, or a positive has no line of negatives.
    """
    home = check_path("folder", folder)
    paths = [home / f"{name}.{part}" for part in ("train.rating", "test.rating")]
    train, test = (_read_ratings(path) for path in paths)
    against = _read_negatives(home / f"{name}.test.negative")
    known = [item for _, items in against for item in items]
    split = _build_split(train, test, paths, extra=known)
    return split, _build_negatives(split, against, home / f"{name}.test.negative")


def _build_split(
    train: _PublishedPairs, test: _PublishedPairs, paths: list[Path], extra: list[str] | None = None
) -> Split:
    users = make_string_array(sort_ids([*train.rows, *test.rows]))
    items = make_string_array(sort_ids([*train.items, *test.items, *(extra or [])]))
    if not len(train.items) or not len(test.items):
        raise RecsysError(f"{paths[0]}, {paths[1]}: nothing to train on or to test, expected pairs in both")
    matrices = [_build_matrix(part, users, items) for part in (train, test)]
    none = make_empty_matrix((len(users), len(items)))
    both = int(matrices[0].multiply(matrices[1]).nnz)
    repeated = sum(len(part.items) for part in (train, test)) - sum(matrix.nnz for matrix in matrices)
    counts = {
        "users": len(users),
        "items": len(items),
        "train_positives": matrices[0].nnz,
        "test_positives": matrices[1].nnz,
        "repeated_positives": repeated,
        "in_both": both,
    }
    return Split(
        kind="published",
        seed=0,
        user_ids=users,
        items=make_bare_items(items),
        train=matrices[0],
        validation=none,
        test=matrices[1],
        train_negatives=none,
        validation_negatives=none,
        fingerprint="-".join(verify_checksum(path, None)[:16] for path in paths),
        counts=counts,
        notes=_describe_pairs(repeated, both),
    )


def make_bare_items(ids: Strings) -> Items:
    """Return a catalogue of which nothing is known but its ids."""
    n = len(ids)
    return Items(ids, np.full(n, "", dtype=np.str_), make_empty_matrix((n, 0)), (), np.zeros(n, dtype=np.int32))


def _describe_pairs(repeated: int, both: int) -> tuple[str, ...]:
    said = []
    if repeated:
        said.append(f"{repeated:,} pairs are there again: each counts once")
    if both:
        said.append(f"{both:,} held-out pairs are training pairs too: they stay, and nobody can find them")
    return tuple(said)


def _build_matrix(pairs: _PublishedPairs, users: Strings, items: Strings) -> Csr:
    row, column = _encode_names(pairs.users, users), _encode_names(pairs.items, items)
    key = np.unique(row * len(items) + column)
    row, column = np.divmod(key, len(items))
    ones = np.ones(len(key), dtype=np.float32)
    start = np.searchsorted(row, np.arange(len(users) + 1)).astype(np.int32)
    return Csr((ones, column.astype(np.int32), start), shape=(len(users), len(items)))


def _encode_names(names: list[str], known: Strings) -> Longs:
    place = {name: code for code, name in enumerate(known.tolist())}
    return np.fromiter((place[name] for name in names), dtype=np.int64, count=len(names))


def _read_user_lists(path: Path) -> _PublishedPairs:
    users, items, rows = [], [], []
    for words in _iter_parsed_lines(path, str.split, "whole numbers: a user and its items"):
        user, *liked = _strip_leading_zeros(words)
        rows.append(user)
        users += [user] * len(liked)
        items += liked
    return _PublishedPairs(users, items, rows)


def _read_ratings(path: Path) -> _PublishedPairs:
    users, items = [], []
    for words in _iter_parsed_lines(path, _split_rating_line, "user, item, rating and time, separated by tabs"):
        user, item = _strip_leading_zeros(words)
        users.append(user)
        items.append(item)
    return _PublishedPairs(users, items, users)


def _split_rating_line(line: str) -> list[str]:
    return line.split("\t")[:2] if line.count("\t") else []


def _read_negatives(path: Path) -> list[tuple[tuple[str, str], list[str]]]:
    found = []
    for words in _iter_parsed_lines(path, _split_negative_line, "(user,item), a tab, and items separated by tabs"):
        user, item, *others = _strip_leading_zeros(words)
        found.append(((user, item), others))
    return found


def _split_negative_line(line: str) -> list[str]:
    head, *others = line.split("\t")
    pair = re.fullmatch(r"\((\d+),\s*(\d+)\)", head.strip())
    return [*pair.groups(), *filter(None, (other.strip() for other in others))] if pair else []


def _iter_parsed_lines(path: Path, parse: Callable[[str], list[str]], expected: str) -> Iterator[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RecsysError(f"{path}: {error.strerror}, expected a file with {expected}") from None
    except UnicodeDecodeError:
        raise RecsysError(f"{path}: this is no text, expected {expected}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        words = parse(line)
        if not words or not all(_WHOLE_NUMBER.fullmatch(word) for word in words):
            raise RecsysError(f"{path}, line {number}: found '{line[:40]}', expected {expected}")
        yield words


def _strip_leading_zeros(words: list[str]) -> list[str]:
    return [word.lstrip("0") or "0" for word in words]


def _build_negatives(split: Split, lines: list[tuple[tuple[str, str], list[str]]], path: Path) -> SampledNegatives:
    of = dict(lines)
    users = np.repeat(np.arange(split.shape[0], dtype=np.int32), np.diff(split.test.indptr))
    items: Ints = split.test.indices.astype(np.int32)
    names = zip(split.user_ids[users].tolist(), split.item_ids[items].tolist(), strict=True)
    code = {name: place for place, name in enumerate(split.item_ids.tolist())}
    rows, repeated = [], 0
    for user, item in names:
        if (user, item) not in of:
            raise RecsysError(f"{path}: no line for ({user},{item}), expected one for every held-out pair")
        different = [name for name in dict.fromkeys(of[user, item]) if name != item]
        repeated += len(of[user, item]) - len(different)
        rows.append([code[name] for name in different])
    against = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int32)
    for row, codes in enumerate(rows):
        against[row, : len(codes)] = codes
    return SampledNegatives(users, items, against, path.name, repeated)
