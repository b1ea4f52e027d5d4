"""What was shown to the user of a request: what the ranker holds, and what the request brings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recsys.data.columns import EXPOSURE_FIELDS, normalize_name
from recsys.data.identifiers import normalize_id
from recsys.rankers.requests import NO_EXPOSURES, IdIndex, RequestUser, ShownRows, load_exposure_kernels
from recsys.types import ExposureHistories, Guard, RecsysError
from recsys.types.arrays import Bools, Ints, Longs
from recsys.types.moments import MAX_MOMENT, parse_moment
from recsys.types.numbers import convert_to_python

POSITIONAL_FIELDS = ("item_id", "datetime", "dismissed")
MAX_SHOWN = 500  # exposures of each user that a ranker keeps, where nothing else is said
NO_LIMITS = np.zeros((0, 3), np.int64)
_FIELDS = {normalize_name(alias): field for field, aliases in EXPOSURE_FIELDS.items() for alias in aliases}
_PLAIN_ROWS = ((str, int), (str, int, bool))  # types of rows that need no further look
_EXPECTED = "expected rows such as {'item_id': '50', 'datetime': 1700000000, 'dismissed': False}"


class ExposureStore:
    """The exposures that a ranker holds, as arrays of NumPy's own class: slices of memory maps take microseconds."""

    def __init__(self, histories: ExposureHistories, items: IdIndex) -> None:
        """Take the histories of the ranker's users, and the index of its items."""
        self._pointers: list[int] = np.asarray(histories.pointers).tolist()
        self._rows = tuple(np.asarray(getattr(histories, name)) for name in ("items", "times", "dismissed"))
        self.has_rows = len(self._rows[0]) > 0
        self._latest = int(self._rows[1].max(initial=0))
        self._items = items

    def take_rows(self, code: int, now: int) -> ShownRows | None:
        """Return what is held of a user, None where nothing is held of anybody, or nobody is known to ask."""
        if code < 0 or not self.has_rows:
            return None
        mine = slice(self._pointers[code], self._pointers[code + 1])
        return ShownRows(self._rows[0][mine], self._rows[1][mine], self._rows[2][mine], now)

    def add_to_request(self, asker: RequestUser, shown: Any) -> RequestUser:
        """Return the user of a request with what was shown to them before the moment of the request.

        Rows of `shown` are added to those that are held; one of an item and a second that is held already counts once.
        An exposure after that moment counts as one of it: no clock that is ahead lifts a limit.

        Raises:
            RecsysError: if `shown` cannot be read.
        """
        rows = self.take_rows(asker.code, asker.now)
        if rows is None:
            if shown is None:
                return asker
            rows = NO_EXPOSURES._replace(now=asker.now)
        may_be_late = shown is not None or asker.now < self._latest
        notes: tuple[str, ...] = ()
        if shown is not None:
            items, times, dismissed = parse_shown_rows(shown)
            codes, unknown = self._items.look_up(items)
            if unknown:
                known = np.array([normalize_id(item) in self._items.codes for item in items], dtype=bool)
                times, dismissed = times[known], dismissed[known]
                notes = (f"Exposures of items that the ranker does not know are left out: {len(unknown):,}.",)
            rows = join_rows(rows, codes, times, dismissed)
        late = int((rows.times > asker.now).sum()) if may_be_late else 0
        if late:
            notes += (f"Exposures after now count as now: {late:,}.",)
        return asker._replace(shown=rows, exposure_notes=notes)


def parse_shown_rows(shown: Any) -> tuple[list[str], Longs, Bools]:
    """Return items, times in seconds since 1970 and dismissals of the rows that a request brings.

    Rows are tuples of item_id, datetime and optionally dismissed, or mappings by the names that
    `recsys.read_exposures` knows, of which those three are read; or columns by these names.

    Raises:
        RecsysError: for anything else, a missing item, or a time or dismissal that is none.
    """
    rows = _convert_columns(shown) if isinstance(shown, Mapping) else shown
    if isinstance(rows, str) or not isinstance(rows, Iterable) or hasattr(rows, "columns"):
        raise RecsysError(f"ranker: shown is {_shorten(shown)}, {_EXPECTED}")
    parsed = [_parse_row(number, row) for number, row in enumerate(rows, start=1)]
    items, times, dismissed = zip(*parsed, strict=True) if parsed else ((), (), ())
    return list(items), np.array(times, np.int64), np.array(dismissed, bool)


