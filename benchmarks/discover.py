"""Does a choice for each log find the blend that buys most discovery there? `python benchmarks/discover.py`.

The protocol is `benchmarks/discover.toml`: `recsys discover` on every log, split and seed. Results of a run are written
as it ends, and a run that has its rows is not made again, so that the protocol can be carried out in parts. Runs whose
data cannot be had are left out, and said; `--only` names logs, `--seeds` and `--splits` choose among theirs. A log is
the name of a shipped config, or a config's file in `--logs` (`likes.py` makes that of ML-1M) or in `logs/`.

`results/discover-families.csv`: a row for each run and method, controls among them. `gain` is the change of audited
discovery@10 on test where the method's curve first has lost the budget in one of the two axes of accuracy, as a share
of the base's; `ndcg_change` and `stratified_change` are the changes there; `seen_gain` is that of the method's blend
that would be chosen, by judges that have seen the users, beside `unseen_gain`, that of the same blend by judges that
have not. `ahead` is the gain of the chosen method (the base, where none is) less this one's, with limits that hold for
all at once, and `ahead_error` its standard error.

`results/discover-logs.csv`: a row for each run: its data, its base, what it can show, what was chosen.

`results/discover-rules.csv`: a row for each run and rule of choice, on validation: that of `recsys discover`, the
largest gain, the simplest of those that are surely ahead of the base and level with the best, each fixed method, none.
`regret` is how far a rule's choice stays behind the best in hindsight: the best is picked on one half of the test users
and its lead over the choice read on the other, both ways, many times. Its limits are percentiles over single halves,
whose spread is that of an estimate from all users (a delete-half jackknife): for the maps and halvings at hand, whose
errors `lead_error` has too.

`results/discover-mean.csv`: the mean over logs of regrets, and of the lead of `recsys discover` over each fixed method.
Splits and seeds of one log share users: their errors are averaged as if they were the same; logs are independent.
"""

import argparse
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from choose_base import build_model_section, read_base_front, read_best_settings
from tune import RESULTS

import recsys
from recsys import configs
from recsys.experiments.folds import build_or_load_judges
from recsys.experiments.pipeline import build_or_load_pool, prepare_benchmark
from recsys.scores import Score, Scores
from recsys.scores.intervals import NO_INTERVAL, percentile_interval
from recsys.scores.judges import summarize_judge
from recsys.support.atomic_files import replace_file
from recsys.support.cache import describe_environment
from recsys.support.rng import make_generator
from recsys.sweeps import Discovery, discover
from recsys.sweeps.curve_readings import BASE, name_point
from recsys.sweeps.family_choice import add_leads, compute_error
from recsys.sweeps.tradeoff_curves import GainAtLoss, compare_with_rivals, compute_gains_at_loss
from recsys.sweeps.trial_evaluator import build_trial_evaluator
from recsys.sweeps.trials import TrialResult
from recsys.types import RecsysError
from recsys.types.arrays import Doubles

HERE = Path(__file__).parent
PROTOCOL = HERE / "discover.toml"
KEYS = ["log", "split", "seed"]
K = 10
AXES = {"ndcg": "ndcg", "stratified": "stratified_recall"}
NORMAL = 1.96


@dataclass(frozen=True)
class Run:
    """One run of the protocol."""

    log: str
    split: str
    seed: int

    @property
    def keys(self) -> dict[str, str | int]:
        """What its rows are found by."""
        return {"log": self.log, "split": self.split, "seed": self.seed}


def list_runs(protocol: Mapping[str, Any]) -> list[Run]:
    """Return the runs of the protocol, the first seed of every log first."""
    logs, seeds = protocol["logs"], protocol["seeds"]["values"]
    return [Run(log["name"], split, seed) for seed in seeds for log in logs for split in log["splits"]]


def build_run_config(run: Run, protocol: Mapping[str, Any], logs: Path) -> configs.Config:
    """Return the config of a run: the log's own, with the tuned base, the run's split and what all runs share."""
    files = [folder / f"{run.log}.toml" for folder in (logs, HERE / "logs")]
    config = configs.read_config(next((file for file in files if file.exists()), run.log))
    model = build_model_section(read_base_front(run.log).base.iloc[0], read_best_settings(run.log))
    shared = {name: protocol[name] for name in ("halvings", "n_bootstrap")}
    return config.model_copy(
        update={
            "name": "-".join(map(str, run.keys.values())),
            "seed": run.seed,
            "model": configs.ModelSection(**model),
            "models": {},
            "blends": {},
            "split": config.split.model_copy(update={"kind": run.split}),
            "pool": config.pool.model_copy(update={"n": protocol["pool"]}),
            "slate": config.slate.model_copy(update={"k": [10]}),
            "evaluation": config.evaluation.model_copy(update=shared),
        }
    )


