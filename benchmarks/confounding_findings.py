"""The findings of Chaney, Stewart and Engelhardt (RecSys 2018), simulated anew: which hold, and with what numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from findings import Expected, Finding, judge_mean, judge_share

from recsys.maths.popularity import gini
from recsys.models import ALS, MostPopular
from recsys.simulation.attribute_profiles import ContentRecommender
from recsys.simulation.loop import simulate
from recsys.simulation.policies import Oracle, RandomItems, Recommender
from recsys.simulation.records import Log, Offer, Policy, Population, RunningPolicy
from recsys.simulation.worlds.partly_known import PartlyKnownPopulation, PartlyKnownUtilities
from recsys.support.progress import track_rounds
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types.arrays import Bools, Doubles, Longs

SOURCE = "Chaney et al. 2018"
ROUNDS = 100
STARTUPS: Mapping[str, int] = {"single": 50, "repeated": 10}  # random rounds before the one, or the first, training
LEARNED = ("content", "MF", "popularity")  # in the order of how alike they are said to make users
RECOMMENDERS = ("ideal", *LEARNED, "random")

ByRegime = Mapping[str, Mapping[str, Doubles]]  # regime -> recommender -> values


@dataclass(frozen=True, eq=False)
class ConfoundingRuns:
    """What S populations consumed after the longer of the two startups, under each recommender and regime."""

    homogeneity: ByRegime  # (S,) mean Jaccard index of what two users consumed
    neighbors: ByRegime  # (S,) the same of each user and the one with the nearest true taste
    utility: ByRegime  # (S,) mean utility of an item consumed
    inequality: ByRegime  # (S,) Gini coefficient of how often items were consumed
    user_homogeneity: ByRegime  # (S, U) mean Jaccard index of a user and all others
    user_utility: ByRegime  # (S, U)


def run_confounding(
    *,
    populations: int = 10,
    world: PartlyKnownUtilities | None = None,
    rounds: int = ROUNDS,
    startups: Mapping[str, int] = STARTUPS,
    factors: int = 20,
    seed: int = 0,
) -> ConfoundingRuns:
    """Return the runs of so many populations. In both regimes what is measured begins after the longer startup."""
    world = PartlyKnownUtilities() if world is None else world
    made: dict[str, dict[str, dict[str, list[Doubles | float]]]] = {
        name: {regime: {one: [] for one in RECOMMENDERS} for regime in startups} for name in _MEASURED
    }
    with limit_to_one_blas_thread(), track_rounds("confounding", populations * len(startups)) as done:
        for number in range(seed, seed + populations):
            people = world.start(number)
            for regime, startup in startups.items():
                policies = _make_policies(world.items, factors, startup, regime == "single")
                for name, policy in policies.items():
                    run = simulate(world, policy, rounds=rounds, measures=["homogeneity"], seed=number)
                    consumed = run.consumed[max(startups.values()) :, :, 0].T.astype(np.int64)
                    for measure, value in _measure(consumed, people).items():
                        made[measure][regime][name].append(value)
                done()
    return ConfoundingRuns(*(
        {regime: {one: np.array(values) for one, values in of.items()} for regime, of in made[name].items()}
        for name in _MEASURED
    ))  # fmt: skip


_MEASURED = ("homogeneity", "neighbors", "utility", "inequality", "user_homogeneity", "user_utility")


@dataclass(frozen=True, eq=False)
class StartUp:
    """Random slates of all items for so many rounds, then those of a policy, from then on frozen or not.

    A frozen policy knows no item that came after the startup.
    """

    policy: Policy
    rounds: int
    frozen: bool

    def start(self, population: Population, seed: int) -> RunningPolicy:
        """Return the policy."""
        first = RandomItems(population.shape[1]).start(population, seed)
        return _RunningStartUp(self, first, self.policy.start(population, seed))


@dataclass(frozen=True, eq=False)
class _RunningStartUp:
    settings: StartUp
    first: RunningPolicy
    then: RunningPolicy

    def recommend(self, log: Log, number: int) -> Offer:
        if number < self.settings.rounds:
            return self.first.recommend(log, number)
        return self.then.recommend(log, self.settings.rounds if self.settings.frozen else number)


def _make_policies(n_items: int, factors: int, startup: int, frozen: bool) -> dict[str, Policy]:
    """Return the recommenders of the paper but the social one; each ranks all items that may be shown."""
    every = 0 if frozen else 1
    made: dict[str, Policy] = {
        "ideal": Oracle(n_items),
        "content": ContentRecommender(n_items, n_items, every),
        "MF": Recommender(ALS(factors=factors), k=n_items, pool=n_items, retrain_every=every),
        "popularity": Recommender(MostPopular(), k=n_items, pool=n_items, retrain_every=every),
        "random": RandomItems(n_items),
    }
    return {name: StartUp(made[name], startup, frozen) for name in RECOMMENDERS}


def _measure(consumed: Longs, people: PartlyKnownPopulation) -> dict[str, Doubles | float]:
    """Return what the paper measures of items consumed, (U, T) codes."""
    alike = compare_users(consumed, people.shape[1])
    tastes = people.tastes / np.linalg.norm(people.tastes, axis=1, keepdims=True)
    near = tastes @ tastes.T
    np.fill_diagonal(near, -np.inf)
    worth = np.take_along_axis(people.utilities, consumed, axis=1).mean(axis=1)
    n_users = len(consumed)
    by_user = (alike.sum(axis=1) - 1.0) / (n_users - 1)
    return {
        "homogeneity": float(by_user.mean()),
        "neighbors": float(alike[np.arange(n_users), near.argmax(axis=1)].mean()),
        "utility": float(worth.mean()),
        "inequality": float(gini(np.bincount(consumed.ravel(), minlength=people.shape[1]).astype(np.float64))),
        "user_homogeneity": by_user,
        "user_utility": worth,
    }


def compare_users(consumed: Longs, n_items: int) -> Doubles:
    """Return the Jaccard index of what any two users consumed, (U, U), from codes (U, T) that are different in a row.

    >>> compare_users(np.array([[0, 1], [1, 2]]), 3).round(3).tolist()
    [[1.0, 0.333], [0.333, 1.0]]
    """
    has = np.zeros((len(consumed), n_items))
    np.put_along_axis(has, consumed, 1.0, axis=1)
    shared = has @ has.T
    return np.asarray(shared / (2 * consumed.shape[1] - shared))


def judge_confounding(runs: ConfoundingRuns) -> list[Finding]:
    """Return the findings of the paper, each as statements with a sign or an order."""
    found: list[Finding] = []
    for regime in runs.homogeneity:
        found += _judge_orders(runs, regime)
    return [*found, *_judge_regimes(runs), *_judge_gains(runs), *_judge_inequality(runs)]


def _judge_orders(runs: ConfoundingRuns, regime: str) -> list[Finding]:
    alike = runs.homogeneity[regime]
    found = []
    for name in LEARNED:
        for kind, of in (("two users", alike), ("a user and the nearest in taste", runs.neighbors[regime])):
            said = f"Jaccard index of {kind}, {name} - ideal, {regime} training"
            found.append(judge_mean(SOURCE, said, of[name] - of["ideal"], "above"))
    chain = [alike["ideal"] < alike["content"], alike["content"] < alike["MF"], alike["MF"] <= alike["popularity"]]
    names = ("ideal < content", "content < MF", "MF <= popularity")
    for name, holds in zip(names, chain, strict=True):
        found.append(judge_share(SOURCE, _say_share(name, regime), holds))
    found.append(judge_share(SOURCE, _say_share("ideal < content < MF <= popularity", regime), _all(chain)))
    return found


def _say_share(order: str, regime: str) -> str:
    return f"share of populations with {order} in the Jaccard index of two users, {regime} training"


def _all(chain: Sequence[Bools]) -> Bools:
    return np.asarray(np.all(np.stack(chain), axis=0))


def _judge_regimes(runs: ConfoundingRuns) -> list[Finding]:
    """Return that training again makes users more alike, without as much gain in utility."""
    found = []
    for name in LEARNED:
        alike, worth = ({at: of[at][name] for at in of} for of in (runs.homogeneity, runs.utility))
        gap = alike["repeated"] - alike["single"]
        found.append(
            judge_mean(SOURCE, f"Jaccard index of two users, repeated - single training, {name}", gap, "above")
        )
        said = f"share of populations that repeated training makes more alike than single, {name}"
        found.append(judge_share(SOURCE, said, gap > 0))
        rises = [of["repeated"] / of["single"] - 1.0 for of in (worth, alike)]
        said = f"relative rise from single to repeated training, utility - Jaccard index, {name}"
        found.append(judge_mean(SOURCE, said, rises[0] - rises[1], "below"))
    return found


def _judge_gains(runs: ConfoundingRuns) -> list[Finding]:
    """Return that what makes users alike is worth less to them than the ideal, and least to whom it changes most."""
    found = []
    for regime, worth in runs.utility.items():
        for name in LEARNED:
            gap = (worth[name] - worth["ideal"]) / worth["ideal"]
            found.append(judge_mean(SOURCE, f"relative utility, {name} - ideal, {regime} training", gap, "below"))
    of, worth_of = runs.user_homogeneity["repeated"], runs.user_utility["repeated"]
    for name in LEARNED:
        changes = (one[name] - one["ideal"] for one in (of, worth_of))
        said = f"correlation over users of changes from the ideal, Jaccard index and utility, {name}, repeated training"
        found.append(judge_mean(SOURCE, said, _correlate_users(*changes), "below"))
    return found


def _correlate_users(one: Doubles, other: Doubles) -> Doubles:
    """Return the correlation over the users of each population, (S,)."""
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)])


def _judge_inequality(runs: ConfoundingRuns) -> list[Finding]:
    of = runs.inequality
    expected: Expected = "above"
    found = []
    for name in LEARNED:
        said = "Gini coefficient of how often items are consumed"
        found.append(judge_mean(SOURCE, f"{said}, {name} - ideal, repeated training",
                                of["repeated"][name] - of["repeated"]["ideal"], expected))  # fmt: skip
        found.append(judge_mean(SOURCE, f"{said}, repeated - single training, {name}",
                                of["repeated"][name] - of["single"][name], expected))  # fmt: skip
    return found
