"""What complements after a purchase are worth: slots for what goes with what was bought lately, by lift.

Online Retail II, the split of `repeats.py`. The base hides what was met; `slots` give a share of ten slots to items
that the user has not bought, and whose lift after something bought in the last days before the cut is at least 2
(`recsys.evidence.build_complements`). Lifts are measured on what was bought before the cut, within 30 days of a
purchase. Each share, window and order is judged on validation by purchases of what is new per slot, and the best one
(`chosen`) is read on test beside the others. `swapped_in` are purchases per slot of picks that the base does not show,
`swapped_out` those of the picks that they displace; `touched` is the share of users with such a slot. Limits are 95 %
percentile intervals of 1,000 draws of users, `versus_` those of differences to the base over the same draws. Written to
results/complements.csv; `python benchmarks/complements.py` takes some minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from repeats import LOG, RESULTS, K, compute_limits, split_log, write_rows

import recsys as rs
from recsys import configs, evidence, metrics
from recsys.reranking.guards import repeat
from recsys.retrieval.repeat_candidates import add_repeats
from recsys.support.rng import make_generator

SHARES, WINDOWS, ORDERS, DRAWS = (0.1, 0.2, 0.3), (30.0,), ("lift", "probability"), 1000
METRICS = ("explore_precision", "explore_recall", "ndcg")


def judge(items: np.ndarray, base: np.ndarray, truth: rs.GroundTruth) -> dict[str, np.ndarray]:
    """Return each metric of each user, and purchases per slot of picks that only one of slates and base shows."""
    slates = rs.Evaluation(np.asarray(items[:, :K], dtype=np.int32), truth)
    found = {name: getattr(metrics, name)(slates, K).values for name in METRICS}
    bought = truth.split.test.toarray() > 0
    for name, one, other in (("swapped_in", items, base), ("swapped_out", base, items)):
        apart = ~(one[:, :, None] == other[:, None, :]).any(axis=2) & (one >= 0)
        hits = np.take_along_axis(bought, np.maximum(one, 0), axis=1) & apart
        n = apart.sum(axis=1)
        found[name] = np.where(n > 0, hits.sum(axis=1) / np.maximum(n, 1), np.nan)
    return found


def iter_runs(view: rs.Split) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield the settings of each run, and its metrics; the base comes first."""
    truth, bought = rs.GroundTruth(view), view.train_purchases
    base = configs.read_config(LOG).model.build_model("[model]").fit(view.train, view.side_information)
    pool = rs.candidates(base, view, n=200)
    hidden = pool.items[:, :K]
    yield "base", judge(hidden, hidden, truth)
    complements = evidence.measure_complements(bought, window=30.0)
    for window in WINDOWS:
        for by in ORDERS:
            slots = evidence.build_complements(bought, complements, window=window, by=by)
            joined = add_repeats(pool, base, slots)
            for share in SHARES:
                of_share = replace(slots, shares=np.where(slots.shares > 0, share, 0.0))
                around = replace(joined, context=replace(joined.context, repeats=of_share))
                slates = rs.rerank(around, {"relevance": 1}, K, scale=None, guards=[repeat()])
                yield f"share {share:g}, bought in {window:g} days, by {by}", judge(slates.items, hidden, truth)


def measure_rows(split: rs.Split) -> Iterator[dict[str, Any]]:
    """Yield a row for each part and run."""
    chosen = ""
    for part in ("validation", "test"):
        view = split.validation_view() if part == "validation" else split.test_view()
        found = dict(iter_runs(view))
        if not chosen:
            chosen = max(
                (run for run in found if run != "base"),
                key=lambda run: float(np.nanmean(found[run]["explore_precision"])),
            )
        n = len(view.user_ids)
        draws = make_generator(0, "complements").multinomial(n, np.full(n, 1 / n), DRAWS)
        for run, values in found.items():
            row: dict[str, Any] = {"part": part, "run": run, "chosen": int(run in (chosen, "base")), "users": n}
            row["touched"] = float((~np.isnan(values["swapped_in"])).mean())
            for name, of_users in values.items():
                if run == "base" and name.startswith("swapped"):
                    row |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), "")
                    continue
                low, high = compute_limits(of_users, np.zeros(n), draws)
                row |= {name: float(np.nanmean(of_users)), f"{name}_low": low, f"{name}_high": high}
            for name in METRICS:
                other = found["base"][name]
                low, high = compute_limits(values[name], other, draws)
                told = (float(np.nanmean(values[name] - other)), low, high)
                row |= dict(zip((f"versus_{name}", f"versus_{name}_low", f"versus_{name}_high"), told, strict=True))
            yield row


def main() -> None:
    """Measure both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "complements.csv", help="the file to write")
    rows: list[dict[str, Any]] = []
    wanted = parser.parse_args()
    for row in measure_rows(split_log()):
        rows.append(row)
        told = (row["part"], row["run"], row["explore_precision"], row["versus_explore_precision"])
        print(*told, row["swapped_in"], row["swapped_out"], flush=True)
    write_rows(wanted.out, rows)


if __name__ == "__main__":
    main()
