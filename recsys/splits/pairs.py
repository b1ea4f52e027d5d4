"""The log as distinct (user, item) pairs, after the filter."""

from dataclasses import dataclass

import numpy as np

from recsys.splits.permissions import leave_out_topics, select_permitted_rows
from recsys.splits.settings import FilterSettings, find_positives
from recsys.support import rng
from recsys.types.arrays import Anys, Bools, Doubles, Floats, Ints, Longs, Strings
from recsys.types.datasets import Dataset, Interactions, Items
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.topics import TopicItems


@dataclass(frozen=True, eq=False)
class Pairs:
    """P distinct pairs of the U users and I items that the filter left, sorted by user and item."""

    user: Ints  # (P,) codes into user_ids
    item: Ints  # (P,) codes into items
    positive: Bools  # (P,)
    weight: Floats  # (P,)
    datetime: Longs | None  # (P,)
    user_ids: Strings  # (U,)
    items: Items  # (I,)
    counts: dict[str, int]
    name: str = ""  # of the dataset
    source: Strings | None = None  # (P,) where the rows of a pair come from, "" where from several sources
    topics: TopicItems | None = None  # those of a policy, over `items`

    def need_datetime(self, needed_by: str) -> Longs:
        """Return the seconds since 1970 of each pair, (P,), or say that the split `needed_by` cannot do without them.

        Raises:
            RecsysError: if the data has no times.
        """
        if self.datetime is None:
            raise RecsysError(f"{needed_by}: {self.name} has no datetime, and this split needs one: use random")
        return self.datetime

    def find_source(self, name: str, needed_by: str) -> Bools:
        """Return which pairs come from the source `name` alone, (P,).

        Raises:
            RecsysError: if the data has no sources, or none of this name.
        """
        if self.source is None:
            raise RecsysError(f"{needed_by}: {self.name} has no column source, and this split needs one: use random")
        known = [one for one in np.unique(self.source).tolist() if one]
        if name not in known:
            raise make_unknown_name_error("source", name, known, where=f"{self.name}: {needed_by}")
        return np.asarray(self.source == name)

    def count_positives(self) -> Longs:
        """Return how many positive pairs each user has, (U,)."""
        return np.bincount(self.user[self.positive], minlength=len(self.user_ids))

    def draw_tie_breakers(self, seed: int) -> Doubles:
        """Return the number in (0, 1) that decides where pairs are equal otherwise, (P,)."""
        user, item = _hash_ids("user", self.user_ids), _hash_ids("item", self.items.ids)
        return rng.draw_uniforms(seed, "split", user[self.user], item[self.item])


def filter_pairs(dataset: Dataset, settings: FilterSettings) -> Pairs:
    """Return the distinct pairs of rows that may be used, of the users and items that have enough positives.

    Raises:
        RecsysError: if nobody is left.
    """
    held = settings.holding_forget_list
    dataset, left_out = select_permitted_rows(dataset, settings.sources, settings.purposes, held, settings.topics)
    dataset, topics, of_topics = leave_out_topics(dataset, settings.topics)
    log = dataset.interactions
    n_items = len(log.item_ids)
    positive = find_positives(log.weight, settings.positive, dataset.columns, dataset.card.get("unused_columns", ()))
    key = log.user.astype(np.int64) * n_items + log.item
    user, item = np.divmod(np.unique(key[positive]), max(n_items, 1))
    users, items = _find_k_core(user, item, settings, (len(log.user_ids), n_items))
    if not len(user) or not users.any() or not items.any():
        raise _make_nobody_left_error(dataset, settings, len(user))
    rows = np.flatnonzero(users[log.user] & items[log.item])
    rows, starts = _sort_rows_by_pair(log, key, positive, rows)
    first = rows[starts]
    return Pairs(
        user=_renumber_kept(users)[log.user[first]],
        item=_renumber_kept(items)[log.item[first]],
        positive=positive[first],
        weight=log.weight[first],
        datetime=None if log.datetime is None else log.datetime[first],
        user_ids=log.user_ids[users],
        items=_select_items(dataset.items, items),
        counts={
            "rows": len(log),
            **left_out,
            **({} if topics is None else {"rows_of_sensitive_topics": of_topics}),
            "filtered_users": int((~users).sum()),
            "filtered_items": int((~items).sum()),
            **_count_pairs_and_rows(positive[rows], starts),
        },
        name=dataset.name,
        source=None if log.source is None else _name_sources(log.source[rows], np.flatnonzero(starts)),
        topics=None if topics is None else topics.select_items(np.flatnonzero(items)),
    )


