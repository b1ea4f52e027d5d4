"""Experiments in a closed loop: arms of users, and of items, beside full deployments on the same random numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from recsys.simulation.loop import Trajectory, resolve_policy, simulate, start_world
from recsys.simulation.records import Log, Offer, Policy, Population, RunningPolicy, World
from recsys.support import rng
from recsys.types import RecsysError, check_choice
from recsys.types.arrays import Bools, Doubles, Ints
from recsys.types.numbers import check_int, check_number

ARMS = ("control", "treatment", "rest")
DIVERTED = ("users", "users_and_items")
_NEVER = np.int32(2**31 - 1)  # the round from which items of other arms are there

Diverted = Literal["users", "users_and_items"]


@dataclass(frozen=True, eq=False)
class DivertedExperiment:
    """What an experiment tells of a policy, and what its full deployment does to the same people with the same luck."""

    arms: Trajectory  # of the experiment, with the groups control, treatment and rest
    control: Trajectory  # of the control policy for everybody
    treatment: Trajectory  # of the treatment policy for everybody

    def estimate_lift(self, measure: str) -> float:
        """Return the mean over rounds in the treatment arm over that in the control arm, less 1; NaN for one of 0.

        Raises:
            RecsysError: for a measure that it does not have, with the nearest one.
        """
        return _compare(*(self.arms.get_values(measure, arm) for arm in ("treatment", "control")))

    def find_true_lift(self, measure: str) -> float:
        """Return the same of the full deployments: what the estimate is of.

        Raises:
            RecsysError: for a measure that it does not have, with the nearest one.
        """
        return _compare(self.treatment.get_values(measure), self.control.get_values(measure))


def run_diverted_experiment(
    world: World,
    control: Policy | str,
    treatment: Policy | str,
    *,
    share: float = 0.5,
    divert: Diverted = "users_and_items",
    rounds: int = 50,
    measures: Sequence[str] | None = None,
    seed: int = 0,
) -> DivertedExperiment:
    """Return what arms of a share of users say of two policies, and what each does where it is deployed to everybody.

    The arms are those of `simulate_arms`.

    Raises:
        RecsysError: as `simulate_arms` does.
    """
    kept: dict[str, Any] = {"rounds": rounds, "measures": measures, "seed": seed}
    arms = simulate_arms(world, control, treatment, share=share, divert=divert, **kept)
    return DivertedExperiment(arms, simulate(world, control, **kept), simulate(world, treatment, **kept))


def simulate_arms(
    world: World,
    control: Policy | str,
    treatment: Policy | str,
    *,
    share: float = 0.5,
    divert: Diverted = "users_and_items",
    rounds: int = 50,
    measures: Sequence[str] | None = None,
    seed: int = 0,
) -> Trajectory:
    """Return what happens in the arms of an experiment: groups of users called control, treatment and rest.

    A `share` of users, drawn by the seed, gets the treatment, as many are the control arm, and the rest gets the
    control policy too. With `divert = "users"` all arms share the catalogue and the log: what one arm's users like is
    learned by all, so that a treatment that finds new items helps its control. With "users_and_items" each arm also has
    its share of the items, is shown no other, and is trained on the rows of its own users and items alone: arms are
    small, and nothing leaks (user-corpus co-diverted experiments, Su et al. 2024). Measures by item count shares of
    the whole catalogue in every arm.

    Raises:
        RecsysError: as `simulate` does, for a share that is not above 0 and up to 1/2 or leaves an arm empty, or a
            policy that tells users of values.
    """
    check_choice("divert", divert, DIVERTED, where="experiment")
    share = check_number("experiment: share", share, above=0.0, most=0.5)
    seed = check_int("experiment: seed", seed)
    shape = start_world(world, seed).shape
    users = _draw_arms("users", shape[0], share, seed)
    items = _draw_arms("items", shape[1], share, seed) if divert == "users_and_items" else None
    arms = DivertedArms(resolve_policy(control), resolve_policy(treatment), users, items)
    return simulate(_ArmWorld(world, users), arms, rounds=rounds, measures=measures, seed=seed)


@dataclass(frozen=True, eq=False)
class DivertedArms:
    """A policy that is another for each arm of users; with arms of items, each arm has a catalogue and log of its own.

    Arms are codes into `ARMS`.
    """

    control: Policy
    treatment: Policy
    user_arms: Ints  # (U,)
    item_arms: Ints | None = None  # (I,); None: all arms share catalogue and log

    def start(self, population: Population, seed: int) -> "_RunningArms":
        """Return the policies of all arms."""
        return _RunningArms(self, population, seed)


class _RunningArms:
    def __init__(self, policy: DivertedArms, population: Population, seed: int) -> None:
        arms = range(len(ARMS)) if policy.item_arms is not None else range(2)  # the rest shares all with the control
        self.arms = []
        for arm in arms:
            users = policy.user_arms == arm
            if policy.item_arms is None and arm == 0:
                users = users | (policy.user_arms == ARMS.index("rest"))
            items = None if policy.item_arms is None else policy.item_arms == arm
            if users.any() and (items is None or items.any()):
                of = policy.treatment if ARMS[arm] == "treatment" else policy.control
                log = None if items is None else _ArmLog(population.shape, users, items)
                self.arms.append(_Arm(ARMS[arm], of.start(population, seed), users, log))

    def recommend(self, log: Log, number: int) -> Offer:
        """Return the slates of every arm, each by its policy."""
        offers = [arm.recommend(log, number) for arm in self.arms]
        items = np.full((len(log.met), max(one.shape[1] for one in offers)), -1, dtype=np.int32)
        for arm, slates in zip(self.arms, offers, strict=True):
            items[arm.users, : slates.shape[1]] = slates[arm.users]
        return Offer(items)


@dataclass(frozen=True, eq=False)
class _Arm:
    name: str
    running: RunningPolicy
    users: Bools  # (U,)
    log: "_ArmLog | None"  # None: the whole log

    def recommend(self, log: Log, number: int) -> Ints:
        """Return slates for all users, of which those of the arm count."""
        if self.log is not None:
            self.log.read(log)
        offer = self.running.recommend(log if self.log is None else self.log, number)
        if offer.told != "nothing":
            raise RecsysError(
                f"experiment: the policy of the arm {self.name} tells {offer.told}, expected nothing: all users of a "
                "world are told alike"
            )
        return offer.items


class _ArmLog(Log):
    """The rows of a log that are of the users and items of one arm."""

    def __init__(self, shape: tuple[int, int], users: Bools, items: Bools) -> None:
        """Begin with nothing."""
        super().__init__(shape)
        self.users, self.items = users, items
        self._inside = users[:, None] & items

    def read(self, log: Log) -> None:
        """Take over what the whole log has by now."""
        arrived = np.zeros(len(self.items), dtype=np.int32) if log.item_rounds is None else log.item_rounds
        self.item_rounds = np.where(self.items, arrived, _NEVER)
        for name in ("met", "liked", "shown"):
            np.logical_and(getattr(log, name), self._inside, out=getattr(self, name))
        for slates in log.slates[len(self.slates) :]:
            self.slates.append(np.where(self.users[:, None], slates, -1))


@dataclass(frozen=True, eq=False)
class _ArmWorld:
    """A world whose groups of users are the arms."""

    world: World
    arms: Ints

    def start(self, seed: int) -> Population:
        return cast(Population, _ArmPopulation(self.world.start(seed), self.arms))


@dataclass(eq=False)
class _ArmPopulation:
    people: Population
    groups: Ints
    group_names: Any = field(default_factory=lambda: np.array(ARMS))

    def __getattr__(self, name: str) -> Any:
        """Return what else the population has."""
        return getattr(self.people, name)


def _draw_arms(name: str, n: int, share: float, seed: int) -> Ints:
    """Return the arm of each of n users or items, (n,) codes into `ARMS`."""
    size = round(share * n)
    if not 1 <= size <= n // 2:
        raise RecsysError(f"experiment: share is {share:g}, and of {n} {name} that is {size}, expected 1 to {n // 2}")
    order = np.argsort(rng.draw_uniforms(seed, f"arms of {name}", np.arange(n)), kind="stable")
    arms = np.full(n, ARMS.index("rest"), dtype=np.int32)
    arms[order[:size]], arms[order[size : 2 * size]] = ARMS.index("treatment"), ARMS.index("control")
    return arms


def _compare(one: Doubles, other: Doubles) -> float:
    """Return the mean of one over that of the other, less 1; NaN where nothing is told or the other is 0."""
    told = ~(np.isnan(one) | np.isnan(other))
    level = other[told].mean() if told.any() else 0.0
    return float(one[told].mean() / level - 1.0) if level else float("nan")
