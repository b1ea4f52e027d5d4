"""Answers to the question of judges on large logs, from rows: means and intervals over seeds, and a verdict."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from question_answers import AXES, TARGET, compute_p_value, correlate, name_limits
from question_judges import BASE, BEYOND_CHANCE
from question_worlds import Row
from scipy import stats

from recsys.scores.hypothesis_tests import adjust_p_values
from recsys.types.arrays import Doubles

PLACE = ["world", "users"]
FOLDED = "cross-fitted "  # before the name of a truth: of the slates that a cross-fitted judge reads
TRUTHS = {"discovery": TARGET, "favourites": f"{TARGET} of favourites", "beyond chance": BEYOND_CHANCE}
KEEP_BASE, ANY_BLEND = "the base is kept", "a blend at random"
NOT_METRICS = {"world", "users", "seed", "n_users", "blend", "family", "strength"}
ALL = 0  # users: the largest logs


def read_size_cells(slates: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each cell and metric, and for two ways to choose without one.

    Kendall's tau is over all blends; "top" is over those that lose at most `budget` by both axes of accuracy, base
    included; regret is what the best of these has more than the one taken, as a share of the base's.
    """
    rows = []
    metrics = [name for name in slates if name not in NOT_METRICS and not name.startswith(("true ", FOLDED))]
    for keys, blends in slates.groupby([*PLACE, "seed"], sort=False):
        base, others = blends[blends.blend == BASE].iloc[0], blends[blends.blend != BASE]
        lost = 1.0 - blends[list(AXES["both"])] / base[list(AXES["both"])].astype(float)
        able = blends[(lost <= settings["budget"]).all(axis=1)]
        about = dict(zip((*PLACE, "seed"), keys, strict=True)) | {"able": len(able)}
        for metric in metrics:
            row = about | {"metric": metric}
            taken = able[metric].astype(float).idxmax()
            for name, truth in TRUTHS.items():
                row[f"tau, {name}"] = correlate(others[metric], others[truth])
                row[f"tau of its slates, {name}"] = correlate(others[metric], others[FOLDED + truth])
                row[f"tau at the top, {name}"] = correlate(able[metric], able[truth])
                row[f"regret, {name}"] = float((able[truth].max() - able[truth][taken]) / base[truth])
            rows.append(row)
        rows += [
            about | {"metric": way} | {f"regret, {name}": float((able[truth].max() - value(able[truth])) / base[truth])
                                       for name, truth in TRUTHS.items()}
            for way, value in ((KEEP_BASE, lambda _, base=base: base[_.name]), (ANY_BLEND, pd.Series.mean))
        ]  # fmt: skip
        row = about | {"metric": "truth of cross-fitted slates"}
        rows.append(row | {f"tau, {name}": correlate(others[FOLDED + of], others[of]) for name, of in TRUTHS.items()})
    return pd.DataFrame(rows)


def average_worlds(cells: pd.DataFrame, least_seeds: int) -> pd.DataFrame:
    """Return means over worlds of each number of users, seed and metric, of the seeds that all worlds have there.

    Worlds with fewer seeds of the largest logs than `least_seeds` are left out where another has as many.
    """
    seeds = cells[cells.users == ALL].groupby("world").seed.nunique()
    enough = seeds[seeds >= min(least_seeds, seeds.max())].index
    cells = cells[cells.world.isin(enough)]
    worlds = cells.groupby(["users", "seed"]).world.transform("nunique")
    whole = cells[worlds == len(enough)]
    return whole.groupby(["users", "seed", "metric"], sort=False).mean(numeric_only=True).reset_index()


def pivot_size(means: pd.DataFrame, column: str, users: int = ALL) -> pd.DataFrame:
    """Return a column of means over worlds at one number of users: a row for each seed, a column for each metric."""
    return means[means.users == users].pivot(index="seed", columns="metric", values=column)


