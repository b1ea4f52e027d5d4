"""The price of a policy of topics: each run with its rows left out, beside the same run with them.

Both sides share users, cuts and held-out likes: the rows of sensitive topics leave the training data of one side, and
the likes that are to be found stay those of all. Slates of both are read on the same maps, of all the data.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.configs import Config
from recsys.control.proxy_leakage import (
    compute_proxy_shares,
    find_users_with_topic,
    mark_slates,
    pool_proxy_shares,
)
from recsys.experiments.pipeline import LogFunction, Preparation, apply_half_life, prepare_split, split_dataset
from recsys.experiments.rule_sides import (
    RuleComparison,
    RuleSide,
    build_side,
    list_compared_runs,
    measure_slots,
    narrow_preparation,
)
from recsys.support.cache import Cache
from recsys.types import Dataset, Exposures, Items, RecsysError, Split
from recsys.types.arrays import Bools, Csr, Ints
from recsys.types.topics import TopicPolicy

MATRICES = (  # of a split
    "train", "validation", "test", "train_negatives", "validation_negatives", "validation_cold_positives",
    "train_times", "validation_times",
)  # fmt: skip
KEPT_LIKES = "ndcg of other likes"  # nDCG of held-out likes that no sensitive topic covers
SLOTS = "share of slots"  # of items of sensitive topics
EXCESS = "excess of proxies"  # share of slots, of users who had a topic above users alike who never had it


def compare_topics(
    config: Config, dataset: Dataset, policy: TopicPolicy, cache: Cache, shown: Exposures | None = None,
    quiet: bool = True, log_line: LogFunction = lambda line: None,
) -> RuleComparison:  # fmt: skip
    """Return a config's runs at the headline length, with the rows of sensitive topics left out and without.

    Raises:
        RecsysError: as `recsys.bench` does, with the policy or without.
    """
    free = config if config.control is None else config.model_copy(update={"control": _drop_topics(config)})
    whole = apply_half_life(free, split_dataset(free, dataset))
    found = policy.find_topic_items(whole.items)
    closed = found.find_sensitive_items()

    def prepare(split: Split) -> Preparation:
        return narrow_preparation(prepare_split(free, dataset, split, cache, shown, quiet, log_line))

    before, after = prepare(whole), prepare(drop_items(whole, closed, policy.digest))
    specs = list_compared_runs(before)
    without, judges = build_side(before, specs, quiet, log_line)
    narrow, _ = build_side(after, specs, quiet, log_line)
    sides = (_widen_codes(narrow, closed), without)
    slots = measure_slots(SLOTS, sides, lambda items: closed[items])
    others = replace(before.split, test=_without_columns(before.split.test, closed))
    masks = [found.find_items(name) for name in found.names[found.sensitive].tolist()]
    excess = {run.name: [measure_proxy_excess(before, sides, run.name, masks, closed)] for run in specs}
    further = {KEPT_LIKES: ("ndcg", replace(before.build_ground_truth(), split=others))}
    return RuleComparison("topics", before, judges, *sides, (slots,), excess, further)


def measure_proxy_excess(
    preparation: Preparation, sides: Sequence[RuleSide], run: str, topics: Sequence[Bools], closed: Bools
) -> dict[str, Any]:
    """Return the row of a run on how much more of the proxies users are shown who had a topic, pooled over topics.

    Beside users who never had it and are alike (`recsys.control.proxy_leakage`). The limits of the difference of both
    sides are of the same draws of users.
    """
    train, config = preparation.split.train, preparation.config
    had = [mask for mask in topics if 0 < find_users_with_topic(train, mask).sum() < train.shape[0]]
    found = []
    for side in sides:
        picks = mark_slates(side.slates[run], train.shape[1])
        shares = [compute_proxy_shares(picks, train, mask, closed=closed, seed=config.seed) for mask in had]
        try:
            found.append(pool_proxy_shares(shares, n_bootstrap=config.evaluation.n_bootstrap, seed=config.seed))
        except RecsysError:  # no user who had a topic is like one who never had it
            return {"measure": EXCESS, "n_users": 0}
    ours, theirs = found
    low, high = np.nanpercentile(ours.draws - theirs.draws, [2.5, 97.5])
    values = {"with_rule": ours.excess, "without": theirs.excess, "difference": ours.excess - theirs.excess}
    return {"measure": EXCESS, **values, "low": low, "high": high, "n_users": train.shape[0]}


def _drop_topics(config: Config) -> Any:
    return None if config.control is None else config.control.model_copy(update={"topics": None})


def _widen_codes(side: RuleSide, closed: Bools) -> RuleSide:
    """Return slates whose codes are those of all items, of slates whose codes are those of items not `closed`."""
    kept = np.append(np.flatnonzero(~closed), -1).astype(np.int32)  # the last place is that of -1

    def widen(slates: Mapping[str, Ints]) -> dict[str, Ints]:
        return {run: kept[items] for run, items in slates.items()}

    return RuleSide(widen(side.slates), [widen(of) for of in side.by_fold])


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
    if (bought := split.purchases) is not None:
        rows = bought.take_rows(~closed[bought.item])
        codes = np.searchsorted(columns, rows.item).astype(np.int32)
        changed["purchases"] = replace(rows, item=codes, n_items=len(columns))
    return replace(split, items=items, fingerprint=fingerprint, **changed)


def _without_columns(matrix: Csr, closed: Bools) -> Csr:
    kept = ~closed[matrix.indices]
    pointers = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr].astype(matrix.indptr.dtype)
    return Csr((matrix.data[kept], matrix.indices[kept], pointers), shape=matrix.shape)
