"""Rows of a log that a forget list names: of forgotten people, items and interactions, and of stopped topics."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from recsys.support.forget_lists import ForgetLine, ForgetList, read_forget_list
from recsys.types.arrays import Bools, Ints, Strings
from recsys.types.datasets import Dataset, Items
from recsys.types.errors import RecsysError, RecsysWarning, make_unknown_name_error
from recsys.types.exposures import Exposures
from recsys.types.topics import TopicItems, TopicPolicy


def parse_forget_list(found: Any) -> ForgetList | None:
    """Return the lines of a forget list that hold now: of a `ForgetList`, of a file's path, or None.

    Raises:
        RecsysError: for anything else, and as `read_forget_list` does.
    """
    if found is None:
        return None
    if not isinstance(found, ForgetList):
        if not isinstance(found, str | PathLike):
            raise RecsysError(f"forget_list: found {found!r}, expected the path of a file")
        found = read_forget_list(found)
    held: ForgetList = found
    return held.keep(held.list_holding())


def find_forgotten_rows(dataset: Dataset, forget_list: ForgetList, policy: TopicPolicy | None = None) -> Bools:
    """Return which rows of a log its forget list names, (R,).

    An item is of a topic if it has a feature of this name, or the topic of this name in a policy covers it. A
    `RecsysWarning` names a topic that is neither: no row is found by it.

    Raises:
        RecsysError: as `TopicPolicy.find_topic_items` does, where a line names one of its topics.
    """
    log = dataset.interactions
    forgotten = _find_named_rows(log.user, log.item, log.user_ids, log.item_ids, forget_list)
    users = forget_list.hash_ids("user", log.user_ids.tolist()) if forget_list.lines else {}
    stops = [line for line in forget_list.lines if line.kind == "topic" and line.user in users]
    names = () if policy is None else {topic.name for topic in policy.topics}
    warn_of_unknown_topics(dataset.name, stops, dataset.items.feature_names, names)
    is_named = any(line.topic in names for line in stops)
    covered = policy.find_topic_items(dataset.items) if policy is not None and is_named else None
    for line in stops:
        of_topic = find_items_of_topic(dataset.items, line.topic, covered)
        forgotten |= (log.user == users[line.user]) & of_topic[log.item]
    return forgotten


def warn_of_unknown_topics(
    place: str, stops: Iterable[ForgetLine], features: Iterable[str], of_policy: Iterable[str]
) -> None:
    """Say which stopped topics are no features of the items of a place, and no topics of its policy."""
    known = {*features, *of_policy}
    for name in sorted({line.topic for line in stops} - known):
        error = make_unknown_name_error("topic", name, known, where=f"{place}: the forget list")
        rows = "nothing is left out for it, expected a feature of the items or a topic of the policy"
        warnings.warn(f"{error}; {rows}", RecsysWarning, stacklevel=2)


def find_items_of_topic(items: Items, topic: str, topics: TopicItems | None = None) -> Bools:
    """Return which items have a feature of this name, or are covered by the topic of this name in a policy, (I,)."""
    found = np.zeros(len(items.ids), dtype=bool)
    if topics is not None and topic in topics.names.tolist():
        found |= topics.find_items(topic)
    if topic in items.feature_names:
        column = items.features.tocsc()[:, [items.feature_names.index(topic)]]
        found[column.indices[column.data != 0]] = True
    return found


def drop_forgotten_exposures(shown: Exposures, forget_list: ForgetList) -> Exposures:
    """Return a log of exposures without what a forget list names: people, items and interactions."""
    kept = ~_find_named_rows(shown.user, shown.item, shown.user_ids, shown.item_ids, forget_list)
    if kept.all():
        return shown
    names = ("user", "item", "datetime", "dismissed", "clicked", "slot", "policy", "seed")
    columns = {name: getattr(shown, name) for name in names}
    changed: dict[str, Any] = {name: None if one is None else one[kept] for name, one in columns.items()}
    return replace(shown, **changed)


def _find_named_rows(user: Ints, item: Ints, user_ids: Strings, item_ids: Strings, forget_list: ForgetList) -> Bools:
    """Return which rows, given as codes, are of a forgotten person, item or interaction, (R,)."""
    lines = [line for line in forget_list.lines if line.kind != "topic"]
    if not lines:
        return np.zeros(len(user), dtype=bool)
    users, items = forget_list.hash_ids("user", user_ids.tolist()), forget_list.hash_ids("item", item_ids.tolist())
    people, things = np.zeros(len(user_ids), dtype=bool), np.zeros(len(item_ids), dtype=bool)
    pairs = []
    for line in lines:
        who, what = users.get(line.user, -1), items.get(line.item, -1)
        if line.kind == "person" and who >= 0:
            people[who] = True
        elif line.kind == "item" and what >= 0:
            things[what] = True
        elif who >= 0 and what >= 0:
            pairs.append(who * len(item_ids) + what)
    key = user.astype(np.int64) * len(item_ids) + item
    return np.asarray(people[user] | things[item] | np.isin(key, np.array(pairs, np.int64)))