def collect_limits(guards: Sequence[Guard]) -> Longs:
    """Return the limits of guards, (G, 3): most exposures, window and cool-down, of those that have one."""
    found = [guard.exposure_limit for guard in guards if guard.exposure_limit is not None]
    return np.array([(one.max_exposures, one.window, one.cool_down) for one in found], np.int64).reshape(-1, 3)


def hide_limited_items(asker: RequestUser, limits: Longs) -> RequestUser:
    """Return the user of a request with the items that limits exclude for what was shown."""
    rows = asker.shown
    if not len(limits) or not len(rows.items):
        return asker
    kernel: Any = load_exposure_kernels().list_limited_items
    found = np.empty(len(rows.items), np.int32)
    count = kernel(rows.items, rows.times, rows.dismissed, rows.now, limits, found)
    return asker._replace(hidden=found[:count])


def _convert_columns(shown: Mapping[Any, Any]) -> list[dict[Any, Any]]:
    columns = {name: list(values) if _is_listed(values) else None for name, values in shown.items()}
    lengths = {None if values is None else len(values) for values in columns.values()}
    if len(lengths) != 1 or None in lengths:
        raise RecsysError(f"ranker: shown has columns that are no lists of one length, {_EXPECTED}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_listed(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)


def _parse_row(number: int, row: Any) -> tuple[str, int, bool]:
    if type(row) is tuple and tuple(map(type, row)) in _PLAIN_ROWS and row[0] and abs(row[1]) < MAX_MOMENT:
        return (*row, False) if len(row) == 2 else row
    place = f"ranker: shown: row {number}"
    cells = _read_cells(place, row)
    when = parse_moment(f"{place}: datetime", cells.get("datetime"))
    return _parse_item(place, cells.get("item_id")), when, _parse_flag(place, cells.get("dismissed"))


def _read_cells(place: str, row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        found = {_FIELDS.get(str(name)) or _FIELDS.get(normalize_name(str(name))): value for name, value in row.items()}
        cells = {field: value for field, value in found.items() if field is not None}
    elif isinstance(row, tuple | list) and 2 <= len(row) <= len(POSITIONAL_FIELDS):
        cells = dict(zip(POSITIONAL_FIELDS, row, strict=False))
    else:
        raise RecsysError(f"{place} is {_shorten(row)}, {_EXPECTED}")
    for field in ("item_id", "datetime"):
        if field not in cells:
            raise RecsysError(f"{place} has no {field}, {_EXPECTED}")
    return cells


def _parse_item(place: str, found: Any) -> str:
    name = normalize_id(found) if isinstance(found, str | int | float | np.generic) else ""
    if not name:
        raise RecsysError(f"{place}: item_id is {_shorten(found)}, expected an id")
    return name


def _parse_flag(place: str, found: Any) -> bool:
    value = convert_to_python(found)
    if value is None or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    raise RecsysError(f"{place}: dismissed is {_shorten(found)}, expected true or false")


def join_rows(held: ShownRows, items: Ints, times: Longs, dismissed: Bools) -> ShownRows:
    """Return rows that are held and further ones, by item, then time; those of a pair that is held count once."""
    all_items = np.concatenate([held.items, items]).astype(np.int32)
    all_times, flags = np.concatenate([held.times, times]), np.concatenate([held.dismissed, dismissed])
    is_new = np.arange(len(all_items)) >= len(held.items)
    order = np.lexsort((is_new, all_times, all_items))
    all_items, all_times, flags, is_new = all_items[order], all_times[order], flags[order], is_new[order]
    if not len(order):
        return held
    first = np.ones(len(order), bool)
    first[1:] = (all_items[1:] != all_items[:-1]) | (all_times[1:] != all_times[:-1])
    starts, group = np.flatnonzero(first), np.cumsum(first) - 1
    flags = np.logical_or.reduceat(flags, starts)[group]
    kept = ~(is_new & ~is_new[starts][group])
    return ShownRows(all_items[kept], all_times[kept], flags[kept], held.now)


def _shorten(found: Any) -> str:
    return " ".join(repr(found).split())[:60]
