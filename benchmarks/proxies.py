"""Whether slates of closed topics show their proxies to the users who had them: every genre and frequent tag in turn.

Each topic in turn is closed: EASE is fitted to the training likes without its items, and beside it to all of them. On
both sides, and in the held-out likes, the share of the topic's proxies is compared between users who had it and users
who never had it and are alike in number of likes and of liked proxies (`recsys.control.proxy_leakage`), pooled over
topics; `all users` is the same comparison without that. `rows` is how much more the topic's rows show of the proxies to
users who had it: their slates with the rows, minus their slates without them. Shares are those of the slots, or likes,
that are not of the topic. 95 % percentile intervals of 1,000 draws of users. Written to results/proxies.csv.
`python benchmarks/proxies.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import recsys as rs
from recsys.control.proxy_leakage import (
    DETECTABLE_ERRORS,
    ProxyShares,
    compute_proxy_shares,
    find_users_with_topic,
    mark_slates,
    pool_proxy_shares,
)
from recsys.experiments.topic_costs import drop_items
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.support.threads import limit_to_one_blas_thread

RESULTS = Path(__file__).parent / "results"
FILTER = {"positive": "rating >= 4", "min_user_interactions": 10, "min_item_interactions": 5}
RIDGE = {"ml-100k": 200.0, "ml-latest-small": 36.1}
K, N_DRAWS, MIN_USERS = 10, 1000, 30  # slots; draws of users; with and without a topic
SIDES = ("without the rows", "with the rows", "held-out likes")


def list_topics(split: rs.Split) -> dict[str, Any]:
    """Return the features that at least some users had and some never had, as masks of items (I,)."""
    columns = split.items.features.tocsc()
    found = {}
    for place, name in enumerate(split.items.feature_names):
        covered = np.zeros(split.shape[1], dtype=bool)
        covered[columns[:, [place]].indices] = True
        had = find_users_with_topic(split.train, covered).sum()
        if MIN_USERS <= had <= split.shape[0] - MIN_USERS:
            found[name] = covered
    return found


def rank_items(split: rs.Split, l2: float) -> Any:
    """Return the K best items of each user that are new to it, as codes (U, K)."""
    users = np.arange(split.shape[0], dtype=np.int32)
    scores = np.array(rs.models.EASE(l2=l2).fit(split.train).score(users), dtype=np.float64)
    scores[split.seen.toarray() != 0] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    return np.where(np.isfinite(np.take_along_axis(scores, best, axis=1)), best, -1).astype(np.int32)


def collect_shares(split: rs.Split, l2: float, topics: dict[str, Any]) -> dict[str, list[ProxyShares]]:
    """Return the shares of proxies of each topic, in slates of both sides and in held-out likes."""
    found: dict[str, list[ProxyShares]] = {side: [] for side in SIDES}
    with_rows = mark_slates(rank_items(split, l2), split.shape[1])
    for name, covered in topics.items():
        kept = np.append(np.flatnonzero(~covered), -1).astype(np.int32)
        without = mark_slates(kept[rank_items(drop_items(split, covered, name), l2)], split.shape[1])
        for side, picks in zip(SIDES, (without, with_rows, split.test), strict=True):
            found[side].append(compute_proxy_shares(picks, split.train, covered))
        print(name, int(find_users_with_topic(split.train, covered).sum()), flush=True)
    return found


def measure_rows(found: dict[str, list[ProxyShares]]) -> dict[str, Any]:
    """Return how much more of the proxies the rows of the topics show to users who had them, over users and topics."""
    pairs = zip(found["with the rows"], found["without the rows"], strict=True)
    change = np.array([np.where(a.had, a.share - b.share, np.nan) for a, b in pairs])
    sums, n = np.nansum(change, axis=0), (~np.isnan(change)).sum(axis=0)
    users = len(n)
    counts = make_generator(0, "proxies").multinomial(users, np.full(users, 1 / users), N_DRAWS)
    drawn = counts @ sums / (counts @ n)
    low, high = np.percentile(drawn, [2.5, 97.5])
    told = {"excess": sums.sum() / n.sum(), "excess_low": low, "excess_high": high}
    return {**told, "detectable": DETECTABLE_ERRORS * drawn.std(ddof=1), "n_had": int(n.sum())}


def measure_data(name: str) -> pd.DataFrame:
    """Return a row for each side of a data set, and comparison."""
    split = rs.splits.per_user_time(
        rs.load_dataset(name, quiet=True), **FILTER, test=0.2, validation=0.1
    ).test_view()  # fmt: skip
    topics = list_topics(split)
    found = collect_shares(split, RIDGE[name], topics)
    rows = []
    for compared in ("users alike", "all users"):
        for side, shares in found.items():
            flat = [one if compared == "users alike" else replace(one, stratum=one.stratum * 0) for one in shares]
            of = pool_proxy_shares(flat, n_bootstrap=N_DRAWS)
            told = {"excess": of.excess, "excess_low": of.low, "excess_high": of.high, "ratio": of.ratio}
            told |= {"ratio_low": of.ratio_low, "ratio_high": of.ratio_high, "detectable": of.detectable}
            rows.append({"compared": compared, "of": side, **told, "n_had": of.n_had, "n_never": of.n_never})
    rows.append({"compared": "own slates", "of": "rows", **measure_rows(found)})
    made = pd.DataFrame(rows)
    made.insert(0, "topics", len(topics))
    made.insert(0, "data", name)
    return made


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    out = parser.parse_args().out
    with limit_to_one_blas_thread():
        table = pd.concat([measure_data(name) for name in RIDGE], ignore_index=True)
    print(table.round(4).to_string())
    with replace_file(out / "proxies.csv") as temporary:
        table.round(5).to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
