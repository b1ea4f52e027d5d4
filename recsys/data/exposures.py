"""The validated log of exposures of a table: ids coded, values checked, rows without consent left out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.identifiers import encode_ids, make_string_array
from recsys.data.interactions import keep_consented_rows
from recsys.data.mapped_tables import MappedTable
from recsys.data.parsing import parse_flags, parse_numbers, refuse_bad_rows
from recsys.data.purposes import parse_purposes, select_purposes
from recsys.data.times import parse_times
from recsys.types import Exposures, RecsysError
from recsys.types.arrays import Ints, Longs, Strings

if TYPE_CHECKING:
    from pandas import Series

EXPOSURE_REQUIRED_FIELDS = ("user_id", "item_id", "datetime")
MAX_SLOT = 2**31 - 1
MAX_SEED = 2**53  # whole numbers up to it are numbers of 64 bits


def build_exposures(table: MappedTable) -> Exposures:
    """Return the log in `table`, with a note for each rule that met a row.

    Raises:
        RecsysError: for rows without ids, and values that are no times, whole numbers or truth values.
    """
    rows = np.arange(len(table.frame))
    kept = keep_consented_rows(table)
    notes = list(table.notes)
    if len(kept.frame) < len(rows):
        rows = np.flatnonzero(table.frame.index.isin(kept.frame.index))
        notes.append(f"{len(table.frame) - len(rows):,} exposures without consent: left out")
    if not len(rows):
        raise RecsysError(f"{table.place}: no exposures are left ({'; '.join(notes)})")
    user, user_ids = _encode_column(kept, "user_id", rows)
    item, item_ids = _encode_column(kept, "item_id", rows)
    when = parse_times(kept.frame[kept.columns["datetime"]], rows, kept.place, table.settings, notes)
    columns = _parse_optional_columns(kept, rows)
    return Exposures(user, item, when, user_ids, item_ids, **columns, notes=tuple(notes))


def _encode_column(table: MappedTable, field: str, rows: Longs) -> tuple[Ints, Strings]:
    values = table.frame[table.columns[field]]
    codes, ids = encode_ids(values)
    refuse_bad_rows(codes < 0, values, rows, table.place, "an id")
    return codes, ids


def _parse_optional_columns(table: MappedTable, rows: Longs) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in ("clicked", "dismissed"):
        if field in table.columns:
            found[field] = parse_flags(table.frame[table.columns[field]], rows, table.place)
    for field, least, most in (("slot", 1, MAX_SLOT), ("seed", 0, MAX_SEED)):
        if field in table.columns:
            found[field] = _parse_whole_numbers(table.frame[table.columns[field]], rows, table.place, least, most)
    if "slot" in found:
        found["slot"] = found["slot"].astype(np.int32)
    if "purposes" in table.columns:
        sets_of_rows, sets = parse_purposes(table.frame[table.columns["purposes"]], rows, table.place)
        found["purposes"], found["purpose_names"] = select_purposes(sets, sets_of_rows)
    if "policy" in table.columns:
        codes, names = encode_ids(table.frame[table.columns["policy"]])
        found["policy"] = make_string_array([*names.tolist(), ""])[codes]
    return found


def _parse_whole_numbers(values: "Series[Any]", rows: Longs, place: str, least: int, most: int) -> Longs:
    """Return whole numbers, least - 1 where there is none."""
    numbers, absent = parse_numbers(values), values.isna().to_numpy(bool)
    with np.errstate(invalid="ignore"):
        whole = (numbers >= least) & (numbers <= most) & (numbers == np.floor(numbers))
    refuse_bad_rows(~(whole | absent), values, rows, place, f"a whole number from {least} on")
    return np.where(absent, least - 1, numbers).astype(np.int64)
