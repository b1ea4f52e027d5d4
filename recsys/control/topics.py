"""Policies of sensitive topics: TOML files that name the topics that are neither used nor shown.

A topic covers items by their ids, by features, with all that a taxonomy has below these, and by a classifier's
probability. The probability from which an item counts is chosen by what the two mistakes cost: to cover an item
wrongly costs `cost_over`, to miss one `cost_miss`. An item of probability p is covered where (1 - p) cost_over is at
most p cost_miss, so from the threshold cost_over / (cost_over + cost_miss) on (Elkan 2001).
"""

import csv
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from recsys.data.identifiers import normalize_id
from recsys.support.toml_files import read_toml
from recsys.types import RecsysError, check_choice, make_unknown_name_error
from recsys.types.names import check_name
from recsys.types.numbers import check_flag, check_number
from recsys.types.topics import UNSCORED, Topic, TopicPolicy

_POLICY_KEYS = ("topics", "separator", "parents", "probabilities", "allow_unknown")
_TOPIC_KEYS = ("features", "items", "column", "cost_over", "cost_miss", "unscored", "sensitive")
FILE_KEYS = ("parents", "probabilities")  # of a policy: each a table in a file, or the table itself
Given = TopicPolicy | Mapping[str, Any] | str | PathLike[str]


def compute_threshold(cost_over: float, cost_miss: float) -> float:
    """Return the probability from which covering an item costs no more than missing it, in (0, 1).

    >>> compute_threshold(1, 9)
    0.1
    """
    return cost_over / (cost_over + cost_miss)


def read_topic_policy(policy: Given, place: str = "topics") -> TopicPolicy:
    """Return a policy of topics: itself, of nested tables, or of a TOML file, whose paths start from its folder.

    >>> policy = read_topic_policy({"topics": {"drinks": {"features": ["Wine"]}}})
    >>> policy.topics[0].name, policy.topics[0].sensitive
    ('drinks', True)

    Raises:
        RecsysError: if a file cannot be read, for an unknown key (with the nearest one) or a wrong value, a taxonomy
            that is a circle, or a column that the table of probabilities does not have.
    """
    if isinstance(policy, TopicPolicy):
        return policy
    return _build_policy(read_policy_tables(policy, place), str(policy) if _is_path(policy) else place)


def read_policy_tables(policy: Mapping[str, Any] | str | PathLike[str], place: str = "topics") -> dict[str, Any]:
    """Return the nested tables of a policy; those of a file with its paths as they are from the folder at work.

    Raises:
        RecsysError: if the file cannot be read, or for anything else than a path or tables.
    """
    if isinstance(policy, Mapping):
        return dict(policy)
    if not isinstance(policy, str | PathLike):
        raise RecsysError(f"{place}: found a {type(policy).__name__}, expected a TOML file, or nested tables")
    file = Path(policy)
    return resolve_policy_paths(read_toml(file, f"{place}: {file}"), file.parent)


