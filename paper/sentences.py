"""What the results say, in sentences that are computed: no verdict is written down before its numbers are read."""

from collections.abc import Sequence

from phrases import SPACE, count, known, listed, method, percent, points, quoted, run, value
from phrases import base as base_name
from readings import CONTENT, GAIN, NOVELTY, OWN, Results, Row, first, nearest

FEW = 5  # hits of the base below which a relative change says nothing
OFTEN = 0.95  # of the draws: a curve that loses as much less often is said to
PLAINEST = {
    "most_popular": "the most popular items",
    "random": "random items",
    "random_rerank": "the pool in random order",
}
GROUPS = {"other": "other method", "control": "control"}


def missing(name: str) -> str:
    return f"“{run(name)}” has not been run: the results have no rows of it."


def sided(low: float, high: float) -> str:
    """Return which side of zero an interval lies on."""
    if not (known(low) and known(high)):
        return "untold"
    return "above" if low > 0 else "below" if high < 0 else "around"


def change(gain: float, low: float, high: float) -> str:
    """Return a change with its 95 % interval in brackets, and the verdict that the interval allows."""
    if sided(low, high) == "untold":
        return f"{percent(gain)} [too few users differ for an interval]"
    verdict = {"above": "", "below": ", a loss", "around": ", not told from zero"}[sided(low, high)]
    return f"{percent(gain)} [{percent(low)}, {percent(high)}]{verdict}"


def about(results: Results, name: str) -> str:
    """Return the data, the base and what discovery rests on."""
    told = results.about(name)
    if told is None:
        return missing(name)
    return (
        f"{run(name)} has {count(told.users)} users and {count(told.items)} items after filtering; the models are "
        f"fitted to {count(told.fitted_on)} positives and judged on {count(told.judged_on)}. The base is "
        f"{base_name(told.base)}, with nDCG@10 {value(told.ndcg)} and audited discovery@10 {value(told.discovery, 4)}. "
        f"Behind that discovery stand, on a mean audit map, {count(told.users_per_map)} users with "
        f"{count(told.held_out_per_map)} held-out positives in untouched regions, of which the base shows "
        f"{count(told.hits_per_map)}. The smallest change of it that samples of this size show with a power of "
        f"80{SPACE}% is {percent(told.detectable, signed=False)}, by the error of the method chosen on validation."
    )


def claim(results: Results, name: str, loss: float) -> str:
    """Return what the method of ours that gains most on validation gains on test."""
    rows = results.rows(name, loss)
    if not rows:
        return missing(name)
    ours, chosen = first(rows, "ours"), first(rows)
    of_all = "the method that gains most on validation" if ours is chosen else "which of ours gains most on validation"
    text = (
        f"On {run(name)}, where nDCG@10 has lost {percent(loss, signed=False)}, “{method(ours.method)}”, {of_all}, "
        f"changes audited discovery by {change(ours.gain, ours.ci_low, ours.ci_high)}."
    )
    if ours is chosen:
        return text
    return text + f" The most on validation gains “{method(chosen.method)}”, none of ours: {_apart(chosen, ours)}."


def _apart(chosen: Row, ours: Row) -> str:
    lies = {"above": "it is ahead", "below": "it is behind", "around": "the two cannot be told apart"}
    side = sided(ours.behind_low, ours.behind_high)
    if side == "untold":
        return "on test too few users differ for limits of the difference"
    return (
        f"on test {change(chosen.gain, chosen.ci_low, chosen.ci_high)}, and the difference is {points(ours.behind)} "
        f"points (joint limits {_joint(ours)}), so {lies[side]}"
    )


def _joint(row: Row) -> str:
    return f"{points(row.behind_low)} to {points(row.behind_high)}"


def standing(results: Results, name: str, loss: float, role: str) -> str:
    """Return how the method that gains most on validation stands against those of a role, at the same loss."""
    rows = results.rows(name, loss)
    if not rows:
        return missing(name)
    chosen = first(rows)
    rivals = [row for row in rows if row.role == role and row.method != chosen.method]
    sides = {row.method: sided(row.behind_low, row.behind_high) for row in rivals}
    near = nearest(rows, role, chosen)
    gap = ""
    if sides[near.method] != "untold":
        gap = (
            f" Of them “{method(near.method)}” comes nearest on test, with "
            f"{change(near.gain, near.ci_low, near.ci_high)}: the "
            f"difference is {points(near.behind)} points (joint limits {_joint(near)})."
        )
    return f"“{method(chosen.method)}” {_sides(sides, GROUPS[role])}.{gap}"


def _sides(sides: dict[str, str], group: str) -> str:
    """Return against whom limits that hold for all at once exclude zero."""
    if set(sides.values()) == {"above"}:
        return f"is ahead of every {group}, with limits that exclude zero for all of them at once"
    heads = {
        "above": "is ahead, with limits that exclude zero, of",
        "around": "cannot be told apart from",
        "below": "is behind",
        "untold": "has no limits, because too few users differ, against",
    }
    parts = []
    for side, head in heads.items():
        names = [name for name, found in sides.items() if found == side]
        if names:
            every = len(names) == len(sides)
            parts.append(f"{head} {f'any {group}' if every else quoted([method(one) for one in names])}")
    return listed(parts)


def within(results: Results, name: str, loss: float) -> str:
    """Return how the methods of ours stand among themselves."""
    rows = results.rows(name, loss)
    if not rows:
        return missing(name)
    chosen = first(rows)
    told = [
        f"“{method(row.method)}” {percent(row.gain)} ({_beside(row)})"
        for row in rows
        if row.role == "ours" and row.method != chosen.method
    ]
    return f"The other methods of ours: {listed(told)}."


