"""The closed loop: a policy recommends, users consume and change, and the platform learns from what they did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.simulation.limits import check_fit
from recsys.simulation.measures import MEASURES, STANDARD, Measure, PerGroup
from recsys.simulation.measures.protocols import mark_groups, mark_present
from recsys.simulation.named_policies import POLICIES
from recsys.simulation.records import (
    ArrivalRounds,
    Offer,
    Policy,
    Population,
    Round,
    RunningPolicy,
    World,
    begin_round,
    find_arrivals,
    start_log,
)
from recsys.support.progress import track_rounds
from recsys.support.resolver import resolve_extension
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError, check_choice
from recsys.types.arrays import Bools, Doubles, Ints, Strings
from recsys.types.numbers import check_int

EVERYBODY = "all"  # the group that everybody is of
_PARTS = ("shape", "history", "regions", "groups", "group_names", "get_utilities", "consume")  # of a population


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What one policy did to one population, round by round."""

    measures: Strings  # (M,) names
    groups: Strings  # (G,) names, the first is everybody
    values: Doubles  # (T, M, G) means over the users of a group; NaN where a measure says nothing
    consumed: Ints  # (T, U, m) item codes, -1 = none
    shown: Ints  # (T, U, k) item codes, -1 = none

    def get_values(self, measure: str, group: str = EVERYBODY) -> Doubles:
        """Return a measure in each round, (T,).

        Raises:
            RecsysError: for a measure or group that it does not have, with the nearest one.
        """
        measures, groups = self.measures.tolist(), self.groups.tolist()
        check_choice("measure", measure, measures, where="trajectory")
        check_choice("group", group, groups, where="trajectory")
        return np.asarray(self.values[:, measures.index(measure), groups.index(group)])


@limit_to_one_blas_thread()
def simulate(
    world: World,
    policy: Policy | str,
    *,
    rounds: int = 50,
    measures: Sequence[str] | None = None,
    seed: int = 0,
) -> Trajectory:
    """Return what a policy does to the population of a world over so many rounds.

    `policy` is one of `recsys.simulation.policies`, by name or with settings, or one of somebody's own with `start`.
    `measures` are names in `recsys.simulation.measures`, or "package.module:class"; by default all but
    those by maps, which are made at each training.
    All draws are named by the seed, the round, the user and the item: another policy under the same seed meets the same
    people with the same luck, so that differences between policies are differences within pairs. The same seed gives
    the same bits whatever the threads: linear algebra has one.

    Raises:
        RecsysError: for an unknown policy or measure (with the nearest name), rounds below 1 or more than the world
            has, an offer that is not of its users and items, a world that does not fit in memory, or one in which
            nothing is left to be consumed.
    """
    rounds, seed = check_int("simulate: rounds", rounds, 1), check_int("simulate: seed", seed)
    resolved = resolve_policy(policy)
    check_fit(world, {"policy": resolved}, rounds)
    population = start_world(world, seed)
    running = start_policy(resolved, population, seed)
    observers = {name: resolve_measure(name) for name in (STANDARD if measures is None else measures)}
    arrivals = find_arrivals(population)
    log = start_log(population)
    started = {name: make(population, log) for name, make in observers.items()}
    names = population.group_names.tolist() if len(population.group_names) > 1 else []
    masks = mark_groups(population)
    values = np.full((rounds, len(started), len(masks)), np.nan)
    consumed, shown = [], []
    with track_rounds("simulate", rounds) as done:
        for number in range(rounds):
            begin_round(population, number)
            utilities = population.get_utilities()
            offer = running.recommend(log, number)
            check_offer(offer, population.shape)
            if arrivals is not None:
                offer = leave_out_absent(offer, arrivals, number)
            consumption = population.consume(offer, log.met, number)
            now = Round(number, population, utilities, offer, consumption, log)
            present = masks & mark_present(population, number)
            for m, (name, measure) in enumerate(started.items()):
                values[number, m] = _average(name, measure.observe(now), present)
            log.record(offer, consumption)
            consumed.append(consumption.items)
            shown.append(offer.items)
            done()
    return Trajectory(
        np.array(list(started)), np.array([EVERYBODY, *names]), values, np.stack(consumed), np.stack(shown)
    )


