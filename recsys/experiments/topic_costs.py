"""The price of a policy of topics: each run with its rows left out, beside the same run with them.

Both sides share users, cuts and held-out likes: the rows of sensitive topics leave the training data of one side, and
the likes that are to be found stay those of all. Slates of both are read on the same maps, of all the data.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.configs import Config
from recsys.control.proxy_leakage import find_users_with_topic, measure_proxy_leakage
from recsys.experiments.pipeline import LogFunction, Preparation, apply_half_life, prepare_split, split_dataset
from recsys.experiments.rerankings import build_run_slates
from recsys.scores import evaluate, tabulate_differences
from recsys.support.cache import Cache
from recsys.support.rng import make_generator
from recsys.types import Dataset, Exposures, Items, Split
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Ints
from recsys.types.topics import TopicPolicy

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("ndcg", "discovery")
MATRICES = (  # of a split
    "train", "validation", "test", "train_negatives", "validation_negatives", "validation_cold_positives",
    "train_times", "validation_times",
)  # fmt: skip
WITH, WITHOUT = "with the policy", "without"
KEPT_LIKES = "ndcg of other likes"  # nDCG of held-out likes that no sensitive topic covers
SLOTS = "share of slots"  # of items of sensitive topics
FIRST_COLUMNS = ("run", "topic", "measure", "with_policy", "without")
COLUMNS = (*FIRST_COLUMNS, "difference", "low", "high", "relative", "n_users")


@dataclass(frozen=True, eq=False)
class TopicComparison:
    """Slates of every run on both sides, as codes of the items of all the data: (U, k), -1 for none."""

    split: Split  # of all the data
    preparation: Preparation  # the same
    closed: Bools  # (I,) items of sensitive topics
    topics: Mapping[str, Bools]  # (I,) items of each sensitive topic
    with_policy: Mapping[str, Ints]
    without: Mapping[str, Ints]
    k: int


def compare_topics(
    config: Config, dataset: Dataset, policy: TopicPolicy, cache: Cache, shown: Exposures | None = None,
    quiet: bool = True, log_line: LogFunction = lambda line: None,
) -> TopicComparison:  # fmt: skip
    """Return the slates of a config's runs at the headline length, with the rows of sensitive topics and without.

    Raises:
        RecsysError: as `recsys.bench` does, with the policy or without.
    """
    k = config.headline_k
    narrow = config.model_copy(
        update={
            "control": None,
            "slate": config.slate.model_copy(update={"k": [k]}),
            "evaluation": config.evaluation.model_copy(update={"metrics": list(METRICS)}),
        }
    )
    whole = apply_half_life(narrow, split_dataset(narrow, dataset))
    found = policy.find_topic_items(whole.items)
    closed = found.find_sensitive_items()

    def make_slates(split: Split) -> tuple[Preparation, dict[str, Ints]]:
        made = prepare_split(narrow, dataset, split, cache, shown, quiet, log_line)
        slates, _ = build_run_slates(made, tuple(narrow.list_runs()), quiet, log_line)
        return made, {run: one.items for run, one in slates[k].items()}

    before, without = make_slates(whole)
    _, found_with = make_slates(drop_items(whole, closed, policy.digest))
    kept = np.append(np.flatnonzero(~closed), -1).astype(np.int32)  # the last place is that of -1
    with_policy = {run: kept[items] for run, items in found_with.items()}
    topics = {name: found.find_items(name) for name in found.names[found.sensitive].tolist()}
    return TopicComparison(before.split, before, closed, topics, with_policy, without, k)


def drop_items(split: Split, closed: Bools, name: str) -> Split:
    """Return a split without some items (I,), users and cuts as they are; `name` enters the fingerprint."""
    columns = np.flatnonzero(~closed)

    def take(matrix: Csr | None) -> Any:
        return None if matrix is None else Csr(Csr(matrix)[:, columns])

    features = Csr(split.items.features[columns])
    held = np.unique(features.indices)
    names = tuple(split.items.feature_names[column] for column in held)
    old = split.items
    items = Items(old.ids[columns], old.titles[columns], Csr(features[:, held]), names, old.years[columns])
    fingerprint = hashlib.sha256(f"{split.fingerprint} without {name}".encode()).hexdigest()
    changed: dict[str, Any] = {part: take(getattr(split, part)) for part in MATRICES}
    return replace(split, items=items, fingerprint=fingerprint, **changed)


def tabulate_topic_costs(found: TopicComparison) -> "pd.DataFrame":
    """Return what the policy costs each run and what it prevents, a row for each measure, with 95 % intervals.

    `ndcg` and `discovery` are of all held-out likes, and `ndcg of other likes` of those that no sensitive topic covers.
    `share of slots` is that of items of sensitive topics, and `proxy lift` and `matched proxy lift` of each topic are
    those of `recsys.control.proxy_leakage`. `difference` is with the policy minus without; differences of lifts and
    their limits are not given, since the two sides show `with_policy` and `without` with limits of their own.
    """
    import pandas as pd

    rows = [row for run in found.without for row in _iter_rows(found, run)]
    return pd.DataFrame(rows, columns=[*COLUMNS, "with_low", "with_high", "without_low", "without_high"])


def describe_topic_costs(costs: "pd.DataFrame") -> dict[str, str]:
    """Return a sentence for each run on what the policy costs it and what it prevents."""
    said: dict[str, str] = {}
    for run, rows in costs[costs.topic == ""].groupby("run", sort=False):
        changes = [
            f"{row.measure} {row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f})"
            for row in rows.itertuples()
            if row.measure != SLOTS
        ]
        slots = rows[rows.measure == SLOTS].iloc[0]
        prevented = (
            f"items of sensitive topics take {slots.with_policy:.1%} of the slots, without it {slots.without:.1%}"
        )
        said[str(run)] = f"{', '.join(changes)}; {prevented}"
    return said


def _iter_rows(found: TopicComparison, run: str) -> Iterator[dict[str, Any]]:
    sides = {WITH: found.with_policy[run], WITHOUT: found.without[run]}
    config, truth = found.preparation.config, found.preparation.build_ground_truth()
    how: dict[str, Any] = {"seed": config.seed, "n_bootstrap": config.evaluation.n_bootstrap}
    others = replace(found.split, test=_without_columns(found.split.test, found.closed))
    for measures, judged in ((METRICS, truth), ((KEPT_LIKES,), replace(truth, split=others))):
        metrics = [measure.partition(" ")[0] for measure in measures]
        scores = evaluate(sides, judged, metrics, [found.k], **how)
        for measure, row in zip(measures, tabulate_differences(scores, WITHOUT).to_dict("records"), strict=True):
            values = [next(c.value for c in scores.select_run(side) if c.metric == row["metric"]) for side in sides]
            told = {"difference": row["difference"], "low": row["ci_low"], "high": row["ci_high"]}
            told |= {"relative": row["relative"], "n_users": row["n_users"]}
            yield {"run": run, "topic": "", "measure": measure, "with_policy": values[0], "without": values[1], **told}
    shares = [found.closed[items].mean(axis=1, where=items >= 0) for items in sides.values()]
    yield {"run": run, "topic": "", "measure": SLOTS, **_describe_shares(*shares, **how)}
    for topic, covered in found.topics.items():
        had = find_users_with_topic(found.split.train, covered)
        if had.any() and not had.all():
            yield from _iter_leakage(found, run, topic, covered, how)


def _iter_leakage(
    found: TopicComparison, run: str, topic: str, covered: Bools, how: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    sides = [
        measure_proxy_leakage(items, found.split.train, covered, closed=found.closed, **how)
        for items in (found.with_policy[run], found.without[run])
    ]
    for measure, part in (("proxy lift", "lift"), ("matched proxy lift", "matched")):
        value = "lift" if part == "lift" else "matched_lift"
        row = {"run": run, "topic": topic, "measure": measure, "n_users": sides[0].n_had + sides[0].n_never}
        for side, one in zip(("with", "without"), sides, strict=True):
            row |= {"with_policy" if side == "with" else side: getattr(one, value)}
            row |= {f"{side}_{end}": getattr(one, f"{part}_{end}") for end in ("low", "high")}
        yield row


def _without_columns(matrix: Csr, closed: Bools) -> Csr:
    kept = ~closed[matrix.indices]
    pointers = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr].astype(matrix.indptr.dtype)
    return Csr((matrix.data[kept], matrix.indices[kept], pointers), shape=matrix.shape)


def _describe_shares(ours: Doubles, theirs: Doubles, seed: int, n_bootstrap: int) -> dict[str, Any]:
    """Return the mean of two shares of each user, and their difference with its limits over draws of users."""
    there = ~(np.isnan(ours) | np.isnan(theirs))
    change: Anys = (ours - theirs)[there]
    n = len(change)
    counts = make_generator(seed, "topic costs").multinomial(n, np.full(n, 1 / n), n_bootstrap)
    low, high = np.percentile(counts @ change / n, [2.5, 97.5])
    values = {"with_policy": ours[there].mean(), "without": theirs[there].mean()}
    return {**values, "difference": change.mean(), "low": low, "high": high, "n_users": n}
