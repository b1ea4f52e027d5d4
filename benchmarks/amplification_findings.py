"""The findings of Mansoury et al. (CIKM 2020), simulated anew on a log of ratings: which hold, with what numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from findings import Finding, judge_mean, judge_share

from recsys.maths.inequality import normalize_counts
from recsys.models import BPR, MostPopular, UserKNN
from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.policies import Recommender
from recsys.simulation.worlds.accepted_ratings import AcceptedRatings
from recsys.support.progress import track_rounds
from recsys.types import Model
from recsys.types.arrays import Bools, Doubles

SOURCE = "Mansoury et al. 2020"
ROUNDS, K, POOL = 12, 10, 50
MODELS: Mapping[str, Model] = {"user kNN": UserKNN(), "BPR": BPR(), "most popular": MostPopular()}
SMOOTHING = 0.01  # share of each mix of genres that is spread over all of them


@dataclass(frozen=True, eq=False)
class AmplificationRuns:
    """What S runs of T rounds did, model by model; the users are the same in all, and their luck another one."""

    popularity: Mapping[str, Doubles]  # (S, T) mean share of users who had the items shown, by then
    coverage: Mapping[str, Doubles]  # (S, T) share of all items that are shown to somebody
    drift: Mapping[str, Doubles]  # (S, T) mean KL divergence of each user's first mix of genres from that by then
    minority_drift: Mapping[str, Doubles]  # (S,) at the end, mean of the minority less that of the others
    approach: Mapping[str, Doubles]  # (S, 2) how much nearer the mix of each group is to the other's first one


def run_amplification(
    world: AcceptedRatings,
    minority: str,
    *,
    repeats: int = 3,
    rounds: int = ROUNDS,
    models: Mapping[str, Model] = MODELS,
    k: int = K,
    pool: int = POOL,
    seed: int = 0,
) -> AmplificationRuns:
    """Return the runs; `minority` is the name of a group of the world, all others are the majority."""
    few = world.groups == world.group_names.tolist().index(minority)
    made: dict[str, dict[str, list[Doubles | float]]] = {name: {one: [] for one in models} for name in _MEASURED}
    with track_rounds("amplification", len(models) * repeats) as done:
        for name, model in models.items():
            for number in range(seed, seed + repeats):
                policy = Recommender(model, k=k, pool=pool)
                run = simulate(world, policy, rounds=rounds, measures=["catalog_coverage"], seed=number)
                for measure, value in _measure(world, run, few).items():
                    made[measure][name].append(value)
                done()
    return AmplificationRuns(*({one: np.array(of) for one, of in made[name].items()} for name in _MEASURED))


_MEASURED = ("popularity", "coverage", "drift", "minority_drift", "approach")


def _measure(world: AcceptedRatings, run: Trajectory, few: Bools) -> dict[str, Doubles | float]:
    """Return what the paper measures of a run, round by round."""
    genres = world.split.items.features.toarray().astype(np.float64)
    genres /= np.maximum(genres.sum(axis=1, keepdims=True), 1.0)  # one film has none
    has = world.split.seen.toarray() > 0
    counts, profile = has.sum(axis=0).astype(np.float64), has @ genres
    first = _smooth(profile)
    groups = [first[few].mean(axis=0), first[~few].mean(axis=0)]
    popularity, drift = [], []
    for shown, consumed in zip(run.shown, run.consumed, strict=True):
        popularity.append(float(counts[shown[shown >= 0]].mean() / len(has)))
        user, place = np.nonzero(consumed >= 0)
        np.add.at(counts, consumed[user, place], 1.0)
        np.add.at(profile, user, genres[consumed[user, place]])
        drift.append(_diverge(first, _smooth(profile)))
    last = _smooth(profile)
    now = [last[few].mean(axis=0), last[~few].mean(axis=0)]
    nearer = [float(_diverge(groups[1 - g], groups[g]) - _diverge(groups[1 - g], now[g])) for g in (0, 1)]
    return {
        "popularity": np.array(popularity),
        "coverage": run.get_values("catalog_coverage"),
        "drift": np.array([one.mean() for one in drift]),
        "minority_drift": float(drift[-1][few].mean() - drift[-1][~few].mean()),
        "approach": np.array(nearer),
    }


def _smooth(profile: Doubles) -> Doubles:
    """Return the mix of genres of each user, (U, G), with a share spread over all of them."""
    return np.asarray((1 - SMOOTHING) * normalize_counts(profile) + SMOOTHING / profile.shape[1])


def _diverge(one: Doubles, other: Doubles) -> Doubles:
    """Return the KL divergence of each mix from the other, in nats."""
    return np.asarray((one * np.log(one / other)).sum(axis=-1))


def judge_amplification(runs: AmplificationRuns, minority: str, label: str) -> list[Finding]:
    """Return the findings of the paper, each as statements with a sign, for each model; `label` says in which world."""
    found = []
    for name in runs.popularity:
        shown, coverage, drift = runs.popularity[name], runs.coverage[name], runs.drift[name]
        where, ends = f"{name}, {label}", "last - first round"
        rise = shown[:, -1] - shown[:, 0]
        found.append(judge_mean(SOURCE, f"popularity of what is shown, {ends}, {where}", rise, "above"))
        said = f"share of rounds in which the popularity of what is shown rises, {where}"
        found.append(judge_share(SOURCE, said, (np.diff(shown, axis=1) > 0).ravel()))
        fall = coverage[:, -1] - coverage[:, 0]
        found.append(judge_mean(SOURCE, f"share of items shown to somebody, {ends}, {where}", fall, "below"))
        said, rise = "drift from the first mix of genres", drift[:, -1] - drift[:, 0]
        found.append(judge_mean(SOURCE, f"{said}, {ends}, {where}", rise, "above"))
        found.append(judge_mean(SOURCE, f"{said}, {minority} - others, {where}", runs.minority_drift[name], "above"))
        nearer = runs.approach[name]
        said = f"divergence from the others' first mix, {minority} at the end - at first, {where}"
        found.append(judge_mean(SOURCE, said, -nearer[:, 0], "below"))
        said = f"how much nearer to the other group's first mix, {minority} - others, {where}"
        found.append(judge_mean(SOURCE, said, nearer[:, 0] - nearer[:, 1], "above"))
    return found
