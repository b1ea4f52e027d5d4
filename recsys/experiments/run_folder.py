"""The folder of a run: settings, environment, tables, report."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys import reports
from recsys.escaping import escape_csv_frame, escape_hidden
from recsys.experiments.comparisons import DEFAULT_METRICS, RUN_FILES, write_scores
from recsys.experiments.examples import make_examples
from recsys.experiments.likelihoods import describe_likelihood
from recsys.likelihoods import coefficient_table, save_likelihood
from recsys.reports.view import HEADLINE_METRICS
from recsys.scores import tabulate_user_values
from recsys.scores.segments import tabulate_segments
from recsys.support.atomic_files import replace_folder, write_text
from recsys.support.cache import describe_environment, get_key_versions, require_disk_space
from recsys.support.moved_paths import PATHS, describe_paths
from recsys.types import Slates
from recsys.types.arrays import Strings
from recsys.types.paths import check_path

if TYPE_CHECKING:
    import pandas as pd

    from recsys.experiments.results import Bench

_log = logging.getLogger(__name__)
MIN_FREE_BYTES = 50_000_000  # bytes that must be left on the disk before the work begins


class RunFolder:
    """The folder of a run: it is there whole, or as it was before."""

    def __init__(self, out: str | Path) -> None:
        """Say at once if nothing can be written below `out`."""
        require_disk_space(check_path("out", out), MIN_FREE_BYTES)
        self._lines: list[str] = []
        self.log_line("started")

    def log_line(self, line: str) -> None:
        """Add a line to the log."""
        _log.info("%s", escape_hidden(line))
        self._lines.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {escape_hidden(line)}")

    def write_bench(self, bench: "Bench", seconds: float) -> None:
        """Write config, environment, tables, charts, report and log to `bench.folder`, in the place of those there."""
        config = bench.preparation.config
        settings = config.dump_settings()
        around = describe_environment(config.seed, bench.preparation.dataset.fingerprint)
        around |= {PATHS: paths} if (paths := describe_paths(settings, bench.folder)) else {}
        with replace_folder(bench.folder, RUN_FILES) as folder, ThreadPoolExecutor(1) as worker:
            tables = worker.submit(_write_scores_and_slates, bench, folder)  # compressed while the report is made
            write_text(folder / "config.toml", tomli_w.dumps(settings))
            write_text(folder / "environment.json", json.dumps(around, indent=2) + "\n")
            escape_csv_frame(bench.summary).to_csv(folder / "summary.csv", index=False)
            escape_csv_frame(bench.differences).to_csv(folder / "differences.csv", index=False)
            if bench.readings is not None:
                escape_csv_frame(bench.readings.judges).to_csv(folder / "judges.csv", index=False)
                escape_csv_frame(bench.readings.readings).to_csv(folder / "readings.csv", index=False)
            if bench.likelihood is not None:
                save_likelihood(bench.likelihood, folder / "likelihood.npz")
                escape_csv_frame(coefficient_table(bench.likelihood)).to_csv(folder / "likelihood.csv", index=False)
                reports.write_coefficients(bench.likelihood, folder / "likelihood.svg")
            if bench.reliability is not None:
                escape_csv_frame(bench.reliability.table).to_csv(folder / "reliability.csv", index=False)
                reports.write_reliability(bench.reliability.table, folder / "reliability.svg")
            if bench.rule_costs is not None:
                escape_csv_frame(bench.rule_costs).to_csv(folder / "rules.csv", index=False)
            reports.write_report(_build_results(bench, around, seconds), folder)
            tables.result()
            self.log_line(f"done in {seconds:.1f} s")
            write_text(folder / "log.txt", "\n".join(self._lines) + "\n")


def _write_scores_and_slates(bench: "Bench", folder: Path) -> None:
    write_scores(bench.scores, folder)
    tabulate_user_values(bench.scores).to_parquet(folder / "per_user.parquet", index=False)
    tabulate_slates(bench.slates).to_parquet(folder / "slates.parquet", index=False)


def tabulate_slates(by_length: Mapping[int, Mapping[str, Slates]]) -> "pd.DataFrame":
    """Return the rows of `Slates.to_frame` of every run at every length, with run and k, without titles."""
    import pandas as pd

    run_names = _categorize(list(dict.fromkeys(run for of in by_length.values() for run in of)))
    lists: dict[int, pd.Series] = {}  # of ids: slates of a benchmark share theirs
    frames = []
    for k, run, slates in ((k, run, slates) for k, runs in by_length.items() for run, slates in runs.items()):
        for ids in (slates.user_ids, slates.item_ids):
            if id(ids) not in lists:
                lists[id(ids)] = _categorize(ids)
        users, items = lists[id(slates.user_ids)], lists[id(slates.item_ids)]
        codes: Any = {"user_ids": users.cat.codes.to_numpy(), "item_ids": items.cat.codes.to_numpy()}
        frame = replace(slates, **codes, titles=None).to_frame()  # codes of categories where ids would stand
        frame["user_id"] = pd.Categorical.from_codes(frame["user_id"], users.cat.categories)
        frame["item_id"] = pd.Categorical.from_codes(frame["item_id"], items.cat.categories)
        here = np.full(len(frame), run_names.cat.categories.get_loc(run), dtype=np.int64)
        frame.insert(0, "run", pd.Series(pd.Categorical.from_codes(here, run_names.cat.categories)))
        frame.insert(1, "k", np.full(len(frame), k, dtype=np.int16))
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True)
    for name in ("run", "user_id", "item_id"):  # of different lists of ids, plain ones came out
        whole[name] = whole[name].astype("category").cat.remove_unused_categories()
    return whole


def _categorize(names: Sequence[str] | Strings) -> "pd.Series[Any]":
    """Return different names as categories in their order: the same for every frame that has them."""
    import pandas as pd

    return pd.DataFrame({"name": names})["name"].astype("category")


def _build_results(bench: "Bench", around: dict[str, Any], seconds: float) -> reports.Results:
    config = bench.preparation.config
    labels = {spec.name: (spec.kind, spec.family, spec.weight) for spec in bench.specs}
    summary = bench.summary.assign(
        kind=[labels[run][0] for run in bench.summary.run],
        blend=[labels[run][1] for run in bench.summary.run],
        weight=np.array([labels[run][2] for run in bench.summary.run], dtype=np.float64),
    )
    results = reports.Results(
        summary=summary,
        differences=bench.differences,
        facts=_collect_facts(bench, around, seconds),
        k=config.headline_k,
        base=config.base_name,
        families=group_metrics_by_module(config.evaluation.metrics),
        rules=bench.rule_costs,
    )
    shown = reports.shortlist_results(results)
    return replace(results, segments=_tabulate_run_segments(bench, shown), examples=make_examples(bench, shown))


def _tabulate_run_segments(bench: "Bench", runs: Sequence[str]) -> "pd.DataFrame":
    """Return the differences of some runs from the base in each segment of users, at the headline k."""
    config, scores = bench.preparation.config, bench.scores
    cells = {(cell.run, cell.metric): cell for cell in scores.cells if cell.k == config.headline_k}
    names = [metric for metric in DEFAULT_METRICS if (config.base_name, metric) in cells]
    pairs = [(cells[run, metric], cells[config.base_name, metric]) for metric in names for run in runs]
    return tabulate_segments(pairs, scores)


def group_metrics_by_module(names: list[str]) -> dict[str, list[str]]:
    """Return the metrics by the module that they are defined in, the best known first: accuracy before all others."""
    from recsys import metrics

    grouped: dict[str, list[str]] = {}
    for name in names:
        bare = name.partition("@")[0]
        home = getattr(metrics, bare).__module__.rpartition(".")[2] if bare in metrics.__all__ else "own"
        grouped.setdefault(home, []).append(bare)
    order = {name: place for place, name in enumerate(HEADLINE_METRICS)}
    for metrics_there in grouped.values():
        metrics_there.sort(key=lambda name: order.get(name, len(order)))
    return dict(sorted(grouped.items(), key=lambda one: order.get(one[1][0], len(order))))


def _collect_readings(bench: "Bench") -> dict[str, Any]:
    """Return what the report says of judges, and of discovery as each reader has it, in % of the base's."""
    if bench.readings is None:
        return {}
    rows: list[dict[str, Any]] = bench.readings.judges.to_dict("records")  # type: ignore[assignment]
    judges = {
        f"halving {row['halving']}, half {row['half']}": {
            name: round(value, 2) for name, value in row.items() if name not in ("halving", "half", "maps")
        }
        for row in rows
    }
    gains = bench.readings.readings[bench.readings.readings.metric == "discovery"]
    relative = {
        (str(run), str(reader)): float(value)
        for run, reader, value in zip(gains.run, gains.reader, gains.relative, strict=True)
    }
    readers = list(dict.fromkeys(map(str, gains.reader)))
    changes = {
        spec.name: {
            "seen users" if name == "seen" else name: f"{100 * relative[spec.name, name]:+.1f} %" for name in readers
        }
        for spec in bench.specs
        if all(np.isfinite(relative.get((spec.name, name), np.nan)) for name in readers)
    }
    return {"judges": judges, "discovery by reader": changes}


