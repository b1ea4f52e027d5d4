"""What a policy of sensitive topics costs, prevents and takes: genres and tags as stand-ins for sensitive topics.

Each policy is a config's runs with the rows of the topic's items left out, beside the same runs with them, on the same
users, cuts and held-out likes (`recsys.experiments.topic_costs` says what each measure is). Discovery is read by maps
that have seen all users. `request` is a request of a
ranker that was fitted without these rows, and one that was fitted with them, in turns: microseconds of processor time,
and the median over the rounds of their ratio. 95 % percentile intervals of 1,000 draws of users. Written to
results/topics-measures.csv, and results/topics.csv, a row for each policy and run.
`python benchmarks/topics.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import recsys as rs
from recsys.configs import parse_config
from recsys.control.topics import read_topic_policy
from recsys.experiments.rule_costs import tabulate_rule_costs
from recsys.experiments.topic_costs import compare_topics
from recsys.support.atomic_files import replace_file
from recsys.support.cache import Cache, get_default_cache_folder
from recsys.support.threads import limit_to_one_blas_thread

RESULTS = Path(__file__).parent / "results"
ROUNDS, PER_TURN = 60, 40
FILTER = {"positive": "rating >= 4", "min_user_interactions": 10, "min_item_interactions": 5}
BLENDS = {"wider": {"relevance": 1.0, "negative_space": 0.2, "mmr": 0.1}}
RIDGE = {"ml-100k": 200.0, "ml-latest-small": 36.1}
MIND = ("mental illness", "psychology", "psychological", "disturbing", "mindfuck")
POLICIES: dict[tuple[str, str], dict[str, Any]] = {
    ("ml-100k", "genre Horror"): {"topics": {"horror": {"features": ["Horror"]}}},
    ("ml-100k", "genre War"): {"topics": {"war": {"features": ["War"]}}},
    ("ml-100k", "genre Romance"): {"topics": {"romance": {"features": ["Romance"]}}},
    ("ml-latest-small", "genre Horror"): {"topics": {"horror": {"features": ["Horror"]}}},
    ("ml-latest-small", "tags of the mind"): {
        "topics": {"mind": {"features": ["mind"]}},
        "parents": dict.fromkeys(MIND, "mind"),
    },
    ("ml-latest-small", "tag religion"): {"topics": {"religion": {"features": ["religion"]}}},
}


def measure_costs(data: rs.Dataset, policy: dict[str, Any]) -> pd.DataFrame:
    """Return what a policy costs the base and a blend, and what it prevents."""
    content = {
        "data": {"in_memory": data.name},
        "filter": FILTER,
        "split": {"kind": "per_user_time", "test": 0.2, "validation": 0.1},
        "model": {"kind": "ease", "l2": RIDGE[data.name]},
        "baselines": [],
        "evaluation": {"halvings": 0},
        "slate": {"k": [10]},
        "blends": BLENDS,
    }
    found = compare_topics(
        parse_config(content), data, read_topic_policy(policy), Cache(get_default_cache_folder()), log_line=print
    )
    return tabulate_rule_costs([found]).drop(columns="rule")


def measure_request(data: rs.Dataset, policy: dict[str, Any]) -> dict[str, Any]:
    """Return the processor time of a request with a policy, and without."""
    rankers = []
    for topics in (read_topic_policy(policy), None):
        split = rs.splits.no_holdout(data, **FILTER, topics=topics)
        model = rs.models.EASE(l2=RIDGE[data.name]).fit(split.train)
        rankers.append(rs.Ranker.fit(model, split, BLENDS["wider"]))
    users = sorted(set(rankers[0].context.user_ids.tolist()) & set(rankers[1].context.user_ids.tolist()))
    took = np.array([[_time_requests(one, users, turn) for one in rankers] for turn in range(ROUNDS + 1)])[1:]
    ours, theirs = 1e6 * np.median(took, axis=0)
    ratio = float(np.median(took[:, 0] / took[:, 1]))
    told = {"with_rule": ours, "without": theirs, "difference": ours - theirs, "relative": ratio - 1}
    return {"run": "ease, wider", "measure": "request", **told, "n_users": len(users)}


def _time_requests(ranker: rs.Ranker, users: list[str], turn: int) -> float:
    chosen = [users[(turn * PER_TURN + n) % len(users)] for n in range(PER_TURN)]
    start = time.process_time()
    for user in chosen:
        ranker.rank(user=user)
    return (time.process_time() - start) / PER_TURN


def iter_tables() -> Iterator[pd.DataFrame]:
    """Yield the rows of each policy."""
    loaded: dict[str, rs.Dataset] = {}
    for (name, what), policy in POLICIES.items():
        first = name not in loaded
        data = loaded.setdefault(name, rs.load_dataset(name, quiet=True))
        found = measure_costs(data, policy)
        if first:
            found = pd.concat([found, pd.DataFrame([measure_request(data, policy)])], ignore_index=True)
        found.insert(0, "policy", what)
        found.insert(0, "data", name)
        yield found


def tabulate_policies(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each policy and run of a table of measures."""
    rows, chosen = [], found[found.measure != "request"]
    for names, part in chosen.groupby(["data", "policy", "run"], sort=False):
        row = dict(zip(("data", "policy", "run"), names, strict=True))
        for one in part.itertuples():
            short = one.measure.replace(" ", "_")
            row |= {f"{short}_with": one.with_rule, f"{short}_without": one.without}
            row |= {f"{short}_difference": one.difference, f"{short}_low": one.low, f"{short}_high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all."""
    with replace_file(path) as temporary:
        table.round(5).to_csv(temporary, index=False, lineterminator="\n")


def main() -> None:
    """Measure, print and write: after each policy, so that a run that is cut short keeps what it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    out, tables = parser.parse_args().out, list[pd.DataFrame]()
    with limit_to_one_blas_thread():
        for found in iter_tables():
            tables.append(found)
            print(found.to_string(), flush=True)
            whole = pd.concat(tables, ignore_index=True)
            write_table(out / "topics-measures.csv", whole)
            write_table(out / "topics.csv", tabulate_policies(whole))


if __name__ == "__main__":
    main()
