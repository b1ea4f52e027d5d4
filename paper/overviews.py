"""What the runs besides the headline say, in sentences that are computed."""

from collections.abc import Iterator
from itertools import combinations

from phrases import known, listed, percent, quoted, run
from readings import CUT, ROLES, Results, Row, first
from sentences import sided


def elsewhere(results: Results, loss: float) -> Iterator[str]:
    """Yield how many runs besides the first there are, and on which side their intervals lie."""
    others = results.runs[1:]
    made = [name for name in others if results.made(name)]
    ours = {name: first(results.rows(name, loss), "ours") for name in made}
    sides = {name: sided(row.ci_low, row.ci_high) for name, row in ours.items()}
    yield f"Besides the headline the protocol has {len(others)} runs, of which {len(made) or 'none'} have been made."
    if made:
        yield (
            f"At a loss of {percent(loss, False)} the interval of the method of ours that gains most on validation "
            f"lies above zero in {_where(sides, 'above')}, holds zero in {_where(sides, 'around')} and lies below it "
            f"in {_where(sides, 'below')}; too few users differ for one in {_where(sides, 'untold')}."
        )
        chosen = {name: first(results.rows(name, loss)).role for name in made}
        yield f"On validation a method that is none of ours gains most in {_where(chosen, 'other', 'control')}."
        best, control = (
            {name: _ahead_of_all(results.rows(name, loss), role) for name in made} for role in ("other", "control")
        )
        more = {name: _less_than_another(results.rows(name, loss)) for name in made}
        yield (
            f"The method of ours is ahead of every other one, with joint limits that exclude zero, in "
            f"{_where(best, 'yes')}; of every control in {_where(control, 'yes')}."
        )
        yield f"Some other method gains as much or more on test, by the estimates alone, in {_where(more, 'yes')}."
    if len(made) < len(others):
        yield f"Not run: {quoted([run(name) for name in others if name not in made])}."


def splits(results: Results, loss: float) -> str:
    """Return what other splits of the data of the headline change, which no interval of one run holds."""
    headline, *others = results.protocol["runs"]
    alike = [one["name"] for one in others if {**one, "name": 0, "seed": 0} == {**headline, "name": 0, "seed": 0}]
    made = [name for name in (headline["name"], *alike) if results.made(name)]
    if len(made) < 2:
        return "No other split of the data of the headline has been run: what another split changes is not known."
    rows = [first(results.rows(name, loss), "ours") for name in made]
    told = listed([f"{percent(row.gain)} [{percent(row.ci_low)}, {percent(row.ci_high)}]" for row in rows])
    apart = sum(a.ci_high < b.ci_low or b.ci_high < a.ci_low for a, b in combinations(rows, 2))
    text = (
        f"On {len(made)} random splits of the same data, the headline's first, the method of ours that gains most on "
        f"validation gains {told} at that loss, {percent(sum(row.gain for row in rows) / len(rows))} on average"
    )
    if apart:
        pairs = len(list(combinations(rows, 2)))
        return f"{text}; {apart} of {pairs} pairs of intervals do not overlap: none holds what another split changes."
    return f"{text}; the intervals overlap."


def _where(sides: dict[str, str], *wanted: str) -> str:
    names = [run(name) for name, side in sides.items() if side in wanted]
    return f"{len(names)} ({'; '.join(names)})" if names else "none"


def _ahead_of_all(rows: list[Row], role: str) -> str:
    rivals = [sided(row.behind_low, row.behind_high) for row in rows if row.role == role]
    return "yes" if first(rows).role == "ours" and set(rivals) == {"above"} else "no"


def _less_than_another(rows: list[Row]) -> str:
    ours = first(rows, "ours")
    return "yes" if any(row.gain >= ours.gain for row in rows if row.role == "other") else "no"


def briefly(results: Results, loss: float) -> str:
    """Return `elsewhere` in numbers alone."""
    others = results.runs[1:]
    made = [name for name in others if results.made(name)]
    sides = [first(results.rows(name, loss), "ours") for name in made]
    above = sum(sided(row.ci_low, row.ci_high) == "above" for row in sides)
    rows = [results.rows(name, loss) for name in made]
    other, control = (sum(_ahead_of_all(one, role) == "yes" for one in rows) for role in ("other", "control"))
    return (
        f"Of {len(others)} further runs (other splits, other data, origins in time) {len(made) or 'none'} have been "
        f"made. The interval lies above zero in {above or 'none'} of them; the method is ahead of every other one in "
        f"{other or 'none'}, and of every control in {control or 'none'}."
    )


def cut(results: Results, loss: float) -> str:
    """Return what the axis of the figure of all runs leaves out."""
    rows = [first(results.rows(name, loss), role) for name in results.runs if results.made(name) for role in ROLES]
    over = sum(known(row.ci_high) and row.ci_high > CUT for row in rows)
    return f"Intervals are cut at {percent(CUT)}: {over} of {len(rows)} go further." if over else "No interval is cut."