def list_rivals(found: Discovery) -> list[str]:
    """Return the families whose gain can be read on validation and on test."""
    return [one.name for one in found.results.families if one.role == "family" and has_gain(found, one.name)]


def has_gain(found: Discovery, family: str) -> bool:
    results = found.results
    return family in results.on_validation.gains and family in results.on_test.gains


def choose_by_rules(found: Discovery) -> dict[str, str | None]:
    """Return what each rule chooses on validation; None is the base's order."""
    gains, choice = found.results.on_validation.gains, found.choice
    best = None if choice.best is None or gains[choice.best.name].value <= 0 else choice.best.name
    rules = {
        "recsys discover": None if choice.chosen is None else choice.chosen.name,
        "largest gain": best,
        "surely ahead, then the simplest level": find_simplest_sure(found),
    }
    return {**rules, **{f"always {name}": name for name in list_rivals(found)}, "never": None}


def find_simplest_sure(found: Discovery) -> str | None:
    """Return the simplest family that is surely ahead of the base and not surely behind the best of those that are."""
    results, able = found.results, list_rivals(found)
    gains = results.on_validation.gains
    sure = [
        one
        for one in results.families
        if one.name in able and results.points[one.name] and found.choice.verdicts[one.name].is_ahead_of_base
    ]
    if not sure:
        return None
    best = max(sure, key=lambda one: gains[one.name].value)
    verdicts = add_leads(found.choice.verdicts, gains[best.name], [gains[name] for name in able])
    level = [one for one in sure if one is best or verdicts[one.name].stands != "behind"]
    return min(level, key=lambda one: one.rank).name


