"""Which blend gets the most audited discovery for 1 % and for 2 % of nDCG@10? `python benchmarks/discovery.py`.

The protocol is `benchmarks/discovery.toml`. Each of its runs is a sweep (docs/sweeps.md): every method has the same
number of trials, judged on validation, and its front is judged on test once. Three tables are written, with rows of
each run:

`results/discovery.csv`: a row for each method, metric and loss. `gain` is read where the method's curve has lost as
much on test, with loss and gain of its points drawn together over users and maps; `reached` is the share of draws in
which it loses as much, the others count with its last point. `fixed_loss` and `fixed_gain` are those on test of the
one point that gains most discovery on validation among those that lose no more there. `behind` is how far a method
stays behind the one that gains most on validation, with limits that hold for all methods at once. Losses and gains
are shares of the base's value; limits are those of 95 %.

`results/discovery-data.csv`: the data, the base, and the hits and the smallest detectable effect behind each run.
`results/discovery-strata.csv`: the fixed points of 2 % where test has only items of one stratum of popularity.

`python benchmarks/likes.py` makes the data of the headline; `--data FOLDER` says where it is. A run whose data cannot
be had is left out, and said. Sweeps are kept in `--work`: what was interrupted goes on, what is there is not made
again.
"""

import argparse
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from choose_base import build_model_section, read_base_front, read_best_settings
from tune import RESULTS, Settings, format_settings

import recsys
from recsys import configs, sweeps
from recsys.experiments import pipeline
from recsys.maths.popularity import count_item_users, group_by_popularity
from recsys.retrieval.candidates import candidates
from recsys.retrieval.score_calibration import fit_like_probability
from recsys.scores import Score, evaluate
from recsys.scores.intervals import percentile_interval
from recsys.support.atomic_files import replace_file, write_text
from recsys.support.cache import describe_environment
from recsys.sweeps.goals import Goal
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.tradeoff_curves import (
    GainAtLoss,
    compute_gains_at_loss,
    tabulate_best_vs_rest,
    tabulate_gains_at_loss,
)
from recsys.sweeps.trials import TrialResult
from recsys.types import GroundTruth, RecsysError

HERE = Path(__file__).parent
ACCURACY, GAIN, K = "ndcg@10", "discovery@10", 10
OTHER_METRICS = ("discovery_content@10", "discovery_own@10", "self_information@10")  # read at the same losses
OTHER_BASE = "another_base"
STRATA = ("head", "middle", "tail")
SHOWN_COLUMNS = [
    "method",
    "loss",
    "gain",
    "ci_low",
    "ci_high",
    "reached",
    "fixed_loss",
    "fixed_gain",
    "behind",
    "behind_low",
]


@dataclass(frozen=True)
class Run:
    """One run of the protocol."""

    name: str
    config: str
    split: str
    seed: int = 0
    order: str | None = None
    until: float | None = None  # the share of the log, in time, at which it ends

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def read_run_config(run: Run, folder: Path) -> configs.Config:
    """Return the config that a run is about: of the data folder, or shipped."""
    file = folder / f"{run.config}.toml"
    return configs.read_config(file if file.exists() else run.config)


def build_data_section(run: Run, config: configs.Config, work: Path) -> dict[str, Any]:
    """Return [data] of a run; where its log ends before the end, that log is written to `work`."""
    if run.until is None:
        return {key: value for key, value in config.data.model_dump().items() if value}
    data = pipeline.load_dataset(config)
    log, items = data.interactions, data.items
    kept = log.datetime <= np.quantile(log.datetime, run.until)
    told = {"user_id": log.user_ids[log.user], "item_id": log.item_ids[log.item], "weight": log.weight}
    table = pd.DataFrame({**told, "datetime": log.datetime})[kept]
    features = ["|".join(items.feature_names[f] for f in items.features[[i]].indices) for i in range(len(items.ids))]
    years = np.where(items.years > 0, items.years.astype(str), "")
    catalogue = pd.DataFrame({"item_id": items.ids, "title": items.titles, "genres": features, "year": years})
    for name, rows in (("log", table), ("items", catalogue)):
        with replace_file(work / f"{name}.csv") as temporary:
            rows.to_csv(temporary, index=False)
    return {"path": "log.csv", "items": "items.csv"}