def start_world(world: World, seed: int) -> Population:
    """Return the population of a world.

    Raises:
        RecsysError: for what is no world, and for one whose population lacks a part or is not of its users and items.
    """
    if not hasattr(world, "start"):
        raise RecsysError(f"simulate: found a {type(world).__name__}, expected a world: recsys.simulation.worlds")
    population = world.start(seed)
    for part in _PARTS:
        if not hasattr(population, part):
            returned = f"a {type(population).__name__} without '{part}'"
            raise RecsysError(f"world: {type(world).__name__}.start returned {returned}, expected a population")
    for name, found, size in (("regions", population.regions, 1), ("groups", population.groups, 0)):
        if found.shape != (population.shape[size],):
            raise RecsysError(f"world: {name} are {found.shape}, expected ({population.shape[size]},)")
    if len(population.group_names) > 1 and EVERYBODY in population.group_names:
        raise RecsysError(f"world: a group is called '{EVERYBODY}', expected another name: that is everybody")
    return population


def resolve_policy(given: Policy | str) -> Policy:
    """Return the policy that is given, or the one with that name and its default settings.

    Raises:
        RecsysError: for an unknown name, with the nearest one, or an object that is no policy.
    """
    found = resolve_extension("policy", given, POLICIES)() if isinstance(given, str) else given
    if not hasattr(found, "start"):
        raise RecsysError(f"simulate: found a {type(found).__name__}, expected a policy: recsys.simulation.policies")
    policy: Policy = found
    return policy


def start_policy(policy: Policy, population: Population, seed: int) -> RunningPolicy:
    """Return a policy before the first round.

    Raises:
        RecsysError: if `start` returns what is no policy.
    """
    running = policy.start(population, seed)
    if not hasattr(running, "recommend"):
        found = f"a {type(running).__name__} without 'recommend'"
        raise RecsysError(f"policy: {type(policy).__name__}.start returned {found}, expected a running policy")
    return running


def resolve_measure(name: str) -> type[Measure]:
    """Return the class of a measure.

    Raises:
        RecsysError: for an unknown name, with the nearest one, or what is no measure.
    """
    measure: type[Measure] = resolve_extension("measure", name, MEASURES)
    if not hasattr(measure, "observe"):
        raise RecsysError(f"measure '{name}' has no 'observe', expected a class with one: recsys.simulation.Measure")
    return measure


def check_offer(offer: Offer, shape: tuple[int, int]) -> None:
    """Refuse what is no offer, one that is not of these users and items, or one that shows an item twice.

    Raises:
        RecsysError: naming what was found.
    """
    items = getattr(offer, "items", None)
    if not isinstance(items, np.ndarray):
        found = type(offer).__name__ + ("" if items is None else f" whose items are {type(items).__name__}")
        raise RecsysError(f"simulate: a policy returned {found}, expected an Offer of an array of item codes")
    if items.ndim != 2 or len(items) != shape[0] or items.dtype.kind != "i":
        found = f"an offer of type {items.dtype} and shape {items.shape}"
        raise RecsysError(f"simulate: found {found}, expected item codes for {shape[0]} users")
    if items.size and not -1 <= items.min() <= items.max() < shape[1]:
        raise RecsysError(f"simulate: an offer has the item code {items.max()}, expected -1 to {shape[1] - 1}")
    ordered = np.sort(items, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise RecsysError("simulate: an offer shows an item twice to a user, expected each once")


def leave_out_absent(offer: Offer, arrivals: ArrivalRounds, number: int) -> Offer:
    """Return an offer to the users who are there, and to nobody else.

    Raises:
        RecsysError: if it shows an item that is not there yet.
    """
    items = np.where(arrivals.users[:, None] <= number, offer.items, -1)
    early = items[(items >= 0) & (arrivals.items[items] > number)]
    if len(early):
        raise RecsysError(
            f"simulate: an offer shows the item {early[0]} in round {number + 1}, expected items that are there: "
            "Log.get_closed says which are not"
        )
    return replace(offer, items=items)


def _average(measure: str, found: Doubles | float | PerGroup, masks: Bools) -> Doubles | list[float]:
    """Return the mean over each group of users of what a measure found, or what it found of each group as a whole.

    One number is that of everybody.

    Raises:
        RecsysError: if it is neither a number nor one of each user or group, or infinite.
    """
    per_group = isinstance(found, PerGroup)
    values = np.asarray(found.values if isinstance(found, PerGroup) else found)
    shapes = [(len(masks),)] if per_group else [(), (masks.shape[1],)]
    if values.dtype.kind not in "buif" or values.shape not in shapes:
        of = f"{len(masks)}, of everybody and of each group" if per_group else f"one, or {masks.shape[1]}, of each user"
        raise RecsysError(f"measure '{measure}' found {values.dtype} of shape {values.shape}, expected numbers: {of}")
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise RecsysError(f"measure '{measure}' found an infinite number, expected finite ones, or NaN for nothing")
    if per_group:
        return values
    if not values.ndim:
        return [float(values), *[np.nan] * (len(masks) - 1)]
    told = ~np.isnan(values)
    return [float(values[mask & told].mean()) if (mask & told).any() else np.nan for mask in masks]
