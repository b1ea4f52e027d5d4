"""Permissions: which rows of a log may be used, decided here for all splits."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from recsys.maths.catalogues import build_described_items
from recsys.splits.forgotten_rows import find_forgotten_rows
from recsys.support.forget_lists import ForgetList
from recsys.types.arrays import Anys, Bools, Csr, Ints, Strings
from recsys.types.datasets import Dataset, Interactions, Items
from recsys.types.errors import RecsysError, make_unknown_name_error
from recsys.types.exposures import Exposures
from recsys.types.identifiers import sort_ids
from recsys.types.topics import TopicItems, TopicPolicy


def select_permitted_rows(
    dataset: Dataset,
    sources: Collection[str] | None,
    purposes: Collection[str] | None = None,
    forget_list: ForgetList | None = None,
    policy: TopicPolicy | None = None,
) -> tuple[Dataset, dict[str, int]]:
    """Return the dataset of the rows that may be used, and how many may not, by reason.

    Rows without consent (false, or nothing said where the table has the column) may not, nor rows of other sources
    where `sources` are named, nor rows that do not permit each of `purposes`; where none is named, rows that permit
    nothing; nor those that `forget_list` names, whose lines hold; these name topics of `policy` too. A row counts for
    the first reason. The result is that of a table without these rows: users, items and features that no row is left of
    are gone, and ids are in the order of those that are left. Nothing that is made of it can know the others.

    Raises:
        RecsysError: if no row may be used, for a source or purpose that the data does not have, or as
            `find_forgotten_rows` does.
    """
    reasons = find_left_out_rows(dataset, sources, purposes)
    log = dataset.interactions
    counts = {f"rows_{reason}": int(rows.sum()) for reason, rows in reasons.items()}
    kept = ~np.logical_or.reduce(list(reasons.values()))
    if len(log) and counts["rows_without_consent"] == len(log):
        raise RecsysError(f"{dataset.name}: none of {len(log):,} rows has consent, expected some that may be used")
    if counts["rows_without_purpose"] and not kept.any():
        asked = "any purpose" if purposes is None else f"the purposes {', '.join(purposes)}"
        raise RecsysError(
            f"{dataset.name}: none of {counts['rows_without_purpose']:,} rows permits {asked}, expected some"
        )
    left = dataset if kept.all() else _take_rows(dataset, kept)
    if forget_list is None:
        return left, counts
    forgotten = find_forgotten_rows(left, forget_list, policy)
    counts["forgotten_rows"] = int(forgotten.sum())
    if forgotten.any() and forgotten.all():
        raise RecsysError(f"{dataset.name}: the forget list {forget_list.path} names all rows, expected some others")
    return (_take_rows(left, ~forgotten) if forgotten.any() else left), counts


def find_left_out_rows(
    dataset: Dataset, sources: Collection[str] | None, purposes: Collection[str] | None
) -> dict[str, Bools]:
    """Return the rows that may not be used, (R,) for each reason; a row is of the first reason alone.

    Raises:
        RecsysError: for a source or purpose that the data does not have.
    """
    check_dataset(dataset)
    log = dataset.interactions
    every = np.ones(len(log), dtype=bool)
    consented = every if log.consent is None else np.asarray(log.consent, dtype=bool)
    chosen = every if sources is None else _find_rows_from_sources(dataset, sources)
    permitted = _find_rows_for_purposes(dataset, purposes)
    return {
        "without_consent": ~consented,
        "of_other_sources": consented & ~chosen,
        "without_purpose": consented & chosen & ~permitted,
    }


def select_permitted_exposures(
    exposures: Exposures, purposes: Collection[str] | None = None, place: str = "shown"
) -> tuple[Exposures, int]:
    """Return the exposures that may be used, and how many may not: as for rows of a dataset.

    Without a column `purposes`, all may be used where none is named. The result is that of a table without these rows.

    Raises:
        RecsysError: if no row may be used, or for a purpose that the log does not have.
    """
    kept = _find_permitted_rows(exposures.purposes, exposures.purpose_names, len(exposures), purposes, place)
    if kept.all():
        return exposures, 0
    if not kept.any():
        asked = "any purpose" if purposes is None else f"the purposes {', '.join(purposes)}"
        raise RecsysError(f"{place}: none of {len(kept):,} exposures permits {asked}, expected some")
    return _take_exposures(exposures, kept), int((~kept).sum())


def leave_out_topics(dataset: Dataset, policy: TopicPolicy | None) -> tuple[Dataset, TopicItems | None, int]:
    """Return the dataset without the rows of items of sensitive topics, its topics, and how many rows those were.

    Which items a topic covers is said by the catalogue of rows that may be used. As with `select_permitted_rows` the
    result is that of a table without these rows: the items are gone.

    Raises:
        RecsysError: as `TopicPolicy.find_topic_items` does, or if all rows are of sensitive topics.
    """
    if policy is None:
        return dataset, None, 0
    found = policy.find_topic_items(dataset.items)
    closed, log = found.find_sensitive_items(), dataset.interactions
    kept = ~closed[log.item]
    if len(log) and not kept.any():
        raise RecsysError(f"{dataset.name}: all {len(log):,} rows are of items of sensitive topics, expected others")
    if kept.all():
        return dataset, found, 0
    left = _take_rows(dataset, kept)
    place = {name: code for code, name in enumerate(dataset.items.ids.tolist())}
    codes = np.asarray([place[name] for name in left.items.ids.tolist()], dtype=np.int64)
    return left, found.select_items(codes), int((~kept).sum())


def check_dataset(dataset: object) -> None:
    """Refuse anything but a dataset."""
    if not isinstance(dataset, Dataset):
        raise RecsysError(f"split: found a {type(dataset).__name__}, expected a Dataset: recsys.read_dataset makes one")


def describe_permissions(
    counts: dict[str, int], sources: Sequence[str] | None, purposes: Sequence[str] | None = None
) -> list[str]:
    """Return a note on the rows that were left out, none where there are none."""
    said = []
    if counts["rows_without_consent"]:
        said.append(f"{counts['rows_without_consent']:,} rows without consent: left out")
    if sources is not None:
        said.append(f"sources: {', '.join(sources)}; {counts['rows_of_other_sources']:,} rows of others: left out")
    n = counts["rows_without_purpose"]
    if purposes is not None:
        said.append(f"purposes: {', '.join(purposes)}; {n:,} rows that do not permit all of them: left out")
    elif n:
        said.append(f"{n:,} rows that permit no purpose: left out")
    if counts.get("rows_of_sensitive_topics"):
        said.append(f"{counts['rows_of_sensitive_topics']:,} rows of items of sensitive topics: left out")
    if "forgotten_rows" in counts:
        said.append(f"forget list: {counts['forgotten_rows']:,} rows that it names: left out")
    return said


def _find_rows_from_sources(dataset: Dataset, sources: Collection[str]) -> Bools:
    of_rows = dataset.interactions.source
    if of_rows is None:
        raise RecsysError(f"{dataset.name}: has no column source, expected one where sources are chosen")
    known = np.unique(of_rows).tolist()
    for name in sources:
        if name not in known:
            raise make_unknown_name_error("source", name, known, where=f"{dataset.name}: sources")
    return np.isin(of_rows, list(sources))


def _find_rows_for_purposes(dataset: Dataset, purposes: Collection[str] | None) -> Bools:
    log = dataset.interactions
    return _find_permitted_rows(log.purposes, log.purpose_names, len(log), purposes, dataset.name)


def _find_permitted_rows(
    of_rows: Bools | None, names: tuple[str, ...], n_rows: int, purposes: Collection[str] | None, place: str
) -> Bools:
    if of_rows is None:
        if purposes is not None:
            raise RecsysError(f"{place}: has no column purposes, expected one where purposes are named")
        return np.ones(n_rows, dtype=bool)
    if purposes is None:
        return np.asarray(of_rows.any(axis=1))
    for name in purposes:
        if name not in names:
            raise make_unknown_name_error("purpose", name, names, where=f"{place}: purposes")
    return np.asarray(of_rows[:, [names.index(name) for name in purposes]].all(axis=1))


def _take_exposures(log: Exposures, kept: Bools) -> Exposures:
    user, users = _drop_unused_ids(log.user[kept], log.user_ids)
    item, items = _drop_unused_ids(log.item[kept], log.item_ids)
    optional = ("dismissed", "clicked", "slot", "policy", "seed")
    columns = {name: None if getattr(log, name) is None else getattr(log, name)[kept] for name in optional}
    purposes, names = log.purposes, log.purpose_names
    if purposes is not None:
        purposes, names = _drop_unused_purposes(purposes[kept], names)
    return Exposures(
        user,
        item,
        log.datetime[kept],
        _shrink_string_width(log.user_ids[users]),
        _shrink_string_width(log.item_ids[items]),
        **columns,
        notes=log.notes,
        purposes=purposes,
        purpose_names=names,
    )


def _drop_unused_purposes(purposes: Bools, names: tuple[str, ...]) -> tuple[Bools, tuple[str, ...]]:
    held = purposes.any(axis=0)
    return purposes[:, held], tuple(np.asarray(names, dtype=object)[held].tolist())


def _take_rows(dataset: Dataset, kept: Bools) -> Dataset:
    log = dataset.interactions
    user, users = _drop_unused_ids(log.user[kept], log.user_ids)
    item, items = _drop_unused_ids(log.item[kept], log.item_ids)

    def rows(values: Anys | None) -> Anys | None:
        return None if values is None else values[kept]

    purposes, names = rows(log.purposes), log.purpose_names
    if purposes is not None:
        purposes, names = _drop_unused_purposes(purposes, names)
    left = Interactions(
        user=user,
        item=item,
        weight=log.weight[kept],
        datetime=rows(log.datetime),
        user_ids=_shrink_string_width(log.user_ids[users]),
        item_ids=_shrink_string_width(log.item_ids[items]),
        source=rows(log.source),
        consent=rows(log.consent),
        purposes=purposes,
        purpose_names=names,
    )
    if dataset.descriptions is None:
        return replace(dataset, interactions=left, items=_take_items(dataset.items, items))
    if len(dataset.descriptions.row) != len(log):
        found = f"descriptions of {len(dataset.descriptions.row):,} rows, expected {len(log):,}"
        raise RecsysError(f"{dataset.name}: has {found} as in its interactions")
    described = replace(dataset.descriptions, row=dataset.descriptions.row[kept])
    return replace(
        dataset,
        interactions=left,
        items=build_described_items(item, left.item_ids, described),
        descriptions=described,
    )


def _drop_unused_ids(codes: Ints, ids: Strings) -> tuple[Ints, Ints]:
    """Return new codes, and which of the old ones each of them was."""
    there = np.unique(codes)
    place = {name: code for code, name in enumerate(sort_ids(ids[there].tolist()))}
    new = np.zeros(len(ids), dtype=np.int32)
    new[there] = [place[name] for name in ids[there].tolist()]
    old = np.zeros(len(there), dtype=np.int32)
    old[new[there]] = there
    return new[codes], old


def _take_items(items: Items, rows: Ints) -> Items:
    features = items.features[rows]
    held, kind = np.unique(features.indices), items.features.indices.dtype
    names = tuple(items.feature_names[column] for column in held)
    ids, titles = _shrink_string_width(items.ids[rows]), _shrink_string_width(items.titles[rows])
    kept = Csr(features[:, held])
    kept.indices, kept.indptr = kept.indices.astype(kind, copy=False), kept.indptr.astype(kind, copy=False)
    return Items(ids, titles, kept, names, items.years[rows])


def _shrink_string_width(texts: Strings) -> Strings:
    """Return the texts in an array as wide as its longest text, because results depend on the width."""
    return np.asarray(texts.tolist(), dtype=np.str_)
