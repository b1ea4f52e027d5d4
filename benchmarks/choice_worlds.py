"""What does the reading of curves do to a choice? Worlds whose gains are known: `python benchmarks/choice_worlds.py`.

A world has a true gain of discovery for every family of `recsys discover`, a slope that its weights are multiplied by;
all families cost the same accuracy. Each user's values go away from the truth in steps along the weight, half of them
the same for all families. A family has 32 trials. The choice is made twice: by curves that are read on the users who
picked their points, and by curves that are read on other users (`recsys.sweeps.cross_readings`), as `recsys discover`
reads them.

Worlds: "none" (no family gains), "few" and "many" (slopes of mean .02 and .10), "losses" (of mean -.10). Writes
`benchmarks/results/choice-worlds.csv`, a row for each kind of world and reading. `chosen` is the share of worlds in
which a blend is chosen, `promised` the gain that validation shows for it and `gained` the true one, 0 where the base's
order is kept; `bias` is the mean over all families of what validation shows less the truth, `regret` what the best
family, or the base, would have gained more. `_error` are standard errors over worlds.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.configs import parse_config
from recsys.scores import Score, Scores
from recsys.scores.halvings import choose_interval
from recsys.scores.intervals import NO_INTERVAL, bootstrap_sums
from recsys.support.atomic_files import replace_file
from recsys.support.progress import show_progress
from recsys.support.rng import make_generator
from recsys.sweeps.cross_readings import read_curves_across_parts
from recsys.sweeps.curve_readings import BASE, LIKELIHOOD, read_curves_of_families, trace_curve
from recsys.sweeps.families import build_discover_config, build_family_plan, list_families
from recsys.sweeps.family_choice import choose_family, choose_trial
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.trials import TrialResult
from recsys.types.arrays import Doubles, Ints

RESULTS = Path(__file__).parent / "results" / "choice-worlds.csv"
WORLDS = {
    "none": (0.0, 0.0),
    "few": (0.02, 0.04),
    "many": (0.10, 0.08),
    "losses": (-0.10, 0.05),
}  # of slopes
USERS, TRIALS, DRAWS, STEPS, LARGEST = 400, 32, 200, 64, 4.0
LOSS = 0.02  # of accuracy, at weight 1
NOISE = {"ndcg@10": 0.01, "stratified_recall@10": 0.01, "discovery@10": 0.08}  # of the mean of all users, at weight 1
FAMILIES = [one for one in list_families(True) if one.role == "family"]


class World:
    """Values of every user under every trial; it answers as a `TrialEvaluator` does."""

    def __init__(self, plan: SweepPlan, slopes: Mapping[str, float], rng: np.random.Generator) -> None:
        """Draw weights and values; runs are the base and the trials of the families."""
        self.parts: Sequence[Ints] = np.array_split(rng.permutation(USERS).astype(np.int32), plan.user_parts)
        self.judges = ()
        self.settings = {of.name: {one.name: one.place(0.5) for one in of.ranges} for of in plan.methods}
        shared, steps = draw_steps(rng), {BASE: np.zeros(1)}
        flat = {(run, metric): np.ones(USERS) for run in (BASE, LIKELIHOOD) for metric in NOISE}
        self.values: dict[tuple[str, str], Doubles] = flat
        self.trials: dict[str, list[TrialResult]] = {}
        for family in FAMILIES:
            own = draw_steps(rng)
            weights = np.exp(rng.uniform(np.log(0.02), np.log(2.0), (TRIALS, family.dials))).sum(axis=1)
            steps[family.name] = weights
            for number, weight in enumerate(weights):
                step = int(weight / LARGEST * (STEPS - 1))
                for m, (metric, noise) in enumerate(NOISE.items()):
                    truth = slopes[family.name] * weight if metric.startswith("discovery") else -LOSS * weight
                    strayed = noise * np.sqrt(USERS / 2) * (shared[m, step] + own[m, step])
                    self.values[f"{family.name}-{number}", metric] = 1.0 + truth + strayed
            self.trials[family.name] = [self._build_trial(family.name, number) for number in range(TRIALS)]
        self.weights = steps

    def _build_trial(self, family: str, number: int) -> TrialResult:
        def average(run: str, users: Any) -> dict[str, float]:
            return {metric: float(self.values[run, metric][users].mean()) for metric in NOISE}

        run = f"{family}-{number}"
        parts = [[average(of, part) for part in self.parts] for of in (run, BASE)]
        return TrialResult(
            number, self.settings[family], average(run, slice(None)), average(BASE, slice(None)), True, 0.0, *parts
        )

    def evaluate_blends(self, configs: Sequence[str], metrics: Sequence[str], users: Ints | None = None) -> Scores:
        """Return the scores of runs over some users."""
        mine = np.isin(np.arange(USERS), np.arange(USERS) if users is None else users)
        keys, n, everybody = [(run, metric) for run in configs for metric in metrics], int(mine.sum()), np.arange(USERS)
        table = np.stack([np.where(mine, self.values[key], 0.0) for key in keys]) / n
        means = table.sum(axis=1, keepdims=True)
        draws = means + bootstrap_sums(table - means * mine / n, everybody, 0, DRAWS)
        spread = choose_interval("users", 1, n, USERS)
        cells = [
            Score(run, metric.partition("@")[0], 10, float(mean[0]), NO_INTERVAL, n, "", 1, "users",
                  row, row, mine / n, drawn, *spread, {"hits": 1.0})
            for (run, metric), row, mean, drawn in zip(keys, table, means, draws, strict=True)
        ]  # fmt: skip
        return Scores(tuple(cells), everybody, everybody.astype(str), 0, DRAWS)


def draw_steps(rng: np.random.Generator) -> Doubles:
    """Return how far users strayed by metric and step of the weight, (metrics, steps, U); variance 1 at weight 1."""
    steps = rng.standard_normal((len(NOISE), STEPS, USERS)) * np.sqrt(LARGEST / STEPS)
    steps[:, 0] = 0.0
    return np.asarray(steps.cumsum(axis=1))


def choose_twice(plan: SweepPlan, world: World) -> Iterator[tuple[str, dict[str, float], str | None]]:
    """Yield by reading: the gain of every family on validation, and what is chosen."""
    points = {name: choose_trial(plan, trials) for name, trials in world.trials.items()}
    able = [one for one in FAMILIES if points[one.name] is not None]
    curves = {name: trace_curve(plan, trials) for name, trials in world.trials.items()}
    own = read_curves_of_families(plan, curves, points, world, "validation", True)  # type: ignore[arg-type]
    other = read_curves_across_parts(plan, world.trials, world, "validation", True)  # type: ignore[arg-type]
    for reading, readings in (("own users", own), ("other users", other)):
        chosen = choose_family(able, readings.gains).chosen
        yield reading, {name: one.value for name, one in readings.gains.items()}, chosen and chosen.name


def judge_world(plan: SweepPlan, world: World, slopes: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Yield a row for each reading."""
    for reading, gains, chosen in choose_twice(plan, world):
        point = choose_trial(plan, world.trials[chosen]) if chosen else None
        weight = 0.0 if point is None or chosen is None else float(world.weights[chosen][point.number])
        gained = slopes[chosen] * weight if chosen else 0.0
        yield {
            "reading": reading,
            "chosen": chosen is not None,
            "promised": gains[chosen] if chosen else 0.0,
            "gained": gained,
            "bias": float(np.mean([gain - slopes[name] for name, gain in gains.items()])),
            "regret": max(0.0, *slopes.values()) - gained,
        }


def main() -> None:
    """Make the worlds, choose, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=60, help="of each kind")
    n = parser.parse_args().worlds
    settings = {"data": {"path": "none.csv"}, "split": {"kind": "random", "validation": 0.2, "test": 0.2}}
    plan = build_family_plan(build_discover_config(parse_config(settings)), TRIALS, LOSS, FAMILIES)
    rows = []
    with show_progress() as bars:
        task = bars.add_task("worlds", total=n * len(WORLDS))
        for kind, (mean, spread) in WORLDS.items():
            for number in range(n):
                rng = make_generator(number, "choice worlds", kind)
                slopes = {one.name: float(rng.normal(mean, spread)) for one in FAMILIES}
                rows += [{"world": kind, **row} for row in judge_world(plan, World(plan, slopes, rng), slopes)]
                bars.advance(task)
    told = pd.DataFrame(rows).groupby(["world", "reading"], sort=False)
    errors = told[["promised", "gained", "bias", "regret"]].sem().add_suffix("_error")
    table = told.mean().join(errors).reset_index()
    table.insert(2, "worlds", n)
    print(table.to_string(index=False, float_format="%.3f"))
    with replace_file(RESULTS) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