def _find_k_core(user: Longs, item: Longs, settings: FilterSettings, shape: tuple[int, int]) -> tuple[Bools, Bools]:
    """Return which users and items are in the iterated k-core of distinct positive pairs."""
    while True:
        n_user, n_item = np.bincount(user, minlength=shape[0]), np.bincount(item, minlength=shape[1])
        users, items = n_user >= settings.min_user_interactions, n_item >= settings.min_item_interactions
        stays = users[user] & items[item]
        if stays.all():
            return users, items
        user, item = user[stays], item[stays]


def _sort_rows_by_pair(log: Interactions, key: Longs, positive: Bools, rows: Longs) -> tuple[Longs, Bools]:
    """Return `rows` by user and item, and which of them is the first of its pair and stands for it.

    Positive before others, then the earliest, then the lowest weight: the order of rows decides nothing.
    """
    levels: list[Anys] = [log.weight[rows], 2 * key[rows] + ~positive[rows]]
    if log.datetime is not None:
        levels.insert(1, log.datetime[rows])
    rows = rows[np.lexsort(levels)]
    return rows, np.diff(key[rows], prepend=-1) != 0


def _name_sources(of_rows: Strings, first: Longs) -> Strings:
    """Return the source of each pair, "" where its rows have several; `first` is where the rows of a pair begin."""
    names, codes = np.unique(of_rows, return_inverse=True)
    low, high = (reduce.reduceat(codes, first) for reduce in (np.minimum, np.maximum))
    return np.where(low == high, names[low], "")


def _count_pairs_and_rows(positive: Bools, starts: Bools) -> dict[str, int]:
    """Return the numbers of positive and other pairs, and of repeated and overruled rows."""
    of_positive = positive[starts][np.cumsum(starts) - 1]  # whether the pair of each row is a positive
    return {
        "positives": int((starts & positive).sum()),
        "others": int((starts & ~positive).sum()),
        "repeated_positives": int((~starts & positive).sum()),
        "repeated_others": int((~starts & ~of_positive).sum()),
        "overruled_others": int((~positive & of_positive).sum()),
    }


def _make_nobody_left_error(dataset: Dataset, settings: FilterSettings, n_positive: int) -> RecsysError:
    weight = dataset.interactions.weight
    least = f"min_user_interactions = {settings.min_user_interactions}"
    asked = f"positive = {settings.positive!r}, {least}, min_item_interactions = {settings.min_item_interactions}"
    span = f", weights from {weight.min():g} to {weight.max():g}" if len(weight) else ""
    found = f"{n_positive} positive pairs in {len(weight)} rows{span}"
    return RecsysError(f"{dataset.name}: nobody is left with {asked}: found {found}")


def _select_items(items: Items, kept: Bools) -> Items:
    rows = np.flatnonzero(kept)
    return Items(items.ids[rows], items.titles[rows], items.features[rows], items.feature_names, items.years[rows])


def _renumber_kept(kept: Bools) -> Ints:
    return (np.cumsum(kept) - 1).astype(np.int32)


def _hash_ids(what: str, ids: Strings) -> Anys:
    return np.array([rng.derive_seed(0, what, str(name)) for name in ids], dtype=np.uint64)