def _collect_facts(bench: "Bench", around: dict[str, Any], seconds: float) -> dict[str, Any]:
    preparation, config = bench.preparation, bench.preparation.config
    dataset, judged = preparation.dataset, preparation.split
    card = dict(dataset.card)
    return {
        "data": {
            "name": dataset.name,
            "interactions": len(dataset.interactions),
            "users": len(dataset.interactions.user_ids),
            "items": len(dataset.interactions.item_ids),
            "fingerprint": dataset.fingerprint,
            "licence": card.get("licence", "the user's own data"),
            "citation": card.get("citation", ""),
            "notes": list(dataset.notes),
        },
        "split": {
            **config.filter.model_dump(exclude_none=True),
            **config.split.model_dump(),
            "judged on": config.evaluation.split,
            **judged.counts,
            "notes": list(judged.notes),
        },
        "model": config.model.model_dump(),
        "models": {name: section.model_dump() for name, section in config.models.items()},
        "pool": config.pool.model_dump(),
        **({} if bench.likelihood is None else {"likelihood": list(describe_likelihood(bench.likelihood))}),
        **({} if bench.reliability is None else {"P(like)": list(bench.reliability.describe())}),
        "slates": config.slate.model_dump(),
        "blends": config.blends,
        "maps": {
            "own": [m.name for m in preparation.objective_maps],
            "audit": [m.name for m in preparation.audit],
            "content": [m.name for m in preparation.content],
        },
        **_collect_readings(bench),
        "run": {
            "name": config.name,
            "seed": config.seed,
            "bootstrap draws": config.evaluation.n_bootstrap,
            "seconds": round(seconds, 1),
        },
        "environment": {**around, "packages": get_key_versions()},
    }
