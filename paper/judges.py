"""What other judges, and all splits of the headline's data together, say of the points fixed on validation."""

from collections.abc import Sequence

from formatting import format_method, format_percent, format_run, join_names, quote_names
from load_results import CONTENT, GAIN, Results, Row, pick_validation_best
from sentences import classify_side, format_change

ACCURACY = "ndcg@10"
NAMES = {"kmeans alone": "k-means alone", "ward alone": "Ward alone", "louvain alone": "Louvain alone"}
DATA = {"likes of ml-latest-small": "ml-latest-small", "likes of ml-100k": "ml-100k"}


def describe_judges(results: Results, name: str, loss: float) -> str:
    """Return discovery by each judge: of the chosen method of ours, and of the other that gains most by that judge."""
    table, rows = results.tables["discovery-judges"], results.select_rows(name, loss)
    table = table[table.run == name]
    if table.empty or not rows:
        return "Other judges than the audit family have not been asked."
    ours, others = pick_validation_best(rows, "ours").method, [row.method for row in rows if row.role == "other"]
    told, mine, ahead = [], {}, []
    for judge, found in table.groupby("judge", sort=False):
        own = next(found[found.method == ours].itertuples())
        most = max(found[found.method.isin(others)].itertuples(), key=lambda row: row.gain)
        mine[judge] = classify_side(own.gain_low, own.gain_high)
        ahead += [judge] if most.gain >= own.gain else []
        told.append(
            f"{_name_judge(judge)} {_format_limits(own)} ({format_method(most.method)}: {_format_limits(most)})"
        )
    lost = next(table[table.method == ours].itertuples()).loss
    sides = {
        side: [_name_judge(judge) for judge, found in mine.items() if found == side] for side in ("around", "below")
    }
    text = (
        f"The point of “{format_method(ours)}” fixed on validation, which loses {format_percent(lost, False)} of nDCG@10 on test, "
        f"changes discovery by each judge so, and beside it the one of the others' fixed points that gains most by "
        f"that judge, whatever it loses: {'; '.join(told)}. "
    )
    holds = (
        f"Its interval holds zero by {quote_names(sides['around'])}" if sides["around"] else "No interval holds zero"
    )
    text += holds + (f" and lies below it by {quote_names(sides['below'])}. " if sides["below"] else ". ")
    if ahead:
        return text + f"Another method gains as much or more by {quote_names([_name_judge(one) for one in ahead])}."
    return text + "No other method gains as much by any of them."


def summarize_other_logs(results: Results, name: str, loss: float) -> str:
    """Return what maps of other logs say, in short."""
    table, rows = results.tables["discovery-judges"], results.select_rows(name, loss)
    table = table[(table.run == name) & table.judge.isin(DATA)]
    if table.empty or not rows:
        return "By maps of other logs it has not been judged."
    ours, others = pick_validation_best(rows, "ours").method, [row.method for row in rows if row.role == "other"]
    told = []
    for judge, found in table.groupby("judge", sort=False):
        own = next(found[found.method == ours].itertuples())
        most = max(found[found.method.isin(others)].itertuples(), key=lambda row: row.gain)
        told.append(
            f"{_format_limits(own)} by {_name_judge(judge)} ({format_method(most.method)} {_format_limits(most)})"
        )
    return f"By maps of other people's likes its fixed point changes discovery by {join_names(told)}."


def _name_judge(name: str) -> str:
    return f"likes of {format_run(DATA[name])}" if name in DATA else NAMES.get(name, name)


def _format_limits(row: Row) -> str:
    return f"{format_percent(row.gain)} [{format_percent(row.gain_low)}, {format_percent(row.gain_high)}]"


def describe_pooled_splits(results: Results, name: str, loss: float) -> str:
    """Return what the fixed points lose and gain over all splits of the headline's data together."""
    table, rows = results.tables["discovery-splits"], results.select_rows(name, loss)
    table = table[table.run == name]
    if table.empty or not rows:
        return "The splits of the headline's data have not been put together."
    ours = pick_validation_best(rows, "ours").method
    gains = table[table.metric == GAIN]
    others = gains[gains.method.isin([row.method for row in rows if row.role == "other"])]
    most = others.loc[others.change.idxmax()].method
    n = int(table.splits.iloc[0])
    return (
        f"Over {n} random splits together (two-level intervals: splits, and users who are the same in all), the points "
        f"fixed on validation for a loss of at most {format_percent(loss, False)} change nDCG@10, audited discovery and "
        f"discovery by content maps: “{format_method(ours)}” by {_list_changes(table, ours)}; and of the others “{format_method(most)}”, "
        f"which gains most, by {_list_changes(table, most)}. In the splits one by one, audited discovery changes by "
        f"{join_names([format_percent(value) for value in _get_split_changes(gains, ours, n)])}."
    )


def _list_changes(table: object, name: str) -> str:
    cells = {row.metric: row for row in table[table.method == name].itertuples()}
    told = [cells[metric] for metric in (ACCURACY, GAIN, CONTENT)]
    return join_names([format_change(row.change, row.change_low, row.change_high) for row in told])


def _get_split_changes(gains: object, name: str, n: int) -> Sequence[float]:
    row = gains[gains.method == name].iloc[0]
    return [float(row[f"split_{i}"]) for i in range(1, n + 1)]
