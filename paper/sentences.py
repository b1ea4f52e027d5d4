"""What the results say, in sentences that are computed: no verdict is written down before its numbers are read."""

from collections.abc import Sequence

from formatting import (
    SPACE,
    format_count,
    format_method,
    format_percent,
    format_points,
    format_run,
    format_value,
    is_finite,
    join_names,
    quote_names,
)
from formatting import format_base as base_name
from load_results import CONTENT, GAIN, NOVELTY, OWN, Results, Row, find_nearest_rival, pick_validation_best

MIN_BASE_HITS = 5  # hits of the base below which a relative change says nothing
OFTEN_REACHED = 0.95  # of the draws: a curve that loses as much less often is said to
PLAINEST = {
    "most_popular": "the most popular items",
    "random": "random items",
    "random_rerank": "the pool in random order",
}
GROUPS = {"other": "other method", "control": "control"}


def describe_missing_run(name: str) -> str:
    return f"“{format_run(name)}” has not been run: the results have no rows of it."


def classify_side(low: float, high: float) -> str:
    """Return which side of zero an interval lies on."""
    if not (is_finite(low) and is_finite(high)):
        return "untold"
    return "above" if low > 0 else "below" if high < 0 else "around"


def format_change(gain: float, low: float, high: float) -> str:
    """Return a change with its 95 % interval in brackets, and the verdict that the interval allows."""
    if classify_side(low, high) == "untold":
        return f"{format_percent(gain)} [too few users differ for an interval]"
    verdict = {"above": "", "below": ", a loss", "around": ", not told from zero"}[classify_side(low, high)]
    return f"{format_percent(gain)} [{format_percent(low)}, {format_percent(high)}]{verdict}"


def describe_data(results: Results, name: str) -> str:
    """Return the data, the base and what discovery rests on."""
    told = results.get_run_data(name)
    if told is None:
        return describe_missing_run(name)
    return (
        f"{format_run(name)} has {format_count(told.users)} users and {format_count(told.items)} items after filtering; the models are "
        f"fitted to {format_count(told.fitted_on)} positives and judged on {format_count(told.judged_on)}. The base is "
        f"{base_name(told.base)}, with nDCG@10 {format_value(told.ndcg)} and audited discovery@10 {format_value(told.discovery, 4)}. "
        f"Behind that discovery stand, on a mean audit map, {format_count(told.users_per_map)} users with "
        f"{format_count(told.held_out_per_map)} held-out positives in unexplored regions, of which the base shows "
        f"{format_count(told.hits_per_map)}. The smallest change of it that samples of this size show with a power of "
        f"80{SPACE}% is {format_percent(told.detectable, signed=False)}, by the error of the method chosen on validation."
    )


def describe_claim(results: Results, name: str, loss: float) -> str:
    """Return what the method of ours that gains most on validation gains on test."""
    rows = results.select_rows(name, loss)
    if not rows:
        return describe_missing_run(name)
    ours, chosen = pick_validation_best(rows, "ours"), pick_validation_best(rows)
    of_all = "the method that gains most on validation" if ours is chosen else "which of ours gains most on validation"
    text = (
        f"On {format_run(name)}, where nDCG@10 has lost {format_percent(loss, signed=False)}, “{format_method(ours.method)}”, {of_all}, "
        f"changes audited discovery by {format_change(ours.gain, ours.ci_low, ours.ci_high)}."
    )
    if ours is chosen:
        return text
    return (
        text
        + f" The most on validation gains “{format_method(chosen.method)}”, none of ours: {_describe_gap(chosen, ours)}."
    )


def _describe_gap(chosen: Row, ours: Row) -> str:
    lies = {"above": "it is ahead", "below": "it is behind", "around": "the two cannot be told apart"}
    side = classify_side(ours.behind_low, ours.behind_high)
    if side == "untold":
        return "on test too few users differ for limits of the difference"
    return (
        f"on test {format_change(chosen.gain, chosen.ci_low, chosen.ci_high)}, and the difference is {format_points(ours.behind)} "
        f"points (joint limits {_format_joint_limits(ours)}), so {lies[side]}"
    )


