"""The state of a log: what is old, somebody else's, not agreed to, repeated, contradictory, drifting or bursting."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.check_figures import (
    TITLES,
    CheckFigure,
    check_ages,
    check_conflicts,
    check_consents,
    check_duplicates,
    check_purposes,
    check_single_users,
    check_sources,
    count_codes,
    explain_missing_moments,
    find_late_half,
    judge_bursts,
    judge_drift,
)
from recsys.data.check_policies import CheckPolicy, read_policy
from recsys.data.checked_rows import CheckedRows, read_checked_rows
from recsys.data.settings import TableSettings
from recsys.maths.bursts import Bursts, find_item_bursts, find_user_bursts
from recsys.maths.drift import Drift, measure_drift
from recsys.types import make_unknown_name_error
from recsys.types.extras import needs_extra
from recsys.types.numbers import convert_to_plain_data

MAX_LISTED_BURSTS = 10


@dataclass(frozen=True)
class ListedBurst:
    """A user or an item with a burst, and its busiest window."""

    kind: str  # user or item
    id: str
    events: int  # in the window
    until: int  # its last second since 1970-01-01 UTC
    expected: float  # by the reference: the median of busiest windows of users, the mean of the item's window


@dataclass(frozen=True)
class DataCheck:
    """The state of a log, figure by figure."""

    name: str
    rows: int  # interactions, exact duplicates included
    users: int
    items: int
    first: int | None  # seconds since 1970-01-01 UTC; None without times
    last: int | None
    as_of: int  # ages are counted to this second
    figures: tuple[CheckFigure, ...]
    drift: Drift | None
    bursts: tuple[ListedBurst, ...]  # at most ten users and ten items, most improbable first
    rows_by_source: tuple[tuple[str, int], ...]  # most rows first; none without the column
    rows_by_purpose: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, int], ...]  # rows that are no interactions and in no figure, by rule
    notes: tuple[str, ...]

    @property
    def exceeded(self) -> tuple[CheckFigure, ...]:
        """The figures beyond the limits of the policy."""
        return tuple(one for one in self.figures if one.is_exceeded)

    def find_figure(self, name: str) -> CheckFigure:
        """Return a figure by its name in [limits].

        Raises:
            RecsysError: if there is none, with the nearest name.
        """
        for one in self.figures:
            if one.name == name:
                return one
        raise make_unknown_name_error("figure", name, TITLES)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python, for JSON."""
        figures = {
            one.name: {
                **{key: value for key, value in asdict(one).items() if key != "name"},
                "exceeded": one.is_exceeded,
            }
            for one in self.figures
        }
        made = {**asdict(self), "figures": figures, "exceeded": [one.name for one in self.exceeded]}
        made |= {key: dict(made[key]) for key in ("rows_by_source", "rows_by_purpose", "left_out")}
        plain: dict[str, Any] = convert_to_plain_data(made)
        return plain


@needs_extra("recsys.data.check_data")
def check_data(
    table: Any,
    policy: CheckPolicy | Mapping[str, Any] | str | PathLike[str] | None = None,
    *,
    columns: Mapping[str, object] | None = None,
    events: Mapping[Any, float] | None = None,
    name: str | None = None,
    data_dir: str | Path | None = None,
    quiet: bool = True,
    settings: Mapping[str, Any] | None = None,
    **reading: Any,
) -> DataCheck:
    """Return the state of a log, held against a policy (`recsys.data.read_policy`): a TOML file, or nested tables.

    `table` is whatever `recsys.read_dataset` takes but a sparse matrix, with its settings (`columns`, `events`, `name`,
    `delimiter`, `time_unit`, ...); the name of a card; a reader with its `settings`; or a `Dataset`. A figure whose
    column the log does not have is None, and beyond any limit.

    >>> log = {"user": [1, 1, 2, 2], "item": [1, 2, 1, 1], "consent": [1, 0, 1, 1]}
    >>> found = check_data(log, {"limits": {"without_consent": 0.2}})
    >>> [(one.name, one.share, one.count) for one in found.exceeded]
    [('without_consent', 0.25, 1)]

    Raises:
        RecsysError: for whatever is wrong with the table or the policy, or a purpose that no row names, in one line.
    """
    for key in reading:
        if key not in TableSettings.__dataclass_fields__:
            raise make_unknown_name_error("setting", key, TableSettings.__dataclass_fields__, "check_data")
    held = read_policy(policy)
    rows = read_checked_rows(table, columns, events, name, data_dir, quiet, settings, TableSettings(**reading))
    return check_rows(rows, held)


