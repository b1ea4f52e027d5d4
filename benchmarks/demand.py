"""Demand by country and week on Online Retail II: what hazards of repurchase expected, with and without noise.

The fit of `repurchases.py` to what is known 28 days before the end, summed by country and week over these 28 days,
beside the mean of the four weeks before. `error` is the absolute difference to what came over all cells, as a share of
what came, and once more without the largest country. Countries of fewer than 10 customers are put together. A person
counts for as many purchases a week as is said; with noise the mean of 200 draws and the middle 95 % of them, and the
scale of the noise in purchases (other). `python benchmarks/demand.py` takes a minute of one core and writes
results/demand.csv.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from repurchase_worlds import DAY
from repurchases import RESULTS, SHOP, WINDOW, fit_shop, make_row, write_rows

from recsys import evidence
from recsys.data.locations import resolve_data_folder
from recsys.evidence.demand import OTHER, UNITS, draw_discrete_laplace
from recsys.evidence.gaps import list_gaps
from recsys.types.arrays import Doubles, Longs
from recsys.types.purchases import Purchases


def measure_demand() -> Iterator[dict[str, Any]]:
    """Yield how far the expected repurchases of countries and weeks are from those that came."""
    purchases, known, cut, model, split = fit_shop()
    table = pd.read_parquet(next((resolve_data_folder() / "online-retail-ii").glob("*.parquet")))
    table = table.dropna(subset="Customer ID")
    of_users = table.groupby(table["Customer ID"].astype(int).astype(str))["Country"].agg(lambda c: c.mode().min())
    names, codes = np.unique([of_users[user] for user in split.user_ids.tolist()], return_inverse=True)
    free = evidence.DemandSettings(weeks=WINDOW // 7, max_purchases=1e6)
    cuts = {
        "hazards": free,
        **{f"hazards, at most {most} of a person": replace(free, max_purchases=most) for most in (5, 20)},
    }
    exact = {
        name: evidence.forecast_demand(model, known, cut, codes, names, settings) for name, settings in cuts.items()
    }
    whole = exact["hazards"]
    row = {name: place for place, name in enumerate(whole.regions.tolist())}
    rows = np.asarray([row.get(name, row.get(OTHER, -1)) for name in names])[codes]
    came = _count_came(purchases, cut, rows, whole.expected.shape)
    earlier = _count_came(known, cut - WINDOW * DAY, rows, whole.expected.shape).mean(axis=1, keepdims=True)
    yield make_row(
        "demand", SHOP, "hazards", "regions", len(whole.regions), other=whole.n_merged, n=int(whole.n_users.sum())
    )
    yield make_row("demand", SHOP, "hazards", "came", came.sum(), other=whole.expected.sum(), n=came.size)
    for name, expected in {
        "mean of the last four weeks": earlier,
        **{k: one.expected for k, one in exact.items()},
    }.items():
        yield from _judge_demand(name, np.broadcast_to(expected, came.shape)[None], came)
    for most in (5, 20):
        for epsilon in (1.0, 10.0):
            noisy = replace(cuts[f"hazards, at most {most} of a person"], epsilon=epsilon)
            scale = noisy.sensitivity / epsilon
            name = f"at most {most} of a person, epsilon {epsilon:g}"
            yield make_row("demand", SHOP, name, "clip", most)
            yield make_row("demand", SHOP, name, "epsilon", epsilon)
            draws = np.stack(
                [_add_noise(exact[f"hazards, at most {most} of a person"], noisy, seed) for seed in range(200)]
            )
            yield from _judge_demand(name, draws, came, scale)


def _count_came(purchases: Purchases, cut: int, rows: Longs, shape: tuple[int, int]) -> Doubles:
    """Return how often pairs that were bought before the cut came again in each week, by region, (R, W)."""
    gaps = list_gaps(purchases)
    first = gaps.start - np.round(gaps.span * DAY).astype(np.int64)
    end = gaps.start + np.round(gaps.days * DAY).astype(np.int64)
    week = (end - cut) // (7 * DAY)
    chosen = gaps.observed & (first < cut) & (week >= 0) & (week < shape[1])
    made = np.zeros(shape)
    np.add.at(made, (rows[gaps.user[chosen]], week[chosen]), 1)
    return made


def _add_noise(exact: evidence.Demand, settings: evidence.DemandSettings, seed: int) -> Doubles:
    noise = draw_discrete_laplace(settings.rate, exact.expected.shape, seed)
    return np.maximum(exact.expected + noise / UNITS, 0.0)


def _judge_demand(name: str, expected: Doubles, came: Doubles, scale: float | str = "") -> Iterator[dict[str, Any]]:
    """Yield the absolute error over all cells as a share of what came, and that of all but the largest region."""
    for which, kept in (("error", slice(None)), ("error_without_largest", came.sum(axis=1) < came.sum(axis=1).max())):
        errors = np.abs(expected[:, kept] - came[kept]).sum(axis=(1, 2)) / came[kept].sum()
        low, high = np.percentile(errors, [2.5, 97.5]) if len(errors) > 1 else ("", "")
        yield make_row("demand", SHOP, name, which, errors.mean(), low, high, scale, len(errors))


def main() -> None:
    """Measure, and write the table."""
    rows = list(measure_demand())
    write_rows(RESULTS / "demand.csv", rows)
    print(*(f"{row['method']} {row['measure']}: {row['value']} {row['low']} {row['high']}" for row in rows), sep="\n")


if __name__ == "__main__":
    main()
