"""What a ranker holds about a user, as plain data."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy import sparse

from recsys.data.identifiers import normalize_id
from recsys.models.registry import find_fitted_classes
from recsys.objectives.derived_tables import (
    SORTED_HISTORIES,
    TABLES,
    Table,
    TableKey,
    get_drawn_accounts,
)
from recsys.rankers.records import RankerParts
from recsys.rankers.requests import IdIndex, get_row_columns
from recsys.rankers.saved_tables import list_user_tables
from recsys.rankers.user_dials import UserDials
from recsys.support.atomic_files import write_text
from recsys.support.serialization import flatten_record
from recsys.types import Context, ExposureHistories, RecsysError, make_unknown_name_error
from recsys.types.arrays import Csr, Ints
from recsys.types.moments import format_moment
from recsys.types.numbers import convert_to_plain_data
from recsys.types.paths import check_path
from recsys.types.user_rows import iter_user_rows

_USER_LENGTHS = ("users", "users or 0", "accounts")  # of axes that have a place for a user
_NOT_HELD = (
    "source and purposes of a row: they decide which rows a ranker is fitted to, and stand in the log alone",
    "slot, policy, seed and click of what was shown: they stand in the log of exposures alone",
    "requests: a ranker keeps nothing of them",
)


@dataclass(frozen=True)
class ProfileEntry:
    """One thing that is held about a user."""

    name: str  # where it lies: of a record or an array of the ranker, or of a derived table and its settings
    meaning: str  # in plain words
    arrays: tuple[str, ...]  # of a saved ranker, each a file; () for what is made anew in memory when it is loaded
    value: Any  # as JSON can say it


@dataclass(frozen=True)
class UserProfile:
    """All that a ranker holds about a user."""

    user: str
    ranker_policy: str  # names the ranker
    about: Mapping[str, Any]  # where the ranker comes from: `Ranker.about`
    entries: tuple[ProfileEntry, ...]
    other_arrays: tuple[str, ...]  # of a saved ranker: none has a row of the user, who counts there as one among all
    not_held: tuple[str, ...]  # what one may ask for and a ranker does not keep: a sentence each

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON can say it, under the names of its fields. Times are ISO 8601 in UTC."""
        plain = {**asdict(replace(self, about={})), "about": dict(self.about)}
        made: dict[str, Any] = convert_to_plain_data(plain)
        return made

    def to_json(self) -> str:
        """Return the profile as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def write(self, path: str | Path) -> Path:
        """Write the profile to a .json file, whole or not at all.

        Raises:
            RecsysError: for another kind of file, or one that cannot be written.
        """
        target = check_profile_path(path)
        write_text(target, self.to_json())
        return target


def check_profile_path(given: str | Path) -> Path:
    """Return the path of a profile.

    Raises:
        RecsysError: if it is no path, or not one of JSON.
    """
    path = check_path("profile", given, "the path of a file")
    if path.suffix != ".json":
        raise RecsysError(f"{path}: unknown kind of file '{path.suffix}', expected .json")
    return path


def build_profile(
    parts: RankerParts, context: Context, users: IdIndex, user: Any, policy: str, about: Mapping[str, Any]
) -> UserProfile:
    """Return what a ranker of these parts, which answers requests in `context`, holds about a user.

    Raises:
        RecsysError: for a user whom it does not know, with the nearest name.
    """
    name = normalize_id(user)
    code = users.codes.get(name)
    if code is None:
        raise make_unknown_name_error("user", name, users.names, where="ranker")
    models = tuple(model for model in parts.models if is_dataclass(model))
    arrays = tuple(flatten_record(replace(parts, models=models)))
    catalogue = _Catalogue(parts)
    entries = (
        *_list_record_entries(parts, catalogue, arrays, code),
        *_list_table_entries(parts, context, catalogue, arrays, code),
    )
    claimed = {array for entry in entries for array in entry.arrays}
    others = tuple(array for array in arrays if array not in claimed)
    return UserProfile(name, policy, about, entries, others, _list_missing(parts))


class _Catalogue:
    """Ids and titles of items, by code."""

    def __init__(self, parts: RankerParts) -> None:
        self._ids, self._titles = parts.item_ids, parts.titles

    def describe(self, codes: Ints, **columns: Sequence[Any]) -> list[dict[str, Any]]:
        """Return a row for each item: id, title, and its value in each column."""
        return [
            {
                "item": str(self._ids[code]),
                "title": str(self._titles[code]),
                **{name: column[row] for name, column in columns.items()},
            }
            for row, code in enumerate(np.asarray(codes).tolist())
        ]


def _list_record_entries(
    parts: RankerParts, catalogue: _Catalogue, arrays: Sequence[str], code: int
) -> Iterator[ProfileEntry]:
    """Yield what the records hold: the marked fields, what was shown, and dials; those of the model last."""
    marked = sorted(iter_user_rows(parts), key=lambda found: found[0].startswith("models."))
    for name, meaning, value in marked:
        if name == "train":
            own = (*_select_arrays(arrays, "train"), *_select_arrays(arrays, "times"))
            said = meaning if parts.times is None else f"{meaning}, with the time"
            yield ProfileEntry(name, said, own, _describe_likes(parts, catalogue, code))
        elif name != "times":  # told with what was liked
            yield ProfileEntry(name, meaning, _select_arrays(arrays, name), _take_row(value, 0, code, catalogue))
    for place, histories in enumerate(parts.exposures):
        name = f"exposures.{place}"
        shown = _describe_exposures(histories, catalogue, code)
        yield ProfileEntry(
            name, "what was shown, when, and whether it was dismissed", _select_arrays(arrays, name), shown
        )
    for place, dials in enumerate(parts.user_dials):
        name, kept = f"user_dials.{place}", _describe_dials(dials, str(parts.user_ids[code]))
        yield ProfileEntry(name, "dials that are stored for the user", _select_arrays(arrays, name), kept)


def _list_table_entries(
    parts: RankerParts, context: Context, catalogue: _Catalogue, arrays: Sequence[str], code: int
) -> Iterator[ProfileEntry]:
    """Yield what was met, and the derived tables that are there, saved or not, and have a row or column of the user."""
    if context.dislikes is not None:
        met = _take_row(context.need_seen("a profile"), 0, code, catalogue)
        yield ProfileEntry("met", "the items that were liked or disliked", (), met)
    stored = {TableKey(table.name, table.settings): place for place, table in enumerate(parts.tables)}
    for key, value in list_user_tables(context):
        table = TABLES[key.name]
        place = _find_place(table, key, context, code)
        if place is None:
            continue
        several = value if isinstance(value, tuple) else (value,)
        if table is SORTED_HISTORIES:
            found = [catalogue.describe(several[1][several[0][code] : several[0][code + 1]])]
            own: list[str] = []
        else:
            axes = _find_user_axes(table, several)
            found = [_take_row(several[part], axis, place, catalogue) for part, axis in axes.items()]
            prefixes = [f"tables.{stored[key]}.parts.{part}.values" for part in axes] if key in stored else []
            own = [name for prefix in prefixes for name in _select_arrays(arrays, prefix)]
        if found:
            name = " ".join(key).strip()
            yield ProfileEntry(name, table.user_row, tuple(own), found[0] if len(found) == 1 else found)


def _find_place(table: Table, key: TableKey, context: Context, code: int) -> int | None:
    """Return where a table has what is the user's: at the code, or at that of the account; None where it is none."""
    if not table.of_accounts:
        return code
    accounts, seed = map(int, key.settings.split()[:2])
    drawn = np.flatnonzero(get_drawn_accounts(context, accounts, seed, "a profile") == code)
    return int(drawn[0]) if len(drawn) else None


