"""A blend, read: which objectives, with which weights and settings."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recsys import objectives
from recsys.dials import entropy_weights
from recsys.kernels.plans import check_term
from recsys.types import Pool, RecsysError, Term, unknown
from recsys.types.arrays import Doubles
from recsys.types.numbers import plain

Objective = Callable[..., Term]
Blend = Mapping[str, Any]  # objective -> weight, or {"weight": ..., setting: ...}; a weight per user is an array
LARGEST = 1e30  # in size: gains are added up in 32 bits
BY = {"entropy": entropy_weights}  # what "by" beside a weight may be


@dataclass(frozen=True, eq=False)
class Part:
    """One objective of a blend."""

    name: str
    objective: Objective
    weight: Doubles  # () or (U,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    by: str | None = None  # what each user's weight follows: a name in BY

    def term(self, pool: Pool, k: int) -> Term:
        """Return the objective's term for the users of `pool`.

        Raises:
            RecsysError: if an objective of somebody's own returns what the kernel cannot read.
        """
        term = self.objective(pool, k, **self.settings)
        if ":" in self.name:  # somebody's own: compiled code looks at no bounds
            check_term(self.name, term, len(pool.users), pool.items.shape[1], k)
        return term


def read(blend: Blend) -> tuple[Part, ...]:
    """Return the parts of `blend` whose weight is not 0, in the order of their names.

    Raises:
        RecsysError: if it is no mapping, for an unknown objective or setting, a weight that is not a finite number, or
            one above 1e30 in size.
    """
    if not isinstance(blend, Mapping) or not all(isinstance(name, str) for name in blend):
        found = " ".join(repr(blend).split())[:60]
        raise RecsysError(f'blend: found {found}, expected objectives and weights such as {{"relevance": 1.0}}')
    parts = [_part(name, blend[name]) for name in sorted(blend)]
    kept = tuple(p for p in parts if np.any(p.weight))
    if not kept:
        raise RecsysError("blend: every weight is 0, expected at least one objective with a weight")
    return kept


def _part(name: str, value: Any) -> Part:
    objective = _objective(name)
    settings = dict(value) if isinstance(value, Mapping) else {"weight": value}
    if "weight" not in settings:
        raise RecsysError(f"blend: '{name}' has no weight, expected a number or {{weight = ..., ...}}")
    weight = _weight(name, settings.pop("weight"))
    by = settings.pop("by", None)
    if by is not None and by not in BY:
        raise RecsysError(f"blend: {name}: by is {by!r}, expected {' or '.join(BY)}")
    known = dict(list(inspect.signature(objective).parameters.items())[2:])
    settings = {setting: plain(value) for setting, value in settings.items()}
    for setting, value in [*settings.items()]:
        if setting not in known:
            raise unknown("setting", setting, [*known, "weight", "by"], where=f"blend: {name}")
        _check_type(name, setting, value, known[setting].default)
        if isinstance(value, int) and isinstance(known[setting].default, float):
            settings[setting] = float(value)  # NumPy would have to fit a whole number into that of its arrays
    return Part(name, objective, weight, settings, by)


def _weight(name: str, value: ArrayLike) -> Doubles:
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
    _check_size(f"the weight of '{name}'", weight)
    return weight


def _check_size(what: str, weight: Doubles) -> None:
    """Refuse a weight that no gain could be multiplied by and added up; not even infinity gets through."""
    largest = np.abs(weight).max(initial=0.0)
    if not largest <= LARGEST:
        raise RecsysError(f"blend: {what} is {largest:.6g}, expected at most {LARGEST:g} in size")


def _check_type(name: str, setting: str, value: Any, default: Any) -> None:
    """Refuse text for a number, a fraction for a whole number, and the like; None stands for a whole number."""
    whole = default is None or (isinstance(default, int) and not isinstance(default, bool))
    kinds: tuple[type, ...] = (str,) if isinstance(default, str) else (int,) if whole else (int, float)
    if isinstance(default, bool | str | int | float | None) and not (value is None and default is None):
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(default, bool))
        if wrong:
            expected = "text" if kinds == (str,) else "a whole number" if kinds == (int,) else "a number"
            raise RecsysError(f"blend: {name}: {setting} is {value!r}, expected {expected}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RecsysError(f"blend: {name}: {setting} is {value}, expected a whole number of 64 bits")
    if isinstance(value, float) and value != default and value and not 1 / LARGEST <= abs(value) <= LARGEST:
        expected = f"0, or a number from {1 / LARGEST:g} to {LARGEST:g} in size"
        raise RecsysError(f"blend: {name}: {setting} is {value}, expected {expected}")


def _objective(name: str) -> Objective:
    if ":" not in name:
        if name not in objectives.__all__:
            raise unknown("objective", name, objectives.__all__, where="blend")
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


def weights(parts: Sequence[Part], pool: Pool, scales: Mapping[str, float] | None = None) -> Doubles:
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
        by = 1.0 if part.by is None else BY[part.by](pool)
        weight = part.weight if scales is None else scaled(part.name, part.weight, scales[part.name])
        columns.append(np.broadcast_to(weight, users) * by)
    return np.stack(columns, axis=1).astype(np.float64)


def scaled(name: str, weight: Doubles, scale: float) -> Doubles:
    """Return weight times scale.

    Raises:
        RecsysError: if it is above 1e30 in size.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.asarray(weight * scale, dtype=np.float64)
    _check_size(f"the weight of '{name}' times its scale {scale:.6g}", product)
    return product
