"""What a sweep leaves: tables of trials and fronts, a config to run, a page to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys.configs import Config
from recsys.escaping import csv_frame, visible
from recsys.experiments.benches import Bench
from recsys.files import replacing, write_text
from recsys.reports import Search, write_search
from recsys.reports.formats import percent
from recsys.sweeps.choices import Choice
from recsys.sweeps.fronts import hypervolumes, losses
from recsys.sweeps.matches import AHEAD, COLUMNS, ahead, matched, readings
from recsys.sweeps.plans import Plan
from recsys.sweeps.trials import Failure, Found

if TYPE_CHECKING:
    import pandas as pd

WORSE = 0.2  # the reference of the hypervolume: fixed, so that searches and starts can be held against each other
TEST = ("value", "ci_low", "ci_high")
CHANGES = ("relative", "relative_low", "relative_high")
SHOWN = 3  # reasons of failed trials in a sentence
BOUGHT = ["method", "trial", "metric", "validation", "bound", *CHANGES]


@dataclass(frozen=True, eq=False)
class Tables:
    """Long tables of a sweep; settings are columns."""

    trials: "pd.DataFrame"  # method, trial, feasible, on the front, seconds, values on validation, settings
    front: "pd.DataFrame"  # the same of the fronts, with value and interval on test where it was judged
    bought: "pd.DataFrame"  # method, trial, metric: relative change on validation and, with its interval, on test
    matched: "pd.DataFrame"  # method, metric, loss: the gain on test at that loss, with its interval
    ahead: "pd.DataFrame"  # metric, loss, rival: how far the best method on validation is ahead on test
    hypervolume: "pd.DataFrame"  # method, trial, hypervolume
    importance: "pd.DataFrame"  # method, metric, setting, importance
    failed: "pd.DataFrame"  # method, trial, reason, settings: trials that could not be judged


def tables(
    plan: Plan,
    found: Mapping[str, list[Found]],
    fronts: Mapping[str, list[Found]],
    curves: Mapping[str, list[Found]],
    choices: Sequence[Choice],
    shares: Mapping[str, list[dict[str, Any]]],
    judged: Bench,
    failures: Mapping[str, Sequence[Failure]],
) -> Tables:
    """Return the tables of what was found."""
    import pandas as pd

    on_front = {(name, one.number) for name, points in fronts.items() for one in points}
    rows = [
        {
            "method": name,
            "trial": one.number,
            "feasible": one.feasible,
            "front": (name, one.number) in on_front,
            "seconds": one.seconds,
            **one.values,
            **{f"base {metric}": value for metric, value in one.base.items()},
            **one.settings,
        }
        for name, trials in found.items()
        for one in trials
    ]
    trials = pd.DataFrame(rows)
    read = readings(plan, curves, judged.scores, judged.preparation.config.base)
    return Tables(
        trials=trials,
        front=_on_test(plan, trials[trials["front"]], judged),
        bought=pd.DataFrame([row for choice in choices for row in _bought(plan, choice, judged)], columns=BOUGHT),
        matched=pd.DataFrame(matched(read), columns=COLUMNS),
        ahead=pd.DataFrame(ahead(read), columns=AHEAD),
        hypervolume=_hypervolume(plan, found),
        importance=pd.DataFrame(
            [{"method": name, **row} for name, rows in shares.items() for row in rows],
            columns=["method", "metric", "setting", "importance"],
        ),
        failed=_failed(failures),
    )


def write(plan: Plan, made: Tables, winner: Config, lines: Sequence[str], folder: Path) -> None:
    """Write the tables, winner.toml and report.html, each whole or not at all."""
    with replacing(folder / "trials.parquet") as temporary:
        made.trials.to_parquet(temporary, index=False)
    for name in ("front", "bought", "matched", "ahead", "hypervolume", "importance", "failed"):
        with replacing(folder / f"{name}.csv") as temporary:
            csv_frame(getattr(made, name)).to_csv(temporary, index=False)
    said = "".join(f"# {visible(line)}\n" for line in lines)
    write_text(folder / "winner.toml", said + tomli_w.dumps(winner.resolved()))
    write_search(
        Search(
            title=f"recsys sweep: {plan.name}",
            lines=tuple(lines),
            goals=tuple((one.metric, one.maximize) for one in plan.goals),
            trials=made.trials,
            front=made.front,
            bought=made.bought,
            matched=made.matched,
            ahead=made.ahead,
            hypervolume=made.hypervolume,
            importance=made.importance,
            constraints=tuple(plan.settings.constraints),
            failed=made.failed,
        ),
        folder,
    )


def lines(plan: Plan, choices: Sequence[Choice], made: Tables, judged: Bench) -> tuple[str, ...]:
    """Return a sentence per method: what was chosen on validation, and what that bought on test."""
    said = []
    for choice in choices:
        if np.isnan(choice.bound) and choice.trial is None:
            said.append(f"{choice.method.name}: no trial keeps the constraints: nothing is bought")
            continue
        if choice.trial is None:
            said.append(
                f"{choice.method.name}: no trial is surely within {percent(plan.spend, signed=False)} of the base's "
                f"{plan.accuracy.metric} on validation (the best bound is {percent(choice.bound)}): "
                "nothing is bought"
            )
            continue
        rows = made.bought[(made.bought.method == choice.method.name)].set_index("metric")
        changes = [f"{metric} {_change(row)}" for metric, row in rows.iterrows()]
        if f"{choice.method.name}-{choice.trial.number}" not in judged.scores.runs:
            changes = ["it cannot be judged"]
        said.append(
            f"{choice.method.name}: trial {choice.trial.number} was chosen on validation ({plan.accuracy.metric} "
            f"{percent(choice.change)}, surely above {percent(choice.bound)}; up to "
            f"{percent(plan.spend, signed=False)} may be spent); on test {', '.join(changes)}"
        )
    return tuple(said)


def failure_lines(failed: "pd.DataFrame") -> list[str]:
    """Return a sentence per method whose trials failed: how many, and the most frequent reasons."""
    said = []
    for method, rows in failed.groupby("method", sort=False):
        counts = rows["reason"].value_counts()
        reasons = [f"{count} x '{reason}'" for reason, count in counts[:SHOWN].items()]
        more = f" and {len(counts) - SHOWN} other reasons" if len(counts) > SHOWN else ""
        said.append(f"{method}: {len(rows)} failed trials do not count: {', '.join(reasons)}{more}; see failed.csv")
    return said


def _failed(failures: Mapping[str, Sequence[Failure]]) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        {"method": name, "trial": one.number, "reason": one.reason, **one.settings}
        for name, trials in failures.items()
        for one in trials
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["method", "trial", "reason"])


def _change(row: Any) -> str:
    if not np.isfinite(row.relative):
        return "is not defined"
    interval = f" [{percent(row.relative_low)}, {percent(row.relative_high)}]"
    return percent(row.relative) + (interval if np.isfinite(row.relative_low) else "")


def _on_test(plan: Plan, points: "pd.DataFrame", judged: Bench) -> "pd.DataFrame":
    """Return the points with value and interval of each metric on test, NaN where it was not judged."""
    added = points.copy()
    summary = {(row.run, f"{row.metric}@{row.k}"): row for row in judged.summary.itertuples()}
    names = [f"{method}-{trial}" for method, trial in zip(points["method"], points["trial"], strict=True)]
    for metric in plan.metrics:
        for column in TEST:
            found = [getattr(summary.get((name, metric)), column, np.nan) for name in names]
            added[f"test {metric}" + ("" if column == "value" else f" {column}")] = found
    return added


def _bought(plan: Plan, choice: Choice, judged: Bench) -> list[dict[str, Any]]:
    if choice.trial is None:
        return []
    name = f"{choice.method.name}-{choice.trial.number}"
    changes = {f"{row.metric}@{row.k}": row for row in judged.differences.itertuples() if row.run == name}
    rows = []
    for metric in plan.metrics:
        before = choice.trial.base[metric]
        row = changes.get(metric)
        rows.append(
            {
                "method": choice.method.name,
                "trial": choice.trial.number,
                "metric": metric,
                "validation": choice.trial.values[metric] / before - 1 if before else np.nan,
                "bound": choice.bound if metric == plan.accuracy.metric else np.nan,
                **{column: getattr(row, column, np.nan) for column in CHANGES},
            }
        )
    return rows


def _hypervolume(plan: Plan, found: Mapping[str, list[Found]]) -> "pd.DataFrame":
    """Return the dominated hypervolume after each trial, against the base made worse by a fifth in every goal."""
    import pandas as pd

    base = losses([next(trials[0] for trials in found.values())], plan.weighed, of_base=True)[0]
    reference = base + WORSE * np.abs(base)
    rows = [
        {"method": name, "trial": one.number, "hypervolume": volume}
        for name, trials in found.items()
        for one, volume in zip(trials, hypervolumes(trials, plan.weighed, reference), strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "hypervolume"])
