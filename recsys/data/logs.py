"""The validated log of a table: ids coded, values checked, untidy rows handled by rule and counted."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.cards import Rules
from recsys.data.events import are_returns, check_events, describe_events, weigh_events, without_strength
from recsys.data.identifiers import coded, strings
from recsys.data.sheets import Sheet
from recsys.data.times import seconds
from recsys.data.values import consents, refuse, weights
from recsys.types import Interactions, RecsysError
from recsys.types.arrays import Anys, Bools, Ints, Longs, Strings

if TYPE_CHECKING:
    from pandas import Series

Columns = dict[str, Anys]


def build_log(sheet: Sheet, rules: Rules, events: Mapping[Any, float] | None = None) -> tuple[Interactions, list[str]]:
    """Return the log in `sheet` and what was done to it, one note for each rule that met a row.

    In this order: rows of other events than `events` weighs are dropped; rows without a user are refused, or dropped
    if the card says so; values are checked; returns (a negative quantity) and rows of items that are none are dropped;
    of rows alike in every column of the table one is kept. Pairs that occur more than once are kept: they are repeat
    consumption.
    """
    columns, user_ids, item_ids = _ids(sheet)
    notes = describe_events(sheet) if events is None else []

    def drop(bad: Bools, what: str) -> None:
        if bad.any():
            notes.append(f"{int(bad.sum()):,} {what}: dropped")
            for name, values in columns.items():
                columns[name] = values[~bad]

    if events is not None:
        columns["weight"], others = weigh_events(sheet, check_events(events, sheet.place))
        drop(np.isnan(columns["weight"]), f"rows of other events ({others})")
        drop(are_returns(sheet)[columns["row"]], "returns (negative quantity)")
        sheet, more = without_strength(sheet)
        notes += more
    if rules.without_user == "drop":
        drop(columns["user"] < 0, "rows without a user")
    refuse(columns["user"] < 0, _part(sheet, "user_id", columns["row"]), columns["row"], sheet.place, "an id")
    refuse(columns["item"] < 0, _part(sheet, "item_id", columns["row"]), columns["row"], sheet.place, "an id")
    columns = _values(sheet, columns["row"], notes) | columns
    if _strength(sheet) == "quantity":
        drop(columns["weight"] < 0, "returns (negative quantity)")
    if rules.keep_items is not None:
        proper = np.asarray([re.fullmatch(rules.keep_items, one) is not None for one in item_ids], dtype=bool)
        drop(~proper[columns["item"]], "rows of items that are none (by their ids)")
    drop(_duplicated(sheet, columns), "exact duplicates of another row")
    if not len(columns["row"]):
        raise RecsysError(f"{sheet.place}: no rows are left ({'; '.join(notes)})")
    log = _log(columns, user_ids, item_ids)
    return log, [*notes, *_repeated(log)]


def with_consent(sheet: Sheet) -> Sheet:
    """Return the sheet of the rows with consent: others do not say what an item is, either."""
    if "consent" not in sheet.columns:
        return sheet
    allowed = consents(sheet.frame[sheet.columns["consent"]], np.arange(len(sheet.frame)), sheet.place)
    return replace(sheet, frame=sheet.frame[allowed])


def _ids(sheet: Sheet) -> tuple[Columns, Strings, Strings]:
    user, user_ids = coded(sheet.frame[sheet.columns["user_id"]])
    item, item_ids = coded(sheet.frame[sheet.columns["item_id"]])
    return {"row": np.arange(len(user)), "user": user, "item": item}, user_ids, item_ids


def _strength(sheet: Sheet) -> str:
    return "quantity" if "weight" not in sheet.columns and "quantity" in sheet.columns else "weight"


def _part(sheet: Sheet, field: str, rows: Longs) -> "Series[Any]":
    values = sheet.frame[sheet.columns[field]]
    return values if len(rows) == len(values) else values.iloc[rows]


def _values(sheet: Sheet, rows: Longs, notes: list[str]) -> Columns:
    made: dict[str, tuple[str, Callable[..., Anys]]] = {
        "weight": (_strength(sheet), weights),
        "datetime": ("datetime", partial(seconds, settings=sheet.settings, notes=notes)),
        "consent": ("consent", consents),
    }
    found: Columns = {
        name: check(_part(sheet, field, rows), rows, sheet.place)
        for name, (field, check) in made.items()
        if field in sheet.columns
    }
    if "source" in sheet.columns:
        codes, names = coded(_part(sheet, "source", rows))
        found["source"] = strings([*names.tolist(), ""])[codes]
    return {"weight": np.ones(len(rows), dtype=np.float32), **found}


def _duplicated(sheet: Sheet, columns: Columns) -> Bools:
    import pandas as pd

    # Rows whose pair is there once, nearly all of most logs, need no further look.
    pairs = pd.Series(columns["user"].astype(np.int64) << 32 | columns["item"])
    suspect = np.flatnonzero(pairs.duplicated(keep=False).to_numpy())
    table = {name: values[suspect] for name, values in columns.items() if name != "row"}
    fields = ("user_id", "item_id", _strength(sheet), "datetime", "consent", "source")
    ours = {sheet.columns[field] for field in fields if field in sheet.columns}
    for column in (name for name in sheet.frame.columns if name not in ours):
        values = sheet.frame[column].iloc[columns["row"][suspect]]
        table[f"other {column}"] = pd.factorize(values.astype(str) if values.dtype == object else values)[0]
    result = np.zeros(len(pairs), dtype=bool)
    result[suspect] = pd.DataFrame(table).duplicated().to_numpy()
    return result


def _log(columns: Columns, user_ids: Strings, item_ids: Strings) -> Interactions:
    user, user_ids = _packed(columns["user"], user_ids)
    item, item_ids = _packed(columns["item"], item_ids)
    return Interactions(
        user=user,
        item=item,
        weight=columns["weight"],
        datetime=columns.get("datetime"),
        user_ids=user_ids,
        item_ids=item_ids,
        source=columns.get("source"),
        consent=columns.get("consent"),
    )


def _packed(codes: Ints, ids: Strings) -> tuple[Ints, Strings]:
    there = np.bincount(codes, minlength=len(ids)) > 0
    return (np.cumsum(there, dtype=np.int32) - 1)[codes].astype(np.int32), ids[there]


def _repeated(log: Interactions) -> list[str]:
    pair = np.sort(log.user.astype(np.int64) * len(log.item_ids) + log.item)
    again = pair[1:] == pair[:-1]
    if not again.any():
        return []
    pairs = len(np.unique(pair[1:][again]))
    return [f"{pairs:,} user-item pairs occur more than once ({int(again.sum()):,} further rows): all rows kept"]
