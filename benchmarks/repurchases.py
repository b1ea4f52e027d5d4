"""Hazards of repurchase: known gaps found again, what was predicted and what came on a shop's log, and speed.

Worlds: ten made-up logs (`repurchase_worlds.py`: some 30,000 purchases of 60 items in three categories with Weibull,
log-normal and modified Poisson-Gamma gaps, 700 days). A parameter's value is the mean over the worlds, its interval the
range of the middle 80 % of them, beside what is true (other); `family_right` is the share of categories whose family
was chosen. The last 60 days are held out: how many repurchases came in 30 days over how many were expected, and the
calibration error.

Online Retail II: purchases of customers with at least 10 goods, of goods with at least 5 customers. What is known 28
days before the end predicts which pairs of customer and good come again in these 28 days. Categories are regions of the
map of words in descriptions; families and rates of users are chosen on the last quarter of the time before the cut.
Beside: one constant for all pairs, the rate of each good (Beta-Binomial), and personal frequency (Gamma-Poisson rate of
each pair), the first two fitted to the 28 days before the cut. `log_loss` is a mean over pairs; differences to the
hazards have a 95 % percentile interval of 1,000 draws of customers. `calibration` is the expected calibration error
over tenths of the pairs by prediction; rows `decile` have each tenth's mean prediction (value) and share that came
(other).

Speed: a world of one and a half million purchases, fitted and predicted, in seconds of one core.

`python benchmarks/repurchases.py` takes some minutes of one core and writes results/repurchases.csv, and the
tenths to results/repurchases-deciles.csv, after each part.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from repurchase_worlds import DAY, KnownGaps, PurchaseWorld, make_log_normal, make_weibull, make_world

import recsys as rs
from recsys import evidence
from recsys.evidence.gaps import list_gaps
from recsys.evidence.user_rates import fit_user_kappa
from recsys.maths.renewal_fits import fit_poisson_gamma_rates
from recsys.maths.renewals import FAMILIES, POISSON_GAMMA
from recsys.maths.shrinkage import shrink_rates
from recsys.support.atomic_files import replace_file
from recsys.support.rng import make_generator
from recsys.types.arrays import Bools, Csr, Doubles, Ints
from recsys.types.purchases import Purchases
from recsys.types.repurchases import Repurchases

RESULTS = Path(__file__).parent / "results"
FIELDS = ("part", "log", "method", "measure", "value", "low", "high", "other", "n")
SHOP, WINDOW, DRAWS, DECILES = "online-retail-ii", 28, 1000, 10
PARTS = ("worlds", "shop", "speed")
TRUTH = (make_weibull(1.6, 40, 0.8), make_log_normal(30, 0.5, 0.6), KnownGaps(POISSON_GAMMA, 1.2, 60.0, 25.0))
NAMES = (("slope", "offset", "share"), ("slope", "offset", "share"), ("alpha", "beta", "mean_gap"))


class Predictions(NamedTuple):
    """What one method says of the same pairs, in the same order."""

    method: str
    chance: Doubles


class Outcomes(NamedTuple):
    """Pairs that were open at a moment, and whether they came."""

    user: Ints
    item: Ints
    came: Bools


def measure_worlds(n_worlds: int) -> Iterator[dict[str, Any]]:
    """Yield what is found of known gaps, over worlds."""
    found: dict[tuple[int, str], list[float]] = {}
    right, chance, came = [], [], []
    for seed in range(n_worlds):
        world = make_world(TRUTH, 9000, 300, 60, 700, seed=seed)
        cut = world.purchases.end - 60 * DAY
        model = evidence.fit_repurchases(world.purchases.take_before(cut), world.category, min_gap=0.01)
        for code, known in enumerate(world.truth):
            items = world.category == code
            right.append(float(model.family[items][0] == known.family))
            for name in NAMES[code]:
                array = getattr(model, name)
                own = array if known.family == POISSON_GAMMA else array[known.family]
                found.setdefault((code, name), []).append(float(own[items].mean()))
        predicted = evidence.predict_repurchases(model, world.purchases, cut, 30)
        chance.append(predicted.data.astype(np.float64))
        came.append(_list_outcomes(predicted, world.purchases, cut, 30).came)
    for (code, name), values in found.items():
        true = TRUTH[code][1 + NAMES[code].index(name)]
        low, high = np.percentile(values, [10, 90])
        yield make_row(
            "worlds", FAMILIES[TRUTH[code].family], "known gaps", name, np.mean(values), low, high, true, n_worlds
        )
    yield make_row("worlds", "all", "chosen", "family_right", np.mean(right), n=len(right))
    said, happened = np.concatenate(chance), np.concatenate(came)
    yield make_row("worlds", "all", "chosen", "came_over_expected", happened.sum() / said.sum(), n=len(said))
    yield make_row("worlds", "all", "chosen", "calibration", measure_calibration_error(said, happened), n=len(said))


@cache
def fit_shop() -> tuple[Purchases, Purchases, int, Repurchases, rs.Split]:
    """Return the purchases of the shop, those before the cut, the cut, the fit to them, and the split."""
    log = rs.load_dataset(SHOP, quiet=True)
    split = rs.splits.no_holdout(log, min_user_interactions=10, min_item_interactions=5)
    purchases = rs.splits.select_purchases(log, split)
    cut = purchases.end - WINDOW * DAY
    known = purchases.take_before(cut)
    return purchases, known, cut, evidence.fit_repurchases(known, evidence.categorize_items(split.items)), split


def measure_shop() -> Iterator[dict[str, Any]]:
    """Yield what is predicted of Online Retail II, and what came."""
    purchases, known, cut, model, _ = fit_shop()
    predicted = evidence.predict_repurchases(model, known, cut, WINDOW)
    outcomes = _list_outcomes(predicted, purchases, cut, WINDOW)
    methods = [Predictions("hazards", predicted.data.astype(np.float64))]
    plain = replace(model, user_kappa=0.0)
    rated = replace(plain, user_kappa=fit_user_kappa(plain, list_gaps(known)))
    methods.append(Predictions("hazards with rates of users", _predict(rated, known, cut)))
    for code, name in enumerate(FAMILIES):
        one = replace(model, family=np.full(model.n_items, code, dtype=np.int32))
        methods.append(Predictions(f"{name} alone", _predict(one, known, cut)))
        yield make_row("shop", SHOP, name, "items_chosen", float((model.family == code).sum()), n=model.n_items)
        yield make_row("shop", SHOP, name, "held_out_log_likelihood", float(model.held_out[-1, code]))
    methods += list(predict_plainly(known, cut, outcomes))
    yield make_row("shop", SHOP, "hazards", "window_days", WINDOW)
    yield make_row("shop", SHOP, "hazards", "user_kappa", model.user_kappa, n=model.n_gaps)
    yield make_row("shop", SHOP, "hazards", "came", float(outcomes.came.mean()), n=len(outcomes.came))
    yield from _compare_methods(methods, outcomes)
    yield from _measure_times(model, purchases, known, cut)
    yield from _describe_durables(model)


def predict_plainly(known: Purchases, cut: int, outcomes: Outcomes) -> Iterator[Predictions]:
    """Yield one constant, the rate of each item, and personal frequency, fitted to the window before the cut."""
    before = cut - WINDOW * DAY
    gaps = list_gaps(known.take_before(before))
    last = gaps.take_rows(~gaps.observed)
    ones = np.ones(len(last))
    pointers = np.searchsorted(last.user, np.arange(known.n_users + 1))
    open_ = Csr((ones, last.item, pointers), shape=(known.n_users, known.n_items))
    earlier = _list_outcomes(open_, known, before, WINDOW)
    yield Predictions("constant", np.full(len(outcomes.came), earlier.came.mean()))
    sums = [np.bincount(earlier.item, one, known.n_items) for one in (earlier.came, ones)]
    yield Predictions("rate of the item", shrink_rates(*sums)[outcomes.item])
    all_gaps = list_gaps(known)
    ends = all_gaps.take_rows(~all_gaps.observed)
    days = ends.span + ends.days
    again = ends.count - 1.0
    alpha, beta = fit_poisson_gamma_rates(again, days, np.zeros(len(days), np.int64), 1)
    # the rate of a pair is a gamma one: P(none in the window) is its Laplace transform
    none = ((beta[0] + days) / (beta[0] + days + WINDOW)) ** (again + alpha[0])
    yield Predictions("personal frequency", 1.0 - none)


def measure_calibration_error(chance: Doubles, came: Bools) -> float:
    """Return the mean distance of prediction and outcome over tenths of the pairs by prediction."""
    parts = np.array_split(np.argsort(chance, kind="stable"), DECILES)
    return float(sum(abs(chance[part].sum() - came[part].sum()) for part in parts) / len(chance))


def measure_speed() -> Iterator[dict[str, Any]]:
    """Yield the seconds of one core that one and a half million purchases take."""
    world = make_world(TRUTH, 335_000, 20_000, 3000, 700, seed=0)
    n = len(world.purchases)
    for name, run in _list_timed(world):
        begin = time.process_time()
        run()
        yield make_row("speed", "world", name, "cpu_seconds", time.process_time() - begin, n=n)


def _list_timed(world: PurchaseWorld) -> Iterator[tuple[str, Callable[[], Any]]]:
    made = {}

    def fit() -> None:
        made["model"] = evidence.fit_repurchases(world.purchases, world.category)

    yield "fit", fit
    yield "predict", lambda: evidence.predict_repurchases(made["model"], world.purchases, world.purchases.end, WINDOW)


def _compare_methods(methods: list[Predictions], outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    n_users = int(outcomes.user.max()) + 1
    n = np.bincount(outcomes.user, minlength=n_users)
    weights = make_generator(0, "repurchases").multinomial(n_users, np.full(n_users, 1 / n_users), DRAWS)
    losses = {one.method: np.bincount(outcomes.user, _lose(one.chance, outcomes.came), n_users) for one in methods}
    for one in methods:
        loss = losses[one.method]
        drawn = (weights @ loss) / (weights @ n)
        yield _shop(one, "log_loss", loss.sum() / n.sum(), *np.percentile(drawn, [2.5, 97.5]), n=int(n.sum()))
        apart = (weights @ (loss - losses["hazards"])) / (weights @ n)
        more = (loss - losses["hazards"]).sum() / n.sum()
        yield _shop(one, "log_loss_over_hazards", more, *np.percentile(apart, [2.5, 97.5]), n=int(n.sum()))
        yield _shop(one, "calibration", measure_calibration_error(one.chance, outcomes.came), n=len(one.chance))
        yield _shop(one, "auc", _measure_auc(one.chance, outcomes.came), n=len(one.chance))
        for number, part in enumerate(np.array_split(np.argsort(one.chance, kind="stable"), DECILES)):
            said, came = one.chance[part].mean(), outcomes.came[part].mean()
            yield make_row("shop", SHOP, one.method, f"decile {number + 1}", said, other=came, n=len(part))


def _measure_times(model: Repurchases, purchases: Purchases, known: Purchases, cut: int) -> Iterator[dict[str, Any]]:
    days = evidence.predict_repurchase_days(model, known, cut, WINDOW)
    half = Csr((np.full(days.nnz, WINDOW / 2), days.indices, days.indptr), shape=days.shape)
    for name, said in (("hazards", days), ("half of the window", half)):
        error = evidence.measure_repurchase_time_error(said, purchases, cut, WINDOW)
        own = error.per_user[~np.isnan(error.per_user)]
        draws = make_generator(0, "repurchase times").integers(0, len(own), (DRAWS, len(own)))
        low, high = np.percentile(own[draws].mean(axis=1), [2.5, 97.5])
        yield make_row("shop", SHOP, name, "time_error", error.mean, low, high, n=error.n_pairs)


def _describe_durables(model: Repurchases) -> Iterator[dict[str, Any]]:
    median = evidence.measure_median_gaps(model)
    low, high = np.percentile(median, [10, 90])
    yield make_row("shop", SHOP, "hazards", "median_gap", np.median(median), low, high, n=len(median))
    for window in (WINDOW, 90, 180):
        share = evidence.find_durables(model, window).mean()
        yield make_row("shop", SHOP, "hazards", "durable_share", share, other=window, n=len(median))


def _list_outcomes(pairs: Csr, purchases: Purchases, now: int, window: int) -> Outcomes:
    """Return which entries of `pairs` are bought in the window."""
    came = evidence.list_repurchase_days(pairs, purchases, now, window)
    user = np.repeat(np.arange(pairs.shape[0], dtype=np.int32), np.diff(pairs.indptr))
    rows = np.repeat(np.arange(came.shape[0], dtype=np.int64), np.diff(came.indptr))
    key, found = (pairs.shape[1] * u + i for u, i in ((user.astype(np.int64), pairs.indices), (rows, came.indices)))
    return Outcomes(user, pairs.indices, np.isin(key, found))


def _predict(model: Repurchases, known: Purchases, cut: int) -> Doubles:
    return evidence.predict_repurchases(model, known, cut, WINDOW).data.astype(np.float64)


def _lose(chance: Doubles, came: Bools) -> Doubles:
    safe = np.clip(chance, 1e-6, 1 - 1e-6)
    return -np.where(came, np.log(safe), np.log1p(-safe))


def _measure_auc(chance: Doubles, came: Bools) -> float:
    from scipy.stats import rankdata

    ranks, n = rankdata(chance), int(came.sum())
    return float((ranks[came].sum() - n * (n + 1) / 2) / (n * (len(came) - n)))


def _shop(one: Predictions, measure: str, value: float, low: Any = "", high: Any = "", n: int = 0) -> dict[str, Any]:
    return make_row("shop", SHOP, one.method, measure, value, low, high, n=n)


def make_row(
    part: str,
    log: str,
    method: str,
    measure: str,
    value: Any,
    low: Any = "",
    high: Any = "",
    other: Any = "",
    n: Any = "",
) -> dict[str, Any]:
    said = [one if isinstance(one, str) else f"{float(one):.5g}" for one in (value, low, high, other)]
    return dict(zip(FIELDS, (part, log, method, measure, *said, n), strict=True))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write all rows so far, those of tenths into a file of their own."""
    tenths = [row for row in rows if row["measure"].startswith("decile")]
    for place, kept in ((path, [row for row in rows if row not in tenths]), (_name_deciles(path), tenths)):
        if not kept:
            continue
        with replace_file(place) as made, made.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows that are written already."""
    there = [place for place in (path, _name_deciles(path)) if place.exists()]
    return [row for place in there for row in csv.DictReader(place.open(encoding="utf-8"))]


def _name_deciles(path: Path) -> Path:
    return path.with_name(f"{path.stem}-deciles{path.suffix}")


def main() -> None:
    """Measure each part and write the table after it; parts that are not asked for keep their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "repurchases.csv")
    wanted = parser.parse_args()
    made = (lambda: measure_worlds(wanted.worlds), measure_shop, measure_speed)
    parts = dict(zip(PARTS, made, strict=True))
    rows = read_rows(wanted.out)
    for part in wanted.parts:
        rows = [row for row in rows if row["part"] != part] + list(parts[part]())
        rows.sort(key=lambda row: list(parts).index(row["part"]))
        write_rows(wanted.out, rows)
        print(
            *(
                f"{r['method']} {r['measure']}: {r['value']} {r['low']} {r['high']} {r['other']}"
                for r in rows
                if r["part"] == part
            ),
            sep="\n",
        )


if __name__ == "__main__":
    main()
