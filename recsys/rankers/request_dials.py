"""The dials of one request: those stored for its user that have not ended, and above them those it brings."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from recsys.rankers.fast_path import FastPath
from recsys.rankers.user_dials import StoredDial, find_factors, list_kept_objectives
from recsys.reranking.dials import DialRange, check_factors, make_nothing_left_error
from recsys.types.arrays import Doubles


class RequestDials(NamedTuple):
    """The factors of a request, and what they make of a ranker's fast path."""

    factors: Mapping[str, float] = {}  # of each objective that is not as configured
    profile_free: bool = False
    fast_path: FastPath | None = None  # of the objectives that are not turned off, where the ranker has one,
    weight: Doubles | None = None  # and their weights


def resolve_dials(
    configured: Mapping[str, float],
    ranges: Mapping[str, DialRange],
    fast_path: FastPath | None,
    stored: Iterable[StoredDial],
    weights: Mapping[Any, Any] | None,
    now: int,
    profile_free: bool,
) -> RequestDials:
    """Return the dials of a request to a ranker; `configured` are the weights of its blend.

    A factor of the request's `weights` stands in the place of one that is `stored`.

    Raises:
        RecsysError: for a factor that the ranker does not take, factors that leave no objective, or a weight that is
            too large.
    """
    factors = find_factors(stored, now) if stored else {}
    if weights is not None:
        asked = check_factors(weights, ranges, "ranker: weights")
        factors = {**factors, **asked} if factors else asked
    values = factors.values()
    if 1.0 in values:
        factors = {objective: factor for objective, factor in factors.items() if factor != 1.0}
    if not factors:
        return RequestDials({}, profile_free)
    if 0.0 in values and not list_kept_objectives(configured, factors):
        raise make_nothing_left_error("ranker")
    if fast_path is None:
        return RequestDials(factors, profile_free)
    fast_path, weight = fast_path.dial(factors)
    return RequestDials(factors, profile_free, fast_path, weight)
