"""The findings of Jiang et al. (AIES 2019) and of Khritankov and Pilkevich (2021), simulated anew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from findings import Finding, judge_mean

from recsys.simulation.bandits import DriftOracle, ThompsonSampling, UpperConfidenceBound
from recsys.simulation.policies import Oracle, RandomItems
from recsys.simulation.records import Policy, start_log
from recsys.simulation.worlds.reinforced_interests import ReinforcedInterests
from recsys.support.progress import track_rounds
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types.arrays import Doubles

SOURCE = "Jiang et al. 2019"
NOISE_SOURCE = "Khritankov and Pilkevich 2021"
ROUNDS = 1000
EXPLOITING = (
    "optimal oracle",
    "oracle",
    "UCB",
    "Thompson",
)  # all that are said to degenerate faster than random slates
EXPLORING = ("UCB", "Thompson", "random")  # all that go on trying what is new
MARGIN = 0.05  # of no growth: a share of the shift of interests in the third quarter
NOISE, RESETS = 1.0, 0.01
LONG = 5  # times as many rounds for resets: that they bound the shift is seen after the bandit has settled


@dataclass(frozen=True, eq=False)
class DegeneracyRuns:
    """How far the interests of U users are from where they began, after each of T rounds, (T, U) for each policy."""

    fixed: Mapping[str, Doubles]  # all items are there from the first round on
    growing: Mapping[str, Doubles]  # as many items come each round as one
    noisy: Doubles  # Thompson sampling, interests with noise at each click
    reset: Doubles  # Thompson sampling, interests that fall back by chance: 5 T rounds


def run_degeneracy(
    *, users: int = 30, items: int = 100, k: int = 5, rounds: int = ROUNDS, seed: int = 0
) -> DegeneracyRuns:
    """Return the runs of one population: its users know nothing of each other, and each is one observation."""
    world = ReinforcedInterests(users, items)
    wide = replace(world, items=items + rounds, first_items=items, new_items=1.0)
    policies: dict[str, Policy] = {
        "optimal oracle": DriftOracle(k),
        "oracle": Oracle(k),
        "UCB": UpperConfidenceBound(k),
        "Thompson": ThompsonSampling(k),
        "random": RandomItems(k),
    }
    with limit_to_one_blas_thread(), track_rounds("degeneracy", 2 * len(policies) + 2) as done:

        def follow(of: ReinforcedInterests, policy: Policy, n: int = rounds) -> Doubles:
            shifts = follow_shifts(of, policy, n, seed)
            done()
            return shifts

        return DegeneracyRuns(
            {name: follow(world, policy) for name, policy in policies.items()},
            {name: follow(wide, policy) for name, policy in policies.items()},
            follow(replace(world, noise=NOISE), policies["Thompson"]),
            follow(replace(world, reset_probability=RESETS), policies["Thompson"], LONG * rounds),
        )


def follow_shifts(world: ReinforcedInterests, policy: Policy, rounds: int, seed: int) -> Doubles:
    """Return the distance of each user's interests from where they began, after each round, (T, U)."""
    people = world.start(seed)
    running, log = policy.start(people, seed), start_log(people)
    shifts = np.empty((rounds, world.users))
    for number in range(rounds):
        offer = running.recommend(log, number)
        log.record(offer, people.consume(offer, log.met, number))
        shifts[number] = np.linalg.norm(people.interests - people.first_interests, axis=1)
    return shifts


def judge_degeneracy(runs: DegeneracyRuns) -> list[Finding]:
    """Return the findings of both papers, each as statements with a sign."""
    found = []
    for name in EXPLOITING:
        gap = runs.fixed[name][-1] - runs.fixed["random"][-1]
        found.append(judge_mean(SOURCE, f"shift of interests at the end, {name} - random", gap, "above"))
    for name in EXPLORING:
        gap = _find_late_growth(runs.growing[name]) - _find_late_growth(runs.fixed[name])
        said = f"growth of the shift in the second half, candidates that grow - that do not, {name}"
        found.append(judge_mean(SOURCE, said, gap, "below"))
    said = "growth of the shift in the second half, Thompson"
    noisy = _find_late_growth(runs.noisy)
    found.append(judge_mean(NOISE_SOURCE, f"{said}, noise in interests", noisy, "above"))
    gap = runs.reset[len(runs.noisy) - 1] - runs.noisy[-1]
    said_at_end = "shift of interests at the end, Thompson, resets - noise"
    found.append(judge_mean(NOISE_SOURCE, said_at_end, gap, "below"))
    third, last = (runs.reset[len(runs.reset) * n // 4 : len(runs.reset) * (n + 1) // 4].mean(axis=0) for n in (2, 3))
    said = "relative growth of the shift, last - third quarter of the rounds, Thompson, resets of interests"
    found.append(judge_mean(NOISE_SOURCE, said, (last - third) / third.mean(), "none", MARGIN))
    return found


def _find_late_growth(shifts: Doubles) -> Doubles:
    """Return by how much the shift of each user grows in the second half of the rounds, (U,)."""
    return np.asarray(shifts[-1] - shifts[len(shifts) // 2])
