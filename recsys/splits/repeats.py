"""The purchases of a log: its positive rows that may be used, with their repeats, in the codes of a split."""

from dataclasses import replace
from typing import Any

import numpy as np

from recsys.splits.permissions import leave_out_topics, select_permitted_rows
from recsys.splits.settings import FilterSettings, find_positives
from recsys.types.arrays import Bools, Ints, Longs, Strings
from recsys.types.datasets import Dataset, Interactions
from recsys.types.errors import RecsysError
from recsys.types.moments import parse_moment
from recsys.types.purchases import Purchases
from recsys.types.splits import Split


def select_purchases(dataset: Dataset, split: Split, until: Any = None) -> Purchases:
    """Return the purchases of the users and items of a split: all positive rows that its settings permit, with repeats.

    Rows that the split's settings leave out (consent, sources, purposes, sensitive topics, a forget list, the threshold
    of positives) are left out here too, and so are returns: rows whose weight is not above 0. Rows of a pair at one
    moment are one purchase of their summed quantity. A split that was made by hand has no settings: its rows are those
    that have consent and permit any purpose.

    With `until` purchases are those before that moment: seconds since 1970, a `datetime` or ISO 8601 text. Without it
    they are those of training: rows of training pairs before the user's first purchase of any other pair of the split,
    or before everybody's first where the split's cut is one point in time.

    Raises:
        RecsysError: if the data has no times, all purchases are of one moment, none is left, or the data is not the one
            that the split was made of.
    """
    made = select_rows(dataset, split, _get_settings(split).positive, until)
    _check_times(dataset.name, made)
    return made


def select_rows(dataset: Dataset, split: Split, wanted: str | None, until: Any = None) -> Purchases:
    """Return the rows of the users and items of a split that satisfy `wanted`, None for all, as `select_purchases`.

    Raises:
        RecsysError: if the data has no times, or is not the one that the split was made of.
    """
    settings = _get_settings(split)
    users, items = (_find_places(dataset, split, role) for role in ("user", "item"))
    dataset, counts = select_permitted_rows(
        dataset, settings.sources, settings.purposes, settings.holding_forget_list, settings.topics
    )
    dataset, _, of_topics = leave_out_topics(dataset, settings.topics)
    counts |= {"rows_of_sensitive_topics": of_topics} if of_topics else {}
    log = dataset.interactions
    if log.datetime is None:
        raise RecsysError(f"{dataset.name}: has no times, and purchases need them, expected a column datetime")
    positive = find_positives(log.weight, wanted, dataset.columns, dataset.card.get("unused_columns", ()))
    user, item = _translate_codes(log.user_ids, users)[log.user], _translate_codes(log.item_ids, items)[log.item]
    sold, known = log.weight > 0, (user >= 0) & (item >= 0)
    counts |= {"rows_not_positive": int((~positive).sum()), "returns": int((positive & ~sold).sum())}
    rows = np.flatnonzero(positive & sold & known)
    counts["rows_of_filtered_pairs"] = int((positive & sold & ~known).sum())
    end = None if until is None else parse_moment("until", until)
    early = (
        _find_training_rows(split, user[rows], item[rows], log.datetime[rows])
        if end is None
        else log.datetime[rows] < end
    )
    counts["later_rows"] = int((~early).sum())
    rows = rows[early]
    made = _merge_rows(log, rows, user[rows], item[rows], "quantity" in dataset.columns, split.shape)
    return replace(made, until=end, counts=counts | {"rows_of_one_moment": len(rows) - len(made)})


def _get_settings(split: Split) -> FilterSettings:
    return FilterSettings() if split.filter_settings is None else split.filter_settings


def _find_places(dataset: Dataset, split: Split, role: str) -> dict[str, int]:
    """Return the code of each id of the split, all of which the data must have."""
    ids = split.user_ids if role == "user" else split.item_ids
    known = set(getattr(dataset.interactions, f"{role}_ids").tolist())
    places = {name: code for code, name in enumerate(ids.tolist())}
    absent = [name for name in places if name not in known]
    if absent:
        raise RecsysError(
            f"{dataset.name}: has no {role} '{absent[0]}' of the split, expected the data that it was made of"
        )
    return places


def _translate_codes(ids: Strings, places: dict[str, int]) -> Ints:
    """Return the split's code of each id of the log, -1 where the split has none."""
    return np.asarray([places.get(name, -1) for name in ids.tolist()], dtype=np.int32)


def _find_training_rows(split: Split, user: Ints, item: Ints, when: Longs) -> Bools:
    """Return which purchases are of training pairs, and before the first one of a pair that is not."""
    n_users, n_items = split.shape
    of_train = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(split.train.indptr)) * n_items
    trained = np.isin(user.astype(np.int64) * n_items + item, of_train + split.train.indices)
    cut = np.full(n_users, np.iinfo(np.int64).max)
    np.minimum.at(cut, user[~trained], when[~trained])
    if split.has_global_cut and n_users:
        cut[:] = cut.min()
    return np.asarray(trained & (when < cut[user]))


def _merge_rows(
    log: Interactions, rows: Longs, user: Ints, item: Ints, has_quantity: bool, shape: tuple[int, int]
) -> Purchases:
    """Return the rows by user, time and item, those of one pair and moment as one."""
    assert log.datetime is not None
    when, quantity = log.datetime[rows], log.weight[rows] if has_quantity else np.ones(len(rows), np.float32)
    order = np.lexsort((quantity, item, when, user))
    columns = [column[order] for column in (user, when, item)]
    first = np.zeros(len(rows), dtype=bool)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(first)
    total = np.add.reduceat(quantity[order].astype(np.float64), starts) if len(starts) else np.zeros(0)
    rows = order[starts]
    return Purchases(user[rows], item[rows], when[rows], total.astype(np.float32), *shape)


def _check_times(name: str, made: Purchases) -> None:
    if not len(made):
        raise RecsysError(f"{name}: no purchase is left, expected rows of the split's users and items before `until`")
    if made.datetime.min() == made.datetime.max():
        said = "the only purchase is" if len(made) == 1 else f"all {len(made):,} purchases are"
        shown = np.datetime64(int(made.datetime[0]), "s")
        raise RecsysError(f"{name}: {said} of one moment, {shown}, expected times that differ")
