"""What the runs besides the headline say, in sentences that are computed."""

from collections.abc import Iterator
from itertools import combinations

from formatting import format_percent, format_run, is_finite, join_names, quote_names
from load_results import CUT, ROLES, Results, Row, pick_validation_best
from sentences import classify_side


def describe_other_runs(results: Results, loss: float) -> Iterator[str]:
    """Yield how many runs besides the first there are, and on which side their intervals lie."""
    others = results.runs[1:]
    made = [name for name in others if results.has_run(name)]
    ours = {name: pick_validation_best(results.select_rows(name, loss), "ours") for name in made}
    sides = {name: classify_side(row.ci_low, row.ci_high) for name, row in ours.items()}
    yield f"Besides the headline the protocol has {len(others)} runs, of which {len(made) or 'none'} have been made."
    if made:
        yield (
            f"At a loss of {format_percent(loss, False)} the interval of the method of ours that gains most on validation "
            f"lies above zero in {_list_runs_on_side(sides, 'above')}, holds zero in {_list_runs_on_side(sides, 'around')} and lies below it "
            f"in {_list_runs_on_side(sides, 'below')}; too few users differ for one in {_list_runs_on_side(sides, 'untold')}."
        )
        chosen = {name: pick_validation_best(results.select_rows(name, loss)).role for name in made}
        yield f"On validation a method that is none of ours gains most in {_list_runs_on_side(chosen, 'other', 'control')}."
        best, control = (
            {name: _is_ahead_of_all(results.select_rows(name, loss), role) for name in made}
            for role in ("other", "control")
        )
        more = {name: _is_exceeded_by_other(results.select_rows(name, loss)) for name in made}
        yield (
            f"The method of ours is ahead of every other one, with joint limits that exclude zero, in "
            f"{_list_runs_on_side(best, 'yes')}; of every control in {_list_runs_on_side(control, 'yes')}."
        )
        yield f"Some other method gains as much or more on test, by the estimates alone, in {_list_runs_on_side(more, 'yes')}."
    if len(made) < len(others):
        yield f"Not run: {quote_names([format_run(name) for name in others if name not in made])}."


def describe_other_splits(results: Results, loss: float) -> str:
    """Return what other splits of the data of the headline change, which no interval of one run holds."""
    headline, *others = results.protocol["runs"]
    alike = [one["name"] for one in others if {**one, "name": 0, "seed": 0} == {**headline, "name": 0, "seed": 0}]
    made = [name for name in (headline["name"], *alike) if results.has_run(name)]
    if len(made) < 2:
        return "No other split of the data of the headline has been run: what another split changes is not known."
    rows = [pick_validation_best(results.select_rows(name, loss), "ours") for name in made]
    told = join_names(
        [f"{format_percent(row.gain)} [{format_percent(row.ci_low)}, {format_percent(row.ci_high)}]" for row in rows]
    )
    apart = sum(a.ci_high < b.ci_low or b.ci_high < a.ci_low for a, b in combinations(rows, 2))
    text = (
        f"On {len(made)} random splits of the same data, the headline's first, the method of ours that gains most on "
        f"validation gains {told} at that loss, {format_percent(sum(row.gain for row in rows) / len(rows))} on average"
    )
    if apart:
        pairs = len(list(combinations(rows, 2)))
        return f"{text}; {apart} of {pairs} pairs of intervals do not overlap: none holds what another split changes."
    return f"{text}; the intervals overlap."


def _list_runs_on_side(sides: dict[str, str], *wanted: str) -> str:
    names = [format_run(name) for name, side in sides.items() if side in wanted]
    return f"{len(names)} ({'; '.join(names)})" if names else "none"


def _is_ahead_of_all(rows: list[Row], role: str) -> str:
    rivals = [classify_side(row.behind_low, row.behind_high) for row in rows if row.role == role]
    return "yes" if pick_validation_best(rows).role == "ours" and set(rivals) == {"above"} else "no"


def _is_exceeded_by_other(rows: list[Row]) -> str:
    ours = pick_validation_best(rows, "ours")
    return "yes" if any(row.gain >= ours.gain for row in rows if row.role == "other") else "no"


def summarize_other_runs(results: Results, loss: float) -> str:
    """Return `describe_other_runs` in numbers alone."""
    others = results.runs[1:]
    made = [name for name in others if results.has_run(name)]
    sides = [pick_validation_best(results.select_rows(name, loss), "ours") for name in made]
    above = sum(classify_side(row.ci_low, row.ci_high) == "above" for row in sides)
    rows = [results.select_rows(name, loss) for name in made]
    other, control = (sum(_is_ahead_of_all(one, role) == "yes" for one in rows) for role in ("other", "control"))
    return (
        f"Of {len(others)} further runs (other splits, other data, origins in time) {len(made) or 'none'} have been "
        f"made. The interval lies above zero in {above or 'none'} of them; the method is ahead of every other one in "
        f"{other or 'none'}, and of every control in {control or 'none'}."
    )


def describe_cut_intervals(results: Results, loss: float) -> str:
    """Return what the axis of the figure of all runs leaves out."""
    rows = [
        pick_validation_best(results.select_rows(name, loss), role)
        for name in results.runs
        if results.has_run(name)
        for role in ROLES
    ]
    over = sum(is_finite(row.ci_high) and row.ci_high > CUT for row in rows)
    return (
        f"Intervals are cut at {format_percent(CUT)}: {over} of {len(rows)} go further."
        if over
        else "No interval is cut."
    )