def _find_user_axes(table: Table, parts: Sequence[Any]) -> dict[int, int]:
    """Return which axis of which part of a table has a place for each user or account."""
    if table.saved is None:
        return dict.fromkeys(range(len(parts)), 0)
    found = {}
    for part, (shape, array) in enumerate(zip(table.saved.shapes, parts, strict=True)):
        for axis, length in enumerate(shape):
            if length in _USER_LENGTHS and array.shape[axis]:
                found[part] = axis
    return found


def _take_row(array: Any, axis: int, place: int, catalogue: _Catalogue) -> Any:
    """Return what an array has at a place of an axis; of a matrix of items, which items and their values."""
    if not sparse.issparse(array):
        return _convert_to_plain(np.take(np.asarray(array), place, axis=axis))
    given = cast(Any, array)
    matrix: Csr = given if axis == 0 else Csr(given.T.tocsr())
    codes = get_row_columns(matrix, place)
    return catalogue.describe(codes, value=_get_row_values(matrix, place))


def _describe_likes(parts: RankerParts, catalogue: _Catalogue, code: int) -> list[dict[str, Any]]:
    codes, columns = get_row_columns(parts.train, code), {"value": _get_row_values(parts.train, code)}
    if parts.times is None:
        return catalogue.describe(codes, **columns)
    when = dict(zip(get_row_columns(parts.times, code).tolist(), _get_row_values(parts.times, code), strict=True))
    times = [format_moment(when.get(item)) for item in codes.tolist()]
    return catalogue.describe(codes, **columns, time=times)


def _describe_exposures(histories: ExposureHistories, catalogue: _Catalogue, code: int) -> list[dict[str, Any]]:
    own = histories.take_users([code])
    times = [format_moment(moment) for moment in own.times.tolist()]
    return catalogue.describe(own.items, time=times, dismissed=own.dismissed.tolist())


def _describe_dials(dials: UserDials, user: str) -> list[dict[str, Any]]:
    """Return the rows of a user, in the order in which they were set; `until` is None for those that never end."""
    own = dials.keep(dials.user_ids == user)
    if own is None:
        return []
    return [
        {
            "objective": objective,
            "factor": factor,
            "since": format_moment(since),
            "until": format_moment(until),
        }
        for objective, factor, since, until in zip(
            own.objectives.tolist(), own.factors.tolist(), own.since.tolist(), own.until.tolist(), strict=True
        )
    ]


def _get_row_values(matrix: Csr, row: int) -> list[Any]:
    values: list[Any] = _convert_to_plain(matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]])
    return values


def _convert_to_plain(array: Any) -> Any:
    """Return an array as lists, None where a number is not finite: JSON has no word for it."""
    found = np.asarray(array)
    if found.dtype.kind == "f" and not (finite := np.isfinite(found)).all():
        found = found.astype(object)
        found[~finite] = None
    return found.tolist()


def _select_arrays(arrays: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the names of the arrays that a field is written as."""
    return tuple(one for one in arrays if one == name or one.startswith(f"{name}."))


def _list_missing(parts: RankerParts) -> tuple[str, ...]:
    """Return what the ranker does not keep, and which of its models could not be looked through."""
    known, timeless = find_fitted_classes(), "times of what was liked: the ranker was fitted without"
    fitted = [type(part).__name__ for model in parts.models for part in (model, *getattr(model, "parts", ()))]
    unread = [
        f"model {name}: none of this library's, what it holds is not told" for name in fitted if name not in known
    ]
    return (*unread, *([timeless] if parts.times is None else []), *_NOT_HELD)
