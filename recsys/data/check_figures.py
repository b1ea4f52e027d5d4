"""The figures of a check of data: each a share, the rule in words, and the limit of a policy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.data.check_policies import CheckPolicy
from recsys.data.checked_rows import CheckedRows
from recsys.data.times import PLAUSIBLE_FROM
from recsys.maths.bursts import Bursts
from recsys.maths.drift import Drift
from recsys.types import make_unknown_name_error
from recsys.types.arrays import Bools, Doubles, Ints, Longs
from recsys.types.notebooks import format_day

SECONDS_PER_DAY = 86_400
SIGNIFICANCE = 0.05  # a drift with a larger p-value is taken for chance
TITLES = {
    "stale": "stale rows",
    "future": "rows of the future",
    "third_party": "rows of third parties",
    "without_consent": "rows without consent",
    "without_purpose": "rows without the purpose",
    "single_interaction_users": "users with one interaction",
    "duplicates": "duplicates",
    "conflicting_ratings": "conflicting ratings",
    "conflicting_consents": "conflicting consents",
    "drift": "drift between halves",
    "bursting_users": "users with a burst",
    "bursting_items": "items with a burst",
}


@dataclass(frozen=True)
class CheckFigure:
    """One figure of a check, against the limit of the policy."""

    name: str  # as in [limits] of a policy
    share: float | None  # from 0 to 1; None: not known
    note: str  # the rule, or why the figure is not known
    count: int | None = None  # of `total` of `unit`; None where the figure is no count
    total: int | None = None
    unit: str = ""  # rows, users, items or user-item pairs
    limit: float | None = None  # of the policy, None where it has none
    is_chance: bool = False  # whether chance alone gives as much

    @property
    def title(self) -> str:
        """The figure in words."""
        return TITLES[self.name]

    @property
    def is_exceeded(self) -> bool:
        """Whether it is beyond its limit; a figure that is not known is beyond any limit, chance is beyond none."""
        if self.limit is None:
            return False
        return self.share is None or (self.share > self.limit and not self.is_chance)


def _count_share(name: str, count: int, total: int, unit: str, note: str) -> CheckFigure:
    return CheckFigure(name, count / total, note, count, total, unit)


def _say_unknown(name: str, why: str) -> CheckFigure:
    return CheckFigure(name, None, f"not known: {why}")


def count_codes(codes: Ints) -> int:
    """Return how many distinct codes there are: users, or items, that have a row."""
    return int((np.bincount(codes) > 0).sum())


def explain_missing_moments(rows: CheckedRows) -> str | None:
    """Return why times say no moments, None where they do."""
    if rows.datetime is None:
        return "no column datetime"
    return "times are steps, not moments" if int(rows.datetime.max()) < PLAUSIBLE_FROM else None


def check_ages(rows: CheckedRows, policy: CheckPolicy, moment: int) -> list[CheckFigure]:
    """Return the shares of rows that are stale, and of the future; `moment` is now, in seconds since 1970."""
    why = explain_missing_moments(rows)
    if rows.datetime is None or why is not None:
        return [_say_unknown(name, why or "") for name in ("stale", "future")]
    limit = moment - policy.stale_after * SECONDS_PER_DAY
    day = format_day(moment)
    stale, future = int((rows.datetime < limit).sum()), int((rows.datetime > moment).sum())
    return [
        _count_share("stale", stale, len(rows), "rows", f"older than {policy.stale_after:g} days on {day}"),
        _count_share("future", future, len(rows), "rows", f"later than {day}"),
    ]


def check_sources(rows: CheckedRows, policy: CheckPolicy) -> CheckFigure:
    """Return the share of rows of third parties."""
    if rows.source is None:
        return _say_unknown("third_party", "no column source")
    if policy.own_sources is None:
        return _say_unknown("third_party", "the policy names no own_sources")
    own = np.isin(rows.source_names, list(policy.own_sources))
    others = int((~own[rows.source]).sum())
    return _count_share(
        "third_party", others, len(rows), "rows", f"of other sources than {', '.join(policy.own_sources)}"
    )


def check_consents(rows: CheckedRows) -> CheckFigure:
    """Return the share of rows without consent."""
    if rows.consent is None:
        return _say_unknown("without_consent", "no column consent")
    return _count_share(
        "without_consent", int((~rows.consent).sum()), len(rows), "rows", "consent is false, or nothing is said"
    )


def check_purposes(rows: CheckedRows, policy: CheckPolicy) -> CheckFigure:
    """Return the share of rows that do not permit what the policy names.

    Raises:
        RecsysError: for a purpose that no row names, with the nearest one.
    """
    if rows.purposes is None or rows.purpose_sets is None:
        return _say_unknown("without_purpose", "no column purposes")
    names, members = rows.purpose_sets
    for name in policy.purposes or ():
        if name not in names:
            raise make_unknown_name_error("purpose", name, names, where=f"{rows.name}: purposes")
    if policy.purposes is None:
        permits, note = np.asarray(members.any(axis=1)), "permits no purpose at all"
    else:
        permits = np.asarray(members[:, [names.index(name) for name in policy.purposes]].all(axis=1))
        note = f"does not permit {' and '.join(policy.purposes)}"
    return _count_share("without_purpose", int((~permits[rows.purposes]).sum()), len(rows), "rows", note)


def check_single_users(rows: CheckedRows) -> CheckFigure:
    """Return the share of users with one interaction."""
    user = rows.user if rows.duplicate is None else rows.user[~rows.duplicate]
    counts = np.bincount(user)
    note = "a duplicate is no second interaction"
    return _count_share("single_interaction_users", int((counts == 1).sum()), int((counts > 0).sum()), "users", note)


def check_duplicates(rows: CheckedRows) -> CheckFigure:
    """Return the share of rows that repeat another one."""
    if rows.duplicate is None:
        return _say_unknown("duplicates", "a Dataset is without them, check the table that it is made of")
    note = "repeats another row in every column"
    return _count_share("duplicates", int(rows.duplicate.sum()), len(rows), "rows", note)


def check_conflicts(rows: CheckedRows, policy: CheckPolicy) -> list[CheckFigure]:
    """Return the shares of user-item pairs whose rows contradict each other."""
    pair = rows.user.astype(np.int64) << 32 | rows.item
    ordered = np.sort(pair)
    is_first = np.diff(ordered, prepend=-1) != 0
    repeated = np.unique(ordered[~is_first])
    at = np.minimum(np.searchsorted(repeated, pair), max(len(repeated) - 1, 0))
    suspect = np.flatnonzero(repeated[at] == pair) if len(repeated) else np.zeros(0, dtype=np.int64)
    suspect = suspect[np.argsort(at[suspect], kind="stable")]
    starts = np.flatnonzero(np.diff(at[suspect], prepend=-1) != 0)
    n_pairs = int(is_first.sum())
    return [
        _check_rating_conflicts(rows, policy, suspect, starts, n_pairs),
        _check_consent_conflicts(rows, suspect, starts, n_pairs),
    ]


def _check_rating_conflicts(
    rows: CheckedRows, policy: CheckPolicy, suspect: Longs, starts: Longs, n_pairs: int
) -> CheckFigure:
    name = "conflicting_ratings"
    if rows.has_events:
        return _say_unknown(name, "weights are those of events, not ratings")
    if "weight" not in rows.columns:
        column = rows.columns.get("quantity")
        return _say_unknown(
            name, "no column of ratings" if column is None else f"column {column} holds amounts, not ratings"
        )
    spread = _measure_spreads(rows.weight[suspect].astype(np.float64), starts)
    gap = policy.conflict_gap
    note = f"of one user and item, and {f'more than {gap:g} apart' if gap else 'not the same'}"
    return _count_share(name, int((spread > gap).sum()), n_pairs, "user-item pairs", note)


def _check_consent_conflicts(rows: CheckedRows, suspect: Longs, starts: Longs, n_pairs: int) -> CheckFigure:
    if rows.consent is None:
        return _say_unknown("conflicting_consents", "no column consent")
    spread = _measure_spreads(rows.consent[suspect].astype(np.float64), starts)
    note = "of one user and item, some with consent and some without"
    return _count_share("conflicting_consents", int((spread > 0).sum()), n_pairs, "user-item pairs", note)


def _measure_spreads(values: Doubles, starts: Longs) -> Doubles:
    if not len(starts):
        return np.zeros(0)
    return np.asarray(np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts))


def find_late_half(datetime: Longs) -> Bools:
    """Return which rows lie after the median time, (R,); of an even number, the lower one of both in the middle."""
    return np.asarray(datetime > np.partition(datetime, (len(datetime) - 1) // 2)[(len(datetime) - 1) // 2])


def judge_drift(rows: CheckedRows, drift: Drift | None) -> CheckFigure:
    """Return the drift between halves as a figure; None is a log without two halves."""
    if drift is None:
        return _say_unknown(
            "drift", "no column datetime" if rows.datetime is None else "more than half of the rows have the last time"
        )
    note = (
        f"items of both halves in time are {drift.distance:.1%} apart (total variation), by chance "
        f"{drift.expected:.1%}, p = {drift.p_value:.2g}: the part beyond chance"
    )
    return CheckFigure("drift", drift.beyond_chance, note, is_chance=drift.p_value > SIGNIFICANCE)


def judge_bursts(rows: CheckedRows, policy: CheckPolicy, kind: str, bursts: Mapping[str, Bursts]) -> CheckFigure:
    """Return the share of users or items (`kind`) with a burst."""
    name = f"bursting_{kind}s"
    if kind not in bursts:
        return _say_unknown(name, explain_missing_moments(rows) or "")
    found, window = bursts[kind], f"{policy.burst_window:,} s"
    total = count_codes(rows.user if kind == "user" else rows.item)
    if kind == "user":
        note = f"{found.threshold:,.0f} or more events in {window}: beyond a geometric tail from the median user on"
    else:
        note = f"{policy.burst_events} or more people in {window}, beyond a constant share of the log's activity"
    days = rows.datetime is not None and not (rows.datetime % SECONDS_PER_DAY).any()
    note += "; times are whole days, so that a day is one moment" if days else ""
    return _count_share(name, len(found.codes), total, f"{kind}s", note)
