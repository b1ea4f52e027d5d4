"""Answers to the registered questions, computed from rows: means and intervals over seeds, and what they decide."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from question_judges import ACCURACY, BASE, TRUTHS
from question_loops import CHOSEN
from question_worlds import Row
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from recsys.scores.hypothesis_tests import adjust_p_values
from recsys.support.rng import make_generator
from recsys.types.arrays import Doubles

CONDITION = ["world", "users", "history"]
CELL = [*CONDITION, "seed"]
TARGET = "true discovery"
NOT_RANKED = ("most_liked", "random")
SUMS = ("true_discovery", "welfare")  # over rounds
AXES = {"ndcg": ("ndcg",), "stratified_recall": ("stratified_recall",), "both": ("ndcg", "stratified_recall")}


def find_limits(values: Doubles, confidence: float) -> tuple[float, float, float]:
    """Return the mean of values, (n,), and Student's limits; NaN limits for fewer than two."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def name_limits(name: str, values: Doubles, confidence: float) -> Row:
    return dict(zip((name, f"{name}_low", f"{name}_high"), find_limits(values, confidence), strict=True))


def compute_p_value(values: Doubles) -> float:
    """Return the two-sided p-value of Student's t that the mean is 0: 1 where all values are 0."""
    if len(values) < 2 or not np.any(values):
        return 1.0
    return float(stats.ttest_1samp(values, 0.0).pvalue) if np.std(values) > 0 else 0.0


# Question 2: judges.


def read_cells(slates: pd.DataFrame, metrics: list[str], budget: float) -> pd.DataFrame:
    """Return a row for each cell and metric: Kendall's tau with each truth, signs, and the regret at a fixed loss."""
    rows = []
    for keys, blends in slates.groupby(CELL, sort=False):
        base, others = blends[blends.blend == BASE].iloc[0], blends[blends.blend != BASE]
        lost = 1.0 - blends[list(AXES["both"])] / base[list(AXES["both"])].astype(float)
        able = blends[(lost <= budget).all(axis=1)]
        for metric in metrics:
            if not blends[metric].notna().all():
                continue
            taus = {f"tau, {truth}": correlate(others[metric], others[truth]) for truth in TRUTHS}
            same = np.sign(others[metric] - base[metric]) == np.sign(others[TARGET] - base[TARGET])
            taken = able[TARGET][able[metric].astype(float).idxmax()]
            rows.append({
                **dict(zip(CELL, keys, strict=True)), "metric": metric, **taus, "same sign": float(same.mean()),
                "regret": float((able[TARGET].max() - taken) / base[TARGET]),
            })  # fmt: skip
    return pd.DataFrame(rows)


def correlate(one: "pd.Series[float]", other: "pd.Series[float]") -> float:
    """Return Kendall's tau-b, 0 where one of two says nothing."""
    tau = float(stats.kendalltau(one, other).statistic)
    return 0.0 if np.isnan(tau) else tau


