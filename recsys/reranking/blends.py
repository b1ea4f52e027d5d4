"""Blends: objectives with their weights and settings, parsed and checked."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recsys import objectives
from recsys.kernels.inputs import check_term
from recsys.reranking.user_weights import entropy_weights
from recsys.support.resolver import check_settings, list_public, list_settings, name_extension, resolve_extension
from recsys.types import Pool, RecsysError, Term
from recsys.types.arrays import Doubles, Floats
from recsys.types.numbers import check_number

Objective = Callable[..., Term]
# objective, by its name or itself -> weight, or {"weight": ..., setting: ...}; a weight per user is an array
Blend = Mapping[Any, Any]
MAX_MAGNITUDE = 1e30  # in size: gains are added up in 32 bits
BASE_OBJECTIVES = frozenset({"discovery_value", "relevance"})  # how likely a like is: a blend has one of them
USER_WEIGHTINGS = {"entropy": entropy_weights}  # what "adapt_to" beside a weight may be


@dataclass(frozen=True, eq=False)
class BlendPart:
    """One objective of a blend."""

    name: str
    objective: Objective
    weight: Doubles  # () or (U,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    adapt_to: str | None = None  # what each user's weight follows: a name in USER_WEIGHTINGS
    looked_at: list[Floats] = field(default_factory=list)  # vectors of somebody's own objective that were checked last

    @property
    def with_unit_weight(self) -> dict[str, Any]:
        """The part as a blend says it, at weight 1 for every user: what scales are fitted on."""
        return {"weight": 1.0, **self.settings}

    def check_users(self, users: int) -> None:
        """Refuse weights per user that are more or fewer than `users`."""
        if self.weight.ndim and len(self.weight) != users:
            raise RecsysError(
                f"blend: '{self.name}' has {len(self.weight)} weights, expected one, or {users}: one per user"
            )

    def make_term(self, pool: Pool, k: int) -> Term:
        """Return the objective's term for the users of `pool`.

        Raises:
            RecsysError: if an objective of somebody's own returns what the kernel cannot read.
        """
        term = self.objective(pool, k, **self.settings)
        if ":" in self.name:  # somebody's own: compiled code looks at no bounds
            try:
                check_term(self.name, term, len(pool.users), pool.items.shape[1], k, self.looked_at)
            except RecsysError as error:
                said = str(error)
                raise RecsysError(said if self.name in said else f"objective '{self.name}': {said}") from None
        return term


def parse_blend(blend: Blend) -> tuple[BlendPart, ...]:
    """Return the parts of `blend` whose weight is not 0, in the order of their names.

    Raises:
        RecsysError: if it is no mapping, for an unknown objective or setting, a weight that is not a finite number, or
            one above 1e30 in size.
    """
    if not isinstance(blend, Mapping) or not all(isinstance(one, str) or callable(one) for one in blend):
        found = " ".join(repr(blend).split())[:60]
        raise RecsysError(f'blend: found {found}, expected objectives and weights such as {{"relevance": 1.0}}')
    named = {name_objective(objective): objective for objective in blend}
    if len(named) < len(blend):
        raise RecsysError(
            f"blend: found an objective twice in {', '.join(map(name_objective, blend))}, expected it once"
        )
    parts = [_parse_part(name, named[name], blend[named[name]]) for name in sorted(named)]
    kept = tuple(p for p in parts if np.any(p.weight))
    names = {p.name for p in kept}
    if len(names & BASE_OBJECTIVES) > 1:
        raise RecsysError(
            "blend: found relevance beside discovery_value, expected one of them: discovery_value with exploration = 0 "
            "has the order of relevance"
        )
    for p in kept:
        if p.name == "discovery_value" and np.any(p.weight < 0):
            raise RecsysError(
                f"blend: the weight of 'discovery_value' is {p.weight.min():g}, expected one above 0: it is how likely "
                "a like is"
            )
    if not kept:
        raise RecsysError("blend: every weight is 0, expected at least one objective with a weight")
    return kept


def name_objective(objective: Any, *, importable: bool = False) -> str:
    """Return the name of an objective: its name in `recsys.objectives`, or "package.module:function".

    Raises:
        RecsysError: with `importable`, where another process could not import it by that name.
    """
    if isinstance(objective, str):
        return objective
    return name_extension(objective, list_public(objectives), importable=importable)


def _parse_part(name: str, given: Any, value: Any) -> BlendPart:
    objective: Objective = resolve_extension("objective", given, list_public(objectives), where="blend")
    known = list_settings(objective, f"blend: '{name}'", n_inputs=2)
    settings = dict(value) if isinstance(value, Mapping) else {"weight": value}
    if "weight" not in settings:
        raise RecsysError(f"blend: '{name}' has no weight, expected a number or {{weight = ..., ...}}")
    weight = parse_numbers(f"blend: the weight of '{name}'", settings.pop("weight"))
    by = settings.pop("adapt_to", None)
    if by is not None and by not in USER_WEIGHTINGS:
        raise RecsysError(f"blend: {name}: adapt_to is {by!r}, expected {' or '.join(USER_WEIGHTINGS)}")
    settings = check_settings(f"blend: {name}", known, settings, "weight", "adapt_to")
    for setting, number in settings.items():
        _check_setting_magnitude(f"blend: {name}: {setting}", number, known[setting].default)
    return BlendPart(name, objective, weight, settings, by)


def parse_numbers(place: str, value: ArrayLike) -> Doubles:
    """Return a finite number, (), or one per user, (U,); `place` says what they are.

    Raises:
        RecsysError: if it is neither, or one is above 1e30 in size.
    """
    try:
        if np.asarray(value).dtype.kind in "bSU":  # NumPy would read numbers from text, and 1 from True
            raise TypeError
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise RecsysError(f"{place} is {value!r}, expected a number") from None
    except OverflowError:  # a whole number beyond those of 64 bits
        numbers = np.asarray(np.inf)
    if numbers.ndim > 1 or not numbers.size or not np.isfinite(numbers).all():
        raise RecsysError(f"{place} is {value!r}, expected a finite number, or one per user")
    _check_magnitude(place, numbers)
    return numbers


def _check_magnitude(place: str, weight: Doubles) -> None:
    """Refuse a weight that no gain could be multiplied by and added up; not even infinity gets through."""
    largest = np.abs(weight).max(initial=0.0)
    if not largest <= MAX_MAGNITUDE:
        raise RecsysError(f"{place} is {largest:.6g}, expected at most {MAX_MAGNITUDE:g} in size")


def _check_setting_magnitude(place: str, value: Any, default: Any) -> None:
    if isinstance(value, float) and value != default and value and not 1 / MAX_MAGNITUDE <= abs(value) <= MAX_MAGNITUDE:
        expected = f"0, or a number from {1 / MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g} in size"
        raise RecsysError(f"{place} is {value}, expected {expected}")


def make_weight_matrix(parts: Sequence[BlendPart], pool: Pool, scales: Mapping[str, float] | None = None) -> Doubles:
    """Return the weight of each part for each user of `pool`, times the part's scale if there are some, (U, T).

    Raises:
        RecsysError: if a weight per user has another length than there are users, weights follow what the pool does
            not have, or one is above 1e30 in size with its scale.
    """
    users, columns = len(pool.users), []
    for part in parts:
        part.check_users(users)
        by = 1.0 if part.adapt_to is None else USER_WEIGHTINGS[part.adapt_to](pool)
        weight = part.weight if scales is None else scale_weight(part.name, part.weight, scales[part.name])
        columns.append(np.broadcast_to(weight, users) * by)
    return np.stack(columns, axis=1).astype(np.float64)


def select_scales(scales: Mapping[str, Any], names: Iterable[str], where: str) -> dict[str, float]:
    """Return the scales of the objectives `names`; `where` says who was given them.

    Raises:
        RecsysError: if one is missing, or no finite number.
    """
    names = list(names)
    for name in names:
        if name not in scales:
            raise RecsysError(f"{where}: scale has no '{name}', expected a number for each objective of the blend")
    return {name: check_number(f"{where}: scale of {name}", scales[name], -math.inf) for name in names}


def scale_weight(name: str, weight: Doubles, scale: float) -> Doubles:
    """Return weight times scale.

    Raises:
        RecsysError: if it is above 1e30 in size.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.asarray(weight * scale, dtype=np.float64)
    _check_magnitude(f"blend: the weight of '{name}' times its scale {scale:.6g}", product)
    return product