def halve_scores(scores: Scores, exchanges: int, seed: int) -> Scores:
    """Return scores whose draws are the values on random halves of the users: 2h is one half, 2h + 1 the other."""
    rng, n = make_generator(seed, "halves of test users"), len(scores.users)
    first = np.array([rng.permutation(n) < n // 2 for _ in range(exchanges)])
    halves = np.stack([first, ~first], axis=1).reshape(2 * exchanges, n).astype(np.float64)
    cells = tuple(replace(cell, draws=read_halves(cell, halves)) for cell in scores.cells)
    return replace(scores, cells=cells, halvings=0)  # these draws are of users alone


def read_halves(cell: Score, halves: Doubles) -> Doubles:
    """Return the value of a score on each half, (H,), of halves (H, U)."""
    weights = halves @ cell.user_weights
    return np.asarray(
        np.divide(halves @ cell.user_contributions, weights, out=np.full(len(halves), np.nan), where=weights > 0)
    )


def compute_regrets(found: Discovery, exchanges: int, seed: int) -> dict[str, Doubles]:
    """Return by rule how far its choice stays behind the best of the other half, (2 * exchanges,)."""
    results = found.results
    halved = halve_scores(results.on_test.scores, exchanges, seed)
    read = compute_gains_at_loss(results.plan, results.curves, halved, BASE)
    budget = results.plan.accuracy_budget
    draws = {one.method: one.draws for one in read if one.loss == budget and one.method in list_rivals(found)}
    names, table = [*draws, None], np.stack([*draws.values(), np.zeros(2 * exchanges)])
    best = np.nan_to_num(table, nan=-np.inf).argmax(axis=0)
    other = np.arange(2 * exchanges) ^ 1
    return {
        rule: table[best, other] - table[names.index(choice), other] for rule, choice in choose_by_rules(found).items()
    }


def build_rule_rows(run: Run, found: Discovery, exchanges: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each rule."""
    choices, gains = choose_by_rules(found), found.results.on_test.gains
    mine = choices["recsys discover"]
    for rule, regrets in compute_regrets(found, exchanges, run.seed).items():
        leads = subtract_draws(gains, mine, choices[rule])
        low, high = np.nanpercentile(regrets, [2.5, 97.5])
        yield {
            **run.keys, "rule": rule, "choice": choices[rule] or "base", "regret": float(np.nanmean(regrets)),
            "regret_low": low, "regret_high": high, "regret_error": compute_error(regrets),
            "lead": get_gain(gains, mine) - get_gain(gains, choices[rule]), "lead_error": compute_error(leads),
        }  # fmt: skip


def get_gain(gains: Mapping[str, GainAtLoss], choice: str | None) -> float:
    return 0.0 if choice is None else gains[choice].value


def subtract_draws(gains: Mapping[str, GainAtLoss], one: str | None, other: str | None) -> Doubles:
    """Return the draws of one choice's gain less another's; None is the base, which gains nothing."""
    n = len(next(iter(gains.values())).draws)
    first, second = (np.zeros(n) if choice is None else gains[choice].draws for choice in (one, other))
    return first - second


def build_family_rows(run: Run, protocol: Mapping[str, Any], found: Discovery) -> Iterator[dict[str, Any]]:
    """Yield a row for each method of a run."""
    results = found.results
    gains, chosen = results.on_test.gains, found.choice.chosen
    known = [one for one in results.families if has_gain(found, one.name)]
    blends = {name: point for name, point in results.points.items() if point is not None and has_gain(found, name)}
    seen = read_seen_gains(found, blends)
    unseen = read_blend_gains(results.on_test.scores, {name: name_point(name, blends[name]) for name in blends})
    reference = get_chosen_gain(found)
    rivals = [gains[one.name] for one in known if one is not chosen]
    compared = zip(*compare_with_rivals(reference, rivals), strict=True)
    ahead = dict(zip((one.method for one in rivals), compared, strict=True))
    verdicts = results.test_verdicts
    for family in known:
        gain = gains[family.name]
        limits = percentile_interval(gain.draws) if gain.has_interval else NO_INTERVAL
        row: dict[str, Any] = {
            **run.keys,
            "method": family.name,
            "family": " + ".join(family.objectives),
            "likelihood": family.by_likelihood,
            "dials": family.dials,
            "role": family.role,
            "chosen": family is chosen,
            "stands": verdicts[family.name].stands_against_base if chosen is None else verdicts[family.name].stands,
            "trials": protocol["trials"],
            "reached": gain.reached,
        }
        for axis, metric in AXES.items():
            lost, drawn = gain.lost[f"{metric}@{K}"]
            ends = percentile_interval(drawn) if gain.has_interval else NO_INTERVAL
            row |= {f"{axis}_change": -lost, f"{axis}_low": -ends.high, f"{axis}_high": -ends.low}
        behind = ahead.get(family.name, (np.nan,) * 3)
        yield row | {
            "gain": gain.value,
            "gain_low": limits.low,
            "gain_high": limits.high,
            "gain_error": compute_error(gain.draws),
            "unseen_gain": unseen.get(family.name, np.nan),
            "seen_gain": seen.get(family.name, np.nan),
            **dict(zip(("ahead", "ahead_low", "ahead_high"), behind, strict=True)),
            "ahead_error": compute_error(reference.draws - gain.draws),
        }


def get_chosen_gain(found: Discovery) -> GainAtLoss:
    """Return the gain of the chosen family on test; where none is, of the base, which gains and loses nothing."""
    gains, chosen = found.results.on_test.gains, found.choice.chosen
    if chosen is not None:
        return gains[chosen.name]
    any_gain = next(iter(gains.values()))
    return replace(any_gain, method=BASE, validation_gain=0.0, value=0.0, draws=np.zeros_like(any_gain.draws),
                   reached=0.0, n_points=0, has_interval=True, lost={})  # fmt: skip


def read_blend_gains(scores: Scores, runs: Mapping[str, str]) -> dict[str, float]:
    """Return the change of audited discovery of each method's run against the base, as a share of it."""
    values = {cell.run: cell.value for cell in scores.cells if cell.metric == "discovery"}
    return {method: values[run] / values[BASE] - 1.0 for method, run in runs.items()}


def read_seen_gains(found: Discovery, points: Mapping[str, TrialResult]) -> dict[str, float]:
    """Return the same for the blends that would be chosen, made and judged by maps of users that both have seen."""
    plan = found.plan
    base = plan.base_config("test")
    unhalved = base.model_copy(update={"evaluation": base.evaluation.model_copy(update={"halvings": 0})})
    evaluator = build_trial_evaluator(prepare_benchmark(unhalved, quiet=True), plan.metrics)
    blends = {
        one.name: one.trial_config(points[one.name].settings, "test") for one in plan.methods if one.name in points
    }
    scores = evaluator.evaluate_blends({BASE: base, **blends}, [f"discovery@{K}"])
    return read_blend_gains(scores, {method: method for method in blends})


def describe_run(run: Run, found: Discovery, seconds: float) -> dict[str, Any]:
    """Return what a run rests on, what it can show, and what was chosen."""
    results, plan = found.results, found.plan
    config = plan.base_config("test")
    preparation = prepare_benchmark(config, quiet=True)
    judges = build_or_load_judges(preparation, plan.metrics)
    items = build_or_load_pool(preparation, config.model, config.pool)[0].items
    told = [summarize_judge(judge, preparation.split.train, items) for judge in judges]
    base = {cell.metric: cell for cell in results.on_test.scores.select_run(BASE)}
    least = [one.detectable for one in results.test_verdicts.values() if np.isfinite(one.detectable)]
    chosen = found.choice.chosen
    return {
        **run.keys, "users": preparation.split.shape[0], "items": preparation.split.shape[1],
        "base": read_base_front(run.log).base.iloc[0],
        **{metric: base[metric].value for metric in ("ndcg", "stratified_recall", "discovery")},
        "judge_users": results.on_test.judge_users, "hits": results.on_test.base_hits,
        "untouched_share": np.mean([one.unexplored for one in told]), "lift": np.mean([one.lift for one in told]),
        "detectable": np.median(least) if least else np.nan, "chosen": "base" if chosen is None else chosen.name,
        "verdict": " / ".join(found.lines[:2]), "seconds": seconds, "version": recsys.__version__,
        "commit": describe_environment(0, "")["git_commit"],
    }  # fmt: skip


def average_over_logs(rules: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield means over logs of each rule's regret, and of the lead of `recsys discover` over it, with 95 % limits."""
    for rule in rules["rule"].unique():
        logs = rules[rules["rule"] == rule].groupby("log")[["regret", "regret_error", "lead", "lead_error"]].mean()
        row: dict[str, Any] = {"rule": rule, "logs": len(logs), "runs": int((rules["rule"] == rule).sum())}
        for what in ("regret", "lead"):
            mean, error = logs[what].mean(), np.sqrt((logs[f"{what}_error"] ** 2).sum()) / len(logs)
            row |= {what: mean, f"{what}_low": mean - NORMAL * error, f"{what}_high": mean + NORMAL * error}
        yield row


def write_rows(name: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Write a table of results, whole or not at all, and return it; rows of other keys stay."""
    path, table = RESULTS / f"{name}.csv", pd.DataFrame(rows)
    if path.exists() and keys:
        before = pd.read_csv(path)
        again = before[list(keys)].apply(tuple, axis=1).isin(set(table[list(keys)].apply(tuple, axis=1)))
        table = pd.concat([before[~again], table])
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return table


def list_made_runs() -> set[Run]:
    """Return the runs whose rows are all there: those of rules are written last."""
    path = RESULTS / "discover-rules.csv"
    return {Run(*row) for row in pd.read_csv(path)[KEYS].itertuples(index=False)} if path.exists() else set()


def main() -> None:
    """Carry out the runs that are not made, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--logs", type=Path, default=Path("runs/ml-1m-likes"), help="folder with configs of further logs"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/discover"), help="where searches are kept")
    parser.add_argument("--only", nargs="*", help="names of logs")
    parser.add_argument("--splits", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int)
    wanted = parser.parse_args()
    protocol = tomllib.loads(PROTOCOL.read_text(encoding="utf-8"))
    for run in list_runs(protocol):
        asked = ((wanted.only, run.log), (wanted.splits, run.split), (wanted.seeds, run.seed))
        if run in list_made_runs() or any(of and one not in of for of, one in asked):
            continue
        start = time.perf_counter()
        try:
            config = build_run_config(run, protocol, wanted.logs)
            found = discover(
                config, trials=protocol["trials"], accuracy_budget=protocol["accuracy_budget"], out=wanted.work
            )
        except (RecsysError, FileNotFoundError) as error:
            print(f"{run} is left out: {error}", flush=True)
            continue
        write_rows("discover-families", list(build_family_rows(run, protocol, found)), KEYS)
        write_rows("discover-logs", [describe_run(run, found, time.perf_counter() - start)], KEYS)
        rules = write_rows("discover-rules", list(build_rule_rows(run, found, protocol["exchanges"])), KEYS)
        mean = write_rows("discover-mean", list(average_over_logs(rules)), ())
        print("\n".join((f"{run}", *found.lines)), flush=True)
        print(mean.to_string(index=False, float_format="%.3f"), flush=True)


if __name__ == "__main__":
    main()