def _format_joint_limits(row: Row) -> str:
    return f"{format_points(row.behind_low)} to {format_points(row.behind_high)}"


def describe_rivals(results: Results, name: str, loss: float, role: str) -> str:
    """Return how the method that gains most on validation stands against those of a role, at the same loss."""
    rows = results.select_rows(name, loss)
    if not rows:
        return describe_missing_run(name)
    chosen = pick_validation_best(rows)
    rivals = [row for row in rows if row.role == role and row.method != chosen.method]
    sides = {row.method: classify_side(row.behind_low, row.behind_high) for row in rivals}
    near = find_nearest_rival(rows, role, chosen)
    gap = ""
    if sides[near.method] != "untold":
        gap = (
            f" Of them “{format_method(near.method)}” comes nearest on test, with "
            f"{format_change(near.gain, near.ci_low, near.ci_high)}: the "
            f"difference is {format_points(near.behind)} points (joint limits {_format_joint_limits(near)})."
        )
    return f"“{format_method(chosen.method)}” {_describe_sides(sides, GROUPS[role])}.{gap}"


def _describe_sides(sides: dict[str, str], group: str) -> str:
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
            parts.append(f"{head} {f'any {group}' if every else quote_names([format_method(one) for one in names])}")
    return join_names(parts)


def describe_own_methods(results: Results, name: str, loss: float) -> str:
    """Return how the methods of ours stand among themselves."""
    rows = results.select_rows(name, loss)
    if not rows:
        return describe_missing_run(name)
    chosen = pick_validation_best(rows)
    told = [
        f"“{format_method(row.method)}” {format_percent(row.gain)} ({_describe_side(row)})"
        for row in rows
        if row.role == "ours" and row.method != chosen.method
    ]
    return f"The other methods of ours: {join_names(told)}."


def _describe_side(row: Row) -> str:
    return {
        "above": "behind, limits exclude zero",
        "around": "not told apart",
        "below": "ahead, limits exclude zero",
        "untold": "too few users differ for limits",
    }[classify_side(row.behind_low, row.behind_high)]


def describe_controls(results: Results, name: str, loss: float) -> str:
    rows = [row for row in results.select_rows(name, loss) if row.role == "control"]
    if not rows:
        return describe_missing_run(name)
    told = [f"“{format_method(row.method)}” {format_change(row.gain, row.ci_low, row.ci_high)}" for row in rows]
    return f"The controls at the same loss: {join_names(told)}."


def describe_plain_lists(results: Results, name: str) -> str:
    """Return what lists that nobody would serve get: changes of accuracy and of discovery, at no matched loss."""
    table = results.tables["discovery-controls"]
    table = table[table.run == name]
    if table.empty:
        return "Lists of popular and of random items have not been judged."
    wide = table.pivot(index="control", columns="metric", values="change")
    told = [
        f"{PLAINEST[control]} {format_percent(row[GAIN])} for {format_percent(row['ndcg@10'])}"
        for control, row in wide.loc[[one for one in PLAINEST if one in wide.index]].iterrows()
    ]
    return f"What nobody would serve changes audited discovery, for a change of nDCG@10, so: {join_names(told)}."


def describe_fixed_point(results: Results, name: str, loss: float) -> str:
    """Return what the one point of the chosen method that was fixed on validation lost and gained on test."""
    rows = results.select_rows(name, loss)
    if not rows:
        return describe_missing_run(name)
    ours = pick_validation_best(rows, "ours")
    lost = format_change(-ours.fixed_loss, -ours.fixed_loss_high, -ours.fixed_loss_low)
    won = format_change(ours.fixed_gain, ours.fixed_gain_low, ours.fixed_gain_high)
    return (
        f"No curve is needed for the point of “{format_method(ours.method)}” that was fixed on validation for a loss of at "
        f"most {format_percent(loss, signed=False)} there: on test it changes nDCG@10 by {lost}, and audited discovery by "
        f"{won}."
    )


