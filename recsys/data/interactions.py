"""The validated log of a table: ids coded, values checked, untidy rows handled by rule and counted."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import CleaningRules
from recsys.data.events import (
    describe_unweighted_events,
    drop_weight_columns,
    find_returns,
    parse_event_weights,
    weigh_events,
)
from recsys.data.identifiers import encode_ids, make_string_array
from recsys.data.mapped_tables import MappedTable
from recsys.data.parsing import parse_consents, parse_weights, refuse_bad_rows
from recsys.data.purposes import PurposeSets, parse_purposes, select_purposes
from recsys.data.times import parse_times
from recsys.types import Interactions, RecsysError
from recsys.types.arrays import Anys, Bools, Ints, Longs, Strings

if TYPE_CHECKING:
    from pandas import Series

Columns = dict[str, Anys]


@dataclass(frozen=True, eq=False)
class ParsedRows:
    """Rows of a table with their values checked: R of them, in the order of the table."""

    columns: Columns  # (R,) each: row (in the table), user, item, weight; datetime, consent, source, purposes if there
    user_ids: Strings  # that `user` are codes of, as `item` of item_ids and `source` of source_names
    item_ids: Strings
    source_names: Strings
    purpose_sets: PurposeSets | None  # that `purposes` are codes of
    duplicate: Bools  # (R,) whether an earlier row is alike in every column of the table
    table: MappedTable
    left_out: tuple[tuple[str, int], ...]  # by which rule, and how many rows, in the order in which they were
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Return R."""
        return len(self.duplicate)


def parse_rows(table: MappedTable, rules: CleaningRules, events: Mapping[Any, float] | None = None) -> ParsedRows:
    """Return the rows of `table` that are interactions, and one note for each rule that met a row.

    In this order: rows of other events than `events` weighs are dropped; rows without a user are refused, or dropped
    if the card says so; values are checked; returns (a negative quantity) and rows whose item id is not a product are
    dropped.

    Raises:
        RecsysError: for a row with a bad value, or if no row is left.
    """
    columns, user_ids, item_ids = _encode_rows(table)
    notes = describe_unweighted_events(table) if events is None else []
    left_out: list[tuple[str, int]] = []

    def drop(bad: Bools, what: str) -> None:
        if bad.any():
            left_out.append((what, int(bad.sum())))
            notes.append(f"{int(bad.sum()):,} {what}: dropped")
            for name, values in columns.items():
                columns[name] = values[~bad]

    if events is not None:
        columns["weight"], others = weigh_events(table, parse_event_weights(events, table.place))
        drop(np.isnan(columns["weight"]), f"rows of other events ({others})")
        drop(find_returns(table)[columns["row"]], "returns (negative quantity)")
        table, more = drop_weight_columns(table)
        notes += more
    if rules.without_user == "drop":
        drop(columns["user"] < 0, "rows without a user")
    for field in ("user", "item"):
        values = _select_values(table, f"{field}_id", columns["row"])
        refuse_bad_rows(columns[field] < 0, values, columns["row"], table.place, "an id")
    columns = _parse_values(table, columns["row"], notes) | columns
    source_names, purpose_sets = _encode_permissions(table, columns)
    if _get_weight_field(table) == "quantity":
        drop(columns["weight"] < 0, "returns (negative quantity)")
    if rules.keep_items is not None:
        proper = np.asarray([re.fullmatch(rules.keep_items, one) is not None for one in item_ids], dtype=bool)
        drop(~proper[columns["item"]], "rows whose item id is not a product (see `keep_items`)")
    if not len(columns["row"]):
        raise RecsysError(f"{table.place}: no rows are left ({'; '.join(notes)})")
    return ParsedRows(
        columns, user_ids, item_ids, source_names, purpose_sets, _find_duplicates(table, columns), table,
        tuple(left_out), tuple(notes),
    )  # fmt: skip


def drop_duplicates(rows: ParsedRows) -> ParsedRows:
    """Return the rows without those that repeat another one in every column of the table, with a note."""
    n = int(rows.duplicate.sum())
    if not n:
        return rows
    kept = ~rows.duplicate
    return replace(
        rows,
        columns={name: values[kept] for name, values in rows.columns.items()},
        duplicate=np.zeros(len(rows) - n, dtype=bool),
        notes=(*rows.notes, f"{n:,} exact duplicates of another row: dropped"),
    )


def build_interactions(
    table: MappedTable, rules: CleaningRules, events: Mapping[Any, float] | None = None
) -> tuple[Interactions, list[str]]:
    """Return the log in `table` and one note for each rule that met a row.

    Of rows alike in every column of the table one is kept. Pairs that occur more than once are kept: they are repeat
    consumption.
    """
    rows = drop_duplicates(parse_rows(table, rules, events))
    log = make_interactions(rows)
    return log, [*rows.notes, *describe_repeated_pairs(log)]