def _beside(row: Row) -> str:
    return {
        "above": "behind, limits exclude zero",
        "around": "not told apart",
        "below": "ahead, limits exclude zero",
        "untold": "too few users differ for limits",
    }[sided(row.behind_low, row.behind_high)]


def controls(results: Results, name: str, loss: float) -> str:
    rows = [row for row in results.rows(name, loss) if row.role == "control"]
    if not rows:
        return missing(name)
    told = [f"“{method(row.method)}” {change(row.gain, row.ci_low, row.ci_high)}" for row in rows]
    return f"The controls at the same loss: {listed(told)}."


def plainest(results: Results, name: str) -> str:
    """Return what lists that nobody would serve get: changes of accuracy and of discovery, at no matched loss."""
    table = results.tables["discovery-controls"]
    table = table[table.run == name]
    if table.empty:
        return "Lists of popular and of random items have not been judged."
    wide = table.pivot(index="control", columns="metric", values="change")
    told = [
        f"{PLAINEST[control]} {percent(row[GAIN])} for {percent(row['ndcg@10'])}"
        for control, row in wide.loc[[one for one in PLAINEST if one in wide.index]].iterrows()
    ]
    return f"What nobody would serve changes audited discovery, for a change of nDCG@10, so: {listed(told)}."


def fixed(results: Results, name: str, loss: float) -> str:
    """Return what the one point of the chosen method that was fixed on validation lost and gained on test."""
    rows = results.rows(name, loss)
    if not rows:
        return missing(name)
    ours = first(rows, "ours")
    lost = change(-ours.fixed_loss, -ours.fixed_loss_high, -ours.fixed_loss_low)
    won = change(ours.fixed_gain, ours.fixed_gain_low, ours.fixed_gain_high)
    return (
        f"No curve is needed for the point of “{method(ours.method)}” that was fixed on validation for a loss of at "
        f"most {percent(loss, signed=False)} there: on test it changes nDCG@10 by {lost}, and audited discovery by "
        f"{won}."
    )


def short(results: Results, name: str, loss: float) -> str:
    """Return which curves seldom lose as much, and so count with their last point."""
    rows = results.rows(name, loss)
    if not rows:
        return missing(name)
    seldom = [f"“{method(row.method)}” in {percent(row.reached, False)}" for row in rows if row.reached < OFTEN]
    if not seldom:
        return f"Every curve loses as much in at least {percent(OFTEN, False)} of the draws."
    return f"Not every curve loses as much in each draw: {listed(seldom)} of them; in the rest its last point counts."


def otherwise(results: Results, name: str, loss: float) -> str:
    """Return what own maps and novelty say of the method of ours that gains most on validation."""
    if not results.made(name):
        return missing(name)
    ours = first(results.rows(name, loss), "ours")
    own, new = (_of(results.rows(name, loss, metric), ours.method) for metric in (OWN, NOVELTY))
    return (
        f"Judged by the own maps, which is circular, the change by “{method(ours.method)}” would be "
        f"{_read(own)} instead of {percent(ours.gain)}. The self-information of what is shown, a measure of novelty, "
        f"changes by {_read(new)}."
    )


def _of(rows: Sequence[Row], name: str) -> Row | None:
    return next((row for row in rows if row.method == name), None)


def _read(row: Row | None) -> str:
    return "unknown" if row is None else change(row.gain, row.ci_low, row.ci_high)


def content(results: Results, name: str, loss: float) -> str:
    """Return what content maps say, of the method of ours that gains most on validation and of all."""
    rows = results.rows(name, loss, CONTENT)
    if not rows:
        return missing(name) if not results.made(name) else f"{run(name)} has no content maps."
    told, ours = results.about(name), first(results.rows(name, loss), "ours")
    sides = {row.method: sided(row.ci_low, row.ci_high) for row in sorted(rows, key=lambda row: -row.gain)}
    above, below = ([method(one) for one, side in sides.items() if side == wanted] for wanted in ("above", "below"))
    most = max(rows, key=lambda row: row.gain)
    return (
        f"By the {count(told.content_maps)} content maps, at the same loss, “{method(ours.method)}” changes discovery "
        f"by {_read(_of(rows, ours.method))}. The largest change there is that of “{method(most.method)}”, "
        f"{_read(most)}. Intervals, not adjusted for their number, lie above zero for "
        f"{quoted(above) if above else 'no method'} and below zero for {quoted(below) if below else 'none'}."
    )


def strata(results: Results, name: str, loss: float) -> str:
    """Return discovery among popular, middling and rare items, of the fixed point of the chosen method of ours."""
    table = results.strata(name)
    if table.empty or not results.made(name):
        return missing(name)
    ours = first(results.rows(name, loss), "ours").method
    parts = []
    for stratum, rows in table.groupby("stratum", sort=False):
        base = rows.iloc[0]
        mine, most = rows[rows.method == ours].iloc[0], rows.loc[rows.hits.idxmax()]
        share = (
            change(mine.change, mine.ci_low, mine.ci_high)
            if base.hits >= FEW
            else f"too few for a share; the most there has “{method(most.method)}”, {count(most.hits)}"
        )
        parts.append(
            f"{stratum} ({count(mine['items'])} items, {count(mine.held_out)} held-out positives in untouched "
            f"regions), from {count(base.hits)} to {count(mine.hits)} hits a map: {share}"
        )
    return f"By popularity of the item, for the point of “{method(ours)}” fixed on validation: {'; '.join(parts)}."
