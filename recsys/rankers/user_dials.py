"""Dials that an operator stores for users: a table of rows in the order in which they were set, and who has which."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from recsys.data.identifiers import normalize_id
from recsys.rankers.requests import IdIndex
from recsys.rankers.user_names import make_unknown_user_error
from recsys.reranking.dials import DialRange, check_factors, make_nothing_left_error
from recsys.types import RecsysError
from recsys.types.arrays import Bools, Doubles, Strings
from recsys.types.checks import check_array, check_finite
from recsys.types.moments import format_moment, parse_moment

NEVER_ENDS = np.inf


@dataclass(frozen=True, eq=False)
class UserDials:
    """Dials of users, D rows; of several for one user and objective the last holds, until it ends."""

    user_ids: Strings  # (D,)
    objectives: Strings  # (D,)
    factors: Doubles  # (D,)
    since: Doubles  # (D,) when it was set, in seconds since 1970
    until: Doubles  # (D,) when it ends, infinity for never: from then on it is as if it had not been set

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.user_ids)

    def keep(self, rows: Bools) -> "UserDials | None":
        """Return some of the rows, None where there are none."""
        return UserDials(*(getattr(self, field.name)[rows] for field in fields(self))) if rows.any() else None


class StoredDial(NamedTuple):
    """A row of one user."""

    objective: str
    factor: float
    until: float


def check_user_dials(dials: UserDials) -> None:
    """Refuse a table, read from a file, whose columns are not those of dials.

    Raises:
        RecsysError: naming the column.
    """
    for field, kind in zip(fields(UserDials), "UUfff", strict=True):
        check_array(f"user_dials: {field.name}", getattr(dials, field.name), (len(dials.user_ids),), kind)
    check_finite("user_dials: factors", dials.factors)
    check_finite("user_dials: since", dials.since)
    if not (dials.until > dials.since).all():
        raise RecsysError("user_dials: a dial ends before it was set")


def group_user_dials(
    dials: UserDials | None, users: IdIndex, configured: Mapping[str, float], ranges: Mapping[str, DialRange]
) -> dict[int, tuple[StoredDial, ...]]:
    """Return the rows of each user, by code, in their order; `configured` are the weights of the blend.

    Raises:
        RecsysError: for a user whom the ranker does not know, an objective that the blend does not have, a factor that
            is not within its range, or dials of a user that leave no objective, now or when one of them ends.
    """
    if dials is None:
        return {}
    found: dict[int, tuple[StoredDial, ...]] = {}
    columns = (dials.user_ids, dials.objectives, dials.factors, dials.until)
    for user, objective, factor, until in zip(*(column.tolist() for column in columns), strict=True):
        code = find_user_code(users, user)
        check_factors({objective: factor}, ranges, f"ranker: dials of user '{user}'")
        found[code] = (*found.get(code, ()), StoredDial(objective, factor, until))
    for code, own in found.items():
        for moment in (-np.inf, *(dial.until for dial in own)):
            if not list_kept_objectives(configured, find_factors(own, moment)):
                raise make_nothing_left_error(f"ranker: dials of user '{users.names[code]}'")
    return found


def list_kept_objectives(configured: Mapping[str, float], factors: Mapping[str, float]) -> tuple[str, ...]:
    """Return the objectives whose weight is not 0, in the order of the blend."""
    return tuple([name for name, weight in configured.items() if weight * factors.get(name, 1.0) != 0.0])


def find_factors(dials: Iterable[StoredDial], now: float) -> dict[str, float]:
    """Return the factors of one user's dials that have not ended `now`, in seconds since 1970."""
    return {dial.objective: dial.factor for dial in dials if dial.until > now}


def add_user_dials(
    dials: UserDials | None, added: Mapping[str, Mapping[str, float]], until: Any, now: float
) -> UserDials | None:
    """Return the table with the dials of some users, by id, that hold from now on and end at `until`, None for never.

    Rows that no request can read any more are dropped: those that have ended, and those that end before a new one of
    the same user and objective does.

    Raises:
        RecsysError: for an end that is over, or a clock that runs backwards: `now` is before a dial was set.
    """
    end = NEVER_ENDS if until is None else float(parse_moment("ranker: until", until))
    if end <= now:
        raise RecsysError(
            f"ranker: until is {format_moment(end)}, which is over now ({format_moment(now)}), expected a later time"
        )
    if dials is not None and now < dials.since.max():
        raise RecsysError(
            f"ranker: now is {format_moment(now)}, before dials were set ({format_moment(dials.since.max())}), "
            "expected a clock that does not run backwards"
        )
    pairs = [(user, objective) for user, factors in added.items() for objective in factors]
    new = UserDials(
        np.array([user for user, _ in pairs], dtype=np.str_),
        np.array([objective for _, objective in pairs], dtype=np.str_),
        np.array([factor for factors in added.values() for factor in factors.values()], dtype=np.float64),
        np.full(len(pairs), now, dtype=np.float64),
        np.full(len(pairs), end),
    )
    old = None if dials is None else dials.keep(_find_readable(dials, set(pairs), end, now))
    return (new if len(new) else None) if old is None else _join(old, new)


def _find_readable(dials: UserDials, pairs: Collection[tuple[str, str]], end: float, now: float) -> Bools:
    """Return which rows a request can still read, (D,), beside new ones for `pairs` of user and objective."""
    rows = zip(dials.user_ids.tolist(), dials.objectives.tolist(), dials.until.tolist(), strict=True)
    return np.array([until > now and not (until <= end and (user, name) in pairs) for user, name, until in rows], bool)


def _join(one: UserDials, other: UserDials) -> UserDials:
    return UserDials(*(np.concatenate([getattr(one, f.name), getattr(other, f.name)]) for f in fields(UserDials)))


def join_user_dials(one: UserDials | None, other: UserDials | None) -> UserDials | None:
    """Return the rows of both tables in the order in which they were set."""
    if one is None or other is None:
        return one or other
    both = _join(one, other)
    order = np.argsort(both.since, kind="stable")
    return UserDials(*(getattr(both, column.name)[order] for column in fields(UserDials)))


def remove_user_dials(dials: UserDials | None, users: Collection[str]) -> UserDials | None:
    """Return the table without the rows of some users, by id."""
    return None if dials is None else dials.keep(~np.isin(dials.user_ids, list(users)))


def select_known_users(dials: UserDials, users: IdIndex) -> tuple[UserDials | None, int]:
    """Return the rows of users that a ranker knows, and the number of the other users."""
    known = np.array([user in users.codes for user in dials.user_ids.tolist()], bool)
    return dials.keep(known), len(np.unique(dials.user_ids[~known]))


def find_user_code(users: IdIndex, user: Any) -> int:
    """Return the code of a user.

    Raises:
        RecsysError: for a user whom the ranker does not know.
    """
    code = users.codes.get(normalize_id(user))
    if code is None:
        raise make_unknown_user_error(user, users.codes)
    return code