def keep_consented_rows(table: MappedTable) -> MappedTable:
    """Return the sheet of the rows with consent: others do not say what an item is, either."""
    if "consent" not in table.columns:
        return table
    allowed = parse_consents(table.frame[table.columns["consent"]], np.arange(len(table.frame)), table.place)
    return replace(table, frame=table.frame[allowed])


def _encode_rows(table: MappedTable) -> tuple[Columns, Strings, Strings]:
    user, user_ids = encode_ids(table.frame[table.columns["user_id"]])
    item, item_ids = encode_ids(table.frame[table.columns["item_id"]])
    return {"row": np.arange(len(user)), "user": user, "item": item}, user_ids, item_ids


def _get_weight_field(table: MappedTable) -> str:
    return "quantity" if "weight" not in table.columns and "quantity" in table.columns else "weight"


def _select_values(table: MappedTable, field: str, rows: Longs) -> "Series[Any]":
    values = table.frame[table.columns[field]]
    return values if len(rows) == len(values) else values.iloc[rows]


def _parse_values(table: MappedTable, rows: Longs, notes: list[str]) -> Columns:
    made: dict[str, tuple[str, Callable[..., Anys]]] = {
        "weight": (_get_weight_field(table), parse_weights),
        "datetime": ("datetime", partial(parse_times, settings=table.settings, notes=notes)),
        "consent": ("consent", parse_consents),
    }
    found: Columns = {
        name: check(_select_values(table, field, rows), rows, table.place)
        for name, (field, check) in made.items()
        if field in table.columns
    }
    return {"weight": np.ones(len(rows), dtype=np.float32), **found}


def _encode_permissions(table: MappedTable, columns: Columns) -> tuple[Strings, PurposeSets | None]:
    """Put codes of sources and of sets of purposes into `columns`, where the table has them, and return their names."""
    names, sets = [""], None
    if "source" in table.columns:
        codes, known = encode_ids(_select_values(table, "source", columns["row"]))
        names = [*known.tolist(), ""]
        columns["source"] = np.where(codes < 0, len(names) - 1, codes).astype(np.int32)
    if "purposes" in table.columns:
        values = _select_values(table, "purposes", columns["row"])
        columns["purposes"], sets = parse_purposes(values, columns["row"], table.place)
    return make_string_array(names), sets


def _find_duplicates(sheet: MappedTable, columns: Columns) -> Bools:
    import pandas as pd

    # Rows whose pair is there once, nearly all of most logs, need no further look.
    pairs = pd.Series(columns["user"].astype(np.int64) << 32 | columns["item"])
    suspect = np.flatnonzero(pairs.duplicated(keep=False).to_numpy())
    table = {name: values[suspect] for name, values in columns.items() if name != "row"}
    fields = ("user_id", "item_id", _get_weight_field(sheet), "datetime", "consent", "source", "purposes")
    ours = {sheet.columns[field] for field in fields if field in sheet.columns}
    for column in (name for name in sheet.frame.columns if name not in ours):
        values = sheet.frame[column].iloc[columns["row"][suspect]]
        table[f"other {column}"] = pd.factorize(values.astype(str) if values.dtype == object else values)[0]
    result = np.zeros(len(pairs), dtype=bool)
    result[suspect] = pd.DataFrame(table).duplicated().to_numpy()
    return result


def make_interactions(rows: ParsedRows) -> Interactions:
    """Return the log of rows, with the ids and names that are in them alone."""
    columns, purposes = rows.columns, None
    user, user_ids = _drop_unused_ids(columns["user"], rows.user_ids)
    item, item_ids = _drop_unused_ids(columns["item"], rows.item_ids)
    names: tuple[str, ...] = ()
    if rows.purpose_sets is not None:
        purposes, names = select_purposes(rows.purpose_sets, columns["purposes"])
    return Interactions(
        user=user,
        item=item,
        weight=columns["weight"],
        datetime=columns.get("datetime"),
        user_ids=user_ids,
        item_ids=item_ids,
        source=rows.source_names[columns["source"]] if "source" in columns else None,
        consent=columns.get("consent"),
        purposes=purposes,
        purpose_names=names,
    )


def _drop_unused_ids(codes: Ints, ids: Strings) -> tuple[Ints, Strings]:
    there = np.bincount(codes, minlength=len(ids)) > 0
    return (np.cumsum(there, dtype=np.int32) - 1)[codes].astype(np.int32), ids[there]


def describe_repeated_pairs(log: Interactions) -> list[str]:
    """Return a note on the pairs that occur more than once, none where there are none."""
    pair = np.sort(log.user.astype(np.int64) * len(log.item_ids) + log.item)
    again = pair[1:] == pair[:-1]
    if not again.any():
        return []
    pairs = len(np.unique(pair[1:][again]))
    return [f"{pairs:,} user-item pairs occur more than once ({int(again.sum()):,} further rows): all rows kept"]