def build_base_config(run: Run, protocol: Mapping[str, Any], config: configs.Config, work: Path) -> dict[str, Any]:
    """Return the config that the sweep of a run extends: its base, and the rest of the base's front."""
    settings, kinds = read_best_settings(run.config), read_base_front(run.config).base.tolist()
    rest = {f"{OTHER_BASE}-{i}": build_model_section(other, settings) for i, other in enumerate(kinds[1:], 1)}
    filtered = {key: value for key, value in config.filter.model_dump().items() if value}
    shares = {name: getattr(config.split, name) for name in ("validation", "test")}
    return {
        "seed": run.seed,
        "data": build_data_section(run, config, work),
        "filter": filtered,
        "split": {"kind": run.split, **shares},
        "model": build_model_section(kinds[0], settings),
        "models": rest,
        "pool": {"n": protocol["pool"]},
        "slate": {"k": [K], "order": run.order or protocol["order"]},
        "evaluation": {"metrics": [ACCURACY, GAIN, *OTHER_METRICS], "n_bootstrap": protocol["n_bootstrap"]},
    }


def fit_score_calibration(config: configs.Config) -> dict[str, float]:
    """Return the curve from the base's score to the chance of a like, fitted to validation."""
    split = pipeline.split_dataset(config, pipeline.load_dataset(config)).validation_view()
    model = config.model.build_model("[model]").fit(split.train, split.side_information)
    return fit_like_probability(candidates(model, split, n=config.pool.n, maps=(), seed=config.seed), split.test)


def build_blend(method: Mapping[str, Any], curve: Mapping[str, float]) -> dict[str, Any]:
    """Return the blend of a method; what asks for a chance gets the curve."""
    parts = {name: value for name, value in method.items() if name != "role"}
    asks = [
        name
        for name, value in parts.items()
        if isinstance(value, Mapping) and value.get("score_transform") == "probability"
    ]
    return {**parts, **{name: {**parts[name], **curve} for name in asks}}


def write_sweep_files(run: Run, protocol: Mapping[str, Any], folder: Path, work: Path) -> Path:
    """Write the sweep of a run, and the config that it extends; return its file."""
    work.mkdir(parents=True, exist_ok=True)
    base = build_base_config(run, protocol, read_run_config(run, folder), work)
    write_text(work / "base.toml", tomli_w.dumps(base))
    curve = fit_score_calibration(configs.read_config(work / "base.toml"))
    section = {
        "maximize": [ACCURACY, GAIN],
        "accuracy": ACCURACY,  # the protocol spends nDCG alone
        "constraints": [f"{metric} >= 0" for metric in OTHER_METRICS],  # so that they are known on validation too
        "trials": protocol["trials"],
        "front": protocol["front"],
        "sampler": "qmc",
    }
    blends = {name: build_blend(method, curve) for name, method in protocol["methods"].items()}
    write_text(work / "sweep.toml", tomli_w.dumps({"extends": "base.toml", "sweep": section, "blends": blends}))
    return work / "sweep.toml"


def list_test_points(done: sweeps.Sweep, name: str) -> list[TrialResult]:
    """Return the trials of a method that were judged on test."""
    runs, metrics = set(done.test_bench.scores.runs), done.plan.metrics
    rows = done.trials[done.trials.method == name]
    ranges = next(one.ranges for one in done.plan.methods if one.name == name)
    return [
        TrialResult(
            row["trial"],
            {one.name: row[one.name] for one in ranges},
            {metric: row[metric] for metric in metrics},
            {metric: row[f"base {metric}"] for metric in metrics},
            True,
            row["seconds"],
        )
        for row in rows.to_dict("records")
        if f"{name}-{row['trial']}" in runs
    ]


def list_other_bases(run: Run) -> list[TrialResult]:
    """Return the rest of the base's front, as points of a method; two metrics are known on validation."""
    table = read_base_front(run.config)
    known = [{metric: row[metric] for metric in (ACCURACY, GAIN)} for row in table.to_dict("records")]
    unknown = dict.fromkeys(OTHER_METRICS, np.nan)
    return [TrialResult(i, {}, known[i] | unknown, known[0] | unknown, True, 0.0) for i in range(1, len(known))]


