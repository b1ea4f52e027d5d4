"""A log twice: as it is, and without the rows that may not be used, found row by row and taken out of the table."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsys.data import read_dataset
from recsys.data.columns import EXPOSURE_FIELDS, LOG_FIELDS, resolve_columns, strip_recbole_types
from recsys.data.exposures import EXPOSURE_REQUIRED_FIELDS
from recsys.data.frames import convert_to_frame
from recsys.data.identifiers import normalize_id
from recsys.data.mapped_tables import REQUIRED_FIELDS
from recsys.data.parsing import parse_consents
from recsys.data.purposes import parse_purposes
from recsys.data.settings import TableSettings
from recsys.data.tables import read_table
from recsys.splits.permissions import select_permitted_rows
from recsys.support.forget_lists import ForgetList
from recsys.testing.contract import ContractError
from recsys.types import Dataset
from recsys.types.arrays import Bools
from recsys.types.topics import TopicPolicy

if TYPE_CHECKING:
    from pandas import DataFrame

PERMISSION_FIELDS = ("consent", "source", "purposes")
Columns = Mapping[str, object] | None


class TableFields(NamedTuple):
    """The fields of a kind of table: names of columns by field, and those that it must have."""

    aliases: Mapping[str, Sequence[str]]
    required: Sequence[str]


LOG = TableFields(LOG_FIELDS, REQUIRED_FIELDS)
SHOWN = TableFields(EXPOSURE_FIELDS, EXPOSURE_REQUIRED_FIELDS)


def read_file_frame(path: Path, columns: Columns, settings: TableSettings, kind: TableFields = LOG) -> "DataFrame":
    """Return the table in a file as it is written, before any of its values is read."""
    chosen = dict(columns or {})

    def resolve(names: Sequence[str]) -> dict[str, str]:
        return _map_columns(names, path, chosen, kind)

    found = read_table(path, resolve, kind.aliases, settings, tuple(chosen.values()))
    return found.frame.set_axis(strip_recbole_types(found.frame.columns), axis=1)


@dataclasses.dataclass(frozen=True)
class Allowed:
    """What rows may be used by: sources, the purposes they permit, what is forgotten, and items of sensitive topics."""

    sources: Collection[str] | None = None
    purposes: Collection[str] | None = None
    forget_list: ForgetList | None = None  # of the lines that hold
    closed_items: frozenset[str] = frozenset()  # ids
    topic_items: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)  # ids, by topic of a policy


def apply_policy(dataset: Dataset, allowed: Allowed, policy: TopicPolicy) -> Allowed:
    """Return what rows may be used by under a policy of topics, whose items the rows that may be used otherwise say."""
    used = select_permitted_rows(dataset, allowed.sources, allowed.purposes)[0]
    covered = policy.find_topic_items(used.items)
    items = {one.name: frozenset(used.items.ids[covered.find_items(one.name)].tolist()) for one in policy.topics}
    left = select_permitted_rows(dataset, allowed.sources, allowed.purposes, allowed.forget_list, policy)[0]
    closed = policy.find_topic_items(left.items).find_sensitive_items()
    return dataclasses.replace(allowed, closed_items=frozenset(left.items.ids[closed].tolist()), topic_items=items)


def find_permitted_rows(frame: "DataFrame", columns: Columns, allowed: Allowed, kind: TableFields = LOG) -> Bools:
    """Return which rows of a table may be used, (R,): each looked at alone, by its own cells."""
    sources, purposes, forget_list = allowed.sources, allowed.purposes, allowed.forget_list
    named = _map_columns(list(frame.columns), "leak test", columns, kind)
    permitted = np.ones(len(frame), dtype=bool)
    rows = np.arange(len(frame))
    if "consent" in named:
        permitted &= parse_consents(frame[named["consent"]], rows, "leak test")
    if "source" in named and sources is not None:
        permitted &= np.asarray([normalize_id(cell) in sources for cell in frame[named["source"]]], dtype=bool)
    if "purposes" in named:
        codes, (names, members) = parse_purposes(frame[named["purposes"]], rows, "leak test")
        for row, code in enumerate(codes.tolist()):
            held = {name for name, there in zip(names, members[code].tolist(), strict=True) if there}
            permitted[row] &= bool(held) if purposes is None else held.issuperset(purposes)
    if forget_list is not None:
        permitted &= _find_remembered_rows(frame, named, forget_list, permitted, allowed.topic_items)
    permitted &= [normalize_id(cell) not in allowed.closed_items for cell in frame[named["item_id"]]]
    return permitted


def _find_remembered_rows(
    frame: "DataFrame",
    named: Mapping[str, str],
    forget_list: ForgetList,
    permitted: Bools,
    topic_items: Mapping[str, frozenset[str]],
) -> Bools:
    """Return which rows a forget list does not name, (R,): the id of each is hashed, and each line looked at.

    An item is of a topic if one of its permitted rows has this feature, or the topic of a policy covers it.
    """
    stopped = [line.topic for line in forget_list.lines if line.kind == "topic"]
    covered = {(forget_list.hash_item(name), topic) for topic, names in topic_items.items() for name in names}
    if set(stopped) - set(topic_items) and "features" not in named:
        raise ContractError(f"leak test: the forget list stops '{stopped[0]}', expected features in the log itself")
    users = [forget_list.hash_user(normalize_id(cell)) for cell in frame[named["user_id"]]]
    items = [forget_list.hash_item(normalize_id(cell)) for cell in frame[named["item_id"]]]
    said: Iterable[Any] = frame[named["features"]] if stopped and "features" in named else []
    for item, cell, may in zip(items, said, permitted, strict=False):
        if may:
            covered |= {(item, topic) for topic in str(_join_list(cell)).split("|")}
    return np.array(
        [
            not any(
                line.user in ("", user)
                and line.item in ("", item)
                and (not line.topic or (item, line.topic) in covered)
                for line in forget_list.lines
            )
            for user, item in zip(users, items, strict=True)
        ],
        dtype=bool,
    )


def write_frame(frame: "DataFrame", like: Path, folder: Path) -> Path:
    """Return the path of a table written into `folder`: Parquet if `like` is, else text with commas and a header."""
    is_parquet = like.is_dir() or like.suffix.lower() in (".parquet", ".pq")
    path = folder / f"{like.name.split('.')[0]}{'.parquet' if is_parquet else '.csv'}"
    folder.mkdir(parents=True, exist_ok=True)
    if is_parquet:
        frame.to_parquet(path, index=False)
        return path
    lists = {str(name): frame[name].map(_join_list) for name in frame if frame[name].dtype == object}
    frame.assign(**lists).to_csv(path, index=False)
    return path


def split_table(
    table: Any, columns: Columns, allowed: Allowed, policy: TopicPolicy | None = None
) -> tuple[Dataset, Dataset, int]:
    """Return the dataset of a table in memory, or of a `Dataset`, that without its other rows, and their number."""
    items = None
    if isinstance(table, Dataset):
        name, columns = table.name, _name_weights(table)
        frame, items = _make_frames(table, *columns.values())
    else:
        name, frame = "table", convert_to_frame(table, "table")
    whole = read_dataset(frame, columns, items=items, name=name)
    if policy is not None:
        allowed = apply_policy(whole, allowed, policy)
    permitted = find_permitted_rows(frame, columns, allowed)
    rest = read_dataset(frame[permitted], columns, items=items, name=name)
    return whole, rest, int((~permitted).sum())


def _map_columns(
    names: Sequence[str], place: str | PathLike[str], columns: Columns, kind: TableFields
) -> dict[str, str]:
    return resolve_columns(names, kind.aliases, kind.required, str(place), columns)


def _join_list(cell: Any) -> Any:
    return "|".join(map(str, cell)) if isinstance(cell, list | tuple | set | frozenset | np.ndarray) else cell


def _name_weights(dataset: Dataset) -> dict[str, str]:
    """Return the column of weights as the dataset's table called it, because the rule of positives may."""
    for field in ("quantity", "weight"):
        if field in dataset.columns:
            return {field: dataset.columns[field]}
    return {"weight": "weight"}