def tabulate_sizes(cells: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each world (and all), number of users and metric: taus and regrets with intervals over seeds."""
    rows = []
    every = average_worlds(cells, registration["least_seeds"]).assign(world="all")
    names = [name for name in cells if name.startswith(("tau", "regret"))]
    for (world, users, metric), of in pd.concat([cells, every]).groupby([*PLACE, "metric"], sort=False):
        row = {"world": world, "users": users, "metric": metric, "seeds": len(of), "able": float(of.able.mean())}
        for name in names:
            row |= name_limits(name, of[name].to_numpy(float), registration["confidence"])
        rows.append(row)
    return rows


def measure_gap(gap: Doubles, registration: Mapping[str, Any]) -> Row:
    """Return a mean over seeds with its interval, and the smallest difference that such an experiment shows."""
    rules = registration["judge_sizes"]["rules"]
    error = float(np.std(gap, ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else float("nan")
    factor = stats.t.ppf(1 - rules["level"] / 2, len(gap) - 1) + stats.t.ppf(rules["power"], len(gap) - 1)
    detectable = factor * error if error > 0 else float("nan")  # where all seeds agree, nothing says how they differ
    return {"seeds": len(gap), **name_limits("value", gap, registration["confidence"]), "detectable": detectable}


def compare_rivals(cells: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each truth and each way to choose beside the default judge: its regret less the default's.

    p-values are adjusted after Holm over all rows of one truth.
    """
    rules, rows = registration["judge_sizes"]["rules"], list[Row]()
    means = average_worlds(cells, registration["least_seeds"])
    for truth in TRUTHS:
        regrets = pivot_size(means, f"regret, {truth}")
        of = []
        for rival in (KEEP_BASE, ANY_BLEND, *rules["rivals"], *rules["told"]):
            gap = (regrets[rival] - regrets[rules["default"]]).to_numpy()
            of.append({"truth": truth, "rival": rival, **measure_gap(gap, registration), "p": compute_p_value(gap)})
        for row, p in zip(of, adjust_p_values(np.array([row["p"] for row in of]), False), strict=True):
            row["adjusted_p"] = p
            row["verdict"] = "cannot be told apart"
            if row["seeds"] < registration["least_seeds"]:
                row["verdict"] = "too few seeds"
            elif p < rules["level"]:
                row["verdict"] = "loses more" if row["value"] > 0 else "loses less"
        rows += of
    return rows


def tabulate_causes(cells: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each registered difference of tau and each truth, paired by seed, with its interval.

    One of numbers of users that were not run has none.
    """
    rows, means = [], average_worlds(cells, registration["least_seeds"])
    for cause in registration["judge_sizes"]["causes"]:
        if not {cause[end].get("users", ALL) for end in ("of", "less")} <= set(means.users):
            continue
        for truth in TRUTHS:
            one, other = (
                pivot_size(means, f"{end.get('column', 'tau')}, {truth}", end.get("users", ALL))[end["metric"]]
                for end in (cause["of"], cause["less"])
            )
            row = measure_gap((one - other).dropna().to_numpy(), registration)
            sure = row["value_low"] > 0 or row["value_high"] < 0
            verdict = ("higher" if row["value"] > 0 else "lower") if sure else "cannot be told apart"
            verdict = verdict if row["seeds"] >= registration["least_seeds"] else "too few seeds"
            rows.append({"cause": cause["cause"], "truth": truth, **row, "verdict": verdict})
    return rows


def answer(cells: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return the verdict on the default judge, the rival that replaces it if any, and why, as it is registered."""
    rules = registration["judge_sizes"]["rules"]
    found = {(row["truth"], row["rival"]): row for row in compare_rivals(cells, registration)}
    means = average_worlds(cells, registration["least_seeds"])
    taus = pivot_size(means, f"tau, {rules['tau_truth']}")[rules["default"]].to_numpy()
    tau = name_limits("tau", taus, registration["confidence"])
    first, *rest = TRUTHS
    replacing = [
        rival
        for rival in rules["rivals"]
        if found[first, rival]["verdict"] == "loses less" and all(found[of, rival]["value"] <= 0 for of in rest)
    ]
    ahead = [found[of, way]["verdict"] == "loses more" for of in TRUTHS for way in (KEEP_BASE, ANY_BLEND)]
    behind = any(found[first, way]["verdict"] == "loses less" for way in (KEEP_BASE, ANY_BLEND))
    if len(taus) < registration["least_seeds"]:
        verdict = "too few seeds"
    elif replacing or behind:
        verdict = "refuted"
    else:
        verdict = "confirmed" if all(ahead) and tau["tau_low"] > 0 else "undecided"
    chosen = min(replacing, key=lambda rival: found[first, rival]["value"], default="none")
    return [{
        "judge": rules["default"], "verdict": verdict, "replaced_by": chosen, "seeds": len(taus),
        "ahead_of_no_judge": f"{sum(ahead)} of {len(ahead)}", **tau,
    }]  # fmt: skip
