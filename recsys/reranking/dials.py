"""Dials: factors by which a request multiplies the weights of a blend, within the ranges that an operator sets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.reranking.blends import MAX_MAGNITUDE, BlendPart, name_objective, parse_numbers
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.numbers import check_number

DialRange = tuple[float, float]  # the least factor and the largest
RULES = ("dials", "topics")  # of a ranker
ANY_FACTOR: DialRange = (0.0, MAX_MAGNITUDE)  # of an objective without a range


def parse_control(given: Any, objectives: Collection[str], where: str) -> dict[str, dict[str, list[float]]]:
    """Return the rules of a ranker as JSON can say them, such as {"dials": {"mmr": [0.0, 2.0]}}, or {} for none.

    `dials` gives objectives of the blend the least and the largest factor that a request or a user may set. `topics`,
    the policy of topics, is read elsewhere (`recsys.rankers.topics`).

    Raises:
        RecsysError: for a rule that there is not, an objective that is not among `objectives`, or a range that does not
            go from a number of at least 0 to a larger one with 1, the weight as configured, within it.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RecsysError(f"{where} is {given!r}, expected a table such as {{'dials': {{'mmr': [0, 2]}}}}")
    for name in given:
        if name not in RULES:
            raise make_unknown_name_error("rule", name, RULES, where=where)
    ranges, place = given.get("dials", {}), f"{where}: dials"
    if not isinstance(ranges, Mapping):
        raise RecsysError(f"{place} is {ranges!r}, expected a range for each objective such as {{'mmr': [0, 2]}}")
    found = {}
    for objective, ends in ranges.items():
        name = _find_objective(objective, objectives, place)
        found[name] = list(_parse_range(f"{place}: {name}", ends))
    return {"dials": dict(sorted(found.items()))} if found else {}


def _parse_range(place: str, ends: Any) -> DialRange:
    if not isinstance(ends, list | tuple | np.ndarray) or len(ends) != 2:
        raise RecsysError(f"{place} is {ends!r}, expected the least factor and the largest, such as [0, 2]")
    least = check_number(f"{place}: the least factor", ends[0], most=1.0)
    most = check_number(f"{place}: the largest factor", ends[1], 1.0, MAX_MAGNITUDE)
    return least, most


def check_factors(weights: Any, ranges: Mapping[str, DialRange], where: str) -> dict[str, float]:
    """Return the factor of each objective that `weights` names; `ranges` are those of all objectives.

    Raises:
        RecsysError: if it is no mapping, for an objective that is not among them (with the nearest one), named twice,
            or a factor that is no number within its range.
    """
    if type(weights) is not dict and not isinstance(weights, Mapping):
        raise _make_mapping_error(weights, where)
    found: dict[str, float] = {}
    for objective, factor in weights.items():
        name = objective if objective in ranges else _find_objective(objective, ranges, where)
        least, most = ranges[name]
        if type(factor) is not float or not least <= factor <= most:
            factor = check_number(f"{where}: the factor of '{name}'", factor, least, most)
        found[name] = factor + 0.0  # -0.0 is 0.0
    if len(found) < len(weights):
        raise RecsysError(f"{where}: found an objective twice in {', '.join(map(name_objective, weights))}")
    return found


def multiply_weights(
    parts: Sequence[BlendPart], weights: Any, objectives: Collection[str], users: int
) -> tuple[BlendPart, ...]:
    """Return the parts with their weights multiplied by the factors of `weights`, without those whose weight is then 0.

    A factor is a number, or one per user, (U,). `objectives` are those of the blend, whatever their weight.

    Raises:
        RecsysError: if `weights` is no mapping, for an objective that is not in the blend, a factor that is no finite
            number of at least 0, another number of factors than `users`, or where no objective stays.
    """
    if not isinstance(weights, Mapping):
        raise _make_mapping_error(weights, "slate: weights")
    factors = {}
    for objective, given in weights.items():
        name = _find_objective(objective, objectives, "slate: weights")
        factor = parse_numbers(f"slate: weights: the factor of '{name}'", given)
        if factor.ndim and len(factor) != users:
            raise RecsysError(
                f"slate: weights: '{name}' has {len(factor)} factors, expected one, or {users}: one per user"
            )
        if (factor < 0).any():
            raise RecsysError(f"slate: weights: the factor of '{name}' is {factor.min():g}, expected at least 0")
        factors[name] = factor
    for part in parts:
        part.check_users(users)
    dialled = [replace(part, weight=part.weight * factors.get(part.name, 1.0)) for part in parts]
    kept = tuple(part for part in dialled if np.any(part.weight))
    if not kept:
        raise make_nothing_left_error("slate")
    return kept


def make_nothing_left_error(where: str) -> RecsysError:
    """Return the error for dials that contradict the blend: no objective has a weight any more."""
    return RecsysError(f"{where}: weights turn every objective off, expected one whose factor is above 0")


def _find_objective(objective: Any, objectives: Collection[str], where: str) -> str:
    name = name_objective(objective) if isinstance(objective, str) or callable(objective) else repr(objective)
    if name not in objectives:
        raise make_unknown_name_error("objective", name, objectives, where=where)
    return name


def _make_mapping_error(weights: Any, where: str) -> RecsysError:
    found = " ".join(repr(weights).split())[:60]
    return RecsysError(f'{where}: found {found}, expected objectives and factors such as {{"mmr": 0.5}}')