def _make_frames(dataset: Dataset, weight: str) -> tuple["DataFrame", "DataFrame | None"]:
    """Return the table of a dataset's rows, and that of its items where rows do not say what they are."""
    import pandas as pd

    log, items, said = dataset.interactions, dataset.items, dataset.descriptions
    columns: dict[str, Any] = {"user_id": log.user_ids[log.user], "item_id": log.item_ids[log.item], weight: log.weight}
    for name in ("datetime", "source", "consent"):
        if getattr(log, name) is not None:
            columns[name] = getattr(log, name)
    if log.purposes is not None:
        names = np.asarray(log.purpose_names, dtype=object)
        columns["purposes"] = [names[held].tolist() for held in log.purposes]
    if said is not None:
        columns["title"] = [said.titles[d] for d in said.row]
        columns["item_year"] = [said.years[d] for d in said.row]
        columns["features"] = ["|".join(said.features[d]) for d in said.row]
        return pd.DataFrame(columns), None
    names = np.asarray(items.feature_names, dtype=object)
    features = ["|".join(row) for row in np.split(names[items.features.indices], items.features.indptr[1:-1])]
    about = {"item_id": items.ids, "title": items.titles, "features": features, "year": items.years}
    return pd.DataFrame(columns), pd.DataFrame(about)


def describe_settings(settings: TableSettings) -> dict[str, Any]:
    """Return the settings of a table that stay true of its copy as text with commas: how numbers and times are read."""
    kept = {name: getattr(settings, name) for name in ("decimal", "time_unit", "time_format")}
    assert {*kept} < {one.name for one in dataclasses.fields(TableSettings)}
    return {name: value for name, value in kept.items() if value is not None}
