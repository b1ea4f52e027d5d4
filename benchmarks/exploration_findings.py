"""The interest exploration of RecSim (Ie et al. 2019), simulated anew: myopia, and what exploring is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from findings import Finding, judge_mean

from recsys.simulation.bandits import AverageTaste, ThompsonSampling, UpperConfidenceBound
from recsys.simulation.loop import simulate
from recsys.simulation.policies import Oracle, RandomItems
from recsys.simulation.records import Policy
from recsys.simulation.worlds.hidden_types import HiddenTypes
from recsys.support.progress import track_rounds
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types.arrays import Doubles

SOURCE = "Ie et al. 2019"
ROUNDS, K = 200, 2
NICHE = ((0.1, 1.2), (0.7, 0.1))  # a topic of its own for the minority: the paper's is the best one for nearly nobody
WORLDS: Mapping[str, HiddenTypes] = {
    "published affinities": HiddenTypes(),
    "a niche topic": replace(HiddenTypes(), affinities=NICHE),
}
MINORITY, POPULAR_TOPIC = 0, 0


@dataclass(frozen=True, eq=False)
class ExplorationRuns:
    """What S populations clicked on, policy by policy."""

    clicks: Mapping[str, Doubles]  # (S,) clicks of a user in a round
    minority_clicks: Mapping[str, Doubles]  # (S,) of a user of the smaller type
    popular_shares: Mapping[str, Doubles]  # (S,) share of the popular topic in what the smaller type is shown


def run_exploration(
    world: HiddenTypes, *, populations: int = 20, rounds: int = ROUNDS, k: int = K, seed: int = 0
) -> ExplorationRuns:
    """Return the runs of so many populations."""
    policies: dict[str, Policy] = {
        "myopic": AverageTaste(k),
        "Thompson": ThompsonSampling(k, "regions"),
        "UCB": UpperConfidenceBound(k, "regions"),
        "oracle": Oracle(k),
        "random": RandomItems(k),
    }
    made: list[dict[str, list[float]]] = [{name: [] for name in policies} for _ in range(3)]
    with limit_to_one_blas_thread(), track_rounds("exploration", populations) as done:
        for number in range(seed, seed + populations):
            people = world.start(number)
            few = people.groups == MINORITY
            for name, policy in policies.items():
                run = simulate(world, policy, rounds=rounds, measures=["welfare"], seed=number)
                clicked = run.consumed[:, :, 0] >= 0
                popular = people.regions[run.shown[:, few]] == POPULAR_TOPIC
                for of, value in zip(made, (clicked, clicked[:, few], popular), strict=True):
                    of[name].append(float(value.mean()))
            done()
    return ExplorationRuns(*({name: np.array(values) for name, values in of.items()} for of in made))


def judge_exploration(runs: ExplorationRuns, label: str) -> list[Finding]:
    """Return the findings of the paper, each as statements with a sign; `label` says in which world."""
    shown, clicks, few = runs.popular_shares, runs.clicks, runs.minority_clicks
    said = "share of the popular topic in what the smaller type is shown"
    return [
        judge_mean(SOURCE, f"{said}, myopic - random, {label}", shown["myopic"] - shown["random"], "above"),
        judge_mean(SOURCE, f"{said}, myopic - Thompson, {label}", shown["myopic"] - shown["Thompson"], "above"),
        judge_mean(SOURCE, f"clicks, Thompson - myopic, {label}", clicks["Thompson"] - clicks["myopic"], "above"),
        judge_mean(
            SOURCE, f"clicks of the smaller type, Thompson - myopic, {label}", few["Thompson"] - few["myopic"], "above"
        ),
        judge_mean(SOURCE, f"clicks, UCB - myopic, {label}", clicks["UCB"] - clicks["myopic"], "above"),
        judge_mean(SOURCE, f"clicks, oracle - Thompson, {label}", clicks["oracle"] - clicks["Thompson"], "above"),
    ]