def list_conditions(cells: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    """Yield each condition with its cells, and all of them with the means over conditions of each seed and metric."""
    for keys, found in cells.groupby(CONDITION, sort=False):
        yield dict(zip(CONDITION, keys, strict=True)), found
    whole = keep_whole_seeds(cells)
    means = whole.groupby(["metric", "seed"], sort=False).mean(numeric_only=True).reset_index()
    yield {"world": "all", "users": "all", "history": "all"}, means.drop(columns=["users", "history"])


def keep_whole_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the seeds that all conditions have."""
    n = cells[CONDITION].drop_duplicates().shape[0]
    counted = cells[CELL].drop_duplicates().groupby("seed").size()
    return cells[cells.seed.isin(counted[counted == n].index)]


def tabulate_judges(slates: pd.DataFrame, metrics: list[str], registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each condition and metric: how well it ranks, with intervals over seeds."""
    settings, rows = registration["judges"], []
    for keys, cells in list_conditions(read_cells(slates, metrics, settings["budget"])):
        for metric, of in cells.groupby("metric", sort=False):
            row = {**keys, "metric": metric, "seeds": len(of)}
            for name in (*(f"tau, {truth}" for truth in TRUTHS), "same sign", "regret"):
                row |= name_limits(name, of[name].to_numpy(), registration["confidence"])
            rows.append(row)
    return rows


def judge_statements(slates: pd.DataFrame, metrics: list[str], registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each statement of before, and for each metric against the default judge, over all conditions."""
    settings = registration["judges"]
    cells = keep_whole_seeds(read_cells(slates, metrics, settings["budget"]))
    taus = cells.pivot_table(index="seed", columns="metric", values=f"tau, {TARGET}")
    rows = []
    for one in settings["statements"]:
        if one["metric"] in taus and one.get("minus", one["metric"]) in taus:
            values = (taus[one["metric"]] - (taus[one["minus"]] if "minus" in one else 0.0)).to_numpy()
            rows.append(judge_statement(one, values, registration))
    default = settings["statements"][0]["metric"]
    rivals = [name for name in taus.columns if name != default]
    gaps = {name: (taus[name] - taus[default]).to_numpy() for name in rivals}
    adjusted = adjust_p_values(np.array([compute_p_value(gap) for gap in gaps.values()]), False)
    for (name, gap), p in zip(gaps.items(), adjusted, strict=True):
        row = name_limits("value", gap, registration["confidence"])
        sure = p < registration["loops"]["primary"]["level"]
        verdict = ("ranks better" if row["value"] > 0 else "ranks worse") if sure else "cannot be told apart"
        rows.append({
            "statement": f"{name} beside {default}", "expected": "", "seeds": len(gap), **row, "p": p,
            "verdict": verdict if len(gap) >= registration["least_seeds"] else "too few seeds",
        })  # fmt: skip
    return rows


def judge_statement(one: Mapping[str, Any], values: Doubles, registration: Mapping[str, Any]) -> Row:
    """Return whether a mean lies, by its whole interval, where a statement has it."""
    row = name_limits("value", values, registration["confidence"])
    least, most = one.get("at_least", -np.inf), one.get("at_most", np.inf)
    if len(values) < registration["least_seeds"]:
        verdict = "too few seeds"
    elif least <= row["value_low"] and row["value_high"] <= most:
        verdict = "confirmed"
    else:
        verdict = "refuted" if row["value_high"] < least or row["value_low"] > most else "undecided"
    said = f"at least {least:g}" if "at_least" in one else f"at most {most:g}"
    return {"statement": one["statement"], "expected": said, "seeds": len(values), **row, "p": "", "verdict": verdict}


def tabulate_axes(slates: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each axis and condition: true losses of precision where the axis has lost the budget."""
    settings, rows = registration["judges"], []
    draws = settings["axes"]["draws"]
    for keys, cells in slates.groupby(CONDITION, sort=False):
        seeds = np.sort(cells.seed.unique())
        table = build_loss_table(cells, seeds)
        drawn = make_generator(0, "axes", *keys[:1]).integers(len(seeds), size=(draws, len(seeds)))
        found = {axis: read_axis(table, names, settings["budget"], drawn) for axis, names in AXES.items()}
        default = found[settings["axes"]["default"]]
        for axis, (value, spread, reached) in found.items():
            low, high = find_draw_limits(spread)
            gap = value["deviation"] - default[0]["deviation"]
            gap_low, gap_high = find_draw_limits(spread - default[1])
            rows.append({
                **dict(zip(CONDITION, keys, strict=True)), "axis": axis, "seeds": len(seeds), "families": reached,
                "mean true loss": value["mean"], "deviation": value["deviation"], "deviation_low": low,
                "deviation_high": high, "difference": gap, "difference_low": gap_low, "difference_high": gap_high,
                "tau of losses": value["tau"],
            })  # fmt: skip
    return rows


def find_draw_limits(draws: Doubles) -> tuple[float, float]:
    """Return the limits of 95 % of the draws that are defined; NaN where none is."""
    known = draws[~np.isnan(draws)]
    return tuple(np.quantile(known, [0.025, 0.975]).tolist()) if len(known) else (float("nan"), float("nan"))


LossTable = dict[str, dict[str, Doubles]]  # family -> metric -> (S, blends), the base first


def build_loss_table(cells: pd.DataFrame, seeds: Doubles) -> LossTable:
    """Return what every metric of accuracy says of base and blends of each family, weakest first, seed by seed."""
    base = cells[cells.blend == BASE].set_index("seed").loc[seeds]
    table: LossTable = {}
    for family, of in cells[cells.blend != BASE].groupby("family", sort=False):
        parts = [base, *(of[of.strength == s].set_index("seed").loc[seeds] for s in sorted(of.strength.unique()))]
        table[str(family)] = {
            name: np.stack([part[name].to_numpy(float) for part in parts], axis=1)
            for name in (*ACCURACY, "true precision")
        }
    return table


def read_axis(
    table: LossTable, names: tuple[str, ...], budget: float, drawn: Any
) -> tuple[dict[str, float], Doubles, int]:
    """Return mean and deviation of true losses of families that reach the budget, its draws, and how many they are."""
    every = np.arange(drawn.shape[1])[None]
    losses = {family: read_losses(of, names, budget, every)[0] for family, of in table.items()}
    reached = [family for family, loss in losses.items() if not np.isnan(loss)]
    told = np.array([losses[family] for family in reached])
    of_axis, truly = (
        np.concatenate([find_axis_losses(of, which, every)[0, 1:] for of in table.values()])
        for which in (names, ("true precision",))
    )
    values = {
        "mean": float(told.mean()) if len(told) else float("nan"),
        "deviation": float(told.std(ddof=1)) if len(told) > 1 else float("nan"),
        "tau": float(stats.kendalltau(of_axis, truly).statistic),
    }
    if len(told) < 2:
        return values, np.full(len(drawn), np.nan), len(told)
    spread = np.stack([read_losses(table[family], names, budget, drawn) for family in reached])
    return values, count_deviation(spread), len(told)


def count_deviation(spread: Doubles) -> Doubles:
    """Return the deviation over families, (D,), of those that reach the budget in a draw."""
    known = ~np.isnan(spread)
    n = known.sum(axis=0)
    mean = np.where(known, spread, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(known, (spread - mean) ** 2, 0.0).sum(axis=0)
    return np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)


def find_axis_losses(of: Mapping[str, Doubles], names: tuple[str, ...], drawn: Any) -> Doubles:
    """Return the largest relative loss of any of the metrics at base and blends, (D, blends), by means over seeds."""
    means = [of[name][drawn].mean(axis=1) for name in names]
    return np.asarray(np.max([1.0 - mean / mean[:, :1] for mean in means], axis=0))


def read_losses(of: Mapping[str, Doubles], names: tuple[str, ...], budget: float, drawn: Any) -> Doubles:
    """Return the true loss of precision where a family first loses the budget, (D,), NaN where it never does."""
    lost, truly = find_axis_losses(of, names, drawn), find_axis_losses(of, ("true precision",), drawn)
    found = np.full(len(lost), np.nan)
    for place in range(lost.shape[1] - 1, 0, -1):
        before, after = lost[:, place - 1], lost[:, place]
        crossed = (before < budget) & (after >= budget)
        share = np.divide(budget - before, after - before, out=np.zeros_like(before), where=after != before)
        found = np.where(crossed, truly[:, place - 1] + share * (truly[:, place] - truly[:, place - 1]), found)
    return found


# Questions 1 and 3: loops.


def pivot_seeds(loops: pd.DataFrame, measure: str, number: int, place: tuple[Any, ...]) -> pd.DataFrame:
    """Return a measure at a round in one world: a row for each seed that all policies have, a column for a policy."""
    at = (loops[CONDITION] == list(place)).all(axis=1) & (loops["round"] == number)
    return loops[at].pivot(index="seed", columns="policy", values=measure).dropna()


def list_worlds(loops: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(loops[CONDITION].drop_duplicates().itertuples(index=False, name=None))


def tabulate_loops(loops: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each world, policy, measure and round: its level, and its difference from the base."""
    settings, rows = registration["loops"], []
    confidence = registration["confidence"]
    for place, measure, number in product(list_worlds(loops), settings["measures"], settings["told_rounds"]):
        values = pivot_seeds(loops, measure, number, place)
        for policy in values.columns:
            gap = (values[policy] - values[BASE]).to_numpy()
            rows.append({
                **dict(zip(CONDITION, place, strict=True)), "policy": policy, "measure": measure, "round": number,
                "seeds": len(values), **name_limits("value", values[policy].to_numpy(), confidence),
                **name_limits("difference", gap, confidence),
            })  # fmt: skip
    return rows


def tabulate_policies(table: list[Row], registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each world and policy, of the rows of `tabulate_loops`: differences now and later in columns.

    Those of sums over rounds are shares of the base's; `_1` is of round 1, `_50` of all rounds to the last.
    """
    settings = registration["loops"]
    loops, last = pd.DataFrame(table), settings["primary"]["round"]
    columns = {("welfare", 1): "share", **{(name, last): "share" for name in SUMS}}
    columns |= {(name, last): "as it is" for name in settings["measures"] if name not in SUMS}
    rows = []
    for (*place, policy), of in loops.groupby([*CONDITION, "policy"], sort=False):
        if policy == BASE:
            continue
        row: Row = {**dict(zip(CONDITION, place, strict=True)), "policy": policy, "seeds": int(of.seeds.max())}
        for (measure, number), how in columns.items():
            found = of[(of.measure == measure) & (of["round"] == number)].iloc[0]
            level = abs(found.value - found.difference) if how == "share" else 1.0
            for end in ("", "_low", "_high"):
                row[f"{measure}_{number}{end}"] = found[f"difference{end}"] / level
        rows.append(row)
    return rows


def compare_chosen(loops: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each world and rival: chosen less the rival by the primary outcome, adjusted after Holm."""
    primary = registration["loops"]["primary"]
    rows = []
    for place in list_worlds(loops):
        values = pivot_seeds(loops, primary["measure"], primary["round"], place)
        for rival in (BASE, *primary["rivals"]):
            gap = (values[CHOSEN] - values[rival]).to_numpy()
            level, n = float(values[BASE].mean()), len(gap)
            told = np.array(find_limits(gap, registration["confidence"])) / level
            error = float(np.std(gap, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
            factor = stats.t.ppf(1 - primary["level"] / 2, n - 1) + stats.t.ppf(primary["power"], n - 1)
            rows.append({
                **dict(zip(CONDITION, place, strict=True)), "rival": rival, "seeds": n,
                **dict(zip(("lead", "lead_low", "lead_high"), told.tolist(), strict=True)),
                "detectable": factor * error / level, "p": compute_p_value(gap),
            })  # fmt: skip
    for row, p in zip(rows, adjust_p_values(np.array([row["p"] for row in rows]), False), strict=True):
        row["adjusted_p"] = p
    for place in list_worlds(loops):
        of = [row for row in rows if tuple(row[name] for name in CONDITION) == place]
        verdict = answer_bubbles(of, primary, registration["least_seeds"])
        for row in of:
            row["verdict"] = verdict
    return rows


def answer_bubbles(rows: list[Row], primary: Mapping[str, Any], least_seeds: int) -> str:
    """Return yes, no or not detectable for one world, as it is registered."""
    if rows[0]["seeds"] < least_seeds:
        return "too few seeds"
    sure = [row["adjusted_p"] < primary["level"] for row in rows]
    if all(told and row["lead"] > 0 for told, row in zip(sure, rows, strict=True)):
        return "yes"
    margin = primary["margin"]
    close = all(-margin <= row["lead_low"] and row["lead_high"] <= margin for row in rows)
    behind = any(told and row["lead"] < 0 for told, row in zip(sure, rows, strict=True))
    return "no" if behind or close else "not detectable"


def tabulate_rounds(loops: pd.DataFrame, registration: Mapping[str, Any]) -> list[Row]:
    """Return a row for each world, measure and round: whether the best of round 1 is still the best."""
    settings, rows = registration["rounds"], []
    with_history = loops[~loops.world.isin(settings["without_history"])]
    for place, measure, number in product(list_worlds(with_history), settings["measures"], settings["told_rounds"]):
        first, now = (
            pivot_seeds(loops, measure, at, place).drop(columns=list(NOT_RANKED), errors="ignore") for at in (1, number)
        )
        ranked = now.T.drop_duplicates().T  # chosen may be the base
        first = first[ranked.columns]
        best = first.idxmax(axis=1)
        stays = (ranked.idxmax(axis=1) == best).to_numpy()
        kept = np.array([ranked.loc[seed, best[seed]] for seed in ranked.index])
        top = ranked.max(axis=1).to_numpy()
        taus = np.array([correlate(first.loc[seed], ranked.loc[seed]) for seed in ranked.index])
        low, high = proportion_confint(stays.sum(), len(stays), 1 - registration["confidence"], "wilson")
        verdict = "stays best" if low > 0.5 else "does not" if high < 0.5 else "undecided"
        rows.append({
            **dict(zip(CONDITION, place, strict=True)), "measure": measure, "round": number, "seeds": len(ranked),
            "policies": ranked.shape[1], **name_limits("tau", taus, registration["confidence"]),
            "stays": float(stays.mean()), "stays_low": low, "stays_high": high,
            **name_limits("regret", (top - kept) / top, registration["confidence"]),
            "verdict": verdict if len(ranked) >= registration["least_seeds"] else "too few seeds",
        })  # fmt: skip
    return rows
