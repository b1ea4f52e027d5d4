"""Topics: names for sets of items, of which sensitive ones are neither used nor shown."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from recsys.types.arrays import Bools, Csr, Longs, Strings
from recsys.types.checks import check_array, check_matrix
from recsys.types.datasets import Items
from recsys.types.errors import RecsysError, make_unknown_name_error

UNSCORED = ("refuse", "cover", "ignore")  # what is done with an item that a classifier says nothing of


@dataclass(frozen=True)
class Topic:
    """One topic of a policy: the items that it names, and those with one of its features."""

    name: str
    sensitive: bool = True  # neither used nor shown; False: a name for its items
    items: tuple[str, ...] = ()  # ids
    features: tuple[tuple[str, ...], ...] = ()  # each that the policy names, and all that a taxonomy has below it
    column: str | None = None  # of a classifier's probabilities
    threshold: float | None = None  # the least probability of an item that the topic covers
    unscored: str = "refuse"  # one of `UNSCORED`
    likely_items: tuple[str, ...] = ()  # ids of items at or above the threshold
    scored_items: frozenset[str] = frozenset()  # ids of items with a probability


@dataclass(frozen=True)
class TopicPolicy:
    """What an operator says of topics (`recsys.control.topics.read_topic_policy` reads it)."""

    topics: tuple[Topic, ...]
    separator: str | None = None  # between the names of a nested feature: "Drinks > Wine"
    allow_unknown: bool = False  # whether a topic may name features that the data does not have, or cover no item
    place: str = "topics"  # in errors

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that decides which items a topic covers."""
        told = [[*vars(topic).values()] for topic in self.topics]
        plain = json.dumps([told, self.separator, self.allow_unknown], default=sorted)
        return hashlib.sha256(plain.encode()).hexdigest()

    def describe(self) -> str:
        """Return the policy as JSON text. A classifier's decisions stand in it as numbers of items."""
        hidden = ("likely_items", "scored_items")
        told = []
        for topic in self.topics:
            plain = {name: value for name, value in vars(topic).items() if name not in hidden}
            told.append({**plain, "n_likely_items": len(topic.likely_items)} if topic.column else plain)
        return json.dumps({"topics": told, "separator": self.separator}, sort_keys=True)

    def find_topic_items(self, items: Items) -> "TopicItems":
        """Return the items of a catalogue that each topic covers.

        Raises:
            RecsysError: for a feature that the catalogue does not have, a topic that covers no item, or an item that a
                classifier says nothing of.
        """
        codes = {name: code for code, name in enumerate(items.ids.tolist())}
        rows = [np.asarray(self._list_codes(topic, items, codes), dtype=np.int32) for topic in self.topics]
        pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
        columns = np.concatenate([*rows, np.zeros(0, np.int32)])
        covers = Csr((np.ones(len(columns), np.float32), columns, pointers), shape=(len(rows), len(codes)))
        names = np.asarray([topic.name for topic in self.topics], dtype=np.str_)
        sensitive = np.asarray([topic.sensitive for topic in self.topics], dtype=bool)
        return TopicItems(names, sensitive, covers, self.describe(), self.digest)

    def _list_codes(self, topic: Topic, items: Items, codes: Mapping[str, int]) -> list[int]:
        where = f"{self.place}: topic '{topic.name}'"
        found = {codes[name] for name in (*topic.items, *topic.likely_items) if name in codes}
        if topic.column is not None and topic.unscored != "ignore":
            unscored = [name for name in codes if name not in topic.scored_items]
            if unscored and topic.unscored == "refuse":
                raise RecsysError(
                    f"{where}: {len(unscored):,} items such as '{unscored[0]}' have no probability in column "
                    f'\'{topic.column}\', expected one of each item, or unscored = "cover" or "ignore"'
                )
            found |= {codes[name] for name in unscored}
        columns = list(self._iter_feature_columns(topic, items.feature_names, where))
        if columns:
            found |= set(items.features[:, columns].nonzero()[0].tolist())
        if not found and not self.allow_unknown:
            raise RecsysError(f"{where}: covers none of {len(codes):,} items, expected some, or allow_unknown = true")
        return sorted(found)

    def _iter_feature_columns(self, topic: Topic, known: tuple[str, ...], where: str) -> Iterator[int]:
        """Yield the columns of the features that a topic names, and of what is below them."""
        for family in topic.features:
            there = [column for column, name in enumerate(known) if any(self._is_below(name, one) for one in family)]
            if not there and not self.allow_unknown:
                raise make_unknown_name_error("feature", family[0], known, where=where)
            yield from there

    def _is_below(self, name: str, feature: str) -> bool:
        """Whether a feature is another one, or is nested below it: its path begins with that of the other."""
        if self.separator is None:
            return name == feature
        path = self._split_path(feature)
        return self._split_path(name)[: len(path)] == path

    def _split_path(self, feature: str) -> list[str]:
        return [part.strip() for part in feature.split(self.separator)]


@dataclass(frozen=True, eq=False)
class TopicItems:
    """The items of a catalogue that each of T topics covers."""

    names: Strings  # (T,)
    sensitive: Bools  # (T,) whether items of the topic are neither used nor shown
    covers: Csr  # (T, I) float32, 1 where a topic covers an item
    policy: str  # JSON text: what the operator says of topics
    digest: str  # of the policy

    def find_items(self, topic: str) -> Bools:
        """Return the items that a topic covers, (I,).

        Raises:
            RecsysError: for an unknown topic, with the nearest name.
        """
        known = self.names.tolist()
        if topic not in known:
            raise make_unknown_name_error("topic", topic, known)
        row = known.index(topic)
        return self._mark_items(self.covers.indices[self.covers.indptr[row] : self.covers.indptr[row + 1]])

    def find_sensitive_items(self) -> Bools:
        """Return the items that a sensitive topic covers, (I,)."""
        return self._mark_items(sparse.csr_array(self.covers[np.flatnonzero(self.sensitive)]).indices)

    def select_items(self, items: Longs) -> "TopicItems":
        """Return the same topics over some items of the catalogue, codes, in their order."""
        return replace(self, covers=Csr(self.covers[:, items]))

    def check_topics(self, n_items: int) -> None:
        """Refuse topics, read from a file, that are not of so many items, or have items of a sensitive topic.

        Raises:
            RecsysError: naming the array.
        """
        check_array("topics: names", self.names, (None,), "U")
        check_array("topics: sensitive", self.sensitive, (len(self.names),), "b")
        check_matrix("topics: covers", self.covers, (len(self.names), n_items))
        if self.find_sensitive_items().any():
            raise RecsysError("topics: some items are of a sensitive topic, expected none")

    def _mark_items(self, codes: Any) -> Bools:
        marked = np.zeros(self.covers.shape[1], dtype=bool)
        marked[codes] = True
        return marked