def add_metric_goals(plan: SweepPlan) -> SweepPlan:
    """Return the plan with every metric that is read as a goal."""
    return replace(plan, goals=tuple(Goal(metric) for metric in (ACCURACY, GAIN, *OTHER_METRICS)))


@dataclass(frozen=True)
class FixedPoint:
    """A point that was fixed on validation: the most gain among those that lose no more than a loss there."""

    point: TrialResult | None
    run: str  # its name on test; the base's where there is none


def choose_fixed_point(name: str, curve: Sequence[TrialResult], loss: float, base: str) -> FixedPoint:
    def change(one: TrialResult, metric: str) -> float:
        return one.values[metric] / one.base[metric] - 1.0

    cheap = [one for one in curve if change(one, ACCURACY) >= -loss]
    point = max(cheap, key=lambda one: change(one, GAIN), default=None)
    return FixedPoint(point, base if point is None else f"{name}-{point.number}")


def compute_relative_change(cell: Score, base: Score) -> tuple[float, float, float]:
    """Return the change from the base as a share of it, and its limits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = percentile_interval(cell.draws / base.draws - 1.0)
    return cell.value / base.value - 1.0, limits.low, limits.high


def name_limit_columns(name: str, limits: tuple[float, float, float]) -> dict[str, float]:
    """Return a value and its limits as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), limits, strict=True))


def round_settings(settings: Mapping[str, Any]) -> Settings:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in settings.items()}


def build_gain_rows(run: Run, protocol: Mapping[str, Any], done: sweeps.Sweep) -> Iterator[dict[str, Any]]:
    """Yield a row for each method, metric and loss."""
    base = done.test_bench.preparation.config.base_name
    curves = {method.name: list_test_points(done, method.name) for method in done.plan.methods} | {
        OTHER_BASE: list_other_bases(run)
    }
    cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in done.test_bench.scores.cells}
    found = [
        one
        for one in compute_gains_at_loss(add_metric_goals(done.plan), curves, done.test_bench.scores, base)
        if one.loss in protocol["losses"]
    ]
    gains: list[GainAtLoss] = [one for one in found if one.metric == GAIN]
    behind = {(row["rival"], row["loss"]): row for row in tabulate_best_vs_rest(gains)}
    for one, row in zip(found, tabulate_gains_at_loss(found), strict=True):
        at = choose_fixed_point(one.method, curves[one.method], one.loss, base)
        lost, won = (
            compute_relative_change(cells[at.run, metric], cells[base, metric]) for metric in (ACCURACY, one.metric)
        )
        rival = behind.get((one.method, one.loss), {}) if one.metric == GAIN else {}
        yield {
            "run": run.name,
            "role": protocol["methods"].get(one.method, {"role": "control"})["role"],
            **row,
            "gain_on_validation": one.validation_gain,
            **dict(
                zip(("fixed_loss", "fixed_loss_low", "fixed_loss_high"), (-lost[0], -lost[2], -lost[1]), strict=True)
            ),
            **dict(zip(("fixed_gain", "fixed_gain_low", "fixed_gain_high"), won, strict=True)),
            "fixed_settings": "" if at.point is None else format_settings(round_settings(at.point.settings)),
            "behind": rival.get("difference", np.nan),
            "behind_low": rival.get("ci_low", np.nan),
            "behind_high": rival.get("ci_high", np.nan),
        }


