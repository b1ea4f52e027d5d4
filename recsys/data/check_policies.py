"""Policies of `recsys data check`: what counts as stale, whose data and purposes are one's own, and limits."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from recsys.support.toml_files import read_toml
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_int, check_number


@dataclass(frozen=True)
class CheckLimits:
    """The largest share that is within the policy, from 0 to 1; without one, a figure is shown and judged by nobody."""

    stale: float | None = None  # rows older than stale_after
    future: float | None = None  # rows later than as_of
    third_party: float | None = None  # rows of sources that are not own_sources
    without_consent: float | None = None  # rows without consent
    without_purpose: float | None = None  # rows that do not permit each of the purposes
    single_interaction_users: float | None = None  # users with one interaction
    duplicates: float | None = None  # rows that repeat another one in every column
    conflicting_ratings: float | None = None  # user-item pairs with ratings that contradict each other
    conflicting_consents: float | None = None  # user-item pairs with and without consent
    drift: float | None = None  # distance of the items of both halves in time, beyond chance
    bursting_users: float | None = None  # users with a burst
    bursting_items: float | None = None  # items with a burst

    def __post_init__(self) -> None:
        """Refuse a limit that is no share."""
        for name, limit in self.list_given():
            check_number(f"[limits] {name}", limit, 0, 1)

    def list_given(self) -> Iterator[tuple[str, float]]:
        """Yield each limit that is given."""
        for one in dataclasses.fields(self):
            if getattr(self, one.name) is not None:
                yield one.name, getattr(self, one.name)


@dataclass(frozen=True)
class CheckPolicy:
    """What `recsys data check` holds a log against."""

    stale_after: float = 365.0  # days after which a row is stale
    as_of: date | datetime | str | None = None  # the moment that ages are counted to, UTC; now where absent
    own_sources: Sequence[str] | None = None  # sources of one's own: rows of all others are third-party
    purposes: Sequence[str] | None = None  # that a row has to permit, each of them; any purpose where absent
    conflict_gap: float = 0.0  # ratings of one user and item that differ by more than this contradict each other
    burst_window: int = 3600  # seconds of the window in which events of a user or an item are counted
    burst_events: int = 10  # fewer events in a window are no burst
    limits: CheckLimits = field(default_factory=CheckLimits)

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        check_number("stale_after", self.stale_after, above=0, noun="a number of days")
        check_number("conflict_gap", self.conflict_gap, 0)
        check_int("burst_window", self.burst_window, 1)
        check_int("burst_events", self.burst_events, 2)
        for name in ("own_sources", "purposes"):
            _check_names(name, getattr(self, name))
        self.find_moment()

    def find_moment(self, now: datetime | None = None) -> int:
        """Return the seconds since 1970-01-01 UTC that ages are counted to; `now` is used where there is no as_of.

        Raises:
            RecsysError: if as_of is no moment.
        """
        moment: date | datetime = now or datetime.now(UTC)
        if isinstance(self.as_of, str):
            try:
                moment = datetime.fromisoformat(self.as_of)
            except ValueError:
                raise RecsysError(f"as_of is '{self.as_of}', expected a day such as 2026-11-29") from None
        elif isinstance(self.as_of, date):
            moment = self.as_of
        elif self.as_of is not None:
            raise RecsysError(f"as_of is {self.as_of!r}, expected a day such as 2026-11-29")
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def read_policy(policy: CheckPolicy | Mapping[str, Any] | str | PathLike[str] | None) -> CheckPolicy:
    """Return a policy: itself, of nested tables, or of a TOML file; without one the defaults, which have no limits.

    >>> read_policy({"stale_after": 90, "limits": {"stale": 0.1}}).limits.stale
    0.1

    Raises:
        RecsysError: if there is no such file, or for a key that is unknown (with the nearest one), or a wrong value.
    """
    if policy is None or isinstance(policy, CheckPolicy):
        return policy or CheckPolicy()
    if isinstance(policy, Mapping):
        return _build_policy(policy, "policy")
    if not isinstance(policy, str | PathLike):
        raise RecsysError(f"policy: found a {type(policy).__name__}, expected a TOML file, nested tables, or a policy")
    return _build_policy(read_toml(Path(policy), str(policy)), str(policy))


def _build_policy(content: Mapping[str, Any], place: str) -> CheckPolicy:
    limits = content.get("limits", {})
    if not isinstance(limits, Mapping | CheckLimits):
        raise RecsysError(f"{place}: limits is {limits!r}, expected a table [limits]")
    _check_keys(content, CheckPolicy, place)
    try:
        if isinstance(limits, Mapping):
            _check_keys(limits, CheckLimits, f"{place}: [limits]")
            limits = CheckLimits(**limits)
        return CheckPolicy(**{**content, "limits": limits})
    except RecsysError as error:
        raise error if str(error).startswith(place) else RecsysError(f"{place}: {error}") from None


def _check_keys(content: Mapping[str, Any], kind: type, place: str) -> None:
    known = [one.name for one in dataclasses.fields(kind)]
    for key in content:
        if key not in known:
            raise make_unknown_name_error("key", key, known, where=place)


def _check_names(setting: str, given: object) -> None:
    is_list = isinstance(given, list | tuple) and given and all(isinstance(name, str) and name for name in given)
    if given is not None and not is_list:
        raise RecsysError(f"{setting} is {given!r}, expected a list of names")