def resolve_policy_paths(content: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """Return the tables of a policy with the paths of its files starting from `home`."""
    paths = {key: str(home / content[key]) for key in FILE_KEYS if isinstance(content.get(key), str)}
    return {**content, **paths}


def _is_path(policy: object) -> bool:
    return isinstance(policy, str | PathLike)


def _build_policy(content: Mapping[str, Any], place: str) -> TopicPolicy:
    _check_keys(content, _POLICY_KEYS, place)
    tables = content.get("topics")
    if not isinstance(tables, Mapping) or not tables:
        raise RecsysError(f"{place}: topics is {tables!r}, expected a table such as [topics.alcohol]")
    separator = content.get("separator")
    if separator is not None and (not isinstance(separator, str) or not separator.strip()):
        raise RecsysError(f"{place}: separator is {separator!r}, expected a text such as '>'")
    children = _group_children(_read_parents(content.get("parents", {}), f"{place}: parents"))
    columns = _read_probabilities(content.get("probabilities"), f"{place}: probabilities")
    made = [_build_topic(name, one, children, columns, f"{place}: topic '{name}'") for name, one in tables.items()]
    allow_unknown = check_flag(f"{place}: allow_unknown", content.get("allow_unknown", False))
    return TopicPolicy(tuple(made), None if separator is None else separator.strip(), allow_unknown, place)


def _build_topic(
    name: str,
    content: Any,
    children: Mapping[str, list[str]],
    columns: Mapping[str, Mapping[str, float]] | None,
    where: str,
) -> Topic:
    check_name(where.replace(f" '{name}'", ""), name)
    if not isinstance(content, Mapping):
        raise RecsysError(f"{where} is {content!r}, expected a table such as {{features = ['Wine']}}")
    _check_keys(content, _TOPIC_KEYS, where)
    features = _parse_names(f"{where}: features", content.get("features", ()))
    items = tuple(normalize_id(item) for item in _parse_names(f"{where}: items", content.get("items", ()), (str, int)))
    if not features and not items and "column" not in content:
        raise RecsysError(f"{where} names nothing, expected features, items or a column of probabilities")
    families = tuple((feature, *_list_descendants(feature, children)) for feature in features)
    sensitive = check_flag(f"{where}: sensitive", content.get("sensitive", True))
    of_classifier = _parse_classifier(content, columns, where)
    return Topic(name, sensitive, items, families, **of_classifier)


def _parse_classifier(
    content: Mapping[str, Any], columns: Mapping[str, Mapping[str, float]] | None, where: str
) -> dict[str, Any]:
    """Return the fields of a topic that a classifier's probabilities decide, {} where it has no column."""
    column = content.get("column")
    if column is None:
        for key in ("cost_over", "cost_miss", "unscored"):
            if key in content:
                raise RecsysError(f"{where}: has {key} and no column, expected the column of its probabilities")
        return {}
    if columns is None:
        raise RecsysError(f"{where}: has the column '{column}', expected probabilities = \"FILE.csv\" beside [topics]")
    check_choice("column", column, columns, where=where)
    costs = {}
    for key in ("cost_over", "cost_miss"):
        if key not in content:
            raise RecsysError(f"{where}: {key} is missing, expected what that mistake costs, such as 1")
        costs[key] = check_number(f"{where}: {key}", content[key], above=0, noun="a cost")
    unscored = content.get("unscored", "refuse")
    check_choice("value", unscored, UNSCORED, where=f"{where}: unscored")
    least, scores = compute_threshold(**costs), columns[column]
    likely = tuple(sorted(item for item, score in scores.items() if score >= least))
    return {
        "column": column,
        "threshold": least,
        "unscored": unscored,
        "likely_items": likely,
        "scored_items": frozenset(scores),
    }


def _group_children(parents: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for child, parent in parents:
        children.setdefault(parent, []).append(child)
    return children


def _list_descendants(feature: str, children: Mapping[str, list[str]]) -> list[str]:
    """Return all that stands below a feature, at any depth, each once."""
    found: dict[str, None] = {}
    left = [feature]
    while left:
        for child in children.get(left.pop(), ()):
            if child not in found:
                found[child] = None
                left.append(child)
    return sorted(found)


def _read_parents(given: Any, place: str) -> list[tuple[str, str]]:
    """Return pairs of a feature and one above it: of a table, or of a file with the columns child and parent."""
    if isinstance(given, Mapping):
        pairs = [(child, parent) for child, above in given.items() for parent in _parse_names(place, above)]
    elif isinstance(given, str):
        pairs = [(row["child"], row["parent"]) for row in _read_rows(given, place, ("child", "parent"))]
    else:
        raise RecsysError(f"{place} is {given!r}, expected a file, or a table such as {{Wine = 'Alcohol'}}")
    children = _group_children(pairs)
    for child, _ in pairs:
        if child in _list_descendants(child, children):
            raise RecsysError(f"{place}: '{child}' stands below itself, expected a taxonomy without circles")
    return pairs


def _read_probabilities(given: Any, place: str) -> dict[str, dict[str, float]] | None:
    """Return the probability of each item by column: of a table by column and item, or of a file with item_id."""
    if given is None:
        return None
    columns: dict[str, dict[str, float]] = {}
    if isinstance(given, Mapping):
        for name, scores in given.items():
            if not isinstance(scores, Mapping):
                raise RecsysError(f"{place}: '{name}' is {scores!r}, expected the probability of each item")
            for item, score in scores.items():
                _add_probability(columns.setdefault(name, {}), item, score, place)
        return columns
    if not isinstance(given, str):
        raise RecsysError(f"{place} is {given!r}, expected a file, or a table for each column")
    for row in _read_rows(given, place, ("item_id",)):
        item = row.pop("item_id")
        for name, score in row.items():
            scores = columns.setdefault(name, {})
            if score:
                _add_probability(scores, item, _parse_number(score), f"{place}: {given}")
    return columns


def _add_probability(scores: dict[str, float], item: Any, score: Any, place: str) -> None:
    name = normalize_id(item)
    if not name or name in scores:
        raise RecsysError(
            f"{place}: holds the item '{name}' {'twice' if name else 'without an id'}, expected each once"
        )
    scores[name] = check_number(f"{place}: item '{name}'", score, 0, 1, noun="a probability")


def _parse_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _read_rows(path: str, place: str, needed: Iterable[str]) -> list[dict[str, str]]:
    """Return the rows of a file with commas and a header, which has the columns that are `needed`."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    except OSError as error:
        raise RecsysError(f"{place}: {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecsysError(f"{place}: {path}: no text with commas: {error}") from None
    names = lines[0] if lines else []
    for name in needed:
        if name not in names:
            raise RecsysError(f"{place}: {path} has the columns {', '.join(names) or 'none'}, expected {name}")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(names):
            raise RecsysError(f"{place}: {path}: line {number} has {len(line)} cells, expected {len(names)}")
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def _parse_names(place: str, given: Any, kinds: tuple[type, ...] = (str,)) -> tuple[str, ...]:
    names = [given] if isinstance(given, kinds) else list(given) if isinstance(given, list | tuple) else [None]
    if not all(isinstance(name, kinds) and not isinstance(name, bool) and name != "" for name in names):
        raise RecsysError(f"{place} is {given!r}, expected a list of names")
    return tuple(dict.fromkeys(names))


def _check_keys(content: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    for key in content:
        if key not in known:
            raise make_unknown_name_error("key", key, known, where=place)
