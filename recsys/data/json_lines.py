"""JSON lines: one object on each line."""

import json
from typing import TYPE_CHECKING, Any

from recsys.types import RecsysError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_json_lines(data: bytes, place: str) -> "DataFrame":
    """Return the table in a text with one JSON object on each line; a key that a line does not have is missing there.

    Lines go through the standard library: the reader of Arrow ends the process at a line that is `null`.

    Raises:
        RecsysError: with the first line that is no object.
    """
    import pandas as pd

    if not data.strip():
        raise RecsysError(f"{place}: the file is empty")
    if data.lstrip()[:1] == b"[":
        raise RecsysError(f"{place}: holds one JSON array, expected one object on each line (JSON lines)")
    columns: dict[str, list[Any]] = {}
    rows = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        for key, value in _parse_object(line, number, place).items():
            cells = columns.setdefault(key, [])
            cells.extend([None] * (rows - len(cells)))
            cells.append(value)
        rows += 1
    made = {key: [*cells, *[None] * (rows - len(cells))] for key, cells in columns.items()}
    return pd.DataFrame({key: pd.Series(cells, dtype=object) for key, cells in made.items()})


def _parse_object(line: bytes, number: int, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        found = line[:40].decode(errors="replace")
        raise RecsysError(f"{place}: line {number:,} is no JSON: {found!r} ({error})") from error
    if not isinstance(row, dict):
        raise RecsysError(
            f"{place}: line {number:,} holds no object, expected names and values: {line[:40].decode()!r}"
        )
    return row
