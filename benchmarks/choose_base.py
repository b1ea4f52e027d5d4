"""Choose the base of re-ranking: tuned models and their means, on validation: `python benchmarks/choose_base.py`.

For each dataset (the name of a shipped config, or a config's file) the best settings of each model in
`results/tuning-<dataset>.csv` are fitted, and so is the mean of each two and three of the five best models. Each is
judged on validation by nDCG@10 and audited discovery@10: `results/bases-<dataset>.csv`, the most accurate first. The
first row is the base of `benchmarks/discovery.py`; the rest of its front is one more method there: another base.
"""

import argparse
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from tune import RESULTS, fit_model

import recsys
from recsys import configs
from recsys.experiments import pipeline
from recsys.models.ensemble import FittedEnsemble
from recsys.retrieval.candidates import candidates
from recsys.scores import compute_metrics
from recsys.support.atomic_files import replace_file
from recsys.types import GroundTruth, Scorer

MAX_AVERAGED = 5  # models that are averaged
METRICS = ["ndcg@10", "discovery@10"]
Settings = dict[str, float | int | str]


def read_best_settings(name: str) -> dict[str, Settings]:
    """Return the best settings of each model, the most accurate model first."""
    table = pd.read_csv(RESULTS / f"tuning-{name}.csv")
    table = table[table["rank"] == 1].sort_values("ndcg@10 on validation", ascending=False)
    return {row.model: parse_settings(row.settings) for row in table.itertuples()}


def read_base_front(name: str) -> pd.DataFrame:
    """Return the bases that no other beats in accuracy and discovery on validation, the most accurate first."""
    table = pd.read_csv(RESULTS / f"bases-{name}.csv")
    return table[table["discovery@10"] >= table["discovery@10"].cummax()].reset_index(drop=True)


def build_model_section(kinds: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return [model] of a base whose `kinds` are joined by "+": a model, or the mean of several."""
    parts = [{"kind": kind, **settings[kind]} for kind in kinds.split("+")]
    return parts[0] if len(parts) == 1 else {"kind": "ensemble", "models": parts}


def parse_settings(text: str) -> Settings:
    """Return the settings that `tune.text` wrote."""
    return {name: parse_number(value) for name, value in (pair.split("=") for pair in text.split())}


def parse_number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def fit_bases(models: dict[str, Settings], split: recsys.Split) -> dict[str, Scorer]:
    """Return each model, and the mean of each two and three of the first; names are kinds, joined by "+"."""
    alone = {kind: fit_model(kind, settings, split) for kind, settings in models.items()}
    together = [names for size in (2, 3) for names in combinations(list(models)[:MAX_AVERAGED], size)]
    means = {"+".join(names): FittedEnsemble(tuple(alone[name] for name in names)) for names in together}
    return {**alone, **means}


def evaluate_bases(name: str, config: configs.Config) -> pd.DataFrame:
    """Return every base with its accuracy and its audited discovery on validation."""
    split = pipeline.split_dataset(config, pipeline.load_dataset(config)).validation_view()
    truth = GroundTruth(split, (), recsys.maps.audit_maps(split.train, seed=config.seed), ())
    rows = []
    for base, model in fit_bases(read_best_settings(name), split).items():
        slates = recsys.rerank(candidates(model, split, n=10, maps=(), seed=config.seed), {"relevance": 1.0}, 10)
        rows.append({"dataset": name, "base": base, **compute_metrics(slates, truth, METRICS)})
        print(f"{name} {base}: {rows[-1]['ndcg@10']:.4f}", flush=True)
    return pd.DataFrame(rows).sort_values("ndcg@10", ascending=False)


def main() -> None:
    """Fit, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=["ml-100k", "ml-latest-small", "online-retail-ii"])
    for wanted in parser.parse_args().data:
        config = configs.read_config(wanted)
        name = Path(config.name).stem
        with replace_file(RESULTS / f"bases-{name}.csv") as temporary:
            evaluate_bases(name, config).to_csv(temporary, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
