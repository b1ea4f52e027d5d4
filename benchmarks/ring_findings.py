"""The findings of Aridor, Goncalves and Sikdar (RecSys 2020), simulated anew: which hold, and with what numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from findings import (
    Expected,
    Finding,
    judge_mean,
    judge_pooled_correlation,
    judge_slope,
)

from recsys.simulation.loop import simulate
from recsys.simulation.policies import NoRecommender
from recsys.simulation.records import Told
from recsys.simulation.worlds.ring_beliefs import RingBeliefs
from recsys.support import rng
from recsys.support.progress import track_rounds
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types.arrays import Bools, Doubles, Longs

SOURCE = "Aridor et al. 2020"
REGIMES: Mapping[str, Told] = {"none": "nothing", "recommendation": "common_values", "oracle": "utilities"}
ROUNDS = 20
# The grid of the paper; where one setting is varied, all values of the others are pooled.
CORRELATIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
COMMON_WEIGHTS = (0.0, 0.4, 0.8, 1.0, 2.0, 5.0)
DEVIATIONS = (0.25, 0.5, 1.0, 2.0, 4.0)
RISK_AVERSIONS = (0.0, 0.3, 0.6, 1.0, 5.0)
MARGIN = 0.05  # of no difference: a share of the largest distance or diversity, and a correlation


@dataclass(frozen=True, eq=False)
class RingRuns:
    """What users consumed in R populations of a grid, under each regime on the same random numbers."""

    settings: Doubles  # (R, 4) correlation, common weight, deviation of values, risk aversion
    paths: Mapping[str, Doubles]  # regime -> (R, T - 1) mean distance from one item to the next, over I / 2
    diversity: Mapping[str, Doubles]  # (R,) mean over users of the mean distance of two items consumed, over I / 2
    welfare: Mapping[str, Doubles]  # (R,) mean utility of an item consumed, over the deviation of values
    homogeneity: Mapping[str, Doubles]  # (R,) mean share of items that two users have in common
    user_diversity: Mapping[str, Doubles]  # (R, U)
    user_welfare: Mapping[str, Doubles]  # (R, U) mean utility of an item consumed, as it is

    @property
    def correlations(self) -> Doubles:
        """The correlation of neighbours, (R,)."""
        return self.settings[:, 0]

    @property
    def common_weights(self) -> Doubles:
        """How much more common values count than own ones, (R,)."""
        return self.settings[:, 1]

    @property
    def risk_aversions(self) -> Doubles:
        """The risk aversion, (R,)."""
        return self.settings[:, 3]


def run_ring(
    *,
    populations: int = 2,
    users: int = 100,
    items: int = 200,
    correlations: Sequence[float] = CORRELATIONS,
    common_weights: Sequence[float] = COMMON_WEIGHTS,
    deviations: Sequence[float] = DEVIATIONS,
    risk_aversions: Sequence[float] = RISK_AVERSIONS,
    seed: int = 0,
) -> RingRuns:
    """Return the runs of so many populations for each combination of settings."""
    grid = list(product(correlations, common_weights, deviations, risk_aversions, range(populations)))
    made: dict[str, dict[str, list[Doubles | float]]] = {name: {one: [] for one in REGIMES} for name in _MEASURED}
    with limit_to_one_blas_thread(), track_rounds("ring", len(grid)) as done:
        for correlation, weight, deviation, aversion, population in grid:
            world = RingBeliefs(users, items, correlation, deviation, weight, aversion)
            named = rng.derive_seed(seed, *map(repr, (correlation, weight, deviation, aversion)), population) % 2**31
            for regime, told in REGIMES.items():
                run = simulate(world, NoRecommender(told), rounds=ROUNDS, measures=["homogeneity"], seed=named)
                worth = world.start(named).get_utilities()
                for name, value in _measure(run.consumed[:, :, 0].T.astype(np.int64), worth, deviation).items():
                    made[name][regime].append(value)
                made["homogeneity"][regime].append(float(run.get_values("homogeneity")[-1]))
            done()
    arrays = [{one: np.array(values) for one, values in made[name].items()} for name in _MEASURED]
    return RingRuns(np.array([one[:4] for one in grid], dtype=np.float64), *arrays)


_MEASURED = ("paths", "diversity", "welfare", "homogeneity", "user_diversity", "user_welfare")


def _measure(consumed: Longs, worth: Doubles, deviation: float) -> dict[str, Doubles | float]:
    """Return what the paper measures of items consumed, (U, T) codes, by utilities (U, I)."""
    n_items = worth.shape[1]
    apart = _measure_distance(consumed[:, :, None], consumed[:, None, :], n_items)
    n_rounds = consumed.shape[1]
    diversity = apart.sum(axis=(1, 2)) / (n_rounds * (n_rounds - 1))
    welfare = np.take_along_axis(worth, consumed, axis=1).mean(axis=1)
    return {
        "paths": _measure_distance(consumed[:, 1:], consumed[:, :-1], n_items).mean(axis=0),
        "diversity": float(diversity.mean()),
        "welfare": float(welfare.mean() / deviation),
        "user_diversity": diversity,
        "user_welfare": welfare,
    }


def _measure_distance(one: Longs, other: Longs, n_items: int) -> Doubles:
    """Return the distance on the ring, over the largest there is."""
    apart = np.abs(one - other)
    return np.asarray(np.minimum(apart, n_items - apart) / (n_items // 2))


def judge_ring(runs: RingRuns) -> list[Finding]:
    """Return the five findings of the paper, each as statements with a sign."""
    return [*_judge_paths(runs), *_judge_diversity(runs), *_judge_welfare(runs), *_judge_association(runs),
            *_judge_homogeneity(runs)]  # fmt: skip


def _judge_paths(runs: RingRuns) -> list[Finding]:
    path = {one: values.mean(axis=1) for one, values in runs.paths.items()}
    alike, related = runs.correlations == 0, runs.correlations > 0
    found = []
    for other in ("recommendation", "oracle"):
        gap = path["none"] - path[other]
        said = f"1: distance from one item to the next, none - {other}"
        found.append(judge_mean(SOURCE, f"{said}, correlation 0", gap[alike], "none", MARGIN))
        found.append(judge_mean(SOURCE, f"{said}, correlation > 0", gap[related], "below"))
        found.append(judge_slope(SOURCE, f"{said}, by correlation", runs.correlations, gap, "below"))
    gap = (path["none"] - path["recommendation"])[related]
    said = "1: distance from one item to the next, none - recommendation, by risk aversion"
    found.append(judge_slope(SOURCE, said, runs.risk_aversions[related], gap, "below"))
    round_slopes = {one: _find_slopes(values[related]) for one, values in runs.paths.items()}
    said = "1: change of the distance from one item to the next in a round"
    found.append(judge_mean(SOURCE, f"{said}, none", round_slopes["none"], "below"))
    found.append(judge_mean(SOURCE, f"{said}, oracle", round_slopes["oracle"], "above"))
    for high, low in (("oracle", "recommendation"), ("recommendation", "none")):
        gap = round_slopes[high] - round_slopes[low]
        found.append(judge_mean(SOURCE, f"{said}, {high} - {low}", gap, "above"))
    return found


def _find_slopes(rows: Doubles) -> Doubles:
    """Return the slope of each row in its columns, (R,)."""
    x = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    return np.asarray((rows - rows.mean(axis=1, keepdims=True)) @ x / (x @ x))


def _judge_diversity(runs: RingRuns) -> list[Finding]:
    alike, related = runs.correlations == 0, runs.correlations > 0
    found = []
    for other in ("recommendation", "oracle"):
        gap = runs.diversity["none"] - runs.diversity[other]
        found.append(judge_mean(SOURCE, f"2: diversity, none - {other}, correlation 0", gap[alike], "none", MARGIN))
        found.append(judge_mean(SOURCE, f"2: diversity, none - {other}, correlation > 0", gap[related], "below"))
    for regime, values in runs.diversity.items():
        found.append(judge_slope(SOURCE, f"2: diversity, {regime}, by correlation", runs.correlations, values, "below"))
    said = "2: diversity, none, correlation > 0, by risk aversion"
    found.append(judge_slope(SOURCE, said, runs.risk_aversions[related], runs.diversity["none"][related], "below"))
    return found


def _judge_welfare(runs: RingRuns) -> list[Finding]:
    gain = runs.welfare["recommendation"] - runs.welfare["none"]
    by = runs.correlations
    return [
        judge_slope(
            SOURCE, "3: welfare in deviations, oracle, by correlation", by, runs.welfare["oracle"], "none", 0.5
        ),
        judge_slope(SOURCE, "3: welfare in deviations, none, by correlation", by, runs.welfare["none"], "above"),
        judge_slope(SOURCE, "3: welfare in deviations, recommendation - none, by correlation", by, gain, "below"),
    ]


def _judge_association(runs: RingRuns) -> list[Finding]:
    """Return correlations over users of all populations, pooled as in the paper, and of users within a population."""
    indifferent, averse = runs.risk_aversions == min(RISK_AVERSIONS), runs.risk_aversions == max(RISK_AVERSIONS)
    expected: tuple[tuple[str, Bools, Expected], ...] = (
        ("none", indifferent, "below"), ("none", averse, "none"), ("recommendation", indifferent, "none"),
        ("recommendation", averse, "above"), ("oracle", indifferent, "none"),
    )  # fmt: skip
    found = []
    for regime, at, sign in expected:
        both = runs.user_diversity[regime][at], runs.user_welfare[regime][at]
        said = f"{regime}, risk aversion {runs.risk_aversions[at][0]:g}"
        pooled = f"4: correlation of diversity and welfare, users of all populations, {said}"
        found.append(judge_pooled_correlation(SOURCE, pooled, *both, sign, MARGIN))
        within = f"4: correlation of diversity and welfare, users of one population, {said}"
        found.append(judge_mean(SOURCE, within, _correlate_rows(*both), sign, MARGIN))
    return found


def _correlate_rows(one: Doubles, other: Doubles) -> Doubles:
    """Return the correlation within each row, (R,); NaN for a row of equal numbers."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1)))


def _judge_homogeneity(runs: RingRuns) -> list[Finding]:
    of, by = runs.homogeneity, runs.correlations
    return [
        judge_mean(SOURCE, "5: homogeneity, recommendation - oracle", of["recommendation"] - of["oracle"], "above"),
        judge_mean(SOURCE, "5: homogeneity, oracle - none", of["oracle"] - of["none"], "above"),
        judge_slope(
            SOURCE,
            "5: homogeneity, recommendation, by common weight",
            runs.common_weights,
            of["recommendation"],
            "above",
        ),
        judge_slope(SOURCE, "5: homogeneity, recommendation, by correlation", by, of["recommendation"], "below"),
        judge_slope(SOURCE, "5: homogeneity, none, by correlation", by, of["none"], "above"),
    ]