def describe_short_curves(results: Results, name: str, loss: float) -> str:
    """Return which curves seldom lose as much, and so count with their last point."""
    rows = results.select_rows(name, loss)
    if not rows:
        return describe_missing_run(name)
    seldom = [
        f"“{format_method(row.method)}” in {format_percent(row.reached, False)}"
        for row in rows
        if row.reached < OFTEN_REACHED
    ]
    if not seldom:
        return f"Every curve loses as much in at least {format_percent(OFTEN_REACHED, False)} of the draws."
    return (
        f"Not every curve loses as much in each draw: {join_names(seldom)} of them; in the rest its last point counts."
    )


def describe_other_metrics(results: Results, name: str, loss: float) -> str:
    """Return what own maps and novelty say of the method of ours that gains most on validation."""
    if not results.has_run(name):
        return describe_missing_run(name)
    ours = pick_validation_best(results.select_rows(name, loss), "ours")
    own, new = (_find_method_row(results.select_rows(name, loss, metric), ours.method) for metric in (OWN, NOVELTY))
    return (
        f"Judged by the own maps, which is circular, the change by “{format_method(ours.method)}” would be "
        f"{_format_row_change(own)} instead of {format_percent(ours.gain)}. The self-information of what is shown, a measure of novelty, "
        f"changes by {_format_row_change(new)}."
    )


def _find_method_row(rows: Sequence[Row], name: str) -> Row | None:
    return next((row for row in rows if row.method == name), None)


def _format_row_change(row: Row | None) -> str:
    return "unknown" if row is None else format_change(row.gain, row.ci_low, row.ci_high)


def describe_content_maps(results: Results, name: str, loss: float) -> str:
    """Return what content maps say, of the method of ours that gains most on validation and of all."""
    rows = results.select_rows(name, loss, CONTENT)
    if not rows:
        return describe_missing_run(name) if not results.has_run(name) else f"{format_run(name)} has no content maps."
    told, ours = results.get_run_data(name), pick_validation_best(results.select_rows(name, loss), "ours")
    sides = {row.method: classify_side(row.ci_low, row.ci_high) for row in sorted(rows, key=lambda row: -row.gain)}
    above, below = (
        [format_method(one) for one, side in sides.items() if side == wanted] for wanted in ("above", "below")
    )
    most = max(rows, key=lambda row: row.gain)
    return (
        f"By the {format_count(told.content_maps)} content maps, at the same loss, “{format_method(ours.method)}” changes discovery "
        f"by {_format_row_change(_find_method_row(rows, ours.method))}. The largest change there is that of “{format_method(most.method)}”, "
        f"{_format_row_change(most)}. Intervals, not adjusted for their number, lie above zero for "
        f"{quote_names(above) if above else 'no method'} and below zero for {quote_names(below) if below else 'none'}."
    )


def describe_strata(results: Results, name: str, loss: float) -> str:
    """Return discovery among popular, middling and rare items, of the fixed point of the chosen method of ours."""
    table = results.select_strata(name)
    if table.empty or not results.has_run(name):
        return describe_missing_run(name)
    ours = pick_validation_best(results.select_rows(name, loss), "ours").method
    parts = []
    for stratum, rows in table.groupby("stratum", sort=False):
        base = rows.iloc[0]
        mine, most = rows[rows.method == ours].iloc[0], rows.loc[rows.hits.idxmax()]
        share = (
            format_change(mine.change, mine.ci_low, mine.ci_high)
            if base.hits >= MIN_BASE_HITS
            else f"too few for a share; the most there has “{format_method(most.method)}”, {format_count(most.hits)}"
        )
        parts.append(
            f"{stratum} ({format_count(mine['items'])} items, {format_count(mine.held_out)} held-out positives in unexplored "
            f"regions), from {format_count(base.hits)} to {format_count(mine.hits)} hits a map: {share}"
        )
    return (
        f"By popularity of the item, for the point of “{format_method(ours)}” fixed on validation: {'; '.join(parts)}."
    )
