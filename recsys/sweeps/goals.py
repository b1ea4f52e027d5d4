"""Goals of a sweep: metrics to maximise or minimise, and constraints that a trial must keep."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recsys.scores.metric_names import resolve_metrics
from recsys.types import RecsysError

_CONSTRAINT = re.compile(r"\s*(\S+)\s*(>=|<=)\s*([-+0-9.eE]+)\s*(%\s*of\s+(?:the\s+)?base)?\s*")


@dataclass(frozen=True)
class Goal:
    """A metric at one k, and whether more of it is better."""

    metric: str  # such as "ndcg@10"
    maximize: bool = True

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.maximize else -1


@dataclass(frozen=True)
class Constraint:
    """The least, or largest, value that a metric must have: a number, or a share of the base's value."""

    text: str
    metric: str
    at_least: bool
    number: float
    of_base: bool

    def violation(self, values: Mapping[str, float], base: Mapping[str, float]) -> float:
        """Return by how much the bound is broken: 0 or less where it is kept."""
        limit = self.number * base[self.metric] if self.of_base else self.number
        return (limit - values[self.metric]) * (1 if self.at_least else -1)


def parse_goal(name: str, k: int, maximize: bool) -> Goal:
    """Return the goal of a metric's name, `ndcg` or `ndcg@10`; without a k it is the headline's.

    Raises:
        RecsysError: if there is no such metric.
    """
    return Goal(_resolve_metric_name(name, k), maximize)


def parse_constraint(text: str, k: int) -> Constraint:
    """Return the constraint of a text such as "ndcg@10 >= 98 % of base".

    Raises:
        RecsysError: if it says none, or there is no such metric.

    >>> parse_constraint("ndcg >= 98% of base", 10)
    Constraint(text='ndcg >= 98% of base', metric='ndcg@10', at_least=True, number=0.98, of_base=True)
    """
    return parse_bound(text, lambda name: _resolve_metric_name(name, k), "ndcg@10 >= 98 % of base")


def parse_bound(text: str, resolve: Callable[[str], str], example: str) -> Constraint:
    """Return the constraint of a text, whose metric is what `resolve` makes of its name; `example` is for errors.

    Raises:
        RecsysError: if it says none.
    """
    found = _CONSTRAINT.fullmatch(text)
    try:
        number = float(found[3]) if found else None
    except ValueError:
        number = None
    if found is None or number is None:
        raise RecsysError(
            f"[sweep] constraints: found '{text}', expected a metric, >= or <=, and a number or a share of the base "
            f"such as '{example}'"
        )
    of_base = found[4] is not None
    return Constraint(text, resolve(found[1]), found[2] == ">=", number / 100 if of_base else number, of_base)


def _resolve_metric_name(name: str, k: int) -> str:
    try:
        want = resolve_metrics([name], [k])[0]
    except RecsysError as error:
        raise RecsysError(f"[sweep] {error}") from None
    return f"{want.name}@{want.k}"
