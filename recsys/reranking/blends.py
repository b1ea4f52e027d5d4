"""Blends: objectives with their weights and settings, parsed and checked."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recsys import objectives
from recsys.kernels.inputs import check_term
from recsys.reranking.user_weights import entropy_weights
from recsys.types import Pool, RecsysError, Term, make_unknown_name_error
from recsys.types.arrays import Doubles
from recsys.types.numbers import check_flag, check_int, check_number, convert_to_python

Objective = Callable[..., Term]
Blend = Mapping[str, Any]  # objective -> weight, or {"weight": ..., setting: ...}; a weight per user is an array
MAX_MAGNITUDE = 1e30  # in size: gains are added up in 32 bits
USER_WEIGHTINGS = {"entropy": entropy_weights}  # what "adapt_to" beside a weight may be


@dataclass(frozen=True, eq=False)
class BlendPart:
    """One objective of a blend."""

    name: str
    objective: Objective
    weight: Doubles  # () or (U,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    adapt_to: str | None = None  # what each user's weight follows: a name in USER_WEIGHTINGS

    @property
    def with_unit_weight(self) -> dict[str, Any]:
        """The part as a blend says it, at weight 1 for every user: what scales are fitted on."""
        return {"weight": 1.0, **self.settings}

    def make_term(self, pool: Pool, k: int) -> Term:
        """Return the objective's term for the users of `pool`.

        Raises:
            RecsysError: if an objective of somebody's own returns what the kernel cannot read.
        """
        term = self.objective(pool, k, **self.settings)
        if ":" in self.name:  # somebody's own: compiled code looks at no bounds
            check_term(self.name, term, len(pool.users), pool.items.shape[1], k)
        return term


def parse_blend(blend: Blend) -> tuple[BlendPart, ...]:
    """Return the parts of `blend` whose weight is not 0, in the order of their names.

    Raises:
        RecsysError: if it is no mapping, for an unknown objective or setting, a weight that is not a finite number, or
            one above 1e30 in size.
    """
    if not isinstance(blend, Mapping) or not all(isinstance(name, str) for name in blend):
        found = " ".join(repr(blend).split())[:60]
        raise RecsysError(f'blend: found {found}, expected objectives and weights such as {{"relevance": 1.0}}')
    parts = [_parse_part(name, blend[name]) for name in sorted(blend)]
    kept = tuple(p for p in parts if np.any(p.weight))
    if not kept:
        raise RecsysError("blend: every weight is 0, expected at least one objective with a weight")
    return kept


def _parse_part(name: str, value: Any) -> BlendPart:
    objective = _resolve_objective(name)
    settings = dict(value) if isinstance(value, Mapping) else {"weight": value}
    if "weight" not in settings:
        raise RecsysError(f"blend: '{name}' has no weight, expected a number or {{weight = ..., ...}}")
    weight = _parse_weight(name, settings.pop("weight"))
    by = settings.pop("adapt_to", None)
    if by is not None and by not in USER_WEIGHTINGS:
        raise RecsysError(f"blend: {name}: adapt_to is {by!r}, expected {' or '.join(USER_WEIGHTINGS)}")
    known = dict(list(inspect.signature(objective).parameters.items())[2:])
    for setting, value in [*settings.items()]:
        if setting not in known:
            raise make_unknown_name_error("setting", setting, [*known, "weight", "adapt_to"], where=f"blend: {name}")
        settings[setting] = _check_setting(f"blend: {name}: {setting}", value, known[setting].default)
    return BlendPart(name, objective, weight, settings, by)


def _parse_weight(name: str, value: ArrayLike) -> Doubles:
    try:
        if np.asarray(value).dtype.kind in "bSU":  # NumPy would read numbers from text, and 1 from True
            raise TypeError
        weight = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise RecsysError(f"blend: the weight of '{name}' is {value!r}, expected a number") from None
    except OverflowError:  # a whole number beyond those of 64 bits
        weight = np.asarray(np.inf)
    if weight.ndim > 1 or not weight.size or not np.isfinite(weight).all():
        raise RecsysError(f"blend: the weight of '{name}' is {value!r}, expected a finite number, or one per user")
    _check_magnitude(f"the weight of '{name}'", weight)
    return weight


def _check_magnitude(what: str, weight: Doubles) -> None:
    """Refuse a weight that no gain could be multiplied by and added up; not even infinity gets through."""
    largest = np.abs(weight).max(initial=0.0)
    if not largest <= MAX_MAGNITUDE:
        raise RecsysError(f"blend: {what} is {largest:.6g}, expected at most {MAX_MAGNITUDE:g} in size")


def _check_setting(place: str, value: Any, default: Any) -> Any:
    """Return a setting as Python's own: of the kind of its default, where None stands for a whole number.

    Settings with another default, or none, belong to somebody's own objective: only numbers among them are bounded.
    """
    value = convert_to_python(value)
    if isinstance(default, bool):
        return check_flag(place, value)
    if isinstance(default, str) and not isinstance(value, str):
        raise RecsysError(f"{place} is {value!r}, expected text")
    if isinstance(default, int) or (default is None and value is not None):
        value = check_int(place, value)
    elif isinstance(default, float) and not (isinstance(value, float) and value == default):  # which may be infinity
        value = check_number(place, value, -math.inf)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RecsysError(f"{place} is {value}, expected a whole number of 64 bits")
    if isinstance(value, float) and value != default and value and not 1 / MAX_MAGNITUDE <= abs(value) <= MAX_MAGNITUDE:
        expected = f"0, or a number from {1 / MAX_MAGNITUDE:g} to {MAX_MAGNITUDE:g} in size"
        raise RecsysError(f"{place} is {value}, expected {expected}")
    return value


def _resolve_objective(name: str) -> Objective:
    if ":" not in name:
        if name not in objectives.__all__:
            raise make_unknown_name_error("objective", name, objectives.__all__, where="blend")
        found: Objective = getattr(objectives, name)
        return found
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        if not callable(found):
            raise AttributeError(f"{attribute} is no function")
        inspect.signature(found)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise RecsysError(f"blend: '{name}' cannot be imported ({error}), expected package.module:function") from None
    return found


def make_weight_matrix(parts: Sequence[BlendPart], pool: Pool, scales: Mapping[str, float] | None = None) -> Doubles:
    """Return the weight of each part for each user of `pool`, times the part's scale if there are some, (U, T).

    Raises:
        RecsysError: if a weight per user has another length than there are users, weights follow what the pool does
            not have, or one is above 1e30 in size with its scale.
    """
    users, columns = len(pool.users), []
    for part in parts:
        if part.weight.ndim and len(part.weight) != users:
            raise RecsysError(
                f"blend: '{part.name}' has {len(part.weight)} weights, expected one, or {users}: one per user"
            )
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
    _check_magnitude(f"the weight of '{name}' times its scale {scale:.6g}", product)
    return product
