"""Whether the first line of a text holds the names of the columns."""

import re
from collections.abc import Sequence

from recsys.data.columns import normalize_name, strip_recbole_types
from recsys.data.settings import TableSettings
from recsys.types.errors import Setting, SettingError

RECBOLE_TYPE = re.compile(r":(?:token|float)(?:_seq)?$")  # the types of RecBole's headers
_NUMBER = re.compile(r"[+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


def count_field_names(cells: Sequence[str], aliases: set[str]) -> int:
    """Return how many cells are names that fields go by."""
    return sum(normalize_name(name) in aliases for name in strip_recbole_types(cells))


def has_header(
    first: Sequence[str],
    rest: Sequence[Sequence[str]],
    place: str,
    settings: TableSettings,
    aliases: set[str],
    user_columns: Sequence[object],
) -> bool:
    """Return whether the first line holds names: they are known, or of another kind than the cells below them.

    Raises:
        SettingError: where its cells speak for both, or for neither.
    """
    if settings.header is not None:
        return settings.header
    named = [str(name) for name in user_columns if not str(name).isdigit()]
    if set(named) & set(strip_recbole_types(first)) or any(RECBOLE_TYPE.search(cell) for cell in first):
        return True
    positions = len(first) > 2 and list(first) == [str(n) for n in range(len(first))]  # as pandas names columns
    if all(_is_value(cell) for cell in first if cell) and any(first) and not positions:
        return False
    values = sum(_is_value(cell) for cell in first)
    fields = count_field_names(first, aliases)
    if fields > 1 or (fields and not values):
        return True
    columns = list(zip(*rest, strict=False))
    against = [_classify_first_cell(cell, column) for cell, column in zip(first, columns, strict=False)]
    if not fields and not positions and values > sum(map(_stands_above_values, first, columns)):
        return False  # names that are numbers are rarer than a text above texts of another form
    said = {one for one in against if one is not None} | ({False} if values else set()) | ({True} if fields else set())
    if len(said) == 1 and not positions:
        return said.pop()
    if not said and named:
        return True  # the error is about the column that is not there
    raise SettingError(
        f"{place}: the first line may be names or a row ({', '.join(first)[:60]!r}): ",
        Setting("header", True), Setting("header", False), after=" decides",
    )  # fmt: skip


def _classify_first_cell(cell: str, column: Sequence[str]) -> bool | None:
    """Return whether a cell of the first line is a name, as the cells below it are of another kind; None: unknown."""
    below = [one.strip() for one in column if one.strip()]
    if not cell or not below:
        return None
    has_digit = any(character.isdigit() for character in cell)
    if _stands_above_values(cell, column):
        return None if has_digit else True
    if cell in below:
        return False
    digits = sum(any(character.isdigit() for character in one) for one in below)
    return not has_digit if digits == len(below) else None


def _stands_above_values(cell: str, column: Sequence[str]) -> bool:
    """Return whether a text that is no number or date is above numbers or dates only."""
    below = [one.strip() for one in column if one.strip()]
    return bool(cell and below) and not _is_value(cell) and all(map(_is_value, below))


def _is_value(cell: str) -> bool:
    cell = cell.strip()
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell)) or cell.lower() in ("nan", "inf", "-inf")