def check_rows(rows: CheckedRows, policy: CheckPolicy) -> DataCheck:
    """Return the state of rows."""
    moment, limits = policy.find_moment(), policy.limits
    drift, bursts = _measure_row_drift(rows), _find_bursts(rows, policy)
    figures = [
        *check_ages(rows, policy, moment),
        check_sources(rows, policy),
        check_consents(rows),
        check_purposes(rows, policy),
        check_single_users(rows),
        check_duplicates(rows),
        *check_conflicts(rows, policy),
        judge_drift(rows, drift),
        *(judge_bursts(rows, policy, kind, bursts) for kind in ("user", "item")),
    ]
    when = rows.datetime
    return DataCheck(
        name=rows.name,
        rows=len(rows),
        users=count_codes(rows.user),
        items=count_codes(rows.item),
        first=None if when is None else int(when.min()),
        last=None if when is None else int(when.max()),
        as_of=moment,
        figures=tuple(_set_limit(one, getattr(limits, one.name)) for one in figures),
        drift=drift,
        bursts=tuple(one for kind in bursts for one in _list_bursts(rows, kind, bursts[kind])),
        rows_by_source=_count_rows_by_source(rows),
        rows_by_purpose=_count_rows_by_purpose(rows),
        left_out=rows.left_out,
        notes=rows.notes,
    )


def _set_limit(figure: CheckFigure, limit: float | None) -> CheckFigure:
    return CheckFigure(**{**asdict(figure), "limit": limit})


def _measure_row_drift(rows: CheckedRows) -> Drift | None:
    late = None if rows.datetime is None else find_late_half(rows.datetime)
    return None if late is None or not late.any() else measure_drift(rows.user, rows.item, late)


def _find_bursts(rows: CheckedRows, policy: CheckPolicy) -> dict[str, Bursts]:
    if rows.datetime is None or explain_missing_moments(rows) is not None:
        return {}
    rule = policy.burst_window, policy.burst_events
    kept = slice(None) if rows.duplicate is None else ~rows.duplicate
    user, item, when = rows.user[kept], rows.item[kept], rows.datetime[kept]
    return {"user": find_user_bursts(user, when, *rule), "item": find_item_bursts(user, item, when, *rule)}


def _list_bursts(rows: CheckedRows, kind: str, found: Bursts) -> list[ListedBurst]:
    ids = rows.user_ids if kind == "user" else rows.item_ids
    columns = (found.codes, found.events, found.until, found.expected)
    listed = zip(*(one[:MAX_LISTED_BURSTS].tolist() for one in columns), strict=True)
    return [ListedBurst(kind, str(ids[code]), *numbers) for code, *numbers in listed]


def _count_rows_by_source(rows: CheckedRows) -> tuple[tuple[str, int], ...]:
    if rows.source is None:
        return ()
    counts = np.bincount(rows.source, minlength=len(rows.source_names)).tolist()
    found = [(str(name), n) for name, n in zip(rows.source_names.tolist(), counts, strict=True) if n]
    return tuple(sorted(found, key=lambda one: (-one[1], one[0])))


def _count_rows_by_purpose(rows: CheckedRows) -> tuple[tuple[str, int], ...]:
    if rows.purposes is None or rows.purpose_sets is None:
        return ()
    names, members = rows.purpose_sets
    counts = np.bincount(rows.purposes, minlength=len(members)) @ members.astype(np.int64)
    found = [(name, n) for name, n in zip(names, counts.tolist(), strict=True) if n]
    return tuple(sorted(found, key=lambda one: (-one[1], one[0])))
