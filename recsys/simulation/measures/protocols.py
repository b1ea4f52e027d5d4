"""What a measure is, and means over slates."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys.simulation.records import Log, Population, Round, find_arrivals
from recsys.types.arrays import Anys, Bools, Doubles


@dataclass(frozen=True)
class PerGroup:
    """A measure of a crowd: one number of everybody, and of each group of users, as if nobody else were there."""

    values: Doubles  # (1 + G,); (1,) where there is one group


class Measure(Protocol):
    """A measure in one simulation: it may keep what it saw."""

    def __init__(self, population: Population, log: Log) -> None:
        """Begin before the first round."""
        ...

    def observe(self, now: Round) -> Doubles | float | PerGroup:
        """Return one number for each user, (U,), NaN where it says nothing, or one of the crowd or of each group."""
        ...


class Stateless:
    """A measure that looks at one round alone."""

    def __init__(self, population: Population, log: Log) -> None:
        """Keep nothing."""


def divide(one: Anys, other: Anys) -> Doubles:
    """Return one over the other, NaN where the other is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(other == 0, np.nan, one / other))


def average_rows(values: Doubles) -> Doubles:
    """Return the mean of each row without NaN, NaN for a row of nothing else."""
    told = ~np.isnan(values)
    return divide(np.where(told, values, 0.0).sum(axis=1), told.sum(axis=1).astype(np.float64))


def mark_groups(population: Population) -> Bools:
    """Return which users are everybody and which are of each group, (1 + G, U); (1, U) where there is one group."""
    everybody = np.ones((1, population.shape[0]), dtype=bool)
    names = len(population.group_names)
    if names < 2:
        return everybody
    return np.concatenate([everybody, population.groups == np.arange(names)[:, None]])


def mark_present(population: Population, number: int) -> Bools:
    """Return which users are there in a round, (U,)."""
    arrivals = find_arrivals(population)
    return np.ones(population.shape[0], dtype=bool) if arrivals is None else np.asarray(arrivals.users <= number)
