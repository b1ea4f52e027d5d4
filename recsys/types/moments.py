"""Moments in time as whole seconds since 1970."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recsys.types.errors import RecsysError
from recsys.types.numbers import convert_to_float, convert_to_python

MAX_MOMENT = 253_402_300_800  # the year 10000, in seconds


def format_moment(seconds: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC, None for a moment that never comes.

    >>> format_moment(86_400.5)
    '1970-01-02T00:00:00Z'
    """
    if seconds is None or not math.isfinite(seconds):
        return None
    return f"{np.datetime64(int(seconds // 1), 's')}Z"


def parse_moment(place: str, found: Any) -> int:
    """Return a moment as seconds since 1970-01-01 UTC, fractions cut off.

    It is a number of seconds, a `datetime` or a `numpy.datetime64`, or ISO 8601 text; without a zone it is UTC.

    >>> parse_moment("now", "1970-01-02"), parse_moment("now", 86_400.5)
    (86400, 86400)

    Raises:
        RecsysError: naming `place`, if it is none of these, or not finite.
    """
    if type(found) is int and -MAX_MOMENT < found < MAX_MOMENT:  # as a server asks, without further looks
        return found
    value = convert_to_python(found)
    if isinstance(found, np.datetime64) and not np.isnat(found):
        value = int(found.astype("datetime64[s]").astype(np.int64))
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    seconds = convert_to_float(value)
    if seconds is None or not -MAX_MOMENT < seconds < MAX_MOMENT:
        shown = " ".join(repr(found).split())[:40]
        raise RecsysError(f"{place} is {shown}, expected seconds since 1970, a datetime or an ISO 8601 time")
    return math.floor(seconds)
