"""Files with a user and its items on each line, and files of blocks of an item and its users."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recsys.data.columns import normalize_name
from recsys.data.delimited import parse_delimited
from recsys.data.dialects import BLANKS, COMMENT_MARKS, STRONG_DELIMITERS, WEAK_DELIMITERS, Dialect
from recsys.data.settings import TableSettings
from recsys.types import RecsysError
from recsys.types.errors import Setting, SettingError

if TYPE_CHECKING:
    from pandas import DataFrame

_WHOLE_NUMBER = re.compile(r"\d{1,18}")
_BLOCK_HEAD = re.compile(r"[^\s,:]+:\s*")
_DELIMITERS = (*STRONG_DELIMITERS, *WEAK_DELIMITERS, BLANKS)


def holds_item_lists(sample: Sequence[str]) -> bool:
    """Return whether the lines are whole numbers between blanks, not as many on each: a user and its items."""
    rows = [line.split() for line in sample if not line.startswith(COMMENT_MARKS)]
    uneven = len({len(row) for row in rows}) > 1 and max(map(len, rows)) > 2
    return uneven and all(_WHOLE_NUMBER.fullmatch(cell) for row in rows for cell in row)


def read_item_lists(
    data: bytes, sample: Sequence[str], place: str, settings: TableSettings, fields: Mapping[str, Sequence[str]]
) -> tuple["DataFrame", list[str]]:
    """Return user_id, item_id and rank (1 is first) of lines that hold a user and its items; empty cells are none.

    Raises:
        SettingError: if it cannot be told at what a line is split.
    """
    import pandas as pd

    marks = [settings.delimiter] if settings.delimiter else _detect_delimiters(sample, place)
    lines = [line for line in data.decode().split("\n") if line.strip() and not line.startswith(COMMENT_MARKS)]
    rows = [_split_line(line, marks) for line in lines]
    if not rows:
        raise RecsysError(f"{place}: no line holds a user and an item")
    header = settings.header
    if header is None:
        known = {normalize_name(alias) for field in ("user_id", "item_id") for alias in fields[field]}
        header = normalize_name(rows[0][0]) in known
    rows = rows[1:] if header else rows
    users = [row[0].removesuffix(":").strip() for row in rows for _ in row[1:]]
    items = [cell for row in rows for cell in row[1:]]
    ranks = [rank for row in rows for rank in range(1, len(row))]
    frame = pd.DataFrame({"user_id": users, "item_id": items, "rank": ranks})
    frame = frame[frame["item_id"] != ""].reset_index(drop=True)
    alone = len(rows) - frame["user_id"].nunique()
    notes = ["each line is read as a user and its items"] if settings.lists is None else []
    if alone > 0:
        notes.append(f"{alone:,} lines without an item, or of a user of another line: they add no user")
    if not len(frame):
        raise RecsysError(f"{place}: no line holds a user and an item")
    return frame, notes


def refuse_wide_table(
    names: Sequence[object], place: str, settings: TableSettings, fields: Mapping[str, Sequence[str]]
) -> None:
    """Refuse columns such as item1, item2 where a table of interactions is expected: they may hold ratings.

    Raises:
        SettingError: unless the user says so, or lists with a rank are expected.
    """
    if not settings.lists and "rank" not in fields:
        raise SettingError(
            f"{place}: columns {str(names[1])!r} to {str(names[-1])!r} look like a list of items in each row: ",
            Setting("lists", True), after=" reads each row as a user and its items",
        )  # fmt: skip


def melt_wide_table(frame: "DataFrame", place: str) -> "DataFrame":
    """Return user_id, item_id and rank of a table whose first column is a user, the others its items, best first.

    Raises:
        RecsysError: if no row holds a user and an item.
    """
    import numpy as np
    import pandas as pd

    if len(frame.columns) < 2 or not len(frame):
        raise RecsysError(f"{place}: no row holds a user and an item")
    if len(frame.columns) == 2:
        user, items = frame.columns
        exploded = frame.explode(items, ignore_index=False)
        rank = exploded.groupby(level=0).cumcount() + 1
        made = pd.DataFrame({"user_id": exploded[user], "item_id": exploded[items], "rank": rank})
    else:
        columns = len(frame.columns) - 1
        values = frame.iloc[:, 1:].to_numpy(dtype=object).ravel()
        ranks = np.tile(np.arange(1, columns + 1), len(frame))
        made = pd.DataFrame({"user_id": frame.iloc[:, 0].repeat(columns), "item_id": values, "rank": ranks})
    made = made[made["item_id"].notna() & (made["item_id"].astype(str) != "")].reset_index(drop=True)
    if not len(made):
        raise RecsysError(f"{place}: no row holds a user and an item")
    return made


def is_wide_table(names: Sequence[str]) -> bool:
    """Return whether all columns but the first are one name with the numbers 1, 2, ... or 0, 1, ...

    >>> is_wide_table(["user", "item1", "item2"]), is_wide_table(["user", "item", "rating"])
    (True, False)
    """
    found = [re.fullmatch(r"(\D+)(\d{1,6})", name) for name in names[1:]]
    if len(found) < 2 or not all(found):
        return False
    numbers = [int(one.group(2)) for one in found if one]
    return len({one.group(1) for one in found if one}) == 1 and numbers == [
        numbers[0] + place for place in range(len(numbers))
    ] and numbers[0] < 2  # fmt: skip


def holds_item_blocks(sample: Sequence[str]) -> bool:
    """Return whether the lines are those of the Netflix prize: `item:`, then a line for each of its users."""
    heads = [bool(_BLOCK_HEAD.fullmatch(line)) for line in sample]
    return (
        heads[0]
        and not all(heads)
        and len({line.count(",") for line, head in zip(sample, heads, strict=True) if not head}) == 1
    )


def read_item_blocks(data: bytes, place: str) -> "DataFrame":
    """Return item_id, user_id and the other values of the lines: rating, date.

    Raises:
        RecsysError: if a line holds more or fewer cells than the others.
    """
    lines = data.split(b"\n", 200)[:200]
    cells = max(line.count(b",") for line in lines) + 1
    names = {1: ("user_id",), 2: ("user_id", "date"), 3: ("user_id", "rating", "date")}.get(cells)
    if names is None:
        raise RecsysError(f"{place}: blocks of `item:` with {cells} fields a line, expected user, rating and date")
    even = re.sub(rb"(?m)^([^\s,:]+:)[ \t]*$", rb"\1" + b"," * (cells - 1), data)
    frame, _ = parse_delimited(
        even, Dialect(",", False, names), place, False, ["user_id"], ["rating"] if cells == 3 else []
    )
    users = frame["user_id"].astype(object)
    heads = users.str.endswith(":").fillna(False).to_numpy(bool)
    frame["item_id"] = users.where(heads).ffill().str.removesuffix(":")
    return frame[~heads].reset_index(drop=True)


def _detect_delimiters(sample: Sequence[str], place: str) -> list[str]:
    """Return the delimiters: one for all cells, or one behind the user and another between items."""
    inside = [mark for mark in _DELIMITERS if any(mark in line.strip() for line in sample)]
    if len(inside) == 2 and inside[0] in STRONG_DELIMITERS and all(line.count(inside[0]) == 1 for line in sample):
        return inside
    if len(inside) == 2 and inside[1] == BLANKS and all(line.count(", ") == line.count(",") for line in sample):
        inside = inside[:1]
    if len(inside) == 1:
        return inside
    told = " and ".join(repr(mark) for mark in inside) or "none of the usual delimiters"
    raise SettingError(
        f"{place}: lines of a user and its items hold {told}: ",
        Setting("delimiter", (inside or [","])[0]), after=" says what separates them",
    )  # fmt: skip


def _split_line(line: str, marks: Sequence[str]) -> list[str]:
    first, *rest = line.split() if marks[0] == BLANKS else line.split(marks[0])
    if len(marks) == 2:
        rest = rest[0].split() if marks[1] == BLANKS else rest[0].split(marks[1])
    return [first.strip(), *(cell.strip().strip('"') for cell in rest)]