def describe_run_data(run: Run, done: sweeps.Sweep, table: pd.DataFrame) -> dict[str, Any]:
    """Return what a run rests on."""
    bench, base = done.test_bench, done.test_bench.preparation.config.base_name
    split = bench.preparation.split
    cell = {f"{one.metric}@{one.k}": one for one in bench.scores.select_run(base)}
    gains = table[(table.metric == GAIN) & (table.loss == table.loss.max())]
    first = gains.loc[gains.gain_on_validation.idxmax()]
    width = (first.ci_high - first.ci_low) / (2 * 1.96)
    return {
        "run": run.name,
        "base": read_base_front(run.config).base.iloc[0],
        "users": split.shape[0],
        "items": split.shape[1],
        "fitted_on": split.train.nnz,
        "judged_on": split.test.nnz,
        **{f"{metric.partition('@')[0]}": cell[metric].value for metric in (ACCURACY, GAIN)},
        **{f"{name}_per_map": cell[GAIN].counts[name] for name in ("users", "held_out", "hits")},
        "content_maps": len(bench.preparation.content),
        **{f"content_{name}_per_map": cell[OTHER_METRICS[0]].counts.get(name, np.nan) for name in ("held_out", "hits")},
        "detectable": 2.8 * width,
        "version": recsys.__version__,
        "commit": describe_environment(0, "")["git_commit"],
    }


def build_strata_rows(run: Run, done: sweeps.Sweep) -> Iterator[dict[str, Any]]:
    """Yield discovery and its change where test has only items of one stratum of popularity."""
    preparation = done.test_bench.preparation
    split, base = preparation.split, preparation.config.base_name
    groups = group_by_popularity(count_item_users(split.train)).toarray().astype(bool)
    chosen = {
        one.name: choose_fixed_point(one.name, list_test_points(done, one.name), 0.02, base).run
        for one in done.plan.methods
    }
    slates = {name: done.test_bench.slates[K][name] for name in dict.fromkeys((base, *chosen.values()))}
    for stratum, group in zip(STRATA, groups.T, strict=True):
        test = split.test.multiply(group[None].astype(split.test.dtype)).tocsr()
        test.eliminate_zeros()
        truth = GroundTruth(
            replace(split, test=test), preparation.objective_maps, preparation.audit, preparation.content
        )
        scores = evaluate(slates, truth, [GAIN], [K], seed=run.seed)
        cells = {cell.run: cell for cell in scores.cells}
        for method, name in {base: base, **chosen}.items():
            value, low, high = compute_relative_change(cells[name], cells[base])
            hits, held_out = (cells[name].counts[what] for what in ("hits", "held_out"))
            yield {
                "run": run.name, "stratum": stratum, "items": int(group.sum()), "method": method, "held_out": held_out,
                "hits": hits, "discovery": cells[name].value, "change": value, "ci_low": low, "ci_high": high,
            }  # fmt: skip


def write_results(name: str, rows: Sequence[Mapping[str, Any]] | Sequence[pd.DataFrame]) -> None:
    """Write a table of results, whole or not at all; rows of runs that were not made this time stay."""
    path, table = RESULTS / f"{name}.csv", pd.DataFrame(rows)
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[~before.run.isin(table.run)], table])
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def main() -> None:
    """Search, judge, read and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/ml-1m-likes"), help="folder of benchmarks/likes.py")
    parser.add_argument("--work", type=Path, default=Path("runs/discovery"), help="where sweeps are kept")
    parser.add_argument("--only", nargs="*", help="names of runs")
    wanted = parser.parse_args()
    protocol = tomllib.loads((HERE / "discovery.toml").read_text(encoding="utf-8"))
    for run in (Run(**tables) for tables in protocol["runs"]):
        if wanted.only and run.name not in wanted.only:
            continue
        try:
            done = sweeps.sweep(
                write_sweep_files(run, protocol, wanted.data, wanted.work / run.slug), out=wanted.work / run.slug
            )
        except RecsysError as error:
            print(f"{run.name} is left out: {error}")
            continue
        told = list(build_gain_rows(run, protocol, done))
        table = pd.DataFrame(told)
        write_results("discovery", told)
        write_results("discovery-data", [describe_run_data(run, done, table)])
        write_results("discovery-strata", list(build_strata_rows(run, done)))
        shown = table[table.metric == GAIN].sort_values(["loss", "gain"], ascending=[True, False])
        print(
            shown[["method", "loss", "gain", "ci_low", "ci_high", "reached", "fixed_loss", "fixed_gain"]].to_string(
                index=False
            )
        )


if __name__ == "__main__":
    main()
